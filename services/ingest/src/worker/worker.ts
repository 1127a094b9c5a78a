import { randomUUID } from 'node:crypto'
import { COMMANDS } from '@mnemosyne/contracts'
import { GraphClosedError } from '@mnemosyne/graph'
import {
  type Bus,
  type BusMessage,
  type Logger,
  type Metrics,
  RetryLater,
  Unprocessable,
} from '@mnemosyne/platform'
import { announce, EMBEDDING_QUEUE, emitJobEvent } from '../accept.ts'
import { CANCELLED } from '../control.ts'
import { DocumentError } from '../document/errors.ts'
import { ClaimLost, GoneFault, PermanentFault } from '../errors.ts'
import { forget } from '../forget.ts'
import { abandonedJobs, claimJob, findJob } from '../store/jobs.ts'
import type { JobRow } from '../store/tables.ts'
import { itemPrefix } from './fetch-source.ts'
import { JobClaim } from './job-claim.ts'
import { clearStageResults, markItemFailed, type RunDeps, runJob } from './run-job.ts'

export interface WorkerOptions {
  concurrency: number
  leaseMs: number
  retries: number
  firstRetryMs: number
  maxRetryMs: number
}

export interface WorkerDeps extends RunDeps {
  bus: Bus
  log: Logger
  metrics: Metrics
}

export interface Worker {
  /** Stops a job in hand here, because it was cancelled. */
  abort(jobId: string): void
  /** Stops jobs in hand here, because what they belong to is gone. */
  stopWhere(matches: (row: JobRow) => boolean): void
  /** Takes no more; hands back what is in hand. */
  close(): Promise<void>
}

const SWEEP_MS = 5_000
const CLAIM_AGAIN_MS = 15_000

/** Consumes the embedding queue, and takes over jobs whose worker died. */
export async function startWorker(deps: WorkerDeps, options: WorkerOptions): Promise<Worker> {
  const { bus, log, metrics } = deps
  const inHand = new Map<string, JobClaim>()
  const seconds = metrics.histogram('mnemosyne_job_duration_seconds', 'Time from claim to end of jobs.', [
    'outcome',
  ])
  const handle = async (message: BusMessage, { signal }: { signal: AbortSignal }) => {
    const command = COMMANDS[EMBEDDING_QUEUE].safeParse(message.body)
    if (!command.success) throw new Unprocessable('not a job command: job_id is missing or no uid')
    const claim = await take(deps, options, command.data.job_id).catch((cause: unknown) => {
      if (cause instanceof RetryLater) throw cause
      // Uncounted: an outage of the database must not dead-letter what was accepted.
      log.warn({ err: cause, job_id: command.data.job_id }, 'job not claimed; tried again')
      throw new RetryLater({ delayMs: CLAIM_AGAIN_MS, cause })
    })
    if (!claim) return
    const { row } = claim
    const started = performance.now()
    inHand.set(row.job_id, claim)
    const handBack = () => claim.stop()
    signal.addEventListener('abort', handBack)
    try {
      await runJob(deps, claim)
      seconds((performance.now() - started) / 1000, { outcome: 'completed' })
      log.info({ job_id: row.job_id, duration_ms: Math.round(performance.now() - started) }, 'job completed')
    } catch (error) {
      seconds((performance.now() - started) / 1000, { outcome: 'failed' })
      await settle(deps, options, claim, error, signal.aborted)
    } finally {
      signal.removeEventListener('abort', handBack)
      claim.release()
      inHand.delete(row.job_id)
    }
  }
  const consumer = await bus.consume(EMBEDDING_QUEUE, { concurrency: options.concurrency, handle })
  const sweeper = startSweeper(deps)
  return {
    abort: (jobId) => inHand.get(jobId)?.cancel(),
    stopWhere(matches) {
      for (const claim of inHand.values()) if (matches(claim.row)) claim.stop()
    },
    async close() {
      await sweeper.close()
      await consumer.close()
    },
  }
}

/** Claims the job of a command. Undefined: it has ended, or is gone. Throws RetryLater while another worker has it. */
async function take(deps: WorkerDeps, options: WorkerOptions, jobId: string): Promise<JobClaim | undefined> {
  const now = deps.clock()
  const claim = randomUUID()
  const lease = new Date(now.getTime() + options.leaseMs)
  const row = await claimJob(deps.sql, jobId, claim, now.toISOString(), lease.toISOString())
  if (row) {
    const held = new JobClaim({
      sql: deps.sql,
      clock: deps.clock,
      log: deps.log,
      leaseMs: options.leaseMs,
      row,
      claim,
    })
    if (row.cancel_requested) held.cancel()
    return held
  }
  const other = await findJob(deps.sql.read, jobId)
  const due =
    other?.status === 'pending' ? other.retry_at : other?.status === 'processing' ? other.lease_until : null
  if (due) throw new RetryLater({ delayMs: Math.max(100, Date.parse(due) - now.getTime()) })
  return undefined
}

/** Decides what a job that did not complete becomes: failed, pending again, or nobody's business any more. */
async function settle(
  deps: WorkerDeps,
  options: WorkerOptions,
  claim: JobClaim,
  error: unknown,
  closing: boolean,
): Promise<void> {
  const { row } = claim
  const { log } = deps
  if (claim.cancelled) return fail(deps, claim, CANCELLED)
  if (closing || error instanceof GraphClosedError) return handBack(deps, claim)
  if (claim.signal.aborted || error instanceof ClaimLost) return clearIfGone(deps, row)
  if (error instanceof GoneFault) {
    log.info({ job_id: row.job_id, gone: error.gone }, 'job dropped with what it belonged to')
    const by = error.gone === 'library' ? 'library_uid' : 'item_uid'
    return forget(deps, by, row[by])
  }
  if (error instanceof PermanentFault || error instanceof DocumentError) {
    log.info({ job_id: row.job_id, reason: error.message }, 'job failed')
    return fail(deps, claim, error.message)
  }
  const attempts = row.attempts + 1
  log.warn({ err: error, job_id: row.job_id, attempts }, 'job met a fault that may pass')
  if (attempts > options.retries) {
    return fail(
      deps,
      claim,
      `It did not work after ${attempts} attempts (${reasonOf(error)}). Retry it when the cause is mended.`,
    )
  }
  const delayMs = Math.min(options.firstRetryMs * 2 ** (attempts - 1), options.maxRetryMs)
  const again = await change(deps, claim, {
    status: 'pending',
    stage: 'queued',
    attempts,
    retry_at: new Date(deps.clock().getTime() + delayMs).toISOString(),
  })
  if (again) throw new RetryLater({ delayMs, cause: error })
}

/** The cause in words that give no internals away. */
function reasonOf(error: unknown): string {
  const code =
    error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
  if (code === 'ENOSPC' || code === 'BLOB_STORE_FULL' || code === 'graph_full' || code === 'SQL_FULL')
    return 'there is no space left'
  return code ? `cause: ${code}` : 'the log has the cause'
}

async function change(deps: WorkerDeps, claim: JobClaim, to: Partial<JobRow>): Promise<JobRow | undefined> {
  const changed = await deps.sql.transaction(async (tx) => {
    const row = await tx
      .updateTable('job')
      .set({ claim: null, lease_until: null, ...to })
      .where('job_id', '=', claim.row.job_id)
      .where('claim', '=', claim.claim)
      .where('status', '=', 'processing')
      .returningAll()
      .executeTakeFirst()
    if (row?.status === 'failed') await emitJobEvent(tx, 'ingest.job.failed.v1', row, deps.clock)
    return row
  })
  deps.wakeRelay()
  return changed
}

async function fail(deps: WorkerDeps, claim: JobClaim, reason: string): Promise<void> {
  const row = await change(deps, claim, {
    status: 'failed',
    error: reason,
    completed_at: deps.clock().toISOString(),
  })
  if (!row) return clearIfGone(deps, claim.row)
  if (reason === CANCELLED) await clearStageResults(deps, { ...row, source: 'kept for a retry' })
  await markItemFailed(deps, row).catch((err: unknown) =>
    deps.log.warn({ err, job_id: row.job_id }, 'item not marked as failed'),
  )
}

/** The process is stopping: the job goes back as it was, for whoever comes next. */
async function handBack(deps: WorkerDeps, claim: JobClaim): Promise<void> {
  await change(deps, claim, { status: 'pending' })
  throw new ClaimLost()
}

/** After the job's row went with its item or library, what this worker still wrote goes too. */
async function clearIfGone(deps: WorkerDeps, row: JobRow): Promise<void> {
  if (await findJob(deps.sql.read, row.job_id)) return
  await clearStageResults(deps, row)
  await deps.blobs.deletePrefix(itemPrefix(row.item_uid))
}

/** Announces jobs whose worker's lease ran out, again and again. */
function startSweeper(deps: WorkerDeps): { close(): Promise<void> } {
  let running: Promise<void> = Promise.resolve()
  const sweep = async () => {
    const ids = await abandonedJobs(deps.sql, deps.clock().toISOString(), { pendingToo: false })
    if (ids.length > 0) deps.log.warn({ jobs: ids.length }, 'taking over jobs whose worker died')
    await announceAll(deps, ids)
  }
  const timer = setInterval(() => {
    running = sweep().catch((err: unknown) => deps.log.error({ err }, 'the sweep for abandoned jobs failed'))
  }, SWEEP_MS)
  timer.unref()
  return {
    async close() {
      clearInterval(timer)
      await running
    },
  }
}

export async function announceAll(
  deps: Pick<WorkerDeps, 'sql' | 'clock' | 'wakeRelay'>,
  jobIds: string[],
): Promise<void> {
  if (jobIds.length === 0) return
  await deps.sql.transaction(async (tx) => {
    for (const jobId of jobIds) await announce(tx, jobId, deps.clock)
  })
  deps.wakeRelay()
}
