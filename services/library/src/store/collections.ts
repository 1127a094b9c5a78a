import { createHash } from 'node:crypto'
import type { Kysely, Transaction } from 'kysely'
import type { CollectionRow, LibraryTables } from './tables.ts'

type Db = Kysely<LibraryTables>

/** False when it is there already. */
export async function insertCollection(tx: Transaction<LibraryTables>, row: CollectionRow): Promise<boolean> {
  const inserted = await tx
    .insertInto('collection')
    .values(row)
    .onConflict((conflict) => conflict.column('uid').doNothing())
    .returning('uid')
    .executeTakeFirst()
  return inserted !== undefined
}

export async function removeCollection(tx: Transaction<LibraryTables>, uid: string): Promise<void> {
  await tx.deleteFrom('collection').where('uid', '=', uid).execute()
}

export function findCollection(db: Db, libraryUid: string, uid: string): Promise<CollectionRow | undefined> {
  return db
    .selectFrom('collection')
    .selectAll()
    .where('uid', '=', uid)
    .where('library_uid', '=', libraryUid)
    .executeTakeFirst()
}

/** Collections of live libraries. */
export function liveCollections(db: Db): Promise<CollectionRow[]> {
  return db
    .selectFrom('collection')
    .innerJoin('library', 'library.uid', 'collection.library_uid')
    .selectAll('collection')
    .where('library.deleted_at', 'is', null)
    .execute()
}

/** Derived from the library's uid, so that requests at the same moment make one. */
export function defaultCollectionUid(libraryUid: string): string {
  const hex = createHash('sha256').update(`${libraryUid}/default-collection`).digest('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join(
    '-',
  )
}
