import {
  charactersOf,
  type Highlighter,
  type Match,
  mergedRanges,
  type Range,
  wholeCharacters,
} from './highlighter.ts'

/** About what an answer shows of a passage, in UTF-16 units. */
const LENGTH = 500
/** A little more is shown whole rather than cut. */
const TOLERANCE = 100
/** Of passages that are joined. */
const LONGEST = 2_000
const HIGHLIGHTS_MAX = 64
/** Of a longer text, as many passages joined may be, the beginning is looked at. */
const LOOKED_AT = 50_000
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
export function preview(whole: string, highlighter: Highlighter, passages = 1): Preview {
  const text = whole.slice(0, LOOKED_AT)
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

/** One pass over the sentences: the matches in a window are told from those in the one before it. */
function bestWindow(text: string, matches: Match[], length: number): Range {
  if (text.length <= length + TOLERANCE) return trimmed(text, [0, text.length])
  const starts = sentenceStarts(text)
  const inside = new Inside(matches)
  let best: Range = [0, 0]
  let bestScore = -1
  let next = 0
  for (const start of starts) {
    while (next < starts.length && starts[next]! <= start + length) next++
    const window: Range = [start, windowEnd(text, start, starts[next - 1]!, length)]
    inside.moveTo(window)
    const score = inside.differentTerms * 1000 + inside.size + centring(window, inside)
    if (score > bestScore) {
      best = window
      bestScore = score
    }
    if (window[1] === text.length) break
  }
  return trimmed(text, best)
}

/** The matches that lie in a window, which moves on: they stand in the order of the text. */
class Inside {
  readonly #matches: Match[]
  readonly #counts = new Map<string, number>()
  #first = 0
  /** Behind the last. */
  #end = 0

  constructor(matches: Match[]) {
    this.#matches = matches
  }

  get size(): number {
    return this.#end - this.#first
  }

  get differentTerms(): number {
    return this.#counts.size
  }

  /** From the first match to the end of the last; undefined without any. */
  get extent(): Range | undefined {
    if (this.size === 0) return undefined
    return [this.#matches[this.#first]!.range[0], this.#matches[this.#end - 1]!.range[1]]
  }

  moveTo([start, end]: Range): void {
    const matches = this.#matches
    while (this.#end < matches.length && matches[this.#end]!.range[1] <= end) this.#count(this.#end++, 1)
    // One that ends at a word may end a little before the last.
    while (this.#end > this.#first && matches[this.#end - 1]!.range[1] > end) this.#count(--this.#end, -1)
    while (this.#first < this.#end && matches[this.#first]!.range[0] < start) this.#count(this.#first++, -1)
  }

  #count(index: number, by: 1 | -1): void {
    const { term } = this.#matches[index]!
    const count = (this.#counts.get(term) ?? 0) + by
    if (count > 0) this.#counts.set(term, count)
    else this.#counts.delete(term)
  }
}

/** 0 to 1: how near to the middle of the window its matches lie; breaks ties so that they are read in context. */
function centring([start, end]: Range, { extent }: Inside): number {
  if (!extent) return 0
  const middle = (extent[0] + extent[1]) / 2
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

/**
 * `sentenceEnd`, the last one within the length, if it is not too near; in a sentence that is longer, the last space, else
 * the last end of a word.
 */
function windowEnd(text: string, start: number, sentenceEnd: number, length: number): number {
  if (text.length - start <= length) return text.length
  if (sentenceEnd > start + length / 2) return sentenceEnd
  const limit = start + length
  const space = start + text.slice(start, limit + 1).lastIndexOf(' ')
  if (space > start + length / 2) return space
  // What follows matters too: a dictionary tells where words end.
  const around = text.slice(limit - LONGEST_WORD, limit + LONGEST_WORD)
  const word = words.segment(around).containing(LONGEST_WORD)!
  return word.index === 0 ? limit : limit - LONGEST_WORD + word.index
}

/** Without white space at its ends, and without a part of a character (UAX 29) there. */
function trimmed(text: string, range: Range): Range {
  const characters = charactersOf(text)
  const [start, end] = wholeCharacters(characters, range)
  const slice = text.slice(start, end)
  const from = start + (slice.length - slice.trimStart().length)
  const to = Math.max(from, end - (slice.length - slice.trimEnd().length))
  return wholeCharacters(characters, [from, to])
}
