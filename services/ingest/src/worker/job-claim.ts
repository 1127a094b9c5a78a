import type { JobStage } from '@mnemosyne/contracts'
import type { Clock, Logger, Sql } from '@mnemosyne/platform'
import { ClaimLost } from '../errors.ts'
import { noteProgress } from '../store/jobs.ts'
import type { IngestTables, JobRow } from '../store/tables.ts'

/** Share of the lease after which it is renewed. */
const HEARTBEAT_SHARE = 4

/**
 * A worker's hold on a job: renews the lease while it lives, notes stage and progress, and aborts `signal`
 * when the job was cancelled, deleted or taken over.
 */
export class JobClaim {
  readonly row: JobRow
  readonly claim: string
  readonly #sql: Sql<IngestTables>
  readonly #clock: Clock
  readonly #leaseMs: number
  readonly #abort = new AbortController()
  readonly #heartbeat: NodeJS.Timeout
  #cancelled = false

  constructor(options: {
    sql: Sql<IngestTables>
    clock: Clock
    row: JobRow
    claim: string
    leaseMs: number
    log: Logger
  }) {
    this.row = options.row
    this.claim = options.claim
    this.#sql = options.sql
    this.#clock = options.clock
    this.#leaseMs = options.leaseMs
    this.#heartbeat = setInterval(() => {
      this.note().catch((err: unknown) => {
        if (!(err instanceof ClaimLost))
          options.log.warn({ err, job_id: this.row.job_id }, 'lease not renewed')
      })
    }, options.leaseMs / HEARTBEAT_SHARE)
    this.#heartbeat.unref()
  }

  get signal(): AbortSignal {
    return this.#abort.signal
  }

  /** Whether someone asked to cancel (as against the job being gone). */
  get cancelled(): boolean {
    return this.#cancelled
  }

  /** Renews the lease, with stage and progress (0 to 100). Throws ClaimLost when the job is not ours any more. */
  async note(stage?: JobStage, progress = 0): Promise<void> {
    if (this.#abort.signal.aborted) throw new ClaimLost()
    const lease = new Date(this.#clock().getTime() + this.#leaseMs).toISOString()
    const row = await noteProgress(
      this.#sql,
      this.row.job_id,
      this.claim,
      lease,
      stage && { stage, progress: Math.floor(progress) },
    )
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
