import type { Logger } from '@mnemosyne/platform'
import { EndpointRefused, EndpointTooLarge } from './errors.ts'
import type { EndpointKind } from './kind.ts'

/** One result for each text, in order. */
type Send<T> = (texts: readonly string[]) => Promise<T[]>

/** What is left of a text, when it is too long for the endpoint. */
const SHORTENED = 0.7
const SHORTEST = 64

/**
 * Sends texts in batches that the endpoint takes. A batch that is too large is halved; when both halves were taken
 * as they are, no larger one is made from then on. A single text that is too long is shortened until it is taken.
 */
export class Batches<T> {
  #size: number
  readonly #name: string
  readonly #log: Logger

  constructor({ name }: EndpointKind, size: number, log: Logger) {
    this.#size = size
    this.#name = name
    this.#log = log
  }

  split(texts: readonly string[]): string[][] {
    const size = this.#size
    return Array.from({ length: Math.ceil(texts.length / size) }, (_, n) =>
      texts.slice(n * size, (n + 1) * size),
    )
  }

  async send(texts: readonly string[], send: Send<T>): Promise<T[]> {
    return (await this.#send(texts, send)).results
  }

  async #send(texts: readonly string[], send: Send<T>): Promise<{ results: T[]; whole: boolean }> {
    try {
      return { results: await send(texts), whole: true }
    } catch (error) {
      if (!(error instanceof EndpointTooLarge)) throw error
      return { results: await this.#sendLess(texts, send, error), whole: false }
    }
  }

  async #sendLess(texts: readonly string[], send: Send<T>, refusal: EndpointTooLarge): Promise<T[]> {
    if (texts.length === 1) return this.#shorten(texts[0]!, send, refusal)
    const half = Math.ceil(texts.length / 2)
    const first = await this.#send(texts.slice(0, half), send)
    const second = await this.#send(texts.slice(half), send)
    if (first.whole && second.whole && half < this.#size) {
      this.#size = half
      this.#log.info({ batchSize: half }, `the ${this.#name} takes smaller batches`)
    }
    return [...first.results, ...second.results]
  }

  async #shorten(text: string, send: Send<T>, refusal: EndpointTooLarge): Promise<T[]> {
    const shorter = text.slice(0, Math.floor(text.length * SHORTENED)).toWellFormed()
    if (shorter.length < SHORTEST) throw new EndpointRefused(refusal.message, { cause: refusal })
    const { results, whole } = await this.#send([shorter], send)
    if (whole) this.#log.warn({ taken: shorter.length }, `a text too long for the ${this.#name} was cut`)
    return results
  }
}
