import { hash } from 'node:crypto'
import type { EmbeddingModel } from './port.ts'

/** Vectors of the queries asked last, at most `limit`; the one unused for longest goes first. */
export class QueryCache {
  readonly #vectors = new Map<string, Float32Array>()
  readonly #limit: number

  constructor(limit: number) {
    this.#limit = limit
  }

  /** A copy: what a caller does to its vector stays with the caller. */
  get(key: string): Float32Array | undefined {
    const vector = this.#vectors.get(key)
    if (!vector) return undefined
    this.#vectors.delete(key)
    this.#vectors.set(key, vector)
    return vector.slice()
  }

  set(key: string, vector: Float32Array): void {
    this.#vectors.delete(key)
    this.#vectors.set(key, vector.slice())
    if (this.#vectors.size > this.#limit) this.#vectors.delete(this.#vectors.keys().next().value!)
  }
}

/** Hashed, so that long queries cost no memory and none is kept in the clear. */
export function queryKey(model: EmbeddingModel, query: string, instruction: string | undefined): string {
  const effective = model.takesInstructions ? (instruction ?? '') : ''
  return hash('sha256', JSON.stringify([model.revision, effective, query]), 'base64')
}
