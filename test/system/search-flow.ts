import { setTimeout as wait } from 'node:timers/promises'
import type { SearchAnswer } from '@mnemosyne/contracts'
import type { SystemClient } from './client.ts'

/** One search as its caller saw it. */
export interface Asked {
  by: number
  status: number
  tookMs: number
  /** The parts that the answer says are missing; of a 503, none. */
  missing: string[]
  detail: string | undefined
  candidates: SearchAnswer['candidates']
}

export interface FlowCaller {
  client: SystemClient
  /** All that it may read. */
  library_uid: string
}

/** People who search without an end, each in their own library, and note what they are told. */
export class SearchFlow {
  readonly asked: Asked[] = []
  readonly #callers: readonly FlowCaller[]
  readonly #stopped = new AbortController()
  readonly #going: Promise<unknown>

  constructor(callers: readonly FlowCaller[], queries: readonly string[]) {
    this.#callers = callers
    this.#going = Promise.all(callers.map((caller, by) => this.#searches(caller, by, queries)))
    // Told by `stop`.
    this.#going.catch(() => {})
  }

  /**
   * Each caller's next `count` answers that are as `isMeant`, of searches that end from now on; rejects when that takes
   * longer than `timeoutMs`. All that came meanwhile are in `asked`.
   */
  async next(count: number, isMeant: (asked: Asked) => boolean, timeoutMs: number): Promise<Asked[]> {
    const from = this.asked.length
    const meant = () => this.asked.slice(from).filter(isMeant)
    const enough = () =>
      this.#callers.every((_, by) => meant().filter((one) => one.by === by).length >= count)
    const deadline = performance.now() + timeoutMs
    while (!enough()) {
      if (performance.now() > deadline)
        throw new Error(
          `Not ${count} such answers for each: ${this.asked.slice(from).slice(-20).map(summary).join('; ')}`,
        )
      await Promise.race([wait(20), this.#going])
    }
    return this.asked.slice(from)
  }

  async stop(): Promise<void> {
    this.#stopped.abort()
    await this.#going
  }

  async #searches(
    { client, library_uid }: FlowCaller,
    by: number,
    queries: readonly string[],
  ): Promise<void> {
    for (let n = 0; !this.#stopped.signal.aborted; n++) {
      const started = performance.now()
      const query = `${queries[n % queries.length]} ${by}-${n}`
      const { status, body, text } = await client.call('POST', '/library/api/search/', { query })
      const tookMs = performance.now() - started
      const answer = body as Partial<SearchAnswer> & { detail?: string }
      const candidates = answer.candidates ?? []
      const missing = (answer.degraded ?? []).map(({ part }) => part)
      this.asked.push({ by, status, tookMs, missing, detail: answer.detail, candidates })
      if (status !== 200 && status !== 503) throw new Error(`a search was answered ${status}: ${text}`)
      for (const candidate of candidates)
        if (candidate.library_uid !== library_uid) throw new Error("another's passage was shown")
    }
  }
}

const summary = ({ by, status, tookMs, missing, detail }: Asked) =>
  `${by}: ${status} ${missing.join('+')} ${detail ?? ''} ${Math.round(tookMs)} ms`
