import { pairPoints } from '../bm25.ts'
import type { Database } from './database.ts'
import { BREAK, lengthOf, sequenceOf, type TermSequence } from './term-ledger.ts'
import type { NumberedQuery } from './text-index.ts'

/** Scores terms that stand together, by the term sequences of chunks. */
export class PairScores {
  readonly #db: Database
  /** By term number: its place in the query and 1. Used again by each question. */
  #places = new Uint8Array(0)

  constructor(db: Database) {
    this.#db = db
  }

  /** By chunk, of those that get any. */
  of(query: NumberedQuery, chunks: number[]): Map<number, number> {
    const scores = new Map<number, number>()
    if (query.terms.length < 2 || chunks.length === 0) return scores
    const rows = this.#db.all<{ id: number; terms: Uint8Array }>(
      'SELECT texts.chunk_id AS id, texts.terms FROM json_each(?) AS asked CROSS JOIN texts ON texts.chunk_id = asked.value',
      JSON.stringify(chunks),
    )
    const places = this.#placesOf(query)
    const indexOf = (term: number) => (places[term] ?? 0) - 1
    for (const { id, terms } of rows) {
      const sequence = sequenceOf(terms)
      scores.set(id, pairPoints(query, runsOf(sequence), indexOf, lengthOf(sequence)))
    }
    for (const { term } of query.terms) places[term] = 0
    return scores
  }

  #placesOf({ terms }: NumberedQuery): Uint8Array {
    const highest = Math.max(...terms.map(({ term }) => term))
    if (highest >= this.#places.length) this.#places = new Uint8Array(Math.ceil((highest + 1) * 1.5))
    for (const [index, { term }] of terms.entries()) this.#places[term] = index + 1
    return this.#places
  }
}

/** The stretches between breaks, those of the title twice. */
function runsOf(sequence: TermSequence): TermSequence[] {
  const titleEnd = 1 + sequence[0]!
  const title = partsOf(sequence.subarray(1, titleEnd))
  return [...title, ...title, ...partsOf(sequence.subarray(titleEnd))]
}

function partsOf(terms: TermSequence): TermSequence[] {
  const parts: TermSequence[] = []
  for (let start = 0; start < terms.length; ) {
    const end = terms.indexOf(BREAK, start)
    parts.push(terms.subarray(start, end < 0 ? terms.length : end))
    start = end < 0 ? terms.length : end + 1
  }
  return parts
}
