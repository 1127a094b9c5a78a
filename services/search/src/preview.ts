import { terms } from '@mnemosyne/graph'

/** About what an answer shows of a passage, in UTF-16 units. */
const LENGTH = 500
/** A little more is shown whole rather than cut. */
const TOLERANCE = 100
const HIGHLIGHTS_MAX = 64

const WORD = /[\p{L}\p{N}\p{M}]+(?:['’][\p{L}]+)?/gu
const SENTENCE_END = /[.!?。！？]["'”’)\]]*(?=\s)|\n+|[。！？]/gu

/** A range `[start, end)` in UTF-16 units. */
export type Range = [start: number, end: number]

interface Match {
  range: Range
  term: string
}

/** Finds words that a query looks for. One instance serves all passages of an answer. */
export class Highlighter {
  readonly #wanted: Set<string>
  readonly #initials: Set<string>
  readonly #termOf = new Map<string, string | null>()

  /** `queryTerms`: analysed terms, as the full-text index has them. */
  constructor(queryTerms: string[]) {
    this.#wanted = new Set(queryTerms)
    this.#initials = new Set(queryTerms.map((term) => term.charAt(0)))
  }

  /** Words of `text` whose analysed form the query holds. */
  matches(text: string): Match[] {
    if (this.#wanted.size === 0) return []
    const found: Match[] = []
    for (const { 0: word, index } of text.matchAll(WORD)) {
      const term = this.#match(word)
      if (term !== null) found.push({ range: [index, index + word.length], term })
    }
    return found
  }

  #match(word: string): string | null {
    const lower = word.toLowerCase()
    // Stemming never changes the first letter of an ASCII word, which rules most words out without it.
    if (/^[a-z]/.test(lower) && !this.#initials.has(lower.charAt(0))) return null
    const known = this.#termOf.get(lower)
    if (known !== undefined) return known
    const term = terms(word).find((candidate) => this.#wanted.has(candidate)) ?? null
    this.#termOf.set(lower, term)
    return term
  }
}

export interface Preview {
  text_preview: string
  highlights: Range[]
}

/**
 * The stretch of about 500 characters that says most about the query: whole sentences where they fit, chosen by
 * how many different query terms stand in it, then how many in all, then how near to its middle they stand.
 */
export function preview(text: string, highlighter: Highlighter): Preview {
  const matches = highlighter.matches(text)
  const [start, end] = bestWindow(text, matches)
  return {
    text_preview: text.slice(start, end),
    highlights: matches
      .filter(({ range }) => range[0] >= start && range[1] <= end)
      .slice(0, HIGHLIGHTS_MAX)
      .map(({ range }) => [range[0] - start, range[1] - start]),
  }
}

function bestWindow(text: string, matches: Match[]): Range {
  if (text.length <= LENGTH + TOLERANCE) return trimmed(text, [0, text.length])
  const starts = sentenceStarts(text)
  let best: Range = [0, 0]
  let bestScore = -1
  for (const [index, start] of starts.entries()) {
    const window: Range = [start, windowEnd(text, starts, index)]
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

/** The last sentence end within the length; in a sentence that is longer, the last space; else a hard cut. */
function windowEnd(text: string, starts: number[], index: number): number {
  const start = starts[index]!
  if (text.length - start <= LENGTH) return text.length
  const limit = start + LENGTH
  const end = starts.findLast((next) => next > start + LENGTH / 2 && next <= limit)
  if (end !== undefined) return end
  const space = text.lastIndexOf(' ', limit)
  if (space > start + LENGTH / 2) return space
  return isLowSurrogate(text, limit) ? limit - 1 : limit
}

function isLowSurrogate(text: string, index: number): boolean {
  const unit = text.charCodeAt(index)
  return unit >= 0xdc00 && unit <= 0xdfff
}

function trimmed(text: string, [start, end]: Range): Range {
  const slice = text.slice(start, end)
  const from = start + (slice.length - slice.trimStart().length)
  return [from, Math.max(from, end - (slice.length - slice.trimEnd().length))]
}
