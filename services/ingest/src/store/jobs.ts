import type { Job, JobStage, JobStatus, Page } from '@mnemosyne/contracts'
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
    claim: _cl,
    lease_until: _l,
    retry_at: _r,
    cancel_requested: _x,
    untitled: _u,
    ...job
  } = row
  return { ...job, warnings: JSON.parse(row.warnings) as string[] }
}

export async function findJob(db: IngestSql['read'] | Tx, jobId: string): Promise<JobRow | undefined> {
  return db.selectFrom('job').selectAll().where('job_id', '=', jobId).executeTakeFirst()
}

/** Jobs of `libraries`, newest first. */
export async function listJobs(
  sql: IngestSql,
  filter: { libraries: string[]; status?: JobStatus } & Pick<PageOf, 'limit' | 'offset'>,
): Promise<{ jobs: JobRow[]; total: number }> {
  if (filter.libraries.length === 0) return { jobs: [], total: 0 }
  let query = sql.read.selectFrom('job').where('library_uid', 'in', filter.libraries)
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

/** The highest version among the jobs of a source's document; 0 when there is none. */
export async function latestVersion(tx: Tx, library_uid: string, source_ref: string): Promise<number> {
  const row = await tx
    .selectFrom('job')
    .select((eb) => eb.fn.max('version').as('version'))
    .where('library_uid', '=', library_uid)
    .where('source_ref', '=', source_ref)
    .executeTakeFirst()
  return row?.version ?? 0
}

export async function retireJob(tx: Tx, jobId: string): Promise<void> {
  await tx.updateTable('job').set({ current: 0 }).where('job_id', '=', jobId).execute()
}

/**
 * Takes a pending job, or one whose worker's lease ran out, for `claim`. Undefined when another worker has it,
 * it is not due yet, or it has ended: one conditional UPDATE, so that of two workers one wins.
 */
export async function claimJob(
  sql: IngestSql,
  jobId: string,
  claim: string,
  now: string,
  leaseUntil: string,
): Promise<JobRow | undefined> {
  return sql.transaction(
    (tx) =>
      tx
        .updateTable('job')
        .set((eb) => ({
          status: 'processing',
          claim,
          lease_until: leaseUntil,
          retry_at: null,
          started_at: eb.fn.coalesce('started_at', eb.val(now)),
        }))
        .where('job_id', '=', jobId)
        .where((eb) =>
          eb.or([
            eb.and([
              eb('status', '=', 'pending'),
              eb.or([eb('retry_at', 'is', null), eb('retry_at', '<=', now)]),
            ]),
            eb.and([eb('status', '=', 'processing'), eb('lease_until', '<=', now)]),
          ]),
        )
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

/** Renews the lease and notes the progress. Undefined when the claim is lost. */
export async function noteProgress(
  sql: IngestSql,
  jobId: string,
  claim: string,
  leaseUntil: string,
  progress?: { stage: JobStage; progress: number },
): Promise<JobRow | undefined> {
  return sql.transaction((tx) => updateClaimed(tx, jobId, claim, { lease_until: leaseUntil, ...progress }), {
    durable: false,
  })
}

/**
 * Once `row`'s content is the item's, older answers for the document stop being current. Returns the content
 * hashes whose blobs nobody needs any more: those of the versions replaced, unless a newer job has them again.
 */
export async function retireOlder(tx: Tx, row: JobRow): Promise<string[]> {
  const replaced = await tx
    .updateTable('job')
    .set({ current: 0 })
    .where('item_uid', '=', row.item_uid)
    .where('version', '<', row.version)
    .where('status', '=', 'completed')
    .where('current', '=', 1)
    .returning('content_hash')
    .execute()
  const wanted = await tx
    .selectFrom('job')
    .select('content_hash')
    .where('item_uid', '=', row.item_uid)
    .where('version', '>=', row.version)
    .execute()
  const keep = new Set(wanted.map(({ content_hash }) => content_hash))
  return replaced.map(({ content_hash }) => content_hash).filter((hash) => !keep.has(hash))
}

/** Ids of pending jobs, and of those whose worker died: everything that should be announced again. */
export async function abandonedJobs(
  sql: IngestSql,
  now: string,
  options: { pendingToo: boolean },
): Promise<string[]> {
  const rows = await sql.read
    .selectFrom('job')
    .select('job_id')
    .where((eb) =>
      eb.or([
        eb.and([eb('status', '=', 'processing'), eb('lease_until', '<=', now)]),
        ...(options.pendingToo ? [eb('status', '=', 'pending')] : []),
      ]),
    )
    .orderBy('created_at')
    .execute()
  return rows.map((row) => row.job_id)
}

/** Ends every lease. Only for a process that knows that no other worker lives. */
export async function releaseAll(sql: IngestSql): Promise<void> {
  await sql.transaction((tx) =>
    tx
      .updateTable('job')
      .set({ status: 'pending', claim: null, lease_until: null })
      .where('status', '=', 'processing')
      .execute(),
  )
}
