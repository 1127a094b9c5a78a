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
import { int, place, type Transaction } from './connection.ts'
import { inScope, scopeParameters, scopeStart } from './scope.ts'

type Stored<T, Key extends keyof T> = Omit<T, Key> & Record<Key, string>

const LIBRARY = `l{.uid, .name, .library_type, .description, .workspace_id, .owner_username, .chunking_config,
  .embedding_instruction, .reranker_instruction, .llm_context_prompt, .created_at, .updated_at}`

export async function getLibrary(tx: Transaction, scope: Scope, uid: string): Promise<LibraryNode | null> {
  const [row] = await tx.run<{ library: Stored<LibraryNode, 'chunking_config'> }>(
    `${scopeStart(scope)} MATCH (l:Library {uid: $uid}) WHERE l.uid IN libs RETURN ${LIBRARY} AS library`,
    { ...scopeParameters(scope), uid },
  )
  return row ? libraryOf(row.library) : null
}

export async function libraries(
  tx: Transaction,
  scope: Scope,
  page?: Page,
): Promise<{ libraries: LibraryNode[]; total: number }> {
  const rows = await tx.run<{ library: Stored<LibraryNode, 'chunking_config'> | null; total: number }>(
    `${scopeStart(scope)} WITH libs, size(libs) AS total
     CALL (libs) {
       MATCH (l:Library) WHERE l.uid IN libs
       WITH l ORDER BY l.name, l.uid SKIP $offset ${page ? 'LIMIT $limit' : ''}
       RETURN collect(${LIBRARY}) AS found
     }
     UNWIND CASE WHEN found = [] THEN [null] ELSE found END AS library RETURN library, total`,
    { ...scopeParameters(scope), ...slice(page) },
  )
  return {
    libraries: rows.flatMap(({ library }) => (library ? [libraryOf(library)] : [])),
    total: rows[0]?.total ?? 0,
  }
}

function slice(page: Page | undefined) {
  return { offset: place(page?.offset ?? 0), limit: int(page?.limit ?? 0) }
}

function libraryOf(row: Stored<LibraryNode, 'chunking_config'>): LibraryNode {
  return { ...row, chunking_config: JSON.parse(row.chunking_config) as Json }
}

export async function libraryCounts(tx: Transaction, uids: string[]): Promise<LibraryCounts[]> {
  const rows = await tx.run<LibraryCounts>(
    `UNWIND $uids AS uid MATCH (l:Library {uid: uid}) WHERE l.deleting IS NULL WITH DISTINCT l
     CALL (l) {
       MATCH (i:Item {library_uid: l.uid}) WHERE i.retired IS NULL
       RETURN count(i) AS items, sum(i.chunk_count) AS chunks, sum(i.image_count) AS images
     }
     RETURN l.uid AS library_uid, items, chunks, images`,
    { uids },
  )
  const known = new Map(rows.map((row) => [row.library_uid, row]))
  return uids.map((library_uid) => known.get(library_uid) ?? { library_uid, items: 0, chunks: 0, images: 0 })
}

const COLLECTION = `k{.uid, .library_uid, .name, .description, .created_at, .updated_at, library_name: l.name,
  item_count: COUNT { MATCH (i:Item {collection_uid: k.uid}) WHERE i.retired IS NULL }}`

export async function getCollection(
  tx: Transaction,
  scope: Scope,
  uid: string,
): Promise<CollectionListing | null> {
  const [row] = await tx.run<{ collection: CollectionListing }>(
    `${scopeStart(scope)} MATCH (k:Collection {uid: $uid})
     WHERE k.library_uid IN libs AND ($scope_collection IS NULL OR k.uid = $scope_collection)
     MATCH (l:Library {uid: k.library_uid}) RETURN ${COLLECTION} AS collection`,
    { ...scopeParameters(scope), uid },
  )
  return row?.collection ?? null
}

export async function listCollections(
  tx: Transaction,
  scope: Scope,
  page: Page,
): Promise<{ collections: CollectionListing[]; total: number }> {
  const [row] = await tx.run<{ collections: CollectionListing[]; total: number }>(
    `${scopeStart(scope)} UNWIND CASE WHEN libs = [] THEN [null] ELSE libs END AS lib
     OPTIONAL MATCH (k:Collection {library_uid: lib})
     WHERE $scope_collection IS NULL OR k.uid = $scope_collection
     WITH k ORDER BY k.name, k.uid WITH collect(k) AS found
     WITH size(found) AS total, found[$offset..$end] AS some
     CALL (some) {
       UNWIND range(0, size(some) - 1) AS n WITH n, some[n] AS k
       MATCH (l:Library {uid: k.library_uid})
       WITH n, ${COLLECTION} AS listing ORDER BY n RETURN collect(listing) AS collections
     }
     RETURN total, collections`,
    { ...scopeParameters(scope), offset: place(page.offset), end: place(page.offset + page.limit) },
  )
  return row ?? { collections: [], total: 0 }
}

interface ItemRow extends Stored<StoredItem, 'metadata'> {
  embedding_status: EmbeddingStatus
}

const ITEM = `i{.uid, .library_uid, .collection_uid, .title, .item_type, .file_type, .file_size, .s3_key,
  .content_hash, .source, .source_ref, .metadata, .embedding_status, .error, .created_at, .updated_at,
  .embedding_model, .chunk_count, .image_count, .version, library_name: l.name, library_type: l.library_type,
  collection_name: k.name}`
const ITS_PLACE =
  'MATCH (l:Library {uid: i.library_uid}) OPTIONAL MATCH (k:Collection {uid: i.collection_uid})'

export async function itemVersion(tx: Transaction, uid: string): Promise<number | null> {
  const [row] = await tx.run<{ version: number }>(
    'MATCH (i:Item {uid: $uid}) WHERE i.retired IS NULL RETURN i.version AS version',
    { uid },
  )
  return row?.version ?? null
}

export async function getItem(tx: Transaction, scope: Scope, uid: string): Promise<StoredItem | null> {
  const [row] = await tx.run<{ item: ItemRow }>(
    `${scopeStart(scope)} MATCH (i:Item {uid: $uid}) WHERE i.retired IS NULL AND ${inScope('i')}
     ${ITS_PLACE} RETURN ${ITEM} AS item`,
    { ...scopeParameters(scope), uid },
  )
  return row ? itemOf(row.item) : null
}

export async function listItems(
  tx: Transaction,
  scope: Scope,
  { page }: { page: Page },
): Promise<{ items: StoredItem[]; total: number }> {
  // The collection, where there is one, is what narrows most.
  const items =
    scope.collection === undefined
      ? 'UNWIND libs AS lib MATCH (i:Item {library_uid: lib})'
      : 'MATCH (i:Item {collection_uid: $scope_collection}) WHERE i.library_uid IN libs WITH i MATCH (i)'
  const [row] = await tx.run<{ items: ItemRow[]; total: number }>(
    `${scopeStart(scope)}
     CALL (libs) { ${items} WHERE i.retired IS NULL RETURN i }
     WITH i ORDER BY i.title, i.uid WITH collect(i) AS found
     WITH size(found) AS total, found[$offset..$end] AS some
     CALL (some) {
       UNWIND range(0, size(some) - 1) AS n WITH n, some[n] AS i ${ITS_PLACE}
       WITH n, ${ITEM} AS item ORDER BY n RETURN collect(item) AS items
     }
     RETURN total, items`,
    { ...scopeParameters(scope), offset: place(page.offset), end: place(page.offset + page.limit) },
  )
  return row ? { items: row.items.map(itemOf), total: row.total } : { items: [], total: 0 }
}

function itemOf(row: ItemRow): StoredItem {
  return { ...row, metadata: JSON.parse(row.metadata) as Json }
}

export async function stats(tx: Transaction): Promise<GraphStats> {
  const [row] = await tx.run<Omit<GraphStats, 'bytes'>>(
    `MATCH (store:GraphStore {name: 'store'})
     RETURN COUNT { MATCH (:Library) } AS libraries, COUNT { MATCH (:Collection) } AS collections,
       COUNT { MATCH (:Item) } AS items, store.chunks AS chunks,
       coalesce(COLLECT { MATCH (i:Item) RETURN sum(i.image_count) }[0], 0) AS images,
       store.embedded AS embeddings, COUNT { MATCH (:Concept) } AS concepts,
       COUNT { MATCH ()-[:MENTIONS]->() } AS mentions, store.chunks AS indexed_texts,
       COUNT { MATCH (:Term) } AS terms, store.dimensions AS dimensions`,
  )
  // The server does not tell how much room it takes.
  return { ...(row as Omit<GraphStats, 'bytes'>), bytes: 0 }
}
