import { titleConceptKey } from '../analysis/concept-keys.ts'
import { CollectionGoneError, InvalidContentError, LibraryGoneError, WorkspaceTakenError } from '../errors.ts'
import type { CollectionNode, ItemNode, LibraryNode } from '../port.ts'
import type { Database } from './database.ts'
import type { WriteSession } from './writer-core.ts'

export interface LibraryRow {
  id: number
  deleting: number
}

/** @throws LibraryGoneError when there is no such library, or it is being deleted. */
export function livingLibrary(db: Database, uid: string): number {
  const row = db.get<LibraryRow>('SELECT id, deleting FROM libraries WHERE uid = ?', uid)
  if (!row || row.deleting) throw new LibraryGoneError(uid)
  return row.id
}

export function putLibrary({ db }: WriteSession, library: LibraryNode): void {
  const row = db.get<LibraryRow>('SELECT id, deleting FROM libraries WHERE uid = ?', library.uid)
  if (row?.deleting) throw new LibraryGoneError(library.uid)
  if (library.workspace_id !== null) refuseTakenWorkspace(db, library.workspace_id, library.uid)
  db.run(
    `INSERT INTO libraries (uid, name, library_type, description, workspace_id, owner_username, chunking_config,
       embedding_instruction, reranker_instruction, llm_context_prompt, created_at, updated_at)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT (uid) DO UPDATE SET name = excluded.name, library_type = excluded.library_type,
       description = excluded.description, workspace_id = excluded.workspace_id,
       owner_username = excluded.owner_username, chunking_config = excluded.chunking_config,
       embedding_instruction = excluded.embedding_instruction,
       reranker_instruction = excluded.reranker_instruction, llm_context_prompt = excluded.llm_context_prompt,
       created_at = excluded.created_at, updated_at = excluded.updated_at`,
    library.uid,
    library.name.toWellFormed(),
    library.library_type,
    library.description.toWellFormed(),
    library.workspace_id,
    library.owner_username,
    JSON.stringify(library.chunking_config),
    library.embedding_instruction.toWellFormed(),
    library.reranker_instruction.toWellFormed(),
    library.llm_context_prompt.toWellFormed(),
    library.created_at,
    library.updated_at,
  )
}

function refuseTakenWorkspace(db: Database, workspaceId: string, uid: string): void {
  const taken = db.get('SELECT 1 FROM libraries WHERE workspace_id = ? AND uid <> ?', workspaceId, uid)
  if (taken) throw new WorkspaceTakenError(workspaceId)
}

export function putCollection({ db }: WriteSession, collection: CollectionNode): void {
  const library = livingLibrary(db, collection.library_uid)
  const stored = db.get<{ library_id: number }>(
    'SELECT library_id FROM collections WHERE uid = ?',
    collection.uid,
  )
  if (stored && stored.library_id !== library) {
    throw new InvalidContentError(`Collection ${collection.uid} belongs to another library.`)
  }
  db.run(
    `INSERT INTO collections (uid, library_id, name, description, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?)
     ON CONFLICT (uid) DO UPDATE SET name = excluded.name, description = excluded.description,
       created_at = excluded.created_at, updated_at = excluded.updated_at`,
    collection.uid,
    library,
    collection.name.toWellFormed(),
    collection.description.toWellFormed(),
    collection.created_at,
    collection.updated_at,
  )
}

interface ItemRow {
  id: number
  library_id: number
  collection_id: number | null
}

export function putItem(session: WriteSession, item: ItemNode): void {
  const { db } = session
  const library = livingLibrary(db, item.library_uid)
  const collection = item.collection_uid === null ? null : collectionIn(db, library, item.collection_uid)
  const stored = db.get<ItemRow>('SELECT id, library_id, collection_id FROM items WHERE uid = ?', item.uid)
  if (stored && stored.library_id !== library) {
    throw new InvalidContentError(`Item ${item.uid} belongs to another library.`)
  }
  upsertItem(db, item, library, collection)
  if (stored && stored.collection_id !== collection) moveChunks(session, stored.id, library, collection)
}

function collectionIn(db: Database, library: number, uid: string): number {
  const row = db.get<{ id: number }>(
    'SELECT id FROM collections WHERE uid = ? AND library_id = ?',
    uid,
    library,
  )
  if (!row) throw new CollectionGoneError(uid)
  return row.id
}

function upsertItem(db: Database, item: ItemNode, library: number, collection: number | null): void {
  db.run(
    `INSERT INTO items (uid, library_id, collection_id, title, title_key, item_type, file_type, file_size, s3_key,
       content_hash, source, source_ref, metadata, embedding_status, error, created_at, updated_at)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT (uid) DO UPDATE SET collection_id = excluded.collection_id,
       title = iif(version > 0, title, excluded.title),
       title_key = iif(version > 0, title_key, excluded.title_key),
       content_hash = iif(version > 0, content_hash, excluded.content_hash),
       embedding_status = iif(version > 0, embedding_status, excluded.embedding_status),
       file_type = iif(version > 0, file_type, excluded.file_type),
       file_size = iif(version > 0, file_size, excluded.file_size),
       s3_key = iif(version > 0, s3_key, excluded.s3_key),
       metadata = iif(version > 0, metadata, excluded.metadata),
       item_type = excluded.item_type, source = excluded.source, source_ref = excluded.source_ref,
       error = excluded.error, created_at = excluded.created_at, updated_at = excluded.updated_at`,
    item.uid,
    library,
    collection,
    item.title.toWellFormed(),
    titleConceptKey(item.title),
    item.item_type,
    item.file_type,
    item.file_size,
    item.s3_key,
    item.content_hash,
    item.source,
    item.source_ref,
    JSON.stringify(item.metadata),
    item.embedding_status,
    item.error?.toWellFormed() ?? null,
    item.created_at,
    item.updated_at,
  )
}

function moveChunks(
  { db, chunks }: WriteSession,
  item: number,
  library: number,
  collection: number | null,
): void {
  for (const { id } of db.all<{ id: number }>('SELECT id FROM chunks WHERE item_id = ?', item)) {
    chunks.move(id, { item, library, collection })
  }
}
