import type { GraphStore } from '@mnemosyne/graph'
import type { BlobStore, Sql } from '@mnemosyne/platform'
import type { IngestTables } from './store/tables.ts'
import { itemPrefix, jobPrefix } from './worker/fetch-source.ts'

export interface ForgetDeps {
  sql: Sql<IngestTables>
  blobs: BlobStore
  graph: Pick<GraphStore, 'deleteItem'>
}

/**
 * Removes the jobs, stage results and blobs of a deleted library or item. Rows first: a worker that loses its row
 * stops, and clears what it wrote after this.
 */
export async function forget(deps: ForgetDeps, by: 'library_uid' | 'item_uid', uid: string): Promise<void> {
  const items = await itemsOf(deps.sql, by, uid)
  const jobs = await deps.sql.transaction(async (tx) => {
    await tx
      .deleteFrom('embedding_cache')
      .where('job_id', 'in', tx.selectFrom('job').select('job_id').where(by, '=', uid))
      .execute()
    const gone = await tx
      .deleteFrom('job')
      .where(by, '=', uid)
      .returning(['job_id', 'source', 's3_key'])
      .execute()
    await tx.deleteFrom('source_item').where(by, '=', uid).execute()
    return gone
  })
  // A job that began between the deletion and its event has put the item back.
  if (by === 'item_uid') await deps.graph.deleteItem(uid)
  for (const { job_id, source, s3_key } of jobs) {
    await deps.blobs.deletePrefix(jobPrefix(job_id))
    if (source === 'upload') await deps.blobs.delete(s3_key)
  }
  for (const item of items) await deps.blobs.deletePrefix(itemPrefix(item))
}

async function itemsOf(
  sql: Sql<IngestTables>,
  by: 'library_uid' | 'item_uid',
  uid: string,
): Promise<string[]> {
  if (by === 'item_uid') return [uid]
  const mapped = await sql.read
    .selectFrom('source_item')
    .select('item_uid')
    .where('library_uid', '=', uid)
    .execute()
  const worked = await sql.read
    .selectFrom('job')
    .select('item_uid')
    .distinct()
    .where('library_uid', '=', uid)
    .execute()
  return [...new Set([...mapped, ...worked].map((row) => row.item_uid))]
}
