import { type Bm25Query, bm25Points } from '../bm25.ts'
import type { Database } from './database.ts'
import { Highest } from './highest.ts'
import { type ChunkRow, LibraryCopies, type LibraryCopy } from './library-copies.ts'
import type { ResolvedScope } from './scope.ts'
import type { TermSequence } from './term-ledger.ts'
import { type Postings, TextSegment } from './text-segment.ts'

/** A query whose terms are numbers, as the store knows them. */
export type NumberedQuery = Bm25Query<number>

export interface ScoredChunk {
  chunk: number
  bm25: number
}

/**
 * BM25 (Robertson and Walker 1994, with the idf of Lucene) over the term sequences of whole libraries, from
 * inverted indexes in memory. Exact: every chunk of the scope that holds a term is scored. Ask inside a snapshot.
 */
export class TextIndex {
  readonly #copies: LibraryCopies<'texts', LibraryText>
  /** Used again by each question: new ones would keep the garbage collector busy. */
  #scores = new Float64Array(0)

  constructor(db: Database) {
    this.#copies = new LibraryCopies(db, 'texts', () => new LibraryText())
  }

  /**
   * The `k` best chunks of the scope, and all that tie with the last of them; no order. With `among`, only those.
   */
  best(
    scope: ResolvedScope,
    query: NumberedQuery,
    k: number,
    among: ReadonlySet<number> | null,
  ): ScoredChunk[] {
    const scored = this.#scored(this.#segmentsOf(scope), query)
    const best = new Highest(k)
    for (const { segment, scores } of scored) {
      for (let row = 0; row < scores.length; row++) {
        if (scores[row]! <= (best.isFull ? best.last : 0)) continue
        if (isAsked(segment, row, scope, among)) best.offer(scores[row]!)
        else scores[row] = 0
      }
    }
    const found: ScoredChunk[] = []
    const last = best.last
    for (const { segment, scores } of scored) {
      for (let row = 0; row < scores.length; row++) {
        if (scores[row]! >= last && isAsked(segment, row, scope, among)) {
          found.push({ chunk: segment.chunks[row]!, bm25: scores[row]! })
        }
      }
    }
    return found
  }

  /** BM25 of single chunks of the scope's libraries; of others 0. */
  scorer(scope: ResolvedScope, query: NumberedQuery): (chunk: number) => number {
    const segments = query.terms.length === 0 ? [] : this.#segmentsOf(scope)
    const postings = new Map(
      segments.map((segment) => [segment, query.terms.map(({ term }) => segment.postingsOf(term))]),
    )
    return (chunk) => {
      for (const segment of segments) {
        const row = segment.rowOf(chunk)
        if (row !== undefined) return scoreOf(segment, row, postings.get(segment)!, query)
      }
      return 0
    }
  }

  /** The terms of single chunks of the scope's libraries, in the order of the text, and their length for BM25. */
  textOf(scope: ResolvedScope): (chunk: number) => { sequence: TermSequence; length: number } | undefined {
    const segments = this.#segmentsOf(scope)
    return (chunk) => {
      for (const segment of segments) {
        const row = segment.rowOf(chunk)
        if (row !== undefined) return { sequence: segment.sequences[row]!, length: segment.lengths[row]! }
      }
      return undefined
    }
  }

  /** BM25 of every row of each segment; 0 where it holds no term. */
  #scored(segments: TextSegment[], query: NumberedQuery): { segment: TextSegment; scores: Float64Array }[] {
    const rows = segments.reduce((sum, { chunks }) => sum + chunks.length, 0)
    if (rows > this.#scores.length) this.#scores = new Float64Array(rows)
    else this.#scores.fill(0, 0, rows)
    let start = 0
    return segments.map((segment) => {
      const scores = this.#scores.subarray(start, start + segment.chunks.length)
      start += scores.length
      addScores(scores, segment, query)
      return { segment, scores }
    })
  }

  #segmentsOf({ libraries }: ResolvedScope): TextSegment[] {
    return this.#copies.of(libraries).flatMap(({ segments }) => segments)
  }
}

/** A library's inverted index, in segments of falling size (the logarithmic method of Bentley and Saxe, 1980). */
class LibraryText implements LibraryCopy<ChunkRow> {
  readonly segments: TextSegment[] = []

  add(rows: ChunkRow[]): void {
    this.segments.push(TextSegment.of(rows))
    while (this.segments.length > 1 && this.segments.at(-1)!.size * 2 > this.segments.at(-2)!.size) {
      this.segments.push(TextSegment.merged(this.segments.splice(-2)))
    }
  }

  remove(chunk: number): void {
    const at = this.segments.findIndex((segment) => segment.has(chunk))
    const segment = this.segments[at]
    if (!segment) return
    segment.remove(chunk)
    if (segment.size === 0) this.segments.splice(at, 1)
    else if (segment.size * 2 < segment.chunks.length) this.segments[at] = TextSegment.merged([segment])
  }
}

function isAsked(
  segment: TextSegment,
  row: number,
  { collection }: ResolvedScope,
  among: ReadonlySet<number> | null,
): boolean {
  const chunk = segment.chunks[row]!
  return (
    segment.has(chunk) &&
    (collection === null || segment.collections[row] === collection) &&
    (among === null || among.has(chunk))
  )
}

function addScores(
  scores: Float64Array,
  segment: TextSegment,
  { terms, averageLength }: NumberedQuery,
): void {
  const { rows, counts, lengths } = segment
  for (const { term, times, idf } of terms) {
    const [start, end] = segment.postingsOf(term)
    for (let i = start; i < end; i++) {
      const row = rows[i]!
      scores[row]! += bm25Points(times * idf, counts[i]!, lengths[row]!, averageLength)
    }
  }
}

function scoreOf(segment: TextSegment, row: number, postings: Postings[], query: NumberedQuery): number {
  const length = segment.lengths[row]!
  let score = 0
  for (const [i, { times, idf }] of query.terms.entries()) {
    const count = segment.countIn(row, postings[i]!)
    if (count > 0) score += bm25Points(times * idf, count, length, query.averageLength)
  }
  return score
}
