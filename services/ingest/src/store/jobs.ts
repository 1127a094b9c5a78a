import type { Job, JobStatus, Page } from '@mnemosyne/contracts'
import type { Sql } from '@mnemosyne/platform'
import type { Transaction } from 'kysely'
import type { IngestTables, JobRow } from './tables.ts'

type Tx = Transaction<IngestTables>
type IngestSql = Sql<IngestTables>

/** The job as callers see it. */
export function toJob(row: JobRow): Job {
  const {
    version: _v,
    current: _c,
    attempts: _a,
    interruptions: _i,
    claim: _cl,
    heartbeat: _h,
    retry_at: _r,
    cancel_requested: _x,
    untitled: _u,
    acting_user: _au,
    ...job
  } = row
  return { ...job, warnings: JSON.parse(row.warnings) as string[] }
}

export async function findJob(db: IngestSql['read'] | Tx, jobId: string): Promise<JobRow | undefined> {
  return db.selectFrom('job').selectAll().where('job_id', '=', jobId).executeTakeFirst()
}

/** Jobs of `libraries`, or all there are, newest first. */
export async function listJobs(
  sql: IngestSql,
  filter: { libraries: string[] | 'all'; status?: JobStatus } & Pick<PageOf, 'limit' | 'offset'>,
): Promise<{ jobs: JobRow[]; total: number }> {
  if (filter.libraries.length === 0) return { jobs: [], total: 0 }
  let query = sql.read.selectFrom('job')
  if (filter.libraries !== 'all') query = query.where('library_uid', 'in', filter.libraries)
  if (filter.status) query = query.where('status', '=', filter.status)
  const { total } = await query.select((eb) => eb.fn.countAll<number>().as('total')).executeTakeFirstOrThrow()
  const jobs = await query
    .selectAll()
    .orderBy('created_at', 'desc')
    .orderBy('job_id')
    .limit(filter.limit)
    .offset(filter.offset)
    .execute()
  return { jobs, total }
}

type PageOf = ReturnType<typeof Page.parse>

/** The job that answers a repeated request for the triple, if there is one. */
export async function currentJob(
  tx: Tx,
  triple: Pick<JobRow, 'library_uid' | 'source_ref' | 'content_hash'>,
): Promise<JobRow | undefined> {
  return tx
    .selectFrom('job')
    .selectAll()
    .where('library_uid', '=', triple.library_uid)
    .where('source_ref', '=', triple.source_ref)
    .where('content_hash', '=', triple.content_hash)
    .where('current', '=', 1)
    .executeTakeFirst()
}

/** The highest version among the jobs of a source's document, the failed ones left out or not; 0 without any. */
export async function latestVersion(
  tx: Tx,
  { library_uid, source_ref }: Pick<JobRow, 'library_uid' | 'source_ref'>,
  options: { failedToo: boolean },
): Promise<number> {
  let query = tx
    .selectFrom('job')
    .select((eb) => eb.fn.max('version').as('version'))
    .where('library_uid', '=', library_uid)
    .where('source_ref', '=', source_ref)
  if (!options.failedToo) query = query.where('status', '<>', 'failed')
  return (await query.executeTakeFirst())?.version ?? 0
}

/** The item of a source's document, when a version of it has been taken in. */
export async function completedItem(
  sql: IngestSql,
  { library_uid, source_ref }: Pick<JobRow, 'library_uid' | 'source_ref'>,
): Promise<string | undefined> {
  const row = await sql.read
    .selectFrom('source_item')
    .innerJoin('job', 'job.item_uid', 'source_item.item_uid')
    .select('source_item.item_uid')
    .where('source_item.library_uid', '=', library_uid)
    .where('source_item.source_ref', '=', source_ref)
    .where('job.status', '=', 'completed')
    .executeTakeFirst()
  return row?.item_uid
}

export async function retireJob(tx: Tx, jobId: string): Promise<void> {
  await tx.updateTable('job').set({ current: 0 }).where('job_id', '=', jobId).execute()
}

/**
 * Takes a pending job that is due for `claim`. Undefined when it is not: one conditional UPDATE, so that of two
 * workers one wins.
 */
export async function claimJob(
  sql: IngestSql,
  jobId: string,
  claim: string,
  now: string,
): Promise<JobRow | undefined> {
  return sql.transaction(
    (tx) =>
      tx
        .updateTable('job')
        .set((eb) => ({
          status: 'processing',
          claim,
          retry_at: null,
          started_at: eb.fn.coalesce('started_at', eb.val(now)),
        }))
        .where('job_id', '=', jobId)
        .where('status', '=', 'pending')
        .where((eb) => eb.or([eb('retry_at', 'is', null), eb('retry_at', '<=', now)]))
        .returningAll()
        .executeTakeFirst(),
    // A claim that a power cut takes back leaves the job to be claimed.
    { durable: false },
  )
}

/** Changes a job that `claim` still holds; undefined when it does not any more. */
export async function updateClaimed(
  tx: Tx,
  jobId: string,
  claim: string,
  change: Partial<JobRow>,
): Promise<JobRow | undefined> {
  return tx
    .updateTable('job')
    .set(change)
    .where('job_id', '=', jobId)
    .where('claim', '=', claim)
    .where('status', '=', 'processing')
    .returningAll()
    .executeTakeFirst()
}

/** A sign of life of the job's worker, with what it has to tell. Undefined when the claim is lost. */
export async function giveSign(
  sql: IngestSql,
  jobId: string,
  claim: string,
  change: Partial<Pick<JobRow, 'stage' | 'progress' | 'interruptions'>>,
): Promise<JobRow | undefined> {
  return sql.transaction(
    (tx) =>
      tx
        .updateTable('job')
        .set((eb) => ({ ...change, heartbeat: eb('heartbeat', '+', 1) }))
        .where('job_id', '=', jobId)
        .where('claim', '=', claim)
        .where('status', '=', 'processing')
        .returningAll()
        .executeTakeFirst(),
    { durable: false },
  )
}

/** The last sign of life of each job in hand. */
export async function signsOfLife(sql: IngestSql): Promise<Pick<JobRow, 'job_id' | 'claim' | 'heartbeat'>[]> {
  return sql.read
    .selectFrom('job')
    .select(['job_id', 'claim', 'heartbeat'])
    .where('status', '=', 'processing')
    .execute()
}

/**
 * Takes jobs in hand from workers that died: `dead` by its last sign, or every one. Returns the jobs' ids. That
 * a worker died counts against those with which it had begun more than the copying of their file.
 */
export async function releaseJobs(
  tx: Tx,
  dead: Pick<JobRow, 'job_id' | 'claim' | 'heartbeat'> | 'all',
): Promise<string[]> {
  let query = tx
    .updateTable('job')
    .set((eb) => ({
      status: 'pending',
      stage: 'queued',
      claim: null,
      interruptions: eb
        .case()
        .when('stage', 'in', ['queued', 'fetching'])
        .then(eb.ref('interruptions'))
        .else(eb('interruptions', '+', 1))
        .end(),
    }))
    .where('status', '=', 'processing')
  if (dead !== 'all') {
    query = query
      .where('job_id', '=', dead.job_id)
      .where('claim', '=', dead.claim)
      .where('heartbeat', '=', dead.heartbeat)
  }
  const rows = await query.returning('job_id').execute()
  return rows.map((row) => row.job_id)
}

/**
 * Once `row`'s content is the item's, the jobs of older versions, but those in hand, stop being current.
 * Returns them.
 */
export async function retireOlder(tx: Tx, row: JobRow): Promise<JobRow[]> {
  return tx
    .updateTable('job')
    .set({ current: 0 })
    .where('item_uid', '=', row.item_uid)
    .where('version', '<', row.version)
    .where('status', 'in', ['completed', 'failed'])
    .where('current', '=', 1)
    .returningAll()
    .execute()
}

/** Whether a job stands for this version of an item, or is about to: then its blobs stay. */
export async function isVersionNeeded(
  sql: IngestSql,
  version: Pick<JobRow, 'item_uid' | 'content_hash'>,
): Promise<boolean> {
  const job = await sql.read
    .selectFrom('job')
    .select('job_id')
    .where('item_uid', '=', version.item_uid)
    .where('content_hash', '=', version.content_hash)
    .where((eb) => eb.or([eb('current', '=', 1), eb('status', 'in', ['pending', 'processing'])]))
    .executeTakeFirst()
  return job !== undefined
}

/** Ids of pending jobs, oldest first; with `dueAt` only those that need not wait for a retry any more. */
export async function pendingJobs(
  sql: IngestSql,
  { dueAt, limit }: { dueAt?: string; limit?: number } = {},
): Promise<string[]> {
  let query = sql.read
    .selectFrom('job')
    .select('job_id')
    .where('status', '=', 'pending')
    .orderBy('created_at')
  if (dueAt) query = query.where((eb) => eb.or([eb('retry_at', 'is', null), eb('retry_at', '<=', dueAt)]))
  if (limit) query = query.limit(limit)
  return (await query.execute()).map((row) => row.job_id)
}

/** How many jobs wait for a worker, those that wait for a retry among them, and when the oldest was accepted. */
export async function pendingBacklog(sql: IngestSql): Promise<{ count: number; oldest: string | null }> {
  return sql.read
    .selectFrom('job')
    .select(({ fn }) => [fn.countAll<number>().as('count'), fn.min('created_at').as('oldest')])
    .where('status', '=', 'pending')
    .executeTakeFirstOrThrow()
}

/** Makes pending again what was taken in while there was no model. Returns the jobs' ids. */
export async function reopenUnembedded(tx: Tx): Promise<string[]> {
  const rows = await tx
    .updateTable('job')
    .set({
      status: 'pending',
      stage: 'queued',
      progress: 0,
      completed_at: null,
      attempts: 0,
      interruptions: 0,
    })
    .where('status', '=', 'completed')
    .where('stage', '=', 'completed')
    .where('current', '=', 1)
    .where('chunks_created', '>', 0)
    .where('embedding_model', 'is', null)
    .returning('job_id')
    .execute()
  return rows.map((row) => row.job_id)
}
