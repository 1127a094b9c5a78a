import { exactSearch, type MetricKind } from 'usearch'

/** The native call is quickest in its caller's thread: others would be started for each. */
const THREADS = 1

/** The `wanted` rows of a matrix that are nearest to a vector, nearest first, and how far each is. */
export function nativeRows(
  matrix: Float32Array | Int8Array,
  query: Float32Array | Int8Array,
  dimensions: number,
  wanted: number,
  metric: MetricKind,
): { rows: number[]; distances: Float32Array } {
  const { keys, distances } = exactSearch(matrix, query, dimensions, wanted, metric, THREADS)
  return { rows: Array.from(keys as BigUint64Array, Number), distances: distances as Float32Array }
}
