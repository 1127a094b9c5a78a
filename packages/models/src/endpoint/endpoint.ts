import type { Logger, Metrics } from '@mnemosyne/platform'
import PQueue from 'p-queue'
import { EmbedderClosed } from '../port.ts'
import { embeddingsUrl } from './address.ts'
import { Batches } from './batches.ts'
import { EndpointClient } from './endpoint-client.ts'
import { EndpointUnavailable } from './errors.ts'
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

/** The endpoint with its connections, lanes and patience: texts in their final form go in, vectors come out. */
export class Endpoint {
  readonly url: URL
  readonly #client: EndpointClient
  readonly #patience: Patience
  readonly #batches: Batches
  readonly #passages: PQueue
  readonly #queries: PQueue
  readonly #closing = new AbortController()

  constructor(options: EndpointOptions) {
    const { model, apiKey, dimensions, timeoutMs = 120_000, batchSize = 8, concurrency = 4, log } = options
    this.url = embeddingsUrl(options.baseUrl)
    this.#client = new EndpointClient({ url: this.url, model, apiKey, dimensions, timeoutMs })
    this.#patience = patienceOf(options)
    this.#batches = new Batches(batchSize, log)
    this.#passages = new PQueue({ concurrency })
    this.#queries = new PQueue({ concurrency })
  }

  get server(): { address: string; port: number } {
    const { hostname, port, protocol } = this.url
    return { address: hostname, port: Number(port) || (protocol === 'https:' ? 443 : 80) }
  }

  /** Requests that wait for their turn. */
  get queueLength(): number {
    return this.#passages.size + this.#queries.size
  }

  async askDimensions(text: string, signal?: AbortSignal): Promise<number> {
    const [vector] = await this.#embed([text], this.#stopping(signal))
    this.#client.dimensions = vector!.length
    return vector!.length
  }

  async embedQuery(text: string, signal?: AbortSignal): Promise<Float32Array> {
    const stop = this.#stopping(signal)
    const [vector] = await this.#queries.add(() => this.#embed([text], stop), { signal: stop })
    return vector!
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
      await this.#patience.tryOnce(() => this.#client.embed([text], stop))
    } catch (error) {
      if (error !== late.reason) throw error
      throw new EndpointUnavailable(`The embedding endpoint ${this.url.origin} is slow to answer.`, {
        sendAgain: false,
        cause: error,
      })
    }
  }

  async close(): Promise<void> {
    this.#closing.abort(new EmbedderClosed('The embedding endpoint was closed while the call was in hand.'))
    await this.#client.close()
  }

  /** Throws when a call must not begin. */
  #stopping(...signals: (AbortSignal | undefined)[]): AbortSignal {
    const stop = AbortSignal.any([this.#closing.signal, ...signals.filter((signal) => signal !== undefined)])
    stop.throwIfAborted()
    return stop
  }

  #embed(texts: string[], stop: AbortSignal): Promise<Float32Array[]> {
    return this.#batches.send(texts, (batch) =>
      this.#patience.keepTrying(() => this.#client.embed(batch, stop), stop),
    )
  }
}

function patienceOf(options: EndpointOptions): Patience {
  const { attempts = 4, firstRetryMs = 500, breakAfter = 5, breakMs = 10_000, log, metrics } = options
  const retries = metrics.counter(
    'mnemosyne_embedding_retries_total',
    'Requests to the embedding endpoint that were sent again',
    ['reason'],
  )
  const broken = metrics.gauge(
    'mnemosyne_embedding_endpoint_left_alone',
    '1 while the embedding endpoint is left alone after repeated failures',
  )
  broken(0)
  return new Patience({ attempts, firstRetryMs, breakAfter, breakMs }, log, {
    retry: (reason) => retries({ reason }),
    broken: (isBroken) => broken(isBroken ? 1 : 0),
  })
}
