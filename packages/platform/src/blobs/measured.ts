import { createHash } from 'node:crypto'
import { BlobTooLargeError, type StoredBlob } from './port.ts'

/** Counts and hashes a body while it streams through. */
export class Measure {
  readonly #hash = createHash('sha256')
  readonly #maxBytes: number
  #bytes = 0

  constructor(maxBytes = Number.POSITIVE_INFINITY) {
    this.#maxBytes = maxBytes
  }

  /** The body's chunks; text as UTF-8. Throws `BlobTooLargeError` as soon as there are more than `maxBytes`. */
  async *of(chunks: AsyncIterable<Uint8Array | string>): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      const data = typeof chunk === 'string' ? Buffer.from(chunk) : chunk
      this.#bytes += data.length
      if (this.#bytes > this.#maxBytes) throw new BlobTooLargeError(this.#maxBytes)
      this.#hash.update(data)
      yield data
    }
  }

  /** Once, when all has streamed through. */
  result(): StoredBlob {
    return { bytes: this.#bytes, sha256: this.#hash.digest('hex') }
  }
}
