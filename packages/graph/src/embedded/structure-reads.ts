import type {
  CollectionListing,
  EmbeddingStatus,
  GraphStats,
  Json,
  LibraryCounts,
  LibraryNode,
  Page,
  Scope,
  StoredItem,
} from '../port.ts'
import type { Database } from './database.ts'
import { ITEM_IN_SCOPE, resolveScope } from './scope.ts'

interface LibraryRow extends Omit<LibraryNode, 'chunking_config'> {
  chunking_config: string
}

const LIBRARY = `uid, name, library_type, description, workspace_id, owner_username, chunking_config,
  embedding_instruction, reranker_instruction, llm_context_prompt, created_at, updated_at`

export function getLibrary(db: Database, scope: Scope, uid: string): LibraryNode | null {
  const { libraryList } = resolveScope(db, scope)
  const row = db.get<LibraryRow>(
    `SELECT ${LIBRARY} FROM libraries WHERE id IN (SELECT value FROM json_each(?)) AND uid = ?`,
    libraryList,
    uid,
  )
  return row ? libraryOf(row) : null
}

export function libraries(
  db: Database,
  scope: Scope,
  page?: Page,
): { libraries: LibraryNode[]; total: number } {
  const resolved = resolveScope(db, scope)
  const rows = db.all<LibraryRow>(
    `SELECT ${LIBRARY} FROM libraries WHERE id IN (SELECT value FROM json_each(?))
     ORDER BY name, uid LIMIT ? OFFSET ?`,
    resolved.libraryList,
    page?.limit ?? -1,
    page?.offset ?? 0,
  )
  return { libraries: rows.map(libraryOf), total: resolved.libraries.length }
}

function libraryOf(row: LibraryRow): LibraryNode {
  return { ...row, chunking_config: JSON.parse(row.chunking_config) as Json }
}

export function libraryCounts(db: Database, uids: string[]): LibraryCounts[] {
  return uids.map((uid) => {
    const row = db.get<{ items: number; chunks: number; images: number }>(
      `SELECT count(*) AS items, coalesce(sum(chunk_count), 0) AS chunks, coalesce(sum(image_count), 0) AS images
       FROM items WHERE library_id = (SELECT id FROM libraries WHERE uid = ? AND deleting = 0)`,
      uid,
    )!
    return { library_uid: uid, ...row }
  })
}

const COLLECTION = `SELECT collections.uid, libraries.uid AS library_uid, collections.name, collections.description,
    collections.created_at, collections.updated_at, libraries.name AS library_name,
    (SELECT count(*) FROM items WHERE items.collection_id = collections.id) AS item_count
  FROM collections JOIN libraries ON libraries.id = collections.library_id
  WHERE collections.library_id IN (SELECT value FROM json_each(?1)) AND (?2 IS NULL OR collections.id = ?2)`

export function getCollection(db: Database, scope: Scope, uid: string): CollectionListing | null {
  const { libraryList, collection } = resolveScope(db, scope)
  return (
    db.get<CollectionListing>(`${COLLECTION} AND collections.uid = ?3`, libraryList, collection, uid) ?? null
  )
}

export function listCollections(
  db: Database,
  scope: Scope,
  page: Page,
): { collections: CollectionListing[]; total: number } {
  const { libraryList, collection } = resolveScope(db, scope)
  const collections = db.all<CollectionListing>(
    `${COLLECTION} ORDER BY collections.name, collections.uid LIMIT ?3 OFFSET ?4`,
    libraryList,
    collection,
    page.limit,
    page.offset,
  )
  const { total } = db.get<{ total: number }>(
    `SELECT count(*) AS total FROM collections
     WHERE library_id IN (SELECT value FROM json_each(?1)) AND (?2 IS NULL OR id = ?2)`,
    libraryList,
    collection,
  )!
  return { collections, total }
}

interface ItemRow extends Omit<StoredItem, 'metadata'> {
  metadata: string
  embedding_status: EmbeddingStatus
}

const ITEM = `SELECT items.uid, libraries.uid AS library_uid, collections.uid AS collection_uid, items.title,
    items.item_type, items.file_type, items.file_size, items.s3_key, items.content_hash, items.source,
    items.source_ref, items.metadata, items.embedding_status, items.error, items.created_at, items.updated_at,
    libraries.name AS library_name, libraries.library_type, collections.name AS collection_name,
    items.embedding_model, items.chunk_count, items.image_count, items.version
  FROM items JOIN libraries ON libraries.id = items.library_id
  LEFT JOIN collections ON collections.id = items.collection_id
  WHERE ${ITEM_IN_SCOPE}`

export function itemVersion(db: Database, uid: string): number | null {
  return db.get<{ version: number }>('SELECT version FROM items WHERE uid = ?', uid)?.version ?? null
}

export function getItem(db: Database, scope: Scope, uid: string): StoredItem | null {
  const { libraryList, collection } = resolveScope(db, scope)
  const row = db.get<ItemRow>(`${ITEM} AND items.uid = ?3`, libraryList, collection, uid)
  return row ? itemOf(row) : null
}

export function listItems(
  db: Database,
  scope: Scope,
  { page }: { page: Page },
): { items: StoredItem[]; total: number } {
  const { libraryList, collection } = resolveScope(db, scope)
  const rows = db.all<ItemRow>(
    `${ITEM} ORDER BY items.title, items.uid LIMIT ?3 OFFSET ?4`,
    libraryList,
    collection,
    page.limit,
    page.offset,
  )
  const { total } = db.get<{ total: number }>(
    `SELECT count(*) AS total FROM items WHERE ${ITEM_IN_SCOPE}`,
    libraryList,
    collection,
  )!
  return { items: rows.map(itemOf), total }
}

function itemOf(row: ItemRow): StoredItem {
  return { ...row, metadata: JSON.parse(row.metadata) as Json }
}

export function stats(db: Database): GraphStats {
  const count = (table: string) => db.get<{ n: number }>(`SELECT count(*) AS n FROM ${table}`)!.n
  const { images } = db.get<{ images: number }>('SELECT coalesce(sum(image_count), 0) AS images FROM items')!
  const { bytes } = db.get<{ bytes: number }>(
    'SELECT page_count * page_size AS bytes FROM pragma_page_count, pragma_page_size',
  )!
  return {
    libraries: count('libraries'),
    collections: count('collections'),
    items: count('items'),
    chunks: count('chunks'),
    images,
    embeddings: count('vectors'),
    concepts: count('concepts'),
    mentions: count('mentions'),
    indexed_texts: count('chunk_text'),
    terms: count('terms'),
    dimensions: dimensions(db),
    bytes,
  }
}

/** Of the stored vectors; null while there is none. */
export function dimensions(db: Database): number | null {
  const { value } = db.get<{ value: number }>("SELECT value FROM totals WHERE name = 'dimensions'")!
  return value === 0 ? null : value
}
