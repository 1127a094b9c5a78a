import type { ChunkDetail, ChunkInContext, ChunkNeighbours, Page, Scope, StoredChunk } from '../port.ts'
import type { Database } from './database.ts'
import { ITEM_IN_SCOPE, type ResolvedScope, resolveScope } from './scope.ts'

const MAX_NEIGHBOURS = 50

interface ChunkRow extends Omit<StoredChunk, 'section_path' | 'embedded'> {
  section_path: string
  embedded: number
}

const CHUNK = `SELECT chunks.uid AS chunk_uid, items.uid AS item_uid, items.title AS item_title,
    libraries.uid AS library_uid, libraries.library_type, chunks.chunk_index, chunks.text, chunks.s3_key,
    chunks.section_path, chunks.page, chunks.char_start, chunks.char_end, chunks.token_count,
    EXISTS (SELECT 1 FROM vectors WHERE vectors.chunk_id = chunks.id) AS embedded
  FROM chunks JOIN items ON items.id = chunks.item_id JOIN libraries ON libraries.id = items.library_id
  WHERE ${ITEM_IN_SCOPE}`

export function listChunks(
  db: Database,
  scope: Scope,
  itemUid: string,
  page: Page,
): { chunks: StoredChunk[]; total: number } {
  const { libraryList, collection } = resolveScope(db, scope)
  const rows = db.all<ChunkRow>(
    `${CHUNK} AND items.uid = ?3 ORDER BY chunks.chunk_index LIMIT ?4 OFFSET ?5`,
    libraryList,
    collection,
    itemUid,
    page.limit,
    page.offset,
  )
  const item = db.get<{ total: number }>(
    `SELECT chunk_count AS total FROM items WHERE ${ITEM_IN_SCOPE} AND items.uid = ?3`,
    libraryList,
    collection,
    itemUid,
  )
  return { chunks: rows.map(chunkOf), total: item?.total ?? 0 }
}

export function getChunk(
  db: Database,
  scope: Scope,
  uid: string,
  { before = 0, after = 0 }: { before?: number; after?: number } = {},
): ChunkInContext | null {
  const { libraryList, collection } = resolveScope(db, scope)
  const row = db.get<ChunkRow>(`${CHUNK} AND chunks.uid = ?3`, libraryList, collection, uid)
  if (!row) return null
  const chunk = chunkOf(row)
  const around = (from: number, to: number) =>
    db
      .all<ChunkRow>(
        `${CHUNK} AND items.uid = ?3 AND chunks.chunk_index BETWEEN ?4 AND ?5 ORDER BY chunks.chunk_index`,
        libraryList,
        collection,
        chunk.item_uid,
        from,
        to,
      )
      .map(chunkOf)
  const index = chunk.chunk_index
  return {
    chunk,
    before: around(index - Math.min(before, MAX_NEIGHBOURS), index - 1),
    after: around(index + 1, index + Math.min(after, MAX_NEIGHBOURS)),
  }
}

function chunkOf(row: ChunkRow): StoredChunk {
  return { ...row, section_path: JSON.parse(row.section_path) as string[], embedded: row.embedded === 1 }
}

/** Row ids of those chunks that are in the scope, in the order asked, each once. */
export function chunksInScope(
  db: Database,
  scope: ResolvedScope,
  uids: string[],
): { id: number; chunk_uid: string; item_id: number; chunk_index: number }[] {
  return db.all<{ id: number; chunk_uid: string; item_id: number; chunk_index: number }>(
    `SELECT chunks.id, chunks.uid AS chunk_uid, chunks.item_id, chunks.chunk_index
     FROM json_each(?3) AS asked CROSS JOIN chunks ON chunks.uid = asked.value
     CROSS JOIN items ON items.id = chunks.item_id WHERE ${ITEM_IN_SCOPE} ORDER BY asked.key`,
    scope.libraryList,
    scope.collection,
    asked(uids),
  )
}

/** Each once, for `json_each`. */
export function asked(uids: string[]): string {
  return JSON.stringify([...new Set(uids)])
}

/** Row ids of all that exist, in whatever scope. */
export function idsOf(db: Database, uids: string[]): Set<number> {
  const rows = db.all<{ id: number }>(
    'SELECT chunks.id FROM json_each(?) AS asked CROSS JOIN chunks ON chunks.uid = asked.value',
    JSON.stringify(uids),
  )
  return new Set(rows.map(({ id }) => id))
}

/** Uids by row id. */
export function uidsOf(db: Database, ids: number[]): Map<number, string> {
  const rows = db.all<{ id: number; uid: string }>(
    'SELECT chunks.id, chunks.uid FROM json_each(?) AS asked CROSS JOIN chunks ON chunks.id = asked.value',
    JSON.stringify(ids),
  )
  return new Map(rows.map(({ id, uid }) => [id, uid]))
}

export function neighbours(db: Database, scope: Scope, uids: string[]): ChunkNeighbours[] {
  const at = (item: number, index: number) =>
    db.get<{ uid: string }>('SELECT uid FROM chunks WHERE item_id = ? AND chunk_index = ?', item, index)
      ?.uid ?? null
  return chunksInScope(db, resolveScope(db, scope), uids).map(({ chunk_uid, item_id, chunk_index }) => ({
    chunk_uid,
    previous: at(item_id, chunk_index - 1),
    next: at(item_id, chunk_index + 1),
  }))
}

export function chunkDetails(db: Database, scope: Scope, uids: string[]): ChunkDetail[] {
  const { libraryList, collection } = resolveScope(db, scope)
  return [...new Set(uids)].flatMap((uid) =>
    db
      .all<Omit<ChunkDetail, 'section_path'> & { section_path: string }>(
        `SELECT chunks.uid AS chunk_uid, chunks.chunk_index, chunks.text, chunks.section_path, chunks.page,
           chunks.char_start, chunks.char_end, chunks.token_count, items.uid AS item_uid, items.title AS item_title,
           libraries.uid AS library_uid, libraries.name AS library_name, libraries.library_type,
           collections.uid AS collection_uid
         FROM chunks JOIN items ON items.id = chunks.item_id JOIN libraries ON libraries.id = items.library_id
         LEFT JOIN collections ON collections.id = items.collection_id
         WHERE ${ITEM_IN_SCOPE} AND chunks.uid = ?3`,
        libraryList,
        collection,
        uid,
      )
      .map((row) => ({ ...row, section_path: JSON.parse(row.section_path) as string[] })),
  )
}
