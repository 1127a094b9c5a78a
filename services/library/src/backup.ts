import type { Job } from '@mnemosyne/contracts'
import type { SchemaRecord, Sql } from '@mnemosyne/platform'
import { jobOrder, recordJob, resetItem } from './store/items.ts'
import { doomedLibraries, liveLibraries, removeDeletedLibrary } from './store/libraries.ts'
import { type LibraryRow, type LibraryTables, libraryMigrations } from './store/tables.ts'

/** What a backup has to know of the schema `library`. */
export const librarySchema: SchemaRecord<LibraryTables> = {
  schema: 'library',
  migrations: libraryMigrations,
  tables: {
    library: { key: ['uid'] },
    collection: { key: ['uid'] },
    item: { key: ['uid'] },
    item_deletion: { key: ['item_uid'] },
    golden_query: { key: ['id'] },
    golden_run: { key: ['id'] },
    golden_schedule: { key: ['library_uid'] },
    outbox: { key: ['id'], identity: 'id' },
  },
}

/** After a restore: the end of deletions that were under way. Returns the libraries that are there. */
export async function settleLibraries(
  sql: Sql<LibraryTables>,
): Promise<Pick<LibraryRow, 'uid' | 'owner_username' | 'hand_overs'>[]> {
  for (const uid of await doomedLibraries(sql.read))
    await sql.transaction((tx) => removeDeletedLibrary(tx, uid))
  const libraries = await liveLibraries(sql.read)
  return libraries.map(({ uid, owner_username, hand_overs }) => ({ uid, owner_username, hand_overs }))
}

/**
 * After a restore: the record of items follows ingest's jobs, given item by item, whatever events were on their way
 * when the backup was taken. Items without a job go. Returns the uids of items that ingest has to forget, because
 * they, or their library, were deleted. Idempotent.
 */
export async function agreeWithJobs(sql: Sql<LibraryTables>, items: AsyncIterable<Job[]>): Promise<string[]> {
  const live = new Set((await liveLibraries(sql.read)).map(({ uid }) => uid))
  const deletions = await sql.read.selectFrom('item_deletion').select(['item_uid', 'deleted_at']).execute()
  const deletedAt = new Map(deletions.map((row) => [row.item_uid, row.deleted_at]))
  const rows = await sql.read.selectFrom('item').select(['uid', 'job_order']).execute()
  const orderOf = new Map(rows.map(({ uid, job_order }) => [uid, job_order]))
  const gone: string[] = []
  for await (const jobs of items) {
    const newest = newestOf(jobs)
    if (!newest) continue
    const { item_uid, library_uid, created_at } = newest
    if (!live.has(library_uid) || (deletedAt.get(item_uid) ?? '') >= created_at) {
      gone.push(item_uid)
      continue
    }
    const known = orderOf.get(item_uid)
    orderOf.delete(item_uid)
    if (known === jobOrder(newest)) continue
    if (known === undefined || known < jobOrder(newest)) {
      await recordJob(sql, newest)
      // It says since when there is the item.
      await recordJob(sql, oldestOf(jobs))
    } else await sql.transaction((tx) => resetItem(tx, newest))
  }
  const without = [...orderOf.keys()]
  for (let at = 0; at < without.length; at += 1_000) {
    const uids = without.slice(at, at + 1_000)
    await sql.transaction((tx) => tx.deleteFrom('item').where('uid', 'in', uids).execute())
  }
  return gone
}

/** The job that an item's record tells of. */
function newestOf(jobs: Job[]): Job | undefined {
  return jobs
    .filter(({ stage }) => stage !== 'superseded')
    .reduce<Job | undefined>((best, job) => (best && jobOrder(best) >= jobOrder(job) ? best : job), undefined)
}

const oldestOf = (jobs: Job[]): Job =>
  jobs.reduce((first, job) => (job.created_at < first.created_at ? job : first))
