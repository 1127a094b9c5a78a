import { createHash } from 'node:crypto'
import type { Embedder } from '@mnemosyne/models'

/** A vector is a hash of its text: no weights, nothing to wait for, and every text embedded is on record. */
export class TestEmbedder implements Embedder {
  readonly model
  /** Texts embedded so far. */
  readonly texts: string[] = []

  constructor({ dimensions = 8, revision = 'r1' } = {}) {
    this.model = { name: 'test', dimensions, maxTokens: 512, revision, takesInstructions: true }
  }

  async embedPassages(passages: string[]): Promise<Float32Array[]> {
    this.texts.push(...passages)
    return passages.map((text) => this.vectorOf(text))
  }

  async embedQuery(query: string): Promise<Float32Array> {
    return this.vectorOf(query)
  }

  async countTokens(texts: string[]): Promise<number[]> {
    return texts.map((text) => text.split(/\s+/).length)
  }

  async ping(): Promise<void> {}
  async close(): Promise<void> {}

  vectorOf(text: string): Float32Array {
    const bytes = createHash('sha512').update(text).digest()
    const vector = Float32Array.from({ length: this.model.dimensions }, (_, n) => bytes[n % 64]! - 127.5)
    const length = Math.hypot(...vector)
    return vector.map((value) => value / length)
  }
}
