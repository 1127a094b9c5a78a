import { randomUUID } from 'node:crypto'
import { COMMANDS } from '@mnemosyne/contracts'
import {
  type Bus,
  type DeliveryContext,
  type Metrics,
  RetryLater,
  Unprocessable,
  untilHandled,
} from '@mnemosyne/platform'
import { EMBEDDING_QUEUE } from '../accept.ts'
import { PermanentFault } from '../errors.ts'
import { claimJob, findJob } from '../store/jobs.ts'
import type { JobRow } from '../store/tables.ts'
import { type RetrySchedule, settle } from './endings.ts'
import { JobClaim } from './job-claim.ts'
import { type JobOutcome, jobMetrics, StageMeter, watchBacklog } from './job-metrics.ts'
import { type RunDeps, runJob } from './run-job.ts'
import { Sweeper } from './sweeper.ts'

export interface WorkerOptions extends RetrySchedule {
  /** False: looks after the jobs of workers that died, and takes none itself. */
  takesJobs: boolean
  concurrency: number
  /** A worker that gives no sign of life for so long is taken for dead. */
  leaseMs: number
}

export interface WorkerDeps extends RunDeps {
  bus: Bus
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

/**
 * A job over which this many processes died without getting any further is given up. Not fewer: a program that is
 * killed for other reasons, soon after each start, is no fault of the jobs that it had begun.
 */
const MAX_INTERRUPTIONS = 10

/** Consumes the embedding queue, and takes over jobs whose worker died. */
export async function startWorker(deps: WorkerDeps, options: WorkerOptions): Promise<Worker> {
  const inHand = new Map<string, JobClaim>()
  const meter = jobMetrics(deps.metrics)
  const handle = async ({ body }: { body: unknown }, { signal }: DeliveryContext) => {
    const command = COMMANDS[EMBEDDING_QUEUE].safeParse(body)
    if (!command.success) throw new Unprocessable('not a job command: job_id is missing or no uid')
    const claim = await take(deps, options.leaseMs, command.data.job_id)
    if (!claim) return
    const { job_id, acting_user } = claim.row
    const log = acting_user === null ? deps.log : deps.log.child({ user_id: acting_user })
    const own = { ...deps, log }
    const started = performance.now()
    inHand.set(job_id, claim)
    const stop = () => claim.stop()
    signal.addEventListener('abort', stop)
    if (signal.aborted) stop()
    meter.taken()
    let outcome: JobOutcome = 'handed_back'
    try {
      refuseDeadly(claim.row)
      outcome = await runJob(own, claim, new StageMeter(meter, claim.row))
      log.info({ job_id, duration_ms: Math.round(performance.now() - started) }, 'job completed')
    } catch (error) {
      outcome = await settle(own, options, claim, error, signal.aborted).catch((again: unknown) => {
        if (again instanceof RetryLater) outcome = 'retried'
        throw again
      })
    } finally {
      meter.left(outcome, (performance.now() - started) / 1000)
      signal.removeEventListener('abort', stop)
      claim.release()
      inHand.delete(job_id)
    }
  }
  const consumer = options.takesJobs
    ? await deps.bus.consume(EMBEDDING_QUEUE, {
        concurrency: options.concurrency,
        handle: untilHandled(handle, deps.log),
      })
    : undefined
  const endWatch = watchBacklog(deps)
  const sweeper = new Sweeper(deps, {
    leaseMs: options.leaseMs,
    isIdle: () => consumer !== undefined && inHand.size === 0,
  })
  return {
    abort: (jobId) => inHand.get(jobId)?.cancel(),
    stopWhere(matches) {
      for (const claim of inHand.values()) if (matches(claim.row)) claim.stop()
    },
    async close() {
      await endWatch()
      await sweeper.close()
      await consumer?.close()
    },
  }
}

/**
 * Claims the job of a command. Undefined: it has ended, is gone, or is in another worker's hand, which needs no
 * command to be taken over. Throws RetryLater while it is not due.
 */
async function take(deps: WorkerDeps, leaseMs: number, jobId: string): Promise<JobClaim | undefined> {
  const now = deps.clock()
  const claim = randomUUID()
  const row = await claimJob(deps.sql, jobId, claim, now.toISOString())
  if (row) return new JobClaim({ sql: deps.sql, log: deps.log, leaseMs, row, claim })
  const other = await findJob(deps.sql.read, jobId)
  if (other?.status === 'pending' && other.retry_at)
    throw new RetryLater({ delayMs: Math.max(100, Date.parse(other.retry_at) - now.getTime()) })
  return undefined
}

/** A file that takes the whole process down with it would otherwise do so for ever. */
function refuseDeadly({ interruptions }: JobRow): void {
  if (interruptions < MAX_INTERRUPTIONS) return
  throw new PermanentFault(
    `The program that worked on it ended unexpectedly ${interruptions} times without getting any further, so it was given up. ` +
      'Look into the log for the cause, or split the file; then retry it.',
  )
}
