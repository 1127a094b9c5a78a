import { type Bus, untraced } from '@mnemosyne/platform'
import { announceAll } from '../accept.ts'
import { pendingJobs, releaseJobs, signsOfLife } from '../store/jobs.ts'
import { embedWaiting } from './embed-waiting.ts'
import { SIGNS_A_LEASE } from './job-claim.ts'
import type { RunDeps } from './run-job.ts'

export interface SweeperDeps extends RunDeps {
  bus: Bus
}

/** Commands put in again at once for jobs that the queue has lost. */
const LOST_AT_ONCE = 100

/**
 * Looks after what no message stands for any more: jobs whose worker died, jobs that the queue has lost, and
 * documents that wait for a model.
 */
export class Sweeper {
  readonly #deps: SweeperDeps
  readonly #isIdle: () => boolean
  readonly #timer: NodeJS.Timeout
  /** By job: its last sign of life, and how many sweeps have seen it. */
  #seen = new Map<string, { sign: string; times: number }>()
  #idleSweeps = 0
  #hadModel = false
  #running: Promise<void>

  constructor(deps: SweeperDeps, options: { leaseMs: number; isIdle: () => boolean }) {
    this.#deps = deps
    this.#isIdle = options.isIdle
    this.#running = untraced(() => this.#sweep())
    this.#timer = setInterval(() => {
      this.#running = this.#running.then(() => untraced(() => this.#sweep()))
    }, options.leaseMs / SIGNS_A_LEASE)
    this.#timer.unref()
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    await this.#running
  }

  async #sweep(): Promise<void> {
    try {
      await this.#takeOver()
      await this.#findLost()
      const hasModel = this.#deps.embedder() !== null
      if (hasModel && !this.#hadModel) await embedWaiting(this.#deps)
      this.#hadModel = hasModel
    } catch (err) {
      this.#deps.log.error({ err }, 'the sweep for abandoned jobs failed')
    }
  }

  /** By signs and sweeps, not by the time of day: the clocks of two workers need not agree. */
  async #takeOver(): Promise<void> {
    const { sql, clock, log, wakeRelay } = this.#deps
    const seen = new Map<string, { sign: string; times: number }>()
    for (const job of await signsOfLife(sql)) {
      const sign = `${job.claim} ${job.heartbeat}`
      const before = this.#seen.get(job.job_id)
      const times = before?.sign === sign ? before.times + 1 : 0
      seen.set(job.job_id, { sign, times })
      if (times <= SIGNS_A_LEASE) continue
      const released = await sql.transaction(async (tx) => {
        const ids = await releaseJobs(tx, job)
        await announceAll(tx, ids, clock)
        return ids
      })
      if (released.length > 0) log.warn({ job_id: job.job_id }, 'taking over a job whose worker died')
      wakeRelay()
    }
    this.#seen = seen
  }

  /** A worker that had nothing to do for so long, while jobs are due, was not told of them. */
  async #findLost(): Promise<void> {
    const { sql, bus, clock, log, wakeRelay } = this.#deps
    this.#idleSweeps = this.#isIdle() && bus.state() === 'up' ? this.#idleSweeps + 1 : 0
    if (this.#idleSweeps <= SIGNS_A_LEASE) return
    this.#idleSweeps = 0
    const lost = await pendingJobs(sql, { dueAt: clock().toISOString(), limit: LOST_AT_ONCE })
    if (lost.length === 0) return
    log.warn({ jobs: lost.length }, 'putting jobs into the queue again that it has lost')
    await sql.transaction((tx) => announceAll(tx, lost, clock))
    wakeRelay()
  }
}
