import { MetricKind } from 'usearch'
import { DimensionMismatchError } from '../errors.ts'
import type { VectorCandidates } from '../port.ts'
import { type ByteCandidates, ByteMatrix } from './byte-matrix.ts'
import type { ChunkPlaces } from './chunk-places.ts'
import type { Database } from './database.ts'
import { Highest } from './highest.ts'
import { type ChunkRow, LibraryCopies, type LibraryCopy } from './library-copies.ts'
import { nativeRows } from './native-rows.ts'
import type { ResolvedScope } from './scope.ts'
import { clamp, dot, normalised, normaliseInto, vectorOf } from './vector-math.ts'

/** Below so many numbers in a segment the native call costs more than it saves (measured). */
const NATIVE_FROM_NUMBERS = 100_000
/** The native scan works in float32: so many more than asked for are scored anew in double. */
const SPARE = 16
/** By bytes so many times as many are looked for, at first and then; if those are too few, all are scanned in float32. */
const CANDIDATES = [8, 24]
interface Scored {
  chunk: number
  cosine: number
}

/** The vectors of one collection (or of a library's items in none), at length 1, row after row. */
class Segment {
  readonly dimensions: number
  chunks = new Float64Array(16)
  matrix: Float32Array
  size = 0
  readonly #bytes: ByteMatrix
  /** Of all rows: the mean cosine is that of the query and this, by their number. */
  readonly #sum: Float64Array

  constructor(dimensions: number) {
    this.dimensions = dimensions
    this.matrix = new Float32Array(16 * dimensions)
    this.#bytes = new ByteMatrix(dimensions)
    this.#sum = new Float64Array(dimensions)
  }

  /** @returns the row. */
  add(chunk: number, vector: Float32Array): number {
    if (this.size === this.chunks.length) this.#grow()
    this.chunks[this.size] = chunk
    normaliseInto(this.matrix, this.size * this.dimensions, vector)
    const row = this.#row(this.size)
    this.#bytes.set(this.size, row)
    this.#addToSum(row, 1)
    return this.size++
  }

  /** Fills the row with the last one. @returns the chunk that moved there. */
  remove(row: number): number {
    this.#addToSum(this.#row(row), -1)
    const last = --this.size
    this.matrix.copyWithin(row * this.dimensions, last * this.dimensions, (last + 1) * this.dimensions)
    this.#bytes.copy(last, row)
    this.chunks[row] = this.chunks[last]!
    return this.chunks[row]!
  }

  /** The cosines of all rows added up. */
  sumOfCosines(query: Float32Array): number {
    return this.#sum.reduce((total, value, at) => total + value * query[at]!, 0)
  }

  cosine(query: Float32Array, row: number): number {
    return clamp(dot(query, this.matrix, row * this.dimensions, this.dimensions))
  }

  /** The `k` best, and some more, in no order. */
  nearest(query: Float32Array, k: number): Scored[] {
    const wanted = Math.min(this.size, k + SPARE)
    if (wanted === 0) return []
    const rows = (found: Iterable<number>) => Array.from(found, (row) => this.#scored(query, row))
    if (this.size * this.dimensions < NATIVE_FROM_NUMBERS || wanted * 2 > this.size) {
      return rows(Array(this.size).keys())
    }
    for (const times of CANDIDATES) {
      if (wanted * times * 2 > this.size) break
      const candidates = this.#bytes.nearest(query, this.size, wanted * times)
      const proven = candidates && this.#proven(query, k, candidates)
      if (proven) return proven
    }
    const matrix = this.matrix.subarray(0, this.size * this.dimensions)
    return rows(nativeRows(matrix, query, this.dimensions, wanted, MetricKind.IP).rows)
  }

  #row(row: number): Float32Array {
    return this.matrix.subarray(row * this.dimensions, (row + 1) * this.dimensions)
  }

  #addToSum(row: Float32Array, by: 1 | -1): void {
    for (let at = 0; at < row.length; at++) this.#sum[at]! += by * row[at]!
  }

  /** Scores candidates anew until no other row can be among the `k` best; null when there are too few. */
  #proven(query: Float32Array, k: number, { rows, othersAtMost }: ByteCandidates): Scored[] | null {
    const best = new Highest(k)
    const scored: Scored[] = []
    for (const row of rows) {
      const one = this.#scored(query, row)
      scored.push(one)
      best.offer(one.cosine)
      if (scored.length % k === 0 && best.last > othersAtMost(scored.length)) return scored
    }
    return null
  }

  #scored(query: Float32Array, row: number): Scored {
    return { chunk: this.chunks[row]!, cosine: this.cosine(query, row) }
  }

  #grow(): void {
    const capacity = Math.ceil(this.chunks.length * 1.5)
    const chunks = new Float64Array(capacity)
    chunks.set(this.chunks)
    this.chunks = chunks
    const matrix = new Float32Array(capacity * this.dimensions)
    matrix.set(this.matrix)
    this.matrix = matrix
  }
}

/** A library's vectors in memory. */
class LibraryVectors implements LibraryCopy<ChunkRow> {
  readonly segments = new Map<number | null, Segment>()
  readonly #places = new Map<number, { segment: Segment; row: number }>()

  add(rows: ChunkRow[]): void {
    for (const { chunk, collection, data } of rows) this.#put(chunk, collection, vectorOf(data))
  }

  remove(chunk: number): void {
    const place = this.#places.get(chunk)
    if (!place) return
    this.#places.delete(chunk)
    const moved = place.segment.remove(place.row)
    if (moved !== chunk) this.#places.get(moved)!.row = place.row
    if (place.segment.size > 0) return
    for (const [collection, segment] of this.segments) {
      if (segment === place.segment) this.segments.delete(collection)
    }
  }

  /** Null: the chunk has no vector here. */
  cosine(query: Float32Array, chunk: number): number | null {
    const place = this.#places.get(chunk)
    return place ? place.segment.cosine(query, place.row) : null
  }

  #put(chunk: number, collection: number | null, vector: Float32Array): void {
    let segment = this.segments.get(collection)
    if (!segment) {
      segment = new Segment(vector.length)
      this.segments.set(collection, segment)
    }
    this.#places.set(chunk, { segment, row: segment.add(chunk, vector) })
  }
}

/** Exact vector search. The scope picks segments, so nothing outside it is looked at. Ask inside a snapshot. */
export class VectorIndex {
  readonly #db: Database
  readonly #places: ChunkPlaces
  readonly #copies: LibraryCopies<'vectors', LibraryVectors>

  constructor(db: Database, places: ChunkPlaces) {
    this.#db = db
    this.#places = places
    this.#copies = new LibraryCopies(db, 'vectors', () => new LibraryVectors())
  }

  candidates(scope: ResolvedScope, vector: Float32Array, k: number): VectorCandidates {
    this.#checkDimensions(vector)
    const segments = this.#copies
      .of(scope.libraries)
      .flatMap((library) =>
        scope.collection === null
          ? [...library.segments.values()]
          : [library.segments.get(scope.collection)].filter((segment) => segment !== undefined),
      )
    const query = normalised(vector)
    const scope_size = segments.reduce((sum, segment) => sum + segment.size, 0)
    return {
      hits: this.#best(scope, segments, query, k),
      exact: true,
      scope_size,
      mean: mean(segments, query, scope_size),
    }
  }

  /** The cosine of single chunks of the scope's libraries; null without a vector. */
  scorer(scope: ResolvedScope, vector: Float32Array): (chunk: number) => number | null {
    this.#checkDimensions(vector)
    const libraries = this.#copies.of(scope.libraries)
    const query = normalised(vector)
    return (chunk) => {
      for (const library of libraries) {
        const cosine = library.cosine(query, chunk)
        if (cosine !== null) return cosine
      }
      return null
    }
  }

  #checkDimensions(vector: Float32Array): void {
    const { value } = this.#db.get<{ value: number }>("SELECT value FROM totals WHERE name = 'dimensions'")!
    if (value !== 0 && value !== vector.length) throw new DimensionMismatchError(value, vector.length)
  }

  #best(scope: ResolvedScope, segments: Segment[], query: Float32Array, k: number): VectorCandidates['hits'] {
    const found = segments.flatMap((segment) => segment.nearest(query, k)).sort((a, b) => b.cosine - a.cosine)
    const last = found[Math.min(k, found.length) - 1]?.cosine ?? Number.POSITIVE_INFINITY
    const placeOf = this.#places.placeOf(scope)
    return found
      .filter(({ cosine }) => cosine >= last)
      .map(({ chunk, cosine }) => ({ chunk_uid: placeOf(chunk).uid, cosine }))
      .sort((a, b) => b.cosine - a.cosine || (a.chunk_uid < b.chunk_uid ? -1 : 1))
      .slice(0, k)
  }
}

function mean(segments: Segment[], query: Float32Array, total: number): number {
  if (total === 0) return 0
  return segments.reduce((sum, segment) => sum + segment.sumOfCosines(query), 0) / total
}
