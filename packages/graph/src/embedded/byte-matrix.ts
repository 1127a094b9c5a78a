import { MetricKind } from 'usearch'
import { nativeRows } from './native-rows.ts'
import { clamp, dot } from './vector-math.ts'

const HIGHEST = 127
/** What the native cosine of two rows of bytes may be wrong by: 1e-7 was seen, but not every processor has an exact root. */
const NATIVE_ERROR = 0.002

/** Rows that may be the nearest, the likeliest first. */
export interface ByteCandidates {
  rows: number[]
  /** The highest cosine that any row can have which is not among the first `count` of these. */
  othersAtMost(count: number): number
}

/**
 * Vectors in bytes, each scaled by its own largest number: a quarter of the memory to scan, and so exact in what it
 * leaves out. Angles are a metric: if a vector is turned by `a` when it is put into bytes, and the query by `b`, the
 * angle between them is off by at most `a + b`.
 */
export class ByteMatrix {
  readonly #dimensions: number
  #bytes: Int8Array
  /** The largest angle by which a row was turned, in radians. It never falls. */
  #turned = 0
  /** A vector without a direction has no angle to anything. */
  #hasZero = false

  constructor(dimensions: number) {
    this.#dimensions = dimensions
    this.#bytes = new Int8Array(16 * dimensions)
  }

  /** `vector` has length 1, or 0. */
  set(row: number, vector: Float32Array): void {
    const start = row * this.#dimensions
    if (start + this.#dimensions > this.#bytes.length) {
      const grown = new Int8Array(Math.ceil((row + 1) * 1.5) * this.#dimensions)
      grown.set(this.#bytes)
      this.#bytes = grown
    }
    const bytes = this.#bytes.subarray(start, start + this.#dimensions)
    const turned = toBytes(vector, bytes)
    if (turned === null) this.#hasZero = true
    else if (turned > this.#turned) this.#turned = turned
  }

  copy(from: number, to: number): void {
    const start = from * this.#dimensions
    this.#bytes.copyWithin(to * this.#dimensions, start, start + this.#dimensions)
  }

  /** The `wanted` nearest of the first `size` rows by bytes; null when that proves nothing of the others. */
  nearest(query: Float32Array, size: number, wanted: number): ByteCandidates | null {
    const bytes = new Int8Array(this.#dimensions)
    const turned = toBytes(query, bytes)
    if (turned === null || this.#hasZero) return null
    const matrix = this.#bytes.subarray(0, size * this.#dimensions)
    const { rows, distances } = nativeRows(matrix, bytes, this.#dimensions, wanted, MetricKind.Cos)
    const most = turned + this.#turned
    return {
      rows,
      othersAtMost(count) {
        const angle = Math.acos(clamp(1 - distances[count - 1]! + NATIVE_ERROR)) - most
        return Math.cos(Math.max(0, angle))
      },
    }
  }
}

/** @returns the angle by which the vector is turned, in radians; null when it is 0. */
function toBytes(vector: Float32Array, target: Int8Array): number | null {
  let largest = 0
  for (const value of vector) largest = Math.max(largest, Math.abs(value))
  if (largest === 0) return null
  const scale = HIGHEST / largest
  const rounded = new Float32Array(vector.length)
  for (let i = 0; i < vector.length; i++) {
    target[i] = Math.round(vector[i]! * scale)
    rounded[i] = target[i]!
  }
  const length = Math.sqrt(dot(vector, vector, 0, vector.length) * dot(rounded, rounded, 0, vector.length))
  return Math.acos(clamp(dot(vector, rounded, 0, vector.length) / length))
}
