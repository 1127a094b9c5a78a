/** Dot product in four independent sums, which the engine keeps in registers. */
export function dot(a: Float32Array, b: Float32Array, bStart: number, length: number): number {
  let s0 = 0
  let s1 = 0
  let s2 = 0
  let s3 = 0
  let i = 0
  for (; i + 3 < length; i += 4) {
    s0 += a[i]! * b[bStart + i]!
    s1 += a[i + 1]! * b[bStart + i + 1]!
    s2 += a[i + 2]! * b[bStart + i + 2]!
    s3 += a[i + 3]! * b[bStart + i + 3]!
  }
  for (; i < length; i++) s0 += a[i]! * b[bStart + i]!
  return s0 + s1 + s2 + s3
}

/** Writes `vector` at length 1 into `target` from `start` on; a zero vector stays zero. */
export function normaliseInto(target: Float32Array, start: number, vector: Float32Array): void {
  const length = Math.sqrt(dot(vector, vector, 0, vector.length))
  const scale = length === 0 ? 0 : 1 / length
  for (let i = 0; i < vector.length; i++) target[start + i] = vector[i]! * scale
}

export function normalised(vector: Float32Array): Float32Array {
  const result = new Float32Array(vector.length)
  normaliseInto(result, 0, vector)
  return result
}

export function clamp(cosine: number): number {
  return Math.max(-1, Math.min(1, cosine))
}

export function vectorOf(blob: Uint8Array): Float32Array {
  return blob.byteOffset % 4 === 0
    ? new Float32Array(blob.buffer, blob.byteOffset, blob.byteLength / 4)
    : new Float32Array(blob.slice().buffer)
}
