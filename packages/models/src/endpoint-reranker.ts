import type { Logger, Metrics } from '@mnemosyne/platform'
import PQueue from 'p-queue'
import { checkEndpoint } from './endpoint/address.ts'
import { Batches } from './endpoint/batches.ts'
import { EndpointClient } from './endpoint/endpoint-client.ts'
import { EndpointBusy } from './endpoint/errors.ts'
import { RERANKING } from './endpoint/kind.ts'
import { Patience, type PatienceOptions } from './endpoint/patience.ts'
import { type RerankQuestion, requestScores } from './endpoint/rerank-requests.ts'
import { ModelError } from './model-error.ts'
import { observeReranking } from './reranker-metrics.ts'
import type { Reranker, RerankOptions } from './reranker-port.ts'

export interface EndpointRerankerOptions extends Partial<PatienceOptions> {
  /** Root of the endpoint, `/v1` included; `/rerank` is appended and nothing else. */
  baseUrl: string
  /** The endpoint's name for the model. */
  model: string
  /** Goes into the `Authorization` header and nowhere else. */
  apiKey?: string | undefined
  /** Milliseconds that one call may take, waiting and further tries included. */
  timeoutMs?: number
  /** Documents in one request, at most. */
  batchSize?: number
  /** Requests at once, at most. */
  concurrency?: number
  /** Requests that wait for their turn, at most; a call beyond that is refused at once. */
  mostWaiting?: number
  log: Logger
  metrics: Metrics
}

/**
 * A re-ranker that asks an endpoint: `POST {base}/rerank` with `{model, query, documents, top_n, instruction?}`, answered by
 * `{results: [{index, relevance_score}]}`. Whether the endpoint is up does not matter for opening.
 *
 * Passing faults (no connection, 5xx, 429) are tried again while there is time; an endpoint that fails repeatedly is
 * left alone for a while. Errors are those of `endpoint/errors.ts`. Throws `InvalidEndpoint` for an address, key or model
 * name that cannot be right.
 */
export function openEndpointReranker(options: EndpointRerankerOptions): Reranker {
  checkEndpoint(RERANKING, options)
  const reranker = new EndpointReranker(options)
  options.log.info({ model: options.model, host: reranker.url.host }, `${RERANKING.name} in use`)
  return reranker
}

class EndpointReranker implements Reranker {
  readonly model: { name: string }
  readonly #timeoutMs: number
  readonly #mostWaiting: number
  readonly #client: EndpointClient
  readonly #patience: Patience
  readonly #batches: Batches<number>
  readonly #requests: PQueue
  readonly #observe: ReturnType<typeof observeReranking>
  readonly #closing = new AbortController()

  constructor(options: EndpointRerankerOptions) {
    const { baseUrl, model, apiKey, timeoutMs = 30_000, batchSize = 32, concurrency = 4 } = options
    this.model = { name: model }
    this.#timeoutMs = timeoutMs
    this.#mostWaiting = options.mostWaiting ?? 16
    this.#client = new EndpointClient({ kind: RERANKING, baseUrl, model, apiKey })
    this.#patience = new Patience(RERANKING, { attempts: 3, firstRetryMs: 200, ...options }, options)
    this.#batches = new Batches(RERANKING, batchSize, options.log)
    this.#requests = new PQueue({ concurrency })
    this.#observe = observeReranking(options.metrics, { name: model, server: this.#client.server })
  }

  get url(): URL {
    return this.#client.url
  }

  get fault(): string | null {
    return this.#patience.fault?.message ?? null
  }

  async rerank(query: string, documents: string[], options: RerankOptions = {}): Promise<number[]> {
    const { instruction, signal } = options
    if (documents.length === 0) return []
    const failed = new AbortController()
    const stop = AbortSignal.any([this.#closing.signal, failed.signal, ...(signal ? [signal] : [])])
    stop.throwIfAborted()
    const question = {
      query: query.toWellFormed(),
      instruction,
      deadline: performance.now() + this.#timeoutMs,
    }
    const batches = this.#batches.split(documents.map((text) => text.toWellFormed()))
    try {
      return await this.#observe(documents.length, async () => {
        const parts = batches.map((batch) => this.#inTurn(() => this.#score(question, batch, stop), stop))
        return (await Promise.all(parts)).flat()
      })
    } catch (error) {
      failed.abort(error)
      throw error
    }
  }

  async close(): Promise<void> {
    this.#closing.abort(new ModelError(`The ${RERANKING.name} was closed while the call was in hand.`))
    await this.#client.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #score(question: RerankQuestion, documents: string[], stop: AbortSignal): Promise<number[]> {
    return this.#batches.send(documents, (batch) =>
      this.#patience.keepTrying(
        () => requestScores(this.#client, question, batch, stop),
        stop,
        question.deadline,
      ),
    )
  }

  /** Runs `work` when its turn comes, if that is within the time of a call. */
  async #inTurn<T>(work: () => Promise<T>, stop: AbortSignal): Promise<T> {
    if (this.#requests.size >= this.#mostWaiting) throw this.#crowded()
    const late = new AbortController()
    const timer = setTimeout(() => late.abort(this.#crowded()), this.#timeoutMs)
    const begin = () => {
      clearTimeout(timer)
      return work()
    }
    try {
      return await this.#requests.add(begin, { signal: AbortSignal.any([stop, late.signal]) })
    } finally {
      clearTimeout(timer)
    }
  }

  #crowded(): EndpointBusy {
    return new EndpointBusy(`Too many searches wait for the ${RERANKING.name}. Try again later.`, undefined)
  }
}
