import { terms } from '@mnemosyne/graph/analysis'

const WORD = /[\p{L}\p{N}][\p{L}\p{N}\p{M}]*(?:['’]\p{L}+)?/gu
/** Scripts that full text knows by pairs of characters. */
const UNSPACED =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}ー]+/u
const STRETCHES = new RegExp(`(${UNSPACED.source})`, 'u')
const CAMEL = /\p{Ll}\p{Lu}/u
// biome-ignore lint/suspicious/noControlCharactersInRegex: ASCII is meant from its first character
const ASCII = /^[\x00-\x7f]*$/
/** A character of more units is a flood of marks, and may be parted between them. */
const LONGEST_CHARACTER = 64
const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' })

/** A range `[start, end)` in UTF-16 units. */
export type Range = [start: number, end: number]

export interface Match {
  range: Range
  term: string
}

/** Finds words that a query looks for. One instance serves all passages of an answer. */
export class Highlighter {
  readonly #wanted: Set<string>
  readonly #initials: Set<string>
  readonly #termOf = new Map<string, string | null>()
  /** Single ideographs that are wanted for themselves, not as a part of a pair. */
  readonly #single: Set<string>

  /** `queryTerms`: analysed terms, as the full-text index has them. */
  constructor(queryTerms: string[]) {
    this.#wanted = new Set(queryTerms)
    this.#initials = new Set(queryTerms.map((term) => term.charAt(0)))
    const unspaced = [...this.#wanted].filter((term) => UNSPACED.test(term))
    const paired = new Set(
      unspaced.filter((term) => Array.from(term).length > 1).flatMap((term) => [...term]),
    )
    this.#single = new Set(unspaced.filter((term) => Array.from(term).length === 1 && !paired.has(term)))
  }

  /** Words of `text` whose analysed form the query holds; in scripts without spaces, pairs of characters. */
  matches(text: string): Match[] {
    if (this.#wanted.size === 0) return []
    const found: Match[] = []
    const isAscii = ASCII.test(text)
    for (const { 0: word, index } of text.matchAll(WORD)) {
      if (!isAscii && UNSPACED.test(word)) this.#addWithin(found, word, index)
      else this.#add(found, word, index)
    }
    if (isAscii) return found
    const characters = charactersOf(text)
    return found.map(({ range, term }) => ({ range: wholeCharacters(characters, range), term }))
  }

  #add(found: Match[], word: string, index: number): void {
    const term = this.#match(word)
    if (term !== null) found.push({ range: [index, index + word.length], term })
  }

  #addWithin(found: Match[], word: string, index: number): void {
    let at = index
    for (const stretch of word.split(STRETCHES)) {
      if (UNSPACED.test(stretch)) this.#addPairs(found, stretch, at)
      else if (stretch !== '') this.#add(found, stretch, at)
      at += stretch.length
    }
  }

  #addPairs(found: Match[], stretch: string, index: number): void {
    const characters = Array.from(stretch)
    let at = index
    for (const [position, character] of characters.entries()) {
      const next = characters[position + 1] ?? ''
      const pair = (character + next).normalize('NFKC')
      const single = character.normalize('NFKC')
      if (next !== '' && this.#wanted.has(pair)) {
        found.push({ range: [at, at + character.length + next.length], term: pair })
      } else if (this.#single.has(single)) {
        found.push({ range: [at, at + character.length], term: single })
      }
      at += character.length
    }
  }

  #match(word: string): string | null {
    const lower = word.toLowerCase()
    // Stemming never changes the first letter of an ASCII word, which rules most words out without it.
    if (/^[a-z]/.test(lower) && !this.#initials.has(lower.charAt(0)) && !CAMEL.test(word)) return null
    const known = this.#termOf.get(word)
    if (known !== undefined) return known
    const term = terms(word).find((candidate) => this.#wanted.has(candidate)) ?? null
    this.#termOf.set(word, term)
    return term
  }
}

/** The ranges in order, those that overlap as one. */
export function mergedRanges(ranges: Range[]): Range[] {
  const merged: Range[] = []
  for (const [start, end] of ranges.toSorted((a, b) => a[0] - b[0])) {
    const last = merged.at(-1)
    if (last && start < last[1]) last[1] = Math.max(last[1], end)
    else merged.push([start, end])
  }
  return merged
}

/** A text with its characters, to be asked for as often as needed: to look for them copies the text. */
export interface Characters {
  text: string
  segments: Intl.Segments
}

export function charactersOf(text: string): Characters {
  return { text, segments: graphemes.segment(text) }
}

/** The range widened to whole characters as a reader sees them (UAX 29: with their marks, emoji with all their parts). */
export function wholeCharacters({ text, segments }: Characters, [start, end]: Range): Range {
  if (start >= end) return [start, end]
  const first = segments.containing(start)!
  const last = segments.containing(end - 1)!
  return [
    first.segment.length > LONGEST_CHARACTER ? codePointStart(text, start) : first.index,
    last.segment.length > LONGEST_CHARACTER ? codePointStart(text, end) : last.index + last.segment.length,
  ]
}

function codePointStart(text: string, index: number): number {
  const unit = text.charCodeAt(index)
  return unit >= 0xdc00 && unit <= 0xdfff ? index - 1 : index
}
