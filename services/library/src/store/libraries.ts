import type { LibraryNode } from '@mnemosyne/graph'
import type { Kysely, Transaction } from 'kysely'
import type { LibraryRow, LibraryTables } from './tables.ts'

type Db = Kysely<LibraryTables>
type Tx = Transaction<LibraryTables>

/** False, and nothing written, when a live library has the workspace id. */
export async function insertLibrary(tx: Tx, row: LibraryRow): Promise<boolean> {
  const inserted = await tx
    .insertInto('library')
    .values(row)
    .onConflict((conflict) => conflict.doNothing())
    .returning('uid')
    .executeTakeFirst()
  return inserted !== undefined
}

/** A library whose deletion has not begun. */
export function liveLibrary(db: Db, uid: string): Promise<LibraryRow | undefined> {
  return db
    .selectFrom('library')
    .selectAll()
    .where('uid', '=', uid)
    .where('deleted_at', 'is', null)
    .executeTakeFirst()
}

/** Live or being deleted. */
export function findLibrary(db: Db, uid: string): Promise<LibraryRow | undefined> {
  return db.selectFrom('library').selectAll().where('uid', '=', uid).executeTakeFirst()
}

export function liveLibraries(db: Db): Promise<LibraryRow[]> {
  return db.selectFrom('library').selectAll().where('deleted_at', 'is', null).execute()
}

export function libraryOfWorkspace(db: Db, workspaceId: string): Promise<LibraryRow | undefined> {
  return db
    .selectFrom('library')
    .selectAll()
    .where('workspace_id', '=', workspaceId)
    .where('deleted_at', 'is', null)
    .executeTakeFirst()
}

/** Uids of libraries whose deletion is under way: all, or those of one owner's workspace. */
export async function doomedLibraries(
  db: Db,
  of?: { workspace_id: string; owner_username: string },
): Promise<string[]> {
  let query = db.selectFrom('library').select('uid').where('deleted_at', 'is not', null)
  if (of) {
    query = query.where('workspace_id', '=', of.workspace_id).where('owner_username', '=', of.owner_username)
  }
  return (await query.execute()).map(({ uid }) => uid)
}

export async function globalLibraryUids(db: Db): Promise<string[]> {
  const rows = await db
    .selectFrom('library')
    .select('uid')
    .where('owner_username', 'is', null)
    .where('deleted_at', 'is', null)
    .orderBy('uid')
    .execute()
  return rows.map(({ uid }) => uid)
}

/** Uids of the live libraries that these workspaces have and that are `owner`'s, sorted. */
export async function librariesOfWorkspaces(
  db: Db,
  owner: string,
  workspaceIds: readonly string[],
): Promise<string[]> {
  if (workspaceIds.length === 0) return []
  const rows = await db
    .selectFrom('library')
    .select('uid')
    .where('workspace_id', 'in', workspaceIds)
    .where('owner_username', '=', owner)
    .where('deleted_at', 'is', null)
    .orderBy('uid')
    .execute()
  return rows.map(({ uid }) => uid)
}

/** The row as it is now, or undefined when someone else has marked it before. */
export function markLibraryDeleted(tx: Tx, uid: string, at: string): Promise<LibraryRow | undefined> {
  return tx
    .updateTable('library')
    .set({ deleted_at: at })
    .where('uid', '=', uid)
    .where('deleted_at', 'is', null)
    .returningAll()
    .executeTakeFirst()
}

/** Collections, items and their tombstones go with it. */
export async function removeDeletedLibrary(tx: Tx, uid: string): Promise<void> {
  await tx.deleteFrom('library').where('uid', '=', uid).where('deleted_at', 'is not', null).execute()
}

/** The library as the graph holds it. */
export function libraryNode(row: LibraryRow): LibraryNode {
  const { deleted_at: _, chunking_config, ...node } = row
  return { ...node, chunking_config: JSON.parse(chunking_config) }
}
