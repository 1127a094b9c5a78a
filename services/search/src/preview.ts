import { type Highlighter, type Match, mergedRanges, type Range, wholeCharacters } from './highlighter.ts'

/** About what an answer shows of a passage, in UTF-16 units. */
const LENGTH = 500
/** A little more is shown whole rather than cut. */
const TOLERANCE = 100
/** Of passages that are joined. */
const LONGEST = 2_000
const HIGHLIGHTS_MAX = 64
/** A longer one is cut. */
const LONGEST_WORD = 100

// The full stops of all scripts; those of scripts without spaces need none behind them.
const SENTENCE_END = /[.!?]["'”’\)\]»]*(?=\s)|\n+|[\p{STerm}--[.!?]]["'”’\)\]»」』）]*/gv
const words = new Intl.Segmenter('en', { granularity: 'word' })

export interface Preview {
  text_preview: string
  /** In order, disjoint; they part no character as a reader sees it. */
  highlights: Range[]
}

/**
 * The stretch of about 500 characters (of `passages` joined into one, so many for each) that says most about the
 * query: whole sentences where they fit, chosen by how many different query terms stand in it, then how many in all,
 * then how near to its middle they stand.
 */
export function preview(text: string, highlighter: Highlighter, passages = 1): Preview {
  const matches = highlighter.matches(text)
  const [start, end] = bestWindow(text, matches, Math.min(LENGTH * passages, LONGEST))
  const inside = matches.map(({ range }) => range).filter((range) => range[0] >= start && range[1] <= end)
  return {
    text_preview: text.slice(start, end),
    highlights: mergedRanges(inside)
      .slice(0, HIGHLIGHTS_MAX)
      .map((range) => [range[0] - start, range[1] - start]),
  }
}

function bestWindow(text: string, matches: Match[], length: number): Range {
  if (text.length <= length + TOLERANCE) return trimmed(text, [0, text.length])
  const starts = sentenceStarts(text)
  let best: Range = [0, 0]
  let bestScore = -1
  for (const [index, start] of starts.entries()) {
    const window: Range = [start, windowEnd(text, starts, index, length)]
    const inside = matches.filter(({ range }) => range[0] >= window[0] && range[1] <= window[1])
    const score =
      new Set(inside.map(({ term }) => term)).size * 1000 + inside.length + centring(window, inside)
    if (score > bestScore) {
      best = window
      bestScore = score
    }
    if (window[1] === text.length) break
  }
  return trimmed(text, best)
}

/** 0 to 1: how near to the middle of the window its matches lie; breaks ties so that they are read in context. */
function centring([start, end]: Range, inside: Match[]): number {
  if (inside.length === 0) return 0
  const middle = (inside[0]!.range[0] + inside.at(-1)!.range[1]) / 2
  return 1 - Math.abs(middle - (start + end) / 2) / (end - start)
}

function sentenceStarts(text: string): number[] {
  const starts = [0]
  for (const { 0: end, index } of text.matchAll(SENTENCE_END)) {
    const start = index + end.length
    // A list of one-word lines must not make a window of each of them.
    if (start - starts.at(-1)! >= 20 && start < text.length) starts.push(start)
  }
  return starts
}

/** The last sentence end within the length; in a sentence that is longer, the last space, else the last end of a word. */
function windowEnd(text: string, starts: number[], index: number, length: number): number {
  const start = starts[index]!
  if (text.length - start <= length) return text.length
  const limit = start + length
  const end = starts.findLast((next) => next > start + length / 2 && next <= limit)
  if (end !== undefined) return end
  const space = text.lastIndexOf(' ', limit)
  if (space > start + length / 2) return space
  // What follows matters too: a dictionary tells where words end.
  const around = text.slice(limit - LONGEST_WORD, limit + LONGEST_WORD)
  const word = words.segment(around).containing(LONGEST_WORD)!
  return word.index === 0 ? limit : limit - LONGEST_WORD + word.index
}

/** Without white space at its ends, and without a part of a character (UAX 29) there. */
function trimmed(text: string, range: Range): Range {
  const [start, end] = wholeCharacters(text, range)
  const slice = text.slice(start, end)
  const from = start + (slice.length - slice.trimStart().length)
  const to = Math.max(from, end - (slice.length - slice.trimEnd().length))
  return wholeCharacters(text, [from, to])
}
