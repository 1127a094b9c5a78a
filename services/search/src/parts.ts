import type { Degraded } from '@mnemosyne/contracts'
import { GraphError } from '@mnemosyne/graph/errors'
import { DomainError } from '@mnemosyne/platform/errors'
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

/** Who is told of the stages of a search: log, metrics and traces, or a record of them to be told later. */
export interface StageWatch {
  /** Runs the work of a stage. */
  around<T>(stage: Stage, work: () => Promise<T>): Promise<T>
  took(stage: Stage, seconds: number): void
  failed(stage: Stage, error: unknown): void
  /** What the caller may read of an error that is neither of the store nor of these stages; undefined: nothing. */
  wording(error: unknown): string | undefined
}

/** How stages went that another `Parts` has seen. */
export interface StagesElsewhere {
  timings: Partial<Record<Stage, number>>
  degraded: Degraded[]
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
  readonly #watch: StageWatch

  /** `timeoutMs`: infinite where every answer is made in this thread, so that none can be waited for. */
  constructor(options: { signal: AbortSignal; timeoutMs: number; watch: StageWatch }) {
    this.#signal = options.signal
    this.#timeoutMs = options.timeoutMs
    this.#deadline = performance.now() + TIMES_OF_A_PART * options.timeoutMs
    this.#watch = options.watch
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
      this.#addDegraded({ part: stage, reason: this.#note(stage, error) })
      return undefined
    }
  }

  /** Adds stages of this search that were run elsewhere. */
  add({ timings, degraded }: StagesElsewhere): void {
    for (const [stage, ms] of Object.entries(timings)) this.#addTime(stage as Stage, ms)
    for (const one of degraded) this.#addDegraded(one)
  }

  #addDegraded({ part, reason }: Degraded): void {
    if (!this.degraded.some((other) => other.part === part && other.reason === reason)) {
      this.degraded.push({ part, reason })
    }
  }

  #addTime(stage: Stage, ms: number): void {
    this.timings[stage] = (this.timings[stage] ?? 0) + ms
  }

  /** Milliseconds of `work` are added to the stage's, so that a stage may come in two halves. */
  async #run<T>(stage: Stage, work: (signal: AbortSignal) => Promise<T>, timeoutMs: number): Promise<T> {
    const started = performance.now()
    try {
      return await this.#watch.around(stage, () => this.#bounded(stage, work, timeoutMs))
    } catch (error) {
      if (this.#signal.aborted) throw searchCancelled(error)
      throw error
    } finally {
      const took = performance.now() - started
      this.#addTime(stage, took)
      this.#watch.took(stage, took / 1000)
    }
  }

  /** @returns what the caller may read of it. */
  #note(stage: Stage, error: unknown): string {
    this.#watch.failed(stage, error)
    return this.#reason(error)
  }

  /** Ends with the work, its timeout or the caller, whichever is first, even if the work heeds no signal. */
  async #bounded<T>(stage: Stage, work: (signal: AbortSignal) => Promise<T>, timeoutMs: number): Promise<T> {
    this.#signal.throwIfAborted()
    if (timeoutMs === Number.POSITIVE_INFINITY) return work(this.#signal)
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
    if (error instanceof PartTimeout || error instanceof PartUnavailable || error instanceof GraphError)
      return error.message
    return this.#watch.wording(error) ?? 'It failed. The log has the reason under this request id.'
  }
}
