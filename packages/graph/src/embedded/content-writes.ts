import { conceptKey, titleConceptKey } from '../analysis/concept-keys.ts'
import { type Analysis, analyse } from '../analysis/terms.ts'
import { noCounts } from '../deletion-counts.ts'
import { InvalidContentError, ItemGoneError } from '../errors.ts'
import type { ChunkContent, ItemContent, ReplaceOutcome } from '../port.ts'
import type { Place } from './chunk-writer.ts'
import type { Database } from './database.ts'
import { livingLibrary } from './structure-writes.ts'
import type { WriteSession } from './writer-core.ts'

interface ItemRow {
  id: number
  library_id: number
  collection_id: number | null
  title: string
  version: number
}

/** See `GraphStore.replaceItemContent`. Expects content that `checkContent` has passed. */
export function replaceItemContent(session: WriteSession, content: ItemContent): ReplaceOutcome {
  const { db, concepts } = session
  const library = livingLibrary(db, content.library_uid)
  const item = db.get<ItemRow>(
    'SELECT id, library_id, collection_id, title, version FROM items WHERE uid = ?',
    content.item_uid,
  )
  if (!item || item.library_id !== library) throw new ItemGoneError(content.item_uid)
  if (item.version > content.version) return 'superseded'
  const created = concepts.put(content.concepts)
  swapChunks(session, content, item, { item: item.id, library, collection: item.collection_id })
  storeItem(db, item.id, content)
  concepts.linkBack(created)
  return 'stored'
}

function swapChunks(session: WriteSession, content: ItemContent, item: ItemRow, place: Place): void {
  const { db, chunks, concepts } = session
  const title = content.title.toWellFormed()
  const analysedTitle = analyse(title)
  const namedInTitle = concepts.namedIn(title)
  const stored = new Map(
    db
      .all<{ id: number; uid: string; text: string }>(
        'SELECT id, uid, text FROM chunks WHERE item_id = ?',
        item.id,
      )
      .map((row) => [row.uid, row]),
  )
  const kept = new Set(content.chunks.map((chunk) => chunk.chunk_uid))
  const counts = noCounts()
  for (const [uid, { id }] of stored) if (!kept.has(uid)) chunks.remove(id, place.library, counts)
  for (const chunk of content.chunks) {
    const before = stored.get(chunk.chunk_uid)
    const id = before ? before.id : insertChunk(session, chunk, place)
    if (before) chunks.update(id, chunk)
    if (before?.text !== chunk.text.toWellFormed() || item.title !== title) {
      indexChunk(session, id, place, analysedTitle, chunk)
    }
    chunks.putVector(id, place.library, chunk.embedding, chunk.embedding_key)
    concepts.relink(id, place.library, mentionedBy(session, chunk, namedInTitle))
  }
}

function insertChunk({ db, chunks }: WriteSession, chunk: ChunkContent, place: Place): number {
  if (db.get('SELECT 1 FROM chunks WHERE uid = ?', chunk.chunk_uid)) {
    throw new InvalidContentError(`Chunk uid ${chunk.chunk_uid} is used by another item.`)
  }
  return chunks.insert(chunk, place)
}

function indexChunk(
  { chunks }: WriteSession,
  id: number,
  place: Place,
  title: Analysis,
  chunk: ChunkContent,
): void {
  chunks.indexText(id, place, title, analyse(chunk.text))
}

function mentionedBy(
  { concepts }: WriteSession,
  chunk: ChunkContent,
  namedInTitle: ReadonlySet<number>,
): Set<number> {
  const mentioned = concepts.namedIn(chunk.text)
  for (const concept of namedInTitle) mentioned.add(concept)
  for (const given of chunk.concept_keys ?? []) {
    const key = conceptKey(given)
    const id = key === null ? undefined : concepts.idOf(key)
    if (id !== undefined) mentioned.add(id)
  }
  return mentioned
}

function storeItem(db: Database, id: number, content: ItemContent): void {
  db.run(
    `UPDATE items SET title = ?, title_key = ?, content_hash = ?, embedding_model = ?, chunk_count = ?,
       image_count = ?, version = ?, embedding_status = 'completed', error = NULL, updated_at = ?,
       file_type = coalesce(?, file_type), file_size = coalesce(?, file_size),
       s3_key = coalesce(?, s3_key), metadata = coalesce(?, metadata)
     WHERE id = ?`,
    content.title.toWellFormed(),
    titleConceptKey(content.title),
    content.content_hash,
    content.embedding_model,
    content.chunks.length,
    content.image_count ?? 0,
    content.version,
    content.updated_at,
    content.file_type ?? null,
    content.file_size ?? null,
    content.s3_key ?? null,
    content.metadata === undefined ? null : JSON.stringify(content.metadata),
    id,
  )
}
