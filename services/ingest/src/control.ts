import type { GraphStore } from '@mnemosyne/graph'
import type { Actor, Clock, Logger, Sql } from '@mnemosyne/platform'
import type { Transaction } from 'kysely'
import { announce, auditJob, emitJobEvent } from './accept.ts'
import { JobNotFoundError, JobStateError } from './errors.ts'
import { findJob } from './store/jobs.ts'
import type { IngestTables, JobRow } from './store/tables.ts'
import { markItemFailed } from './worker/item-node.ts'

export interface ControlDeps {
  sql: Sql<IngestTables>
  graph: Pick<GraphStore, 'getItem' | 'putItem'>
  clock: Clock
  log: Logger
  wakeRelay: () => void
  /** Tells a worker in this process to stop the job at once. */
  abort: (jobId: string) => void
}

export const CANCELLED = 'Cancelled.'

/** Makes a failed job pending again, on the account of who retries it; what its stages had made is still there. */
export async function retryJob(
  { sql, clock, wakeRelay }: ControlDeps,
  by: Actor,
  jobId: string,
): Promise<JobRow> {
  const row = await sql.transaction(async (tx) => {
    const retried = await tx
      .updateTable('job')
      .set((eb) => ({
        status: 'pending',
        stage: 'queued',
        progress: 0,
        error: null,
        completed_at: null,
        attempts: 0,
        interruptions: 0,
        cancel_requested: 0,
        retry_at: null,
        acting_user: by.actor,
        retry_count: eb('retry_count', '+', 1),
      }))
      .where('job_id', '=', jobId)
      .where('status', '=', 'failed')
      .returningAll()
      .executeTakeFirst()
    if (!retried) return refuse(await findJob(tx, jobId), 'Only a failed job can be retried')
    await announce(tx, jobId, clock)
    await auditJob(tx, 'job.retried', retried, by, clock)
    return retried
  })
  wakeRelay()
  return row
}

/**
 * Ends a pending job now; asks the worker of one in hand to stop, which it does before its next effect. A job
 * whose content is already being swapped in may still complete.
 */
export async function cancelJob(deps: ControlDeps, by: Actor, jobId: string): Promise<JobRow> {
  const row = await deps.sql.transaction(async (tx) => {
    const stopped =
      (await endPending(tx, jobId, deps.clock)) ??
      (await askToStop(tx, jobId)) ??
      refuse(await findJob(tx, jobId), 'Only a job that has not ended can be cancelled')
    await auditJob(tx, 'job.cancelled', stopped, by, deps.clock)
    return stopped
  })
  deps.wakeRelay()
  deps.abort(jobId)
  if (row.status === 'failed') await markItemFailed(deps, row)
  return row
}

async function endPending(
  tx: Transaction<IngestTables>,
  jobId: string,
  clock: Clock,
): Promise<JobRow | undefined> {
  const ended = await tx
    .updateTable('job')
    .set({ status: 'failed', error: CANCELLED, completed_at: clock().toISOString(), retry_at: null })
    .where('job_id', '=', jobId)
    .where('status', '=', 'pending')
    .returningAll()
    .executeTakeFirst()
  if (ended) await emitJobEvent(tx, 'ingest.job.failed.v1', ended, clock)
  return ended
}

async function askToStop(tx: Transaction<IngestTables>, jobId: string): Promise<JobRow | undefined> {
  return tx
    .updateTable('job')
    .set({ cancel_requested: 1 })
    .where('job_id', '=', jobId)
    .where('status', '=', 'processing')
    .returningAll()
    .executeTakeFirst()
}

function refuse(row: JobRow | undefined, rule: string): never {
  if (!row) throw new JobNotFoundError()
  throw new JobStateError(`${rule}; this one is ${row.status}.`)
}
