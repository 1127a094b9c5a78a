import { exactSearch, MetricKind } from 'usearch'
import { DimensionMismatchError } from '../errors.ts'
import type { VectorCandidates } from '../port.ts'
import type { ChunkPlaces } from './chunk-places.ts'
import type { Database } from './database.ts'
import { type ChunkRow, LibraryCopies, type LibraryCopy } from './library-copies.ts'
import type { ResolvedScope } from './scope.ts'
import { clamp, dot, normalised, normaliseInto, vectorOf } from './vector-math.ts'

/** Below so many numbers in a segment the native call costs more than it saves (measured). */
const NATIVE_FROM_NUMBERS = 100_000
const SAMPLE = 1_000
/** The native scan works in float32: so many more than asked for are scored anew in double. */
const SPARE = 16

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

  constructor(dimensions: number) {
    this.dimensions = dimensions
    this.matrix = new Float32Array(16 * dimensions)
  }

  /** @returns the row. */
  add(chunk: number, vector: Float32Array): number {
    if (this.size === this.chunks.length) this.#grow()
    this.chunks[this.size] = chunk
    normaliseInto(this.matrix, this.size * this.dimensions, vector)
    return this.size++
  }

  /** Fills the row with the last one. @returns the chunk that moved there. */
  remove(row: number): number {
    const last = --this.size
    this.matrix.copyWithin(row * this.dimensions, last * this.dimensions, (last + 1) * this.dimensions)
    this.chunks[row] = this.chunks[last]!
    return this.chunks[row]!
  }

  cosine(query: Float32Array, row: number): number {
    return clamp(dot(query, this.matrix, row * this.dimensions, this.dimensions))
  }

  /** The `k` best, and a few more, in no order. */
  nearest(query: Float32Array, k: number): Scored[] {
    const wanted = Math.min(this.size, k + SPARE)
    if (wanted === 0) return []
    const rows =
      this.size * this.dimensions < NATIVE_FROM_NUMBERS || wanted * 2 > this.size
        ? Array.from({ length: this.size }, (_, row) => row)
        : this.#nativeRows(query, wanted)
    return rows.map((row) => ({ chunk: this.chunks[row]!, cosine: this.cosine(query, row) }))
  }

  #nativeRows(query: Float32Array, wanted: number): number[] {
    const matrix = this.matrix.subarray(0, this.size * this.dimensions)
    return Array.from(
      exactSearch(matrix, query, this.dimensions, wanted, MetricKind.IP, 0).keys as BigUint64Array,
      Number,
    )
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
      ...spread(segments, query, scope_size),
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

/** Mean and standard deviation of the cosine over up to 1,000 vectors spread evenly over the segments. */
function spread(
  segments: Segment[],
  query: Float32Array,
  total: number,
): { mean: number; deviation: number } {
  const count = Math.min(total, SAMPLE)
  if (count === 0) return { mean: 0, deviation: 0 }
  const cosines = new Float64Array(count)
  let before = 0
  let next = 0
  for (const segment of segments) {
    for (; next < count; next++) {
      const row = Math.floor((next * total) / count) - before
      if (row >= segment.size) break
      cosines[next] = segment.cosine(query, row)
    }
    before += segment.size
  }
  const mean = cosines.reduce((sum, value) => sum + value, 0) / count
  const variance = cosines.reduce((sum, value) => sum + (value - mean) ** 2, 0) / count
  return { mean, deviation: Math.sqrt(variance) }
}
