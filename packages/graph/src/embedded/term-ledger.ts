import type { Analysis } from '../analysis/terms.ts'
import type { Database } from './database.ts'

const NUMBERS_KEPT = 200_000
/** Stands where a phrase must not run on: between title and text, before the terms without a place. */
export const BREAK = 0

/** A chunk's terms as numbers: `[length of the title's part, title's part…, text's part…]`, with breaks in between. */
export type TermSequence = Uint32Array

/** Numbers terms and keeps their document frequencies, for one transaction at a time. */
export class TermLedger {
  readonly #db: Database
  readonly #numbers = new Map<string, number>()
  readonly #changes = new Map<number, number>()
  #chunks = 0
  #length = 0

  constructor(db: Database) {
    this.#db = db
  }

  sequence(title: Analysis, text: Analysis): TermSequence {
    const titlePart = this.#part(title)
    return Uint32Array.from([titlePart.length, ...titlePart, BREAK, ...this.#part(text)])
  }

  /** Counts a chunk in (`by` 1) or out (-1). */
  count(sequence: TermSequence, by: 1 | -1): void {
    this.#chunks += by
    this.#length += by * lengthOf(sequence)
    for (const number of new Set(sequence.subarray(1))) {
      if (number !== BREAK) this.#changes.set(number, (this.#changes.get(number) ?? 0) + by)
    }
  }

  /** Writes what was counted; terms that no chunk holds any more go. */
  settle(): void {
    for (const [number, change] of this.#changes) if (change !== 0) this.#apply(number, change)
    if (this.#chunks !== 0)
      this.#db.run("UPDATE totals SET value = value + ? WHERE name = 'chunks'", this.#chunks)
    if (this.#length !== 0)
      this.#db.run("UPDATE totals SET value = value + ? WHERE name = 'length'", this.#length)
    this.#clearChanges()
  }

  /** Forgets everything that a rolled back transaction may have numbered or counted. */
  reset(): void {
    this.#numbers.clear()
    this.#clearChanges()
  }

  #clearChanges(): void {
    this.#changes.clear()
    this.#chunks = 0
    this.#length = 0
  }

  #part({ stream, extras }: Analysis): number[] {
    const numbers = stream.map((term) => this.#number(term))
    if (extras.length > 0) numbers.push(BREAK, ...extras.map((term) => this.#number(term)))
    return numbers
  }

  #number(term: string): number {
    const known = this.#numbers.get(term)
    if (known !== undefined) return known
    const stored = this.#db.get<{ id: number }>('SELECT id FROM terms WHERE term = ?', term)
    const number = stored?.id ?? this.#db.run('INSERT INTO terms (term, df) VALUES (?, 0)', term).id
    if (this.#numbers.size >= NUMBERS_KEPT) this.#numbers.clear()
    this.#numbers.set(term, number)
    return number
  }

  #apply(number: number, change: number): void {
    const { df, term } = this.#db.get<{ df: number; term: string }>(
      'UPDATE terms SET df = df + ? WHERE id = ? RETURNING df, term',
      change,
      number,
    )!
    if (df > 0) return
    this.#db.run('DELETE FROM terms WHERE id = ?', number)
    this.#numbers.delete(term)
  }
}

/** Length of a chunk for BM25: its terms, those of the title twice. */
export function lengthOf(sequence: TermSequence): number {
  const titleEnd = 1 + sequence[0]!
  let length = 0
  for (let i = 1; i < sequence.length; i++) if (sequence[i] !== BREAK) length += i < titleEnd ? 2 : 1
  return length
}

/** The sequence as FTS5 is given it: numbers in base 36, the title twice. */
export function indexedBody(sequence: TermSequence): string {
  const titleEnd = 1 + sequence[0]!
  const spell = (part: Uint32Array) => Array.from(part, (number) => number.toString(36)).join(' ')
  const title = spell(sequence.subarray(1, titleEnd))
  const text = spell(sequence.subarray(titleEnd))
  return title === '' ? text : `${title} 0 ${title} ${text}`
}

/** Rows come with their own buffer at any offset; the numbers need an aligned one. */
export function sequenceOf(blob: Uint8Array): TermSequence {
  return blob.byteOffset % 4 === 0
    ? new Uint32Array(blob.buffer, blob.byteOffset, blob.byteLength / 4)
    : new Uint32Array(blob.slice().buffer)
}

export function bytesOf(numbers: Uint32Array | Float32Array): Uint8Array {
  return new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength)
}
