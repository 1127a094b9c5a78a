import type { Job } from '@mnemosyne/contracts'
import type { Sql } from '@mnemosyne/platform'
import type { Kysely, Transaction } from 'kysely'
import { liveLibrary } from './libraries.ts'
import type { ItemRow, LibraryTables } from './tables.ts'

type Tx = Transaction<LibraryTables>

export function findItem(db: Kysely<LibraryTables>, uid: string): Promise<ItemRow | undefined> {
  return db.selectFrom('item').selectAll().where('uid', '=', uid).executeTakeFirst()
}

/**
 * Takes what a job's event says into the item's record. Events may come twice and in any order: what counts is
 * `jobOrder`. Nothing is taken of an item that was deleted after the job was accepted, or whose library is gone.
 */
export async function recordJob(sql: Sql<LibraryTables>, job: Job): Promise<void> {
  if (job.stage === 'superseded') return
  await sql.transaction(
    async (tx) => {
      if (!(await liveLibrary(tx, job.library_uid)) || (await deletedSince(tx, job))) return
      await tx
        .insertInto('item')
        .values(itemRow(job))
        .onConflict((conflict) =>
          conflict
            .column('uid')
            .doUpdateSet(({ ref }) => updatedColumns((column) => ref(`excluded.${column}`)))
            .whereRef('item.job_order', '<', 'excluded.job_order'),
        )
        .execute()
      await tx
        .updateTable('item')
        .set({ created_at: job.created_at })
        .where('uid', '=', job.item_uid)
        .where('created_at', '>', job.created_at)
        .execute()
    },
    // Against a deletion of the item at the same moment, which neither would see of the other.
    { isolation: 'serializable' },
  )
}

/** Call it in a serializable transaction. */
export async function markItemDeleted(
  tx: Tx,
  item: { uid: string; library_uid: string },
  at: string,
): Promise<void> {
  await tx
    .insertInto('item_deletion')
    .values({ item_uid: item.uid, library_uid: item.library_uid, deleted_at: at, finished: 0 })
    .onConflict((conflict) => conflict.column('item_uid').doUpdateSet({ deleted_at: at, finished: 0 }))
    .execute()
  await tx.deleteFrom('item').where('uid', '=', item.uid).execute()
}

/** Items whose deletion has not reached the graph. */
export async function unfinishedItemDeletions(db: Kysely<LibraryTables>): Promise<string[]> {
  const rows = await db.selectFrom('item_deletion').select('item_uid').where('finished', '=', 0).execute()
  return rows.map(({ item_uid }) => item_uid)
}

export async function markItemDeletionFinished(tx: Tx, uid: string): Promise<void> {
  await tx.updateTable('item_deletion').set({ finished: 1 }).where('item_uid', '=', uid).execute()
}

async function deletedSince(tx: Tx, job: Job): Promise<boolean> {
  const deletion = await tx
    .selectFrom('item_deletion')
    .select('deleted_at')
    .where('item_uid', '=', job.item_uid)
    .executeTakeFirst()
  return deletion !== undefined && deletion.deleted_at >= job.created_at
}

function itemRow(job: Job): ItemRow {
  return {
    uid: job.item_uid,
    library_uid: job.library_uid,
    collection_uid: job.collection_uid,
    title: job.title,
    file_type: job.file_type,
    file_size: job.file_size,
    s3_key: job.s3_key,
    content_hash: job.content_hash,
    source: job.source,
    source_ref: job.source_ref,
    embedding_status: job.status,
    embedding_model: job.embedding_model,
    chunk_count: job.chunks_created,
    image_count: job.images_extracted,
    error: job.error,
    created_at: job.created_at,
    updated_at: job.completed_at ?? job.created_at,
    job_order: jobOrder(job),
  }
}

const UPDATED = [
  'collection_uid',
  'title',
  'file_type',
  'file_size',
  's3_key',
  'content_hash',
  'source',
  'source_ref',
  'embedding_status',
  'embedding_model',
  'chunk_count',
  'image_count',
  'error',
  'updated_at',
  'job_order',
] as const

/** Makes an item's record say what `job` says, also where it tells of something newer. */
export async function resetItem(tx: Tx, job: Job): Promise<void> {
  const row = itemRow(job)
  await tx
    .updateTable('item')
    .set(updatedColumns((column) => row[column]))
    .where('uid', '=', job.item_uid)
    .execute()
}

function updatedColumns<T>(excluded: (column: (typeof UPDATED)[number]) => T): Record<string, T> {
  return Object.fromEntries(UPDATED.map((column) => [column, excluded(column)]))
}

/**
 * Text that sorts events of an item's jobs: content that is complete before anything else (an item stays as it
 * was while a new version is pending or has failed), then the newer job, then the newer state of one job.
 */
export function jobOrder(job: Job): string {
  return [
    job.status === 'completed' ? 1 : 0,
    job.created_at,
    job.job_id,
    String(job.retry_count).padStart(6, '0'),
    job.completed_at ?? '',
  ].join('|')
}
