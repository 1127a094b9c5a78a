import type { Degraded } from '@mnemosyne/contracts'
import { GraphError } from '@mnemosyne/graph'
import { ModelError } from '@mnemosyne/models'
import { DomainError, type Logger, type Metrics, span } from '@mnemosyne/platform'
import { searchCancelled, searchUnavailable } from './errors.ts'

export type Stage =
  | 'scope'
  | 'embed'
  | 'vector'
  | 'fulltext'
  | 'graph'
  | 'fuse'
  | 'rerank'
  | 'load'
  | 'explain'

/** A part can do nothing just now, for a reason that the caller may read. */
export class PartUnavailable extends Error {
  readonly code = 'PART_UNAVAILABLE'
}

class PartTimeout extends Error {
  readonly code = 'PART_TIMEOUT'
}

const STORE = 'The graph store'
/** Whom each stage waits for. */
const ASKED: Record<Stage, string> = {
  scope: STORE,
  embed: 'The embedding model',
  vector: STORE,
  fulltext: STORE,
  graph: STORE,
  fuse: STORE,
  rerank: 'The re-ranker',
  load: STORE,
  explain: STORE,
}

/** So many times the time of a part all of them have that can be done without, the re-ranker beside. */
const TIMES_OF_A_PART = 2

export interface SearchMetrics {
  stage(seconds: number, stage: Stage): void
  failure(stage: Stage): void
}

export function searchMetrics(metrics: Metrics): SearchMetrics {
  const duration = metrics.histogram(
    'mnemosyne_search_stage_duration_seconds',
    'Time that a search spends in each stage.',
    ['stage'],
    [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30],
  )
  const failures = metrics.counter(
    'mnemosyne_search_part_failures_total',
    'Searches that were answered without a part, or not at all, because it failed or was late.',
    ['stage'],
  )
  return {
    stage: (seconds, stage) => duration(seconds, { stage }),
    failure: (stage) => failures({ stage }),
  }
}

/**
 * The stages of one search: each in a span, timed, bounded in time and cut short when the caller leaves.
 * Without a stage that is run by `need` there is no answer; one that is run by `attempt` costs only its own
 * contribution, and is noted in `degraded`.
 */
export class Parts {
  readonly timings: Partial<Record<Stage, number>> = {}
  readonly degraded: Degraded[] = []
  readonly #signal: AbortSignal
  readonly #timeoutMs: number
  /** A time of `performance.now()`. */
  readonly #deadline: number
  readonly #log: Logger
  readonly #metrics: SearchMetrics

  constructor(options: { signal: AbortSignal; timeoutMs: number; log: Logger; metrics: SearchMetrics }) {
    this.#signal = options.signal
    this.#timeoutMs = options.timeoutMs
    this.#deadline = performance.now() + TIMES_OF_A_PART * options.timeoutMs
    this.#log = options.log
    this.#metrics = options.metrics
  }

  /** @throws DomainError: what the work refused, SEARCH_UNAVAILABLE for all else. */
  async need<T>(stage: Stage, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    try {
      return await this.#run(stage, work, this.#timeoutMs)
    } catch (error) {
      if (error instanceof DomainError) throw error
      throw searchUnavailable([this.#note(stage, error)], error)
    }
  }

  /**
   * The result, or undefined when the part failed or was late, or the parts before it have taken all the time. Rejects
   * only when the caller has left.
   */
  async attempt<T>(
    stage: Stage,
    work: (signal: AbortSignal) => Promise<T>,
    timeoutMs = Math.min(this.#timeoutMs, Math.ceil(this.#deadline - performance.now())),
  ): Promise<T | undefined> {
    try {
      return await this.#run(stage, work, timeoutMs)
    } catch (error) {
      if (this.#signal.aborted) throw error
      const reason = this.#note(stage, error)
      if (!this.degraded.some((other) => other.part === stage && other.reason === reason)) {
        this.degraded.push({ part: stage, reason })
      }
      return undefined
    }
  }

  /** Milliseconds of `work` are added to the stage's, so that a stage may come in two halves. */
  async #run<T>(stage: Stage, work: (signal: AbortSignal) => Promise<T>, timeoutMs: number): Promise<T> {
    const started = performance.now()
    try {
      return await span(`search ${stage}`, {}, () => this.#bounded(stage, work, timeoutMs))
    } catch (error) {
      if (this.#signal.aborted) throw searchCancelled(error)
      throw error
    } finally {
      const took = performance.now() - started
      this.timings[stage] = (this.timings[stage] ?? 0) + took
      this.#metrics.stage(took / 1000, stage)
    }
  }

  /** Counts and logs a failure. @returns what the caller may read of it. */
  #note(stage: Stage, error: unknown): string {
    this.#metrics.failure(stage)
    if (!(error instanceof PartUnavailable)) this.#log.warn({ err: error, stage }, 'search part failed')
    return this.#reason(error)
  }

  /** Ends with the work, its timeout or the caller, whichever is first, even if the work heeds no signal. */
  async #bounded<T>(stage: Stage, work: (signal: AbortSignal) => Promise<T>, timeoutMs: number): Promise<T> {
    this.#signal.throwIfAborted()
    if (timeoutMs <= 0) throw new PartTimeout('No time was left for it: other parts were slow.')
    const late = new AbortController()
    const signal = AbortSignal.any([this.#signal, late.signal])
    const { promise: cut, reject } = Promise.withResolvers<never>()
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
    const timer = setTimeout(
      () => late.abort(new PartTimeout(`${ASKED[stage]} gave no answer within ${timeoutMs} ms.`)),
      timeoutMs,
    )
    try {
      return await Promise.race([work(signal), cut])
    } finally {
      clearTimeout(timer)
    }
  }

  #reason(error: unknown): string {
    if (error instanceof PartTimeout) return error.message
    if (error instanceof PartUnavailable || error instanceof GraphError || error instanceof ModelError)
      return error.message
    return 'It failed. The log has the reason under this request id.'
  }
}
