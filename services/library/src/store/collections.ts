import type { Kysely, Transaction } from 'kysely'
import { derivedUid } from '../derived-uid.ts'
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
  return derivedUid(`${libraryUid}/default-collection`)
}
