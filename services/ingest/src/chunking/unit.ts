import type { TextRange } from '../document/document.ts'
import type { CountTokens } from './chunk.ts'
import type { Section } from './outline.ts'
import { splitSentences, splitWords } from './sentences.ts'

/** A piece of the rendered text that is put into a chunk as a whole, or split into smaller units. */
export interface Unit extends TextRange {
  page?: number
  section: Section
  kind: 'heading' | 'prose' | 'block'
  tokens: number
  /** May fill a chunk beyond the target, up to the maximum. */
  whole: boolean
  /** Repeated where a chunk begins with this unit: a table's header, a listing's first line. */
  context?: string
  /** Repeats the end of the chunk before. */
  overlap?: boolean
  /** A chunk ends after it. */
  breakAfter?: boolean
  split(): Unit[]
}

/**
 * No text has fewer tokens than this many characters each. A word of a million letters counts as one unknown
 * token, and would else fit any chunk.
 */
const CHARACTERS_PER_TOKEN = 12
/** Longer text fits no chunk (500 tokens), so that counting it would be in vain. */
const NEVER_FITS = 500 * CHARACTERS_PER_TOKEN
const PIECE_LENGTHS = [240, 24, 4, 1]

export class UnitFactory {
  readonly #text: string
  readonly #count: CountTokens

  constructor(text: string, count: CountTokens) {
    this.#text = text
    this.#count = count
  }

  /** Text that splits into sentences, those into words, those into letters. */
  text(range: TextRange, like: Pick<Unit, 'section' | 'page'>, options: Partial<Unit> = {}): Unit {
    return {
      ...range,
      section: like.section,
      page: like.page,
      kind: 'prose',
      whole: false,
      tokens: this.tokens(range),
      split: () => this.#splitText(range, like, options.context),
      ...options,
    }
  }

  /** Neighbours that belong together; splits into them. */
  group(units: Unit[], options: Partial<Unit> = {}): Unit {
    const [first, last] = [units[0]!, units.at(-1)!]
    return {
      start: first.start,
      end: last.end,
      section: first.section,
      page: first.page,
      kind: 'block',
      whole: true,
      tokens: units.reduce((sum, unit) => sum + unit.tokens, 0),
      split: () => units,
      ...options,
    }
  }

  tokens({ start, end }: TextRange): number {
    const length = end - start
    if (length > NEVER_FITS) return Number.POSITIVE_INFINITY
    return this.countTokens(this.#text.slice(start, end))
  }

  countTokens(text: string): number {
    return Math.max(this.#count(text), Math.ceil(text.length / CHARACTERS_PER_TOKEN))
  }

  slice({ start, end }: TextRange): string {
    return this.#text.slice(start, end)
  }

  #splitText(range: TextRange, like: Pick<Unit, 'section' | 'page'>, context: string | undefined): Unit[] {
    const sentences = splitSentences(this.#text, range.start, range.end)
    const ranges = sentences.length > 1 ? sentences : this.#splitSentence(range)
    // What cannot be made smaller is a letter.
    if (ranges.length <= 1 && range.end - range.start <= 2) return []
    return ranges.map((part) => this.text(part, like, context === undefined ? {} : { context }))
  }

  #splitSentence(range: TextRange): TextRange[] {
    const longest = PIECE_LENGTHS.find((length) => length < range.end - range.start) ?? 1
    const pieces: TextRange[] = []
    for (const word of splitWords(this.#text, range.start, range.end, longest)) {
      const last = pieces.at(-1)
      if (last && word.end - last.start <= longest) last.end = word.end
      else pieces.push({ ...word })
    }
    return pieces
  }
}
