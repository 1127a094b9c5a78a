import type { JobStage } from '@mnemosyne/contracts'
import { type Logger, type Sql, untraced } from '@mnemosyne/platform'
import { ClaimLost } from '../errors.ts'
import { giveSign } from '../store/jobs.ts'
import type { IngestTables, JobRow } from '../store/tables.ts'

/** Signs of life within the time after which a silent worker is taken for dead. */
export const SIGNS_A_LEASE = 4

/**
 * A worker's hold on a job: gives signs of life, notes stage and progress, and aborts `signal` when the job was
 * cancelled, deleted or taken over.
 */
export class JobClaim {
  readonly row: JobRow
  readonly claim: string
  readonly #sql: Sql<IngestTables>
  readonly #abort = new AbortController()
  readonly #heartbeat: NodeJS.Timeout
  #cancelled = false

  constructor(options: {
    sql: Sql<IngestTables>
    row: JobRow
    claim: string
    leaseMs: number
    log: Logger
  }) {
    this.row = options.row
    this.claim = options.claim
    this.#sql = options.sql
    this.#heartbeat = setInterval(() => {
      untraced(() => this.#sign({})).catch((err: unknown) => {
        if (!(err instanceof ClaimLost))
          options.log.warn({ err, job_id: this.row.job_id }, 'no sign of life given')
      })
    }, options.leaseMs / SIGNS_A_LEASE)
    this.#heartbeat.unref()
    if (this.row.cancel_requested) this.cancel()
  }

  get signal(): AbortSignal {
    return this.#abort.signal
  }

  /** Whether someone asked to cancel (as against the job being gone). */
  get cancelled(): boolean {
    return this.#cancelled
  }

  /**
   * Notes stage and progress (0 to 100). `kept`: something was made that a successor will not make again, so the
   * job is not one that kills every process that takes it. Throws ClaimLost when the job is not ours any more.
   */
  async note(stage: JobStage, progress: number, { kept = false } = {}): Promise<void> {
    await this.#sign({ stage, progress: Math.floor(progress), ...(kept && { interruptions: 0 }) })
  }

  async #sign(change: Parameters<typeof giveSign>[3]): Promise<void> {
    if (this.#abort.signal.aborted) throw new ClaimLost()
    const row = await giveSign(this.#sql, this.row.job_id, this.claim, change)
    if (!row) this.stop()
    else if (row.cancel_requested) this.cancel()
    if (this.#abort.signal.aborted) throw new ClaimLost()
  }

  /** Stops the work: the job is not ours any more. */
  stop(): void {
    this.#abort.abort(new ClaimLost())
  }

  /** Stops the work because someone asked for it. */
  cancel(): void {
    this.#cancelled = true
    this.stop()
  }

  release(): void {
    clearInterval(this.#heartbeat)
  }
}
