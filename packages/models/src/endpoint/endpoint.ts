import type { Logger, Metrics } from '@mnemosyne/platform'
import PQueue from 'p-queue'
import { EmbedderClosed } from '../port.ts'
import { Batches } from './batches.ts'
import { EmbeddingRequests } from './embedding-requests.ts'
import { EndpointClient } from './endpoint-client.ts'
import { EndpointBusy, EndpointUnavailable } from './errors.ts'
import { EMBEDDING } from './kind.ts'
import { Patience, type PatienceOptions } from './patience.ts'

export interface EndpointOptions extends Partial<PatienceOptions> {
  /** Root of the endpoint, `/v1` included; `/embeddings` is appended and nothing else. */
  baseUrl: string
  /** The endpoint's name for the model. */
  model: string
  /** Goes into the `Authorization` header and nowhere else. */
  apiKey?: string
  /** Length of the vectors. Asked from the model where it is not given. */
  dimensions?: number
  /** Milliseconds that one request may take. */
  timeoutMs?: number
  /** Texts in one request, at most. */
  batchSize?: number
  /**
   * Requests with passages at once, at most; queries have as many of their own, and wait for none of these here. They
   * may wait at the endpoint: what it is given at once should take it less time than a query should wait.
   */
  concurrency?: number
  log: Logger
  metrics: Metrics
}

/** As long as a readiness probe waits. */
const PING_TIMEOUT_MS = 2_000
const CROWDED = `Too many searches wait for the ${EMBEDDING.name}. Try again later.`

/** The endpoint with its connections, lanes and patience: texts in their final form go in, vectors come out. */
export class Endpoint {
  readonly #client: EndpointClient
  readonly #requests: EmbeddingRequests
  readonly #patience: Patience
  readonly #batches: Batches<Float32Array>
  readonly #passages: PQueue
  readonly #queries: PQueue
  readonly #closing = new AbortController()

  constructor(options: EndpointOptions) {
    const {
      baseUrl,
      model,
      apiKey,
      dimensions,
      timeoutMs = 120_000,
      batchSize = 8,
      concurrency = 4,
    } = options
    this.#client = new EndpointClient({ kind: EMBEDDING, baseUrl, model, apiKey })
    this.#requests = new EmbeddingRequests(this.#client, { dimensions, timeoutMs })
    this.#patience = new Patience(EMBEDDING, options, options)
    this.#batches = new Batches(EMBEDDING, batchSize, options.log)
    this.#passages = new PQueue({ concurrency })
    this.#queries = new PQueue({ concurrency })
  }

  get url(): URL {
    return this.#client.url
  }

  get server(): { address: string; port: number } {
    return this.#client.server
  }

  /** Requests that wait for their turn. */
  get queueLength(): number {
    return this.#passages.size + this.#queries.size
  }

  async askDimensions(text: string, signal?: AbortSignal): Promise<number> {
    const [vector] = await this.#embed([text], this.#stopping(signal))
    this.#requests.dimensions = vector!.length
    return vector!.length
  }

  /** Half of the time is for the line: whoever had the other half and was not answered was asking a slow endpoint. */
  async embedQuery(
    text: string,
    { signal, timeoutMs }: { signal?: AbortSignal | undefined; timeoutMs?: number | undefined } = {},
  ): Promise<Float32Array> {
    const crowded = new AbortController()
    const stop = this.#stopping(signal)
    const deadline = timeoutMs === undefined ? Number.POSITIVE_INFINITY : performance.now() + timeoutMs
    const leave = () => crowded.abort(new EndpointBusy(CROWDED, undefined))
    const timer = timeoutMs === undefined ? undefined : setTimeout(leave, timeoutMs / 2)
    const begin = () => {
      clearTimeout(timer)
      return this.#embed([text], stop, deadline)
    }
    try {
      const [vector] = await this.#queries.add(begin, { signal: AbortSignal.any([stop, crowded.signal]) })
      return vector!
    } finally {
      clearTimeout(timer)
    }
  }

  async embedPassages(texts: string[], signal?: AbortSignal): Promise<Float32Array[]> {
    const failed = new AbortController()
    const stop = this.#stopping(signal, failed.signal)
    const batches = this.#batches.split(texts)
    const parts = batches.map((batch) => this.#passages.add(() => this.#embed(batch, stop), { signal: stop }))
    try {
      return (await Promise.all(parts)).flat()
    } catch (error) {
      failed.abort(error)
      throw error
    }
  }

  /** Resolves when the endpoint answers within two seconds. */
  async ping(text: string): Promise<void> {
    const late = AbortSignal.timeout(PING_TIMEOUT_MS)
    const stop = this.#stopping(late)
    try {
      await this.#patience.tryOnce(() => this.#requests.embed([text], stop))
    } catch (error) {
      if (error !== late.reason) throw error
      throw new EndpointUnavailable(`The ${EMBEDDING.name} ${this.url.origin} is slow to answer.`, {
        sendAgain: false,
        cause: error,
      })
    }
  }

  async close(): Promise<void> {
    this.#closing.abort(new EmbedderClosed(`The ${EMBEDDING.name} was closed while the call was in hand.`))
    await this.#client.close()
  }

  /** Throws when a call must not begin. */
  #stopping(...signals: (AbortSignal | undefined)[]): AbortSignal {
    const stop = AbortSignal.any([this.#closing.signal, ...signals.filter((signal) => signal !== undefined)])
    stop.throwIfAborted()
    return stop
  }

  #embed(texts: string[], stop: AbortSignal, deadline = Number.POSITIVE_INFINITY): Promise<Float32Array[]> {
    return this.#batches.send(texts, (batch) =>
      this.#patience.keepTrying(() => this.#requests.embed(batch, stop, deadline), stop, deadline),
    )
  }
}
