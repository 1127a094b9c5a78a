import { randomUUID } from 'node:crypto'
import { type COMMANDS, EVENTS, type Job } from '@mnemosyne/contracts'
import type { GraphStore } from '@mnemosyne/graph'
import {
  type Clock,
  cloudEvent,
  isUniqueViolation,
  type Sql,
  traceHeaders,
  writeOutbox,
} from '@mnemosyne/platform'
import type { Transaction } from 'kysely'
import { currentJob, latestVersion, retireJob, toJob } from './store/jobs.ts'
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
 * submission made: in hand, failed, or completed with its content still the item's. Equal submissions at the
 * same moment make one job: the unique index on the triple decides, and the loser reads the winner's.
 */
export async function acceptSubmission(
  deps: AcceptDeps,
  submission: Submission,
): Promise<{ created: boolean; job: Job }> {
  for (let attempt = 0; ; attempt++) {
    try {
      const outcome = await deps.sql.transaction((tx) => findOrInsert(deps, tx, submission))
      if (outcome.created) deps.wakeRelay()
      // A deletion that has not been heard of yet: the item is gone from the graph, so its job answers nobody.
      if (
        !outcome.created &&
        outcome.row.status === 'completed' &&
        (await deps.graph.itemVersion(outcome.row.item_uid)) === null
      ) {
        await deps.sql.transaction((tx) => forgetItem(tx, outcome.row))
        continue
      }
      return { created: outcome.created, job: toJob(outcome.row) }
    } catch (error) {
      if (!isUniqueViolation(error) || attempt >= 5) throw error
    }
  }
}

async function findOrInsert(
  { clock }: AcceptDeps,
  tx: Transaction<IngestTables>,
  submission: Submission,
): Promise<{ created: boolean; row: JobRow }> {
  const known = await currentJob(tx, submission)
  const version = (await latestVersion(tx, submission.library_uid, submission.source_ref)) + 1
  if (known) {
    // A completed job that a newer version is about to replace does not stand for what was asked now.
    if (known.status !== 'completed' || known.version === version - 1) return { created: false, row: known }
    await retireJob(tx, known.job_id)
  }
  const now = clock().toISOString()
  const row: JobRow = {
    ...submission,
    untitled: submission.untitled ? 1 : 0,
    job_id: randomUUID(),
    version,
    status: 'pending',
    stage: 'queued',
    progress: 0,
    item_uid: await itemOf(tx, submission),
    chunks_created: 0,
    images_extracted: 0,
    concepts_extracted: 0,
    embedding_model: null,
    retry_count: 0,
    error: null,
    warnings: '[]',
    created_at: now,
    started_at: null,
    completed_at: null,
    current: 1,
    attempts: 0,
    claim: null,
    lease_until: null,
    retry_at: null,
    cancel_requested: 0,
  }
  await tx.insertInto('job').values(row).execute()
  await announce(tx, row.job_id, clock)
  await emitJobEvent(tx, 'ingest.job.accepted.v1', row, clock)
  return { created: true, row }
}

async function itemOf(tx: Transaction<IngestTables>, submission: Submission): Promise<string> {
  const { library_uid, source_ref } = submission
  const { item_uid } = await tx
    .insertInto('source_item')
    .values({ library_uid, source_ref, item_uid: randomUUID() })
    .onConflict((conflict) => conflict.columns(['library_uid', 'source_ref']).doUpdateSet({ source_ref }))
    .returning('item_uid')
    .executeTakeFirstOrThrow()
  return item_uid
}

async function forgetItem(tx: Transaction<IngestTables>, row: JobRow): Promise<void> {
  await tx.updateTable('job').set({ current: 0 }).where('item_uid', '=', row.item_uid).execute()
  await tx.deleteFrom('source_item').where('item_uid', '=', row.item_uid).execute()
}

/** Puts the job's command into the outbox: a worker will see it after the commit. */
export async function announce(tx: Transaction<IngestTables>, jobId: string, clock: Clock): Promise<void> {
  await writeOutbox(
    tx,
    { kind: 'command', destination: EMBEDDING_QUEUE, body: { job_id: jobId }, headers: traceHeaders() },
    clock,
  )
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
