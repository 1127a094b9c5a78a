/**
 * Vectors that cost next to nothing: texts that share words are near, by feature hashing (Weinberger et al., 2009,
 * "Feature Hashing for Large Scale Multitask Learning"). The same on every machine.
 */
export function hashedVector(text: string, dimensions: number): Float32Array {
  const vector = new Float32Array(dimensions)
  // Texts without words have a direction too.
  add(vector, fnv1a(''), 0.1)
  for (const [word] of text.toLowerCase().matchAll(/[\p{L}\p{M}\p{N}]+/gu)) add(vector, fnv1a(word), 1)
  const length = Math.hypot(...vector)
  return vector.map((value) => value / length)
}

/** Each word moves two places, up or down. */
function add(vector: Float32Array, hash: number, weight: number): void {
  for (const part of [hash, Math.imul(hash, 0x9e3779b1) >>> 0]) {
    const place = (part >>> 1) % vector.length
    vector[place]! += part & 1 ? weight : -weight
  }
}

function fnv1a(word: string): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < word.length; at++) hash = Math.imul(hash ^ word.charCodeAt(at), 0x01000193)
  return (hash ^ (hash >>> 15)) >>> 0
}
