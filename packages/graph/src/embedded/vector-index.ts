import { exactSearch, MetricKind } from 'usearch'
import { DimensionMismatchError } from '../errors.ts'
import type { Scope, VectorCandidates } from '../port.ts'
import type { Database } from './database.ts'
import { resolveScope } from './scope.ts'
import { clamp, dot, normalised, normaliseInto, vectorOf } from './vector-math.ts'

/** Below so many numbers in a segment the native call costs more than it saves (measured). */
const NATIVE_FROM_NUMBERS = 100_000
const SAMPLE = 1_000
/** The native scan works in float32: so many more than asked for are scored anew in double. */
const SPARE = 16
const ROWS_PER_READ = 2_000

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

/** A library's vectors in memory, as of one version. */
class LibraryVectors {
  version: number
  readonly segments = new Map<number | null, Segment>()
  readonly #places = new Map<number, { segment: Segment; row: number }>()

  constructor(version: number) {
    this.version = version
  }

  put(chunk: number, collection: number | null, vector: Float32Array): void {
    let segment = this.segments.get(collection)
    if (!segment) {
      segment = new Segment(vector.length)
      this.segments.set(collection, segment)
    }
    this.#places.set(chunk, { segment, row: segment.add(chunk, vector) })
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
}

/**
 * Exact vector search. A library's vectors are read when a question first needs them, and kept in step by the
 * store's list of changed chunks; the scope picks segments, so nothing outside it is looked at.
 */
export class VectorIndex {
  readonly #db: Database
  readonly #libraries = new Map<number, LibraryVectors>()

  constructor(db: Database) {
    this.#db = db
  }

  candidates(scope: Scope, vector: Float32Array, k: number): VectorCandidates {
    return this.#db.snapshot(() => this.#candidates(scope, vector, k))
  }

  #candidates(scope: Scope, vector: Float32Array, k: number): VectorCandidates {
    const { value: dimensions } = this.#db.get<{ value: number }>(
      "SELECT value FROM totals WHERE name = 'dimensions'",
    )!
    if (dimensions !== 0 && dimensions !== vector.length)
      throw new DimensionMismatchError(dimensions, vector.length)
    const segments = this.#segmentsIn(scope)
    const query = normalised(vector)
    const scope_size = segments.reduce((sum, segment) => sum + segment.size, 0)
    return {
      hits: this.#best(segments, query, k),
      exact: true,
      scope_size,
      ...spread(segments, query, scope_size),
    }
  }

  #segmentsIn(scope: Scope): Segment[] {
    const { libraries, collection } = resolveScope(this.#db, scope)
    this.#dropDeleted()
    return libraries.flatMap((id) => {
      const { segments } = this.#inStep(id)
      if (collection === null) return [...segments.values()]
      const segment = segments.get(collection)
      return segment ? [segment] : []
    })
  }

  #dropDeleted(): void {
    const living = new Set(
      this.#db.all<{ id: number }>('SELECT id FROM libraries WHERE deleting = 0').map((row) => row.id),
    )
    for (const id of this.#libraries.keys()) if (!living.has(id)) this.#libraries.delete(id)
  }

  #inStep(id: number): LibraryVectors {
    const { vector_version: version } = this.#db.get<{ vector_version: number }>(
      'SELECT vector_version FROM libraries WHERE id = ?',
      id,
    )!
    let held = this.#libraries.get(id)
    if (!held || !this.#catchUp(held, id, version)) {
      held = this.#load(id, version)
      this.#libraries.set(id, held)
    }
    return held
  }

  /** @returns false when the changes since then are no longer listed. */
  #catchUp(held: LibraryVectors, id: number, version: number): boolean {
    if (held.version === version) return true
    const { steps } = this.#db.get<{ steps: number }>(
      'SELECT count(DISTINCT version) AS steps FROM vector_changes WHERE library_id = ? AND version > ?',
      id,
      held.version,
    )!
    if (steps !== version - held.version) return false
    const changed = this.#db.all<{
      chunk_id: number
      collection_id: number | null
      vector: Uint8Array | null
    }>(
      `SELECT changed.chunk_id, items.collection_id, vectors.vector
       FROM (SELECT DISTINCT chunk_id FROM vector_changes WHERE library_id = ?1 AND version > ?2) AS changed
       LEFT JOIN vectors ON vectors.chunk_id = changed.chunk_id AND vectors.library_id = ?1
       LEFT JOIN chunks ON chunks.id = vectors.chunk_id LEFT JOIN items ON items.id = chunks.item_id`,
      id,
      held.version,
    )
    // All out before any in: when every vector goes, those of another dimension may come.
    for (const { chunk_id } of changed) held.remove(chunk_id)
    for (const { chunk_id, collection_id, vector } of changed) {
      if (vector !== null) held.put(chunk_id, collection_id, vectorOf(vector))
    }
    held.version = version
    return true
  }

  #load(id: number, version: number): LibraryVectors {
    const loaded = new LibraryVectors(version)
    let last = 0
    for (;;) {
      const rows = this.#db.all<{ chunk_id: number; collection_id: number | null; vector: Uint8Array }>(
        `SELECT vectors.chunk_id, items.collection_id, vectors.vector FROM vectors
         JOIN chunks ON chunks.id = vectors.chunk_id JOIN items ON items.id = chunks.item_id
         WHERE vectors.library_id = ? AND vectors.chunk_id > ? ORDER BY vectors.chunk_id LIMIT ?`,
        id,
        last,
        ROWS_PER_READ,
      )
      for (const { chunk_id, collection_id, vector } of rows)
        loaded.put(chunk_id, collection_id, vectorOf(vector))
      if (rows.length < ROWS_PER_READ) return loaded
      last = rows.at(-1)!.chunk_id
    }
  }

  #best(segments: Segment[], query: Float32Array, k: number): VectorCandidates['hits'] {
    const found = segments.flatMap((segment) => segment.nearest(query, k)).sort((a, b) => b.cosine - a.cosine)
    const last = found[Math.min(k, found.length) - 1]?.cosine ?? Number.POSITIVE_INFINITY
    return found
      .filter(({ cosine }) => cosine >= last)
      .map(({ chunk, cosine }) => ({ chunk_uid: this.#uidOf(chunk), cosine }))
      .sort((a, b) => b.cosine - a.cosine || (a.chunk_uid < b.chunk_uid ? -1 : 1))
      .slice(0, k)
  }

  #uidOf(chunk: number): string {
    return this.#db.get<{ uid: string }>('SELECT uid FROM chunks WHERE id = ?', chunk)!.uid
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
