import type { LibraryNode } from '@mnemosyne/graph'
import { prepared } from '@mnemosyne/platform'
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
  return (await globalLibraries(db)).map(({ uid }) => uid)
}

const globalLibraries = prepared((db: Db) =>
  db
    .selectFrom('library')
    .select('uid')
    .where('owner_username', 'is', null)
    .where('deleted_at', 'is', null)
    .orderBy('uid'),
)

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

/** Live libraries by name, of everybody or of one owner, and how many there are in all. */
export async function listLibraries(
  db: Db,
  { owner, limit, offset }: { owner?: string; limit: number; offset: number },
): Promise<{ libraries: LibraryRow[]; total: number }> {
  let live = db.selectFrom('library').where('deleted_at', 'is', null)
  if (owner !== undefined) live = live.where('owner_username', '=', owner)
  const [libraries, { total }] = await Promise.all([
    live.selectAll().orderBy('name').orderBy('uid').limit(limit).offset(offset).execute(),
    live.select((select) => select.fn.countAll<number>().as('total')).executeTakeFirstOrThrow(),
  ])
  return { libraries, total }
}

/** Libraries of one principal owner, in the order of their uids: live ones, or those being deleted, too. */
export function librariesOwnedBy(db: Db, owner: string, { doomedToo = false } = {}): Promise<LibraryRow[]> {
  const owned = db.selectFrom('library').selectAll().where('owner_username', '=', owner).orderBy('uid')
  return (doomedToo ? owned : owned.where('deleted_at', 'is', null)).execute()
}

type Change = Partial<Pick<LibraryRow, 'name' | 'description' | 'owner_username' | 'hand_overs'>>

/** Changes a live library that nobody has handed over since `seen`; otherwise undefined. */
export function changeLibrary(
  tx: Tx,
  seen: Pick<LibraryRow, 'uid' | 'hand_overs'>,
  change: Change,
  at: string,
): Promise<LibraryRow | undefined> {
  return tx
    .updateTable('library')
    .set({ ...change, updated_at: at })
    .where('uid', '=', seen.uid)
    .where('hand_overs', '=', seen.hand_overs)
    .where('deleted_at', 'is', null)
    .returningAll()
    .executeTakeFirst()
}

/** The rows as they are now, those being deleted among them. */
export async function replaceOwner(
  tx: Tx,
  { from, to, handOver }: { from: string; to: string; handOver: boolean },
  at: string,
): Promise<LibraryRow[]> {
  return tx
    .updateTable('library')
    .set((eb) => ({
      owner_username: to,
      updated_at: at,
      ...(handOver && { hand_overs: eb('hand_overs', '+', 1) }),
    }))
    .where('owner_username', '=', from)
    .returningAll()
    .execute()
}

/** The row as it is now, or undefined when someone else has marked it before. */
export function markLibraryDeleted(
  tx: Tx,
  { uid, ownedBy }: { uid: string; ownedBy?: string },
  at: string,
): Promise<LibraryRow | undefined> {
  const live = tx
    .updateTable('library')
    .set({ deleted_at: at })
    .where('uid', '=', uid)
    .where('deleted_at', 'is', null)
  const wanted = ownedBy === undefined ? live : live.where('owner_username', '=', ownedBy)
  return wanted.returningAll().executeTakeFirst()
}

/** Collections, items and their tombstones go with it. */
export async function removeDeletedLibrary(tx: Tx, uid: string): Promise<void> {
  await tx.deleteFrom('library').where('uid', '=', uid).where('deleted_at', 'is not', null).execute()
}

/** The library as the graph holds it. */
export function libraryNode(row: LibraryRow): LibraryNode {
  const { deleted_at: _, hand_overs: __, chunking_config, ...node } = row
  return { ...node, chunking_config: JSON.parse(chunking_config) }
}
