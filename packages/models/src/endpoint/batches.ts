import type { Logger } from '@mnemosyne/platform'
import { EndpointRefused, EndpointTooLarge } from './errors.ts'

type Send = (texts: readonly string[]) => Promise<Float32Array[]>

/** What is left of a text, when it is too long for the endpoint. */
const SHORTENED = 0.7
const SHORTEST = 64

/**
 * Sends texts in batches that the endpoint takes. A batch that is too large is halved; when both halves were taken
 * as they are, no larger one is made from then on. A single text that is too long is shortened until it is taken.
 */
export class Batches {
  #size: number
  readonly #log: Logger

  constructor(size: number, log: Logger) {
    this.#size = size
    this.#log = log
  }

  split(texts: readonly string[]): string[][] {
    const size = this.#size
    return Array.from({ length: Math.ceil(texts.length / size) }, (_, n) =>
      texts.slice(n * size, (n + 1) * size),
    )
  }

  async send(texts: readonly string[], send: Send): Promise<Float32Array[]> {
    return (await this.#send(texts, send)).vectors
  }

  async #send(texts: readonly string[], send: Send): Promise<{ vectors: Float32Array[]; whole: boolean }> {
    try {
      return { vectors: await send(texts), whole: true }
    } catch (error) {
      if (!(error instanceof EndpointTooLarge)) throw error
      return { vectors: await this.#sendLess(texts, send, error), whole: false }
    }
  }

  async #sendLess(texts: readonly string[], send: Send, refusal: EndpointTooLarge): Promise<Float32Array[]> {
    if (texts.length === 1) return this.#shorten(texts[0]!, send, refusal)
    const half = Math.ceil(texts.length / 2)
    const first = await this.#send(texts.slice(0, half), send)
    const second = await this.#send(texts.slice(half), send)
    if (first.whole && second.whole && half < this.#size) {
      this.#size = half
      this.#log.info({ batchSize: half }, 'embedding endpoint takes smaller batches')
    }
    return [...first.vectors, ...second.vectors]
  }

  async #shorten(text: string, send: Send, refusal: EndpointTooLarge): Promise<Float32Array[]> {
    const shorter = text.slice(0, Math.floor(text.length * SHORTENED)).toWellFormed()
    if (shorter.length < SHORTEST) throw new EndpointRefused(refusal.message, { cause: refusal })
    const { vectors, whole } = await this.#send([shorter], send)
    if (whole) this.#log.warn({ taken: shorter.length }, 'a text too long for the embedding endpoint was cut')
    return vectors
  }
}
