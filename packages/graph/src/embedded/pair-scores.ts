import { pairPoints } from '../bm25.ts'
import type { ResolvedScope } from './scope.ts'
import { BREAK, lengthOf, type TermSequence } from './term-ledger.ts'
import type { NumberedQuery, TextIndex } from './text-index.ts'

/** Scores terms that stand together, by the term sequences of chunks. Ask inside a snapshot. */
export class PairScores {
  readonly #texts: TextIndex
  /** By term number: its place in the query and 1. Used again by each question. */
  #places = new Uint8Array(0)

  constructor(texts: TextIndex) {
    this.#texts = texts
  }

  /** By chunk, of those of the scope's libraries. Without two terms there is no pair, and no text is looked at. */
  of(scope: ResolvedScope, query: NumberedQuery, chunks: number[]): Map<number, number> {
    const scores = new Map<number, number>()
    if (query.terms.length < 2) return scores
    const sequenceOf = this.#texts.sequences(scope)
    const places = this.#placesOf(query)
    const indexOf = (term: number) => (places[term] ?? 0) - 1
    for (const chunk of chunks) {
      const sequence = sequenceOf(chunk)
      if (sequence) scores.set(chunk, pairPoints(query, runsOf(sequence), indexOf, lengthOf(sequence)))
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
