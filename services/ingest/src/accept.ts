import { randomUUID } from 'node:crypto'
import { type COMMANDS, EVENTS, type Job } from '@mnemosyne/contracts'
import type { GraphStore } from '@mnemosyne/graph'
import {
  type Actor,
  announceAudit,
  type Clock,
  cloudEvent,
  isUniqueViolation,
  type Sql,
  traceHeaders,
  writeOutbox,
} from '@mnemosyne/platform'
import type { Transaction } from 'kysely'
import { UnavailableError } from './errors.ts'
import { completedItem, currentJob, latestVersion, retireJob, toJob } from './store/jobs.ts'
import type { IngestTables, JobRow } from './store/tables.ts'

export const EMBEDDING_QUEUE = 'ingest.embedding' satisfies keyof typeof COMMANDS

/** What a request to take in a file says, its target resolved. */
export interface Submission {
  library_uid: string
  collection_uid: string | null
  title: string
  /** The title is only the file's name. */
  untitled?: boolean
  s3_key: string
  source: 'daedalus' | 'spelunker' | 'upload'
  source_ref: string
  content_hash: string
  file_type: string
  file_size: number
}

export interface AcceptDeps {
  sql: Sql<IngestTables>
  graph: Pick<GraphStore, 'itemVersion'>
  clock: Clock
  wakeRelay: () => void
}

/**
 * Makes the job of a submission, in one transaction with its command and event, or finds the one that an equal
 * submission made: in hand, failed, or completed with its content still the item's, and overtaken by no other
 * version. Equal submissions at the same moment make one job: the document's row is locked, and a unique index
 * stands behind that.
 */
export async function acceptSubmission(
  deps: AcceptDeps,
  by: Actor,
  submission: Submission,
): Promise<{ created: boolean; job: Job }> {
  for (let attempt = 1; ; attempt++) {
    try {
      const stored = await storedVersion(deps, submission)
      const { created, row } = await deps.sql.transaction((tx) =>
        findOrInsert(deps, tx, by, submission, stored),
      )
      if (created) deps.wakeRelay()
      return { created, job: toJob(row) }
    } catch (error) {
      if (!isUniqueViolation(error) || attempt === MAX_ATTEMPTS) throw error
    }
  }
}

const MAX_ATTEMPTS = 5

/** The version that the graph holds of the document; 0 when there is none. */
async function storedVersion({ sql, graph }: AcceptDeps, submission: Submission): Promise<number> {
  const item = await completedItem(sql, submission)
  if (!item) return 0
  let version: number | null
  try {
    version = await graph.itemVersion(item)
  } catch (cause) {
    throw new UnavailableError('graph store', { cause })
  }
  // Deleted, and that has not been heard of yet: its jobs answer nobody, and what comes now is another item.
  if (version === null) await sql.transaction((tx) => forgetItem(tx, item))
  return version ?? 0
}

async function findOrInsert(
  { clock }: AcceptDeps,
  tx: Transaction<IngestTables>,
  by: Actor,
  submission: Submission,
  stored: number,
): Promise<{ created: boolean; row: JobRow }> {
  const item_uid = await lockItem(tx, submission)
  const known = await currentJob(tx, submission)
  if (known) {
    const latest = await latestVersion(tx, submission, { failedToo: false })
    if (known.version >= Math.max(latest, stored)) return { created: false, row: known }
    await retireJob(tx, known.job_id)
  }
  const version = (await latestVersion(tx, submission, { failedToo: true })) + 1
  const row = newJob({ ...submission, acting_user: by.actor }, item_uid, version, clock)
  await tx.insertInto('job').values(row).execute()
  await announce(tx, row.job_id, clock)
  await emitJobEvent(tx, 'ingest.job.accepted.v1', row, clock)
  await auditJob(tx, 'job.accepted', row, by, clock)
  return { created: true, row }
}

/** Tells the audit log what somebody did with a job, in the transaction that does it. */
export async function auditJob(
  tx: Transaction<IngestTables>,
  action: 'job.accepted' | 'job.retried' | 'job.cancelled',
  { job_id, library_uid, item_uid, source }: JobRow,
  by: Actor,
  clock: Clock,
): Promise<void> {
  const context = { clock, ids: randomUUID }
  const detail = { library_uid, item_uid, source }
  await announceAudit(tx, 'ingest', context, by, { action, target: job_id, detail })
}

function newJob(
  submission: Submission & Pick<JobRow, 'acting_user'>,
  item_uid: string,
  version: number,
  clock: Clock,
): JobRow {
  return {
    ...submission,
    untitled: submission.untitled ? 1 : 0,
    job_id: randomUUID(),
    version,
    status: 'pending',
    stage: 'queued',
    progress: 0,
    item_uid,
    chunks_created: 0,
    images_extracted: 0,
    concepts_extracted: 0,
    embedding_model: null,
    retry_count: 0,
    error: null,
    warnings: '[]',
    created_at: clock().toISOString(),
    started_at: null,
    completed_at: null,
    current: 1,
    attempts: 0,
    interruptions: 0,
    claim: null,
    heartbeat: 0,
    retry_at: null,
    cancel_requested: 0,
  }
}

/** The item that the document is, made with its first submission; its row stays locked for the transaction. */
async function lockItem(tx: Transaction<IngestTables>, submission: Submission): Promise<string> {
  const { library_uid, source_ref } = submission
  const { item_uid } = await tx
    .insertInto('source_item')
    .values({ library_uid, source_ref, item_uid: randomUUID() })
    .onConflict((conflict) => conflict.columns(['library_uid', 'source_ref']).doUpdateSet({ source_ref }))
    .returning('item_uid')
    .executeTakeFirstOrThrow()
  return item_uid
}

async function forgetItem(tx: Transaction<IngestTables>, itemUid: string): Promise<void> {
  await tx.updateTable('job').set({ current: 0 }).where('item_uid', '=', itemUid).execute()
  await tx.deleteFrom('source_item').where('item_uid', '=', itemUid).execute()
}

/** Puts the job's command into the outbox: a worker will see it after the commit. */
export async function announce(tx: Transaction<IngestTables>, jobId: string, clock: Clock): Promise<void> {
  await writeOutbox(
    tx,
    { kind: 'command', destination: EMBEDDING_QUEUE, body: { job_id: jobId }, headers: traceHeaders() },
    clock,
  )
}

/** Puts jobs into the queue (again): more commands than jobs are harmless, a job without one waits for ever. */
export async function announceAll(
  tx: Transaction<IngestTables>,
  jobIds: string[],
  clock: Clock,
): Promise<void> {
  for (const jobId of jobIds) await announce(tx, jobId, clock)
}

type JobEvent = 'ingest.job.accepted.v1' | 'ingest.job.completed.v1' | 'ingest.job.failed.v1'

/** Puts an event that carries the job into the outbox, in the transaction that changed it. */
export async function emitJobEvent(
  tx: Transaction<IngestTables>,
  type: JobEvent,
  row: JobRow,
  clock: Clock,
): Promise<void> {
  const id = randomUUID()
  const data = EVENTS[type].parse(toJob(row))
  const { traceparent } = traceHeaders()
  const event = cloudEvent({ type, source: '/ingest', id, time: clock(), data, traceparent })
  await writeOutbox(tx, { kind: 'event', destination: type, id, body: event, headers: traceHeaders() }, clock)
}
