import type { EndpointClient } from './endpoint-client.ts'
import { EndpointUnavailable } from './errors.ts'
import { EMBEDDING } from './kind.ts'
import { bodyOf, refusesDimensions } from './refusal.ts'
import { vectorsIn } from './reply.ts'

const BYTES_PER_NUMBER = 40
const MOST_DIMENSIONS = 16_384

/** `POST {base}/embeddings`, one request at a time. */
export class EmbeddingRequests {
  readonly #client: EndpointClient
  readonly #timeoutMs: number
  /** What the endpoint is asked for; undefined: its own length. */
  readonly #asked: number | undefined
  /** Only some models can be asked for a length; the others refuse it, or ignore it. */
  #asksDimensions: boolean
  /** Length that every vector must have; undefined until it is known. */
  dimensions: number | undefined

  constructor(client: EndpointClient, options: { dimensions: number | undefined; timeoutMs: number }) {
    this.#client = client
    this.#timeoutMs = options.timeoutMs
    this.#asked = options.dimensions
    this.#asksDimensions = options.dimensions !== undefined
    this.dimensions = options.dimensions
  }

  /**
   * The normalised vectors of `texts`, in order, not waited for beyond `deadline`, a time of `performance.now()`. Throws
   * one of the errors in `errors.ts`, or the signal's reason.
   */
  async embed(
    texts: readonly string[],
    signal: AbortSignal,
    deadline = Number.POSITIVE_INFINITY,
  ): Promise<Float32Array[]> {
    const timeoutMs = Math.min(this.#timeoutMs, deadline - performance.now())
    if (timeoutMs <= 0)
      throw new EndpointUnavailable(`The ${EMBEDDING.name} was not done in time.`, { sendAgain: false })
    const asksDimensions = this.#asksDimensions
    const answer = await this.#client.post(
      { input: texts, ...(asksDimensions && { dimensions: this.#asked }) },
      {
        timeoutMs,
        most: texts.length * (this.dimensions ?? MOST_DIMENSIONS) * BYTES_PER_NUMBER,
        signal,
      },
    )
    if (asksDimensions && refusesDimensions(answer)) {
      this.#asksDimensions = false
      return this.embed(texts, signal, deadline)
    }
    return vectorsIn(bodyOf(answer, this.#client.asked(texts)), texts.length, this.dimensions)
  }
}
