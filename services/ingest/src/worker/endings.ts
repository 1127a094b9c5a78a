import { RetryLater } from '@mnemosyne/platform'
import { emitJobEvent } from '../accept.ts'
import { CANCELLED } from '../control.ts'
import { ClaimLost } from '../errors.ts'
import { findJob, updateClaimed } from '../store/jobs.ts'
import type { JobRow } from '../store/tables.ts'
import { isClosing, passingCause, permanentReason } from './faults.ts'
import { itemPrefix } from './fetch-source.ts'
import { markItemFailed } from './item-node.ts'
import type { JobClaim } from './job-claim.ts'
import type { JobOutcome } from './job-metrics.ts'
import { clearStageResults, type RunDeps } from './run-job.ts'

export interface RetrySchedule {
  retries: number
  firstRetryMs: number
  maxRetryMs: number
}

/**
 * Decides what a job that did not complete becomes: failed, pending again, or nobody's business any more. Throws
 * RetryLater and ClaimLost, by which its message comes again.
 */
export async function settle(
  deps: RunDeps,
  schedule: RetrySchedule,
  claim: JobClaim,
  error: unknown,
  closing: boolean,
): Promise<JobOutcome> {
  const { row } = claim
  if (claim.cancelled) return (await fail(deps, claim, CANCELLED)) === 'gone' ? 'gone' : 'cancelled'
  if (closing || isClosing(error)) return handBack(deps, claim)
  if (claim.signal.aborted || error instanceof ClaimLost) return clearIfGone(deps, row)
  const permanent = permanentReason(error)
  if (permanent !== undefined) {
    deps.log.info({ err: error, job_id: row.job_id }, 'job failed')
    return fail(deps, claim, permanent)
  }
  return retryOrFail(deps, schedule, claim, error)
}

async function retryOrFail(
  deps: RunDeps,
  { retries, firstRetryMs, maxRetryMs }: RetrySchedule,
  claim: JobClaim,
  error: unknown,
): Promise<JobOutcome> {
  const attempts = claim.row.attempts + 1
  deps.log.warn({ err: error, job_id: claim.row.job_id, attempts }, 'job met a fault that may pass')
  if (attempts > retries) {
    const times = attempts === 1 ? 'at the first attempt' : `after ${attempts} attempts`
    const reason = `It did not work ${times}: ${passingCause(error)}. Retry it when that is mended.`
    return fail(deps, claim, reason)
  }
  const delayMs = Math.min(firstRetryMs * 2 ** (attempts - 1), maxRetryMs)
  const retry_at = new Date(deps.clock().getTime() + delayMs).toISOString()
  const again = await change(deps, claim, { status: 'pending', stage: 'queued', attempts, retry_at })
  if (!again) return clearIfGone(deps, claim.row)
  throw new RetryLater({ delayMs, cause: error })
}

async function fail(deps: RunDeps, claim: JobClaim, reason: string): Promise<JobOutcome> {
  const completed_at = deps.clock().toISOString()
  const row = await change(deps, claim, { status: 'failed', error: reason, completed_at })
  if (!row) return clearIfGone(deps, claim.row)
  await markItemFailed(deps, row)
  return 'failed'
}

/** The process is stopping: the job goes back as it was, for whoever comes next. */
async function handBack(deps: RunDeps, claim: JobClaim): Promise<JobOutcome> {
  const back = await change(deps, claim, { status: 'pending', stage: 'queued' })
  if (!back) return clearIfGone(deps, claim.row)
  throw new ClaimLost()
}

async function change(deps: RunDeps, claim: JobClaim, to: Partial<JobRow>): Promise<JobRow | undefined> {
  const changed = await deps.sql.transaction(async (tx) => {
    const row = await updateClaimed(tx, claim.row.job_id, claim.claim, { claim: null, ...to })
    if (row?.status === 'failed') await emitJobEvent(tx, 'ingest.job.failed.v1', row, deps.clock)
    return row
  })
  deps.wakeRelay()
  return changed
}

/** After the job's row went with its item or library, what this worker still wrote goes too. */
async function clearIfGone(deps: RunDeps, row: JobRow): Promise<JobOutcome> {
  if (await findJob(deps.sql.read, row.job_id)) return 'handed_back'
  await clearStageResults(deps, row)
  await deps.blobs.deletePrefix(itemPrefix(row.item_uid))
  await deps.graph.deleteItem(row.item_uid)
  return 'gone'
}
