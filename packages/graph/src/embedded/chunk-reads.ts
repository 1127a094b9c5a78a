import type { ChunkInContext, Page, Scope, StoredChunk } from '../port.ts'
import type { Database } from './database.ts'
import { ITEM_IN_SCOPE, resolveScope } from './scope.ts'

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
