import { pairPoints, type TermPlace } from '../bm25.ts'
import type { ResolvedScope } from './scope.ts'
import { BREAK, type TermSequence } from './term-ledger.ts'
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
    const textOf = this.#texts.textOf(scope)
    const places = this.#placesOf(query)
    for (const chunk of chunks) {
      const text = textOf(chunk)
      if (text) scores.set(chunk, pairPoints(query, runsOf(text.sequence, places), text.length))
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

/** Where terms of the query stand between breaks, in the title twice; stretches without two of them are left out. */
function runsOf(sequence: TermSequence, places: Uint8Array): TermPlace[][] {
  const titleEnd = 1 + sequence[0]!
  const title = runsWithin(sequence, places, 1, titleEnd)
  return [...title, ...title, ...runsWithin(sequence, places, titleEnd, sequence.length)]
}

function runsWithin(sequence: TermSequence, places: Uint8Array, start: number, end: number): TermPlace[][] {
  const runs: TermPlace[][] = []
  let run: TermPlace[] = []
  for (let at = start; at < end; at++) {
    const term = sequence[at]!
    if (term === BREAK) {
      if (run.length > 1) runs.push(run)
      if (run.length > 0) run = []
    } else {
      const place = places[term] ?? 0
      if (place > 0) run.push({ at, index: place - 1 })
    }
  }
  if (run.length > 1) runs.push(run)
  return runs
}
