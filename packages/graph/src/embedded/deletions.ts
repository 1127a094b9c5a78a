import { noCounts } from '../deletion-counts.ts'
import type { DeletionCounts } from '../port.ts'
import type { Database } from './database.ts'
import type { WriteSession } from './writer-core.ts'

/** Chunks that one step of a deletion removes at most: some 100 ms of work. */
const CHUNKS_PER_STEP = 200
const ITEMS_PER_STEP = 500

export interface DeletionStep {
  counts: DeletionCounts
  done: boolean
}

/** Marks the library, which takes it out of every answer. @returns false when there is no such library. */
export function condemnLibrary({ db }: WriteSession, uid: string): boolean {
  return db.run('UPDATE libraries SET deleting = 1, workspace_id = NULL WHERE uid = ?', uid).changes > 0
}

/** Libraries whose deletion was begun and not ended. */
export function condemnedLibraries(db: Database): string[] {
  return db.all<{ uid: string }>('SELECT uid FROM libraries WHERE deleting = 1').map((row) => row.uid)
}

/** Removes a bounded part of a condemned library: chunks first, the library itself last. */
export function deleteLibraryStep(session: WriteSession, uid: string): DeletionStep {
  const { db } = session
  const library = db.get<{ id: number }>('SELECT id FROM libraries WHERE uid = ? AND deleting = 1', uid)
  if (!library) return { counts: noCounts(), done: true }
  const counts = noCounts()
  if (removeChunks(session, 'library_id', library.id, counts) > 0) return { counts, done: false }
  if (removeItems(db, 'library_id', library.id, counts) > 0) return { counts, done: false }
  counts.collections = db.run('DELETE FROM collections WHERE library_id = ?', library.id).changes
  db.run('DELETE FROM chunk_changes WHERE library_id = ?', library.id)
  counts.libraries = db.run('DELETE FROM libraries WHERE id = ?', library.id).changes
  return { counts, done: true }
}

/** Removes one item of a collection whole, or when none is left the collection. */
export function deleteCollectionStep(session: WriteSession, uid: string): DeletionStep {
  const { db } = session
  const counts = noCounts()
  const collection = db.get<{ id: number }>('SELECT id FROM collections WHERE uid = ?', uid)
  if (!collection) return { counts, done: true }
  const item = db.get<{ id: number }>('SELECT id FROM items WHERE collection_id = ? LIMIT 1', collection.id)
  if (item) {
    removeItem(session, item.id, counts)
    return { counts, done: false }
  }
  counts.collections = db.run('DELETE FROM collections WHERE id = ?', collection.id).changes
  return { counts, done: true }
}

/** Removes an item whole, in one transaction: a reader sees all of it or nothing. */
export function deleteItem(session: WriteSession, uid: string): DeletionCounts {
  const counts = noCounts()
  const item = session.db.get<{ id: number }>('SELECT id FROM items WHERE uid = ?', uid)
  if (item) removeItem(session, item.id, counts)
  return counts
}

function removeItem(session: WriteSession, id: number, counts: DeletionCounts): void {
  while (removeChunks(session, 'item_id', id, counts) > 0);
  removeItems(session.db, 'id', id, counts)
}

function removeChunks(
  { db, chunks }: WriteSession,
  column: 'item_id' | 'library_id',
  owner: number,
  counts: DeletionCounts,
): number {
  const found = db.all<{ id: number; library_id: number }>(
    `SELECT id, library_id FROM chunks WHERE ${column} = ? LIMIT ?`,
    owner,
    CHUNKS_PER_STEP,
  )
  for (const { id, library_id } of found) chunks.remove(id, library_id, counts)
  return found.length
}

function removeItems(
  db: Database,
  column: 'id' | 'library_id',
  owner: number,
  counts: DeletionCounts,
): number {
  const removed = db.all<{ image_count: number }>(
    `DELETE FROM items WHERE id IN (SELECT id FROM items WHERE ${column} = ? LIMIT ?) RETURNING image_count`,
    owner,
    ITEMS_PER_STEP,
  )
  counts.items += removed.length
  counts.images += removed.reduce((sum, row) => sum + row.image_count, 0)
  return removed.length
}
