import type { Job } from '@mnemosyne/contracts'
import type { Clock, SchemaRecord, Sql } from '@mnemosyne/platform'
import { announceAll } from './accept.ts'
import { toJob } from './store/jobs.ts'
import { type IngestTables, ingestMigrations, type JobRow } from './store/tables.ts'
import { itemPrefix, originalKey } from './worker/fetch-source.ts'
import { contentKey, vectorsKey } from './worker/stage-results.ts'

/** What a backup has to know of the schema `ingest`. Vectors of jobs in hand are made again by their jobs. */
export const ingestSchema: SchemaRecord<IngestTables> = {
  schema: 'ingest',
  migrations: ingestMigrations,
  tables: {
    source_item: { key: ['library_uid', 'source_ref'] },
    job: { key: ['job_id'] },
    embedding_cache: 'left out',
    outbox: { key: ['id'], identity: 'id' },
  },
}

/** Of a job what decides which blobs it needs, and whether they are still those that it had. */
const BRIEF = [
  'job_id',
  'item_uid',
  'version',
  'status',
  'current',
  'source',
  's3_key',
  'content_hash',
  'embedding_model',
  'chunks_created',
  'retry_count',
  'completed_at',
] as const
export type JobBrief = Pick<JobRow, (typeof BRIEF)[number]>

/** Blobs of one item. */
export interface ItemBlobs {
  /** Whatever lies under these is the item's. */
  prefixes: string[]
  /** Uploads that its jobs wait for, or would when retried. */
  uploads: string[]
  /** Of each of these one has to be there. */
  needed: string[][]
  /** What is known of the SHA-256 of some. */
  hashes: Map<string, string>
}

/** The blobs that an item's jobs stand for. */
export function blobsOf(jobs: readonly JobBrief[]): ItemBlobs {
  const blobs: ItemBlobs = { prefixes: [], uploads: [], needed: [], hashes: new Map() }
  for (const job of jobs) {
    const ended = job.status === 'completed'
    if (ended && job.current === 0) continue
    if (job.status === 'failed' && job.current === 0) continue
    const original = originalKey(job)
    blobs.prefixes.push(`${itemPrefix(job.item_uid)}${job.content_hash}/`)
    blobs.hashes.set(original, job.content_hash)
    if (ended) {
      blobs.needed.push([original], [contentKey(job)])
      if (job.embedding_model !== null && job.chunks_created > 0) blobs.needed.push([vectorsKey(job)])
    } else if (job.source === 'upload') {
      blobs.uploads.push(job.s3_key)
      blobs.hashes.set(job.s3_key, job.content_hash)
      blobs.needed.push([job.s3_key, original])
    }
  }
  return { ...blobs, prefixes: [...new Set(blobs.prefixes)] }
}

/** Equal texts of two moments: the blobs that the jobs stand for did not change in between. */
export function stateOf(jobs: readonly JobBrief[]): string {
  return jobs
    .map((job) => BRIEF.map((column) => job[column]).join(' '))
    .sort()
    .join('\n')
}

export function briefOf(row: JobRow): JobBrief {
  return Object.fromEntries(BRIEF.map((column) => [column, row[column]])) as JobBrief
}

const PAGE = 1_000

/** Briefs of every job, by item, as they are at one moment. */
export function jobBriefs(sql: Sql<IngestTables>): Promise<Map<string, JobBrief[]>> {
  return sql.snapshot(async (db) => {
    const items = new Map<string, JobBrief[]>()
    for (let after = ''; ; ) {
      const rows = await db
        .selectFrom('job')
        .select(BRIEF)
        .where('job_id', '>', after)
        .orderBy('job_id')
        .limit(PAGE)
        .execute()
      for (const row of rows) items.set(row.item_uid, [...(items.get(row.item_uid) ?? []), row])
      if (rows.length < PAGE) return items
      after = rows.at(-1)!.job_id
    }
  })
}

/** All rows that belong to an item, by table, as they are at one moment. */
export function rowsOfItem(
  sql: Sql<IngestTables>,
  itemUid: string,
): Promise<{ job: JobRow[]; source_item: IngestTables['source_item'][] }> {
  return sql.snapshot(async (db) => ({
    job: await db.selectFrom('job').selectAll().where('item_uid', '=', itemUid).orderBy('job_id').execute(),
    source_item: await db.selectFrom('source_item').selectAll().where('item_uid', '=', itemUid).execute(),
  }))
}

/** Every job as callers see it, item by item. */
export async function* jobsByItem(sql: Sql<IngestTables>): AsyncGenerator<Job[]> {
  for (const itemUid of (await jobBriefs(sql)).keys()) yield (await rowsOfItem(sql, itemUid)).job.map(toJob)
}

/** After a restore: jobs that were in hand wait again, and all that wait are put into the queue. */
export async function resumeJobs(sql: Sql<IngestTables>, clock: Clock): Promise<number> {
  return sql.transaction(async (tx) => {
    await tx
      .updateTable('job')
      .set({ status: 'pending', stage: 'queued', claim: null })
      .where('status', '=', 'processing')
      .execute()
    const waiting = await tx.selectFrom('job').select('job_id').where('status', '=', 'pending').execute()
    await announceAll(
      tx,
      waiting.map(({ job_id }) => job_id),
      clock,
    )
    return waiting.length
  })
}
