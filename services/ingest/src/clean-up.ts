import type { BlobStore, Logger, Sql } from '@mnemosyne/platform'
import { beganBefore, UPLOADS } from './routes/upload.ts'
import { isVersionNeeded } from './store/jobs.ts'
import type { IngestTables } from './store/tables.ts'

interface CleanUpDeps {
  sql: Sql<IngestTables>
  blobs: BlobStore
  log: Logger
}

/** No upload takes longer; one that began before and has no job was cut short. */
const UPLOAD_MS = 24 * 3_600_000

/**
 * Removes uploads that no job is about: the process died while they came in. An upload's blob is there before its job,
 * so where others may take uploads at this moment only those that began a day ago are looked at.
 */
export async function dropUnclaimedUploads(
  { sql, blobs, log }: CleanUpDeps,
  { alone, now }: { alone: boolean; now: Date },
): Promise<void> {
  const rows = await sql.read
    .selectFrom('job')
    .select('s3_key')
    .where('source', '=', 'upload')
    .where('status', '<>', 'completed')
    .execute()
  const wanted = new Set(rows.map((row) => row.s3_key))
  let dropped = 0
  for await (const key of blobs.list(UPLOADS)) {
    if (wanted.has(key) || !(alone || beganBefore(key, now.getTime() - UPLOAD_MS))) continue
    await blobs.delete(key)
    dropped++
  }
  if (dropped > 0) log.info({ blobs: dropped }, 'uploads without a job removed')
}

/**
 * Removes what a process left that died between a job's end and its tidying: stage results of jobs that have
 * ended well or are gone, and versions of items that no job stands for. Safe beside working jobs: a job's row is
 * there before its first blob.
 */
export async function dropLeftovers({ sql, blobs, log }: CleanUpDeps, signal: AbortSignal): Promise<void> {
  let dropped = 0
  const drop = async (prefix: string) => {
    dropped += await blobs.deletePrefix(prefix)
  }
  for await (const [jobId] of foldersIn(blobs, 'jobs/', 1)) {
    if (signal.aborted) return
    const job = await sql.read
      .selectFrom('job')
      .select('status')
      .where('job_id', '=', jobId!)
      .executeTakeFirst()
    if (!job || job.status === 'completed') await drop(`jobs/${jobId}/`)
  }
  for await (const [itemUid, hash] of foldersIn(blobs, 'items/', 2)) {
    if (signal.aborted) return
    if (!(await isVersionNeeded(sql, { item_uid: itemUid!, content_hash: hash! })))
      await drop(`items/${itemUid}/${hash}/`)
  }
  await dropUnusedVectors(sql)
  if (dropped > 0) log.info({ blobs: dropped }, 'blobs that nothing refers to removed')
}

async function dropUnusedVectors(sql: Sql<IngestTables>): Promise<void> {
  await sql.transaction((tx) =>
    tx
      .deleteFrom('embedding_cache')
      .where('job_id', 'not in', tx.selectFrom('job').select('job_id').where('status', '<>', 'completed'))
      .execute(),
  )
}

/** The distinct first `depth` folders of the keys under `prefix`; keys come in order, so each comes once. */
async function* foldersIn(blobs: BlobStore, prefix: string, depth: number): AsyncGenerator<string[]> {
  let last = ''
  for await (const key of blobs.list(prefix)) {
    const folders = key.slice(prefix.length).split('/').slice(0, depth)
    const name = folders.join('/')
    if (name !== last) yield folders
    last = name
  }
}
