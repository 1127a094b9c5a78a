/** Beyond these the server's arithmetic of four-byte numbers can not tell the length of a vector. */
const SHORTEST = 1e-12
const LONGEST = 1e12

const lengthOf = (vector: Float32Array) => Math.hypot(...vector)

export const isZero = (vector: Float32Array) => vector.every((value) => value === 0)

/** At length 1; a zero vector stays zero. */
export function unit(vector: Float32Array): Float32Array {
  const length = lengthOf(vector)
  return length === 0 ? vector : vector.map((value) => value / length)
}

export interface StoredVector {
  embedding: number[]
  /** It has no direction: its cosine with everything is 0. */
  zero: boolean | null
  /** The stored numbers are to be multiplied by it; null: they are as they were given. */
  scale: number | null
}

/** As a chunk holds it. */
export function storedVector(vector: Float32Array): StoredVector {
  if (isZero(vector)) return { embedding: Array.from(vector), zero: true, scale: null }
  const length = lengthOf(vector)
  if (length > SHORTEST && length < LONGEST) return { embedding: Array.from(vector), zero: null, scale: null }
  return { embedding: Array.from(vector, (value) => value / length), zero: null, scale: length }
}

export function givenVector({
  embedding,
  scale,
}: {
  embedding: number[]
  scale: number | null
}): Float32Array {
  return Float32Array.from(embedding, scale === null ? undefined : (value) => value * scale)
}
