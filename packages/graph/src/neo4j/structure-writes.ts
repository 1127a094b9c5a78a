import { titleConceptKey } from '../analysis/concept-keys.ts'
import {
  CollectionGoneError,
  GraphUnavailableError,
  InvalidContentError,
  LibraryGoneError,
  WorkspaceTakenError,
} from '../errors.ts'
import type { CollectionNode, ItemNode, LibraryNode } from '../port.ts'
import { int, type Transaction } from './connection.ts'
import { scopeWords } from './term-text.ts'

export async function putLibrary(tx: Transaction, library: LibraryNode): Promise<void> {
  // The constraint takes the lock: of two that put the same workspace at once one waits, and finds it taken.
  const taken = await tx.run(
    `MATCH (l:Library {workspace_id: $workspace_id}) WHERE l.uid <> $uid RETURN l.uid`,
    { workspace_id: library.workspace_id, uid: library.uid },
  )
  if (taken.length > 0) throw new WorkspaceTakenError(library.workspace_id as string)
  const [stored] = await tx.run<{ deleting: boolean | null }>(
    `MERGE (l:Library {uid: $uid}) ON CREATE SET l.chunks = 0, l.embedded = 0
     SET l.lock = 0 RETURN l.deleting AS deleting`,
    { uid: library.uid },
  )
  if (stored?.deleting) throw new LibraryGoneError(library.uid)
  await tx.run('MATCH (l:Library {uid: $uid}) SET l += $properties', {
    uid: library.uid,
    properties: {
      ...library,
      name: library.name.toWellFormed(),
      description: library.description.toWellFormed(),
      embedding_instruction: library.embedding_instruction.toWellFormed(),
      reranker_instruction: library.reranker_instruction.toWellFormed(),
      llm_context_prompt: library.llm_context_prompt.toWellFormed(),
      chunking_config: JSON.stringify(library.chunking_config),
    },
  })
}

/** Locks the library, so that its deletion can't begin before the transaction ends. @throws LibraryGoneError */
async function livingLibrary(tx: Transaction, uid: string): Promise<void> {
  const [row] = await tx.run<{ deleting: boolean | null }>(
    'MATCH (l:Library {uid: $uid}) SET l.lock = 0 RETURN l.deleting AS deleting',
    { uid },
  )
  if (!row || row.deleting) throw new LibraryGoneError(uid)
}

export async function putCollection(tx: Transaction, collection: CollectionNode): Promise<void> {
  await livingLibrary(tx, collection.library_uid)
  const [stored] = await tx.run<{ library: string }>(
    'MATCH (k:Collection {uid: $uid}) RETURN k.library_uid AS library',
    { uid: collection.uid },
  )
  if (stored && stored.library !== collection.library_uid) {
    throw new InvalidContentError(`Collection ${collection.uid} belongs to another library.`)
  }
  await tx.run(
    `MATCH (l:Library {uid: $library})
     MERGE (k:Collection {uid: $uid}) SET k += $properties
     MERGE (l)-[:CONTAINS]->(k)`,
    {
      library: collection.library_uid,
      uid: collection.uid,
      properties: {
        ...collection,
        name: collection.name.toWellFormed(),
        description: collection.description.toWellFormed(),
      },
    },
  )
}

interface StoredPlace {
  library: string
  collection: string | null
  version: number
  retired: boolean
}

export async function putItem(tx: Transaction, item: ItemNode): Promise<void> {
  await livingLibrary(tx, item.library_uid)
  if (item.collection_uid !== null) await refuseUnknownCollection(tx, item.library_uid, item.collection_uid)
  const [stored] = await tx.run<StoredPlace>(
    `MATCH (i:Item {uid: $uid}) SET i.lock = 0
     RETURN i.library_uid AS library, i.collection_uid AS collection, i.version AS version,
       i.retired IS NOT NULL AS retired`,
    { uid: item.uid },
  )
  if (stored?.retired) throw new GraphUnavailableError(`Item ${item.uid} is still being deleted; try again.`)
  if (stored && stored.library !== item.library_uid) {
    throw new InvalidContentError(`Item ${item.uid} belongs to another library.`)
  }
  await tx.run(
    `MERGE (i:Item {uid: $uid})
     ON CREATE SET i.gen = 0, i.last_gen = 0, i.version = 0, i.chunk_count = 0, i.image_count = 0, i.embedded = 0
     SET i += $properties`,
    { uid: item.uid, properties: propertiesOf(item, (stored?.version ?? 0) > 0) },
  )
  if (!stored || stored.collection !== item.collection_uid) await moveItem(tx, item)
}

async function refuseUnknownCollection(tx: Transaction, library: string, uid: string): Promise<void> {
  const [found] = await tx.run<{ library: string }>(
    'MATCH (k:Collection {uid: $uid}) SET k.lock = 0 RETURN k.library_uid AS library',
    { uid },
  )
  if (found?.library !== library) throw new CollectionGoneError(uid)
}

/** While the item has content, what tells of the content is not touched. */
function propertiesOf(item: ItemNode, hasContent: boolean): Record<string, unknown> {
  const always = {
    library_uid: item.library_uid,
    collection_uid: item.collection_uid,
    item_type: item.item_type,
    source: item.source,
    source_ref: item.source_ref,
    error: item.error?.toWellFormed() ?? null,
    created_at: item.created_at,
    updated_at: item.updated_at,
  }
  if (hasContent) return always
  return {
    ...always,
    title: item.title.toWellFormed(),
    title_key: titleConceptKey(item.title),
    content_hash: item.content_hash,
    embedding_status: item.embedding_status,
    file_type: item.file_type,
    file_size: int(item.file_size),
    s3_key: item.s3_key,
    metadata: JSON.stringify(item.metadata),
  }
}

/** Hangs the item under its collection or library, and takes its chunks along. */
async function moveItem(tx: Transaction, item: ItemNode): Promise<void> {
  const container = item.collection_uid === null ? 'Library' : 'Collection'
  await tx.run(
    `MATCH (i:Item {uid: $uid}) OPTIONAL MATCH ()-[old:CONTAINS]->(i) DELETE old
     WITH DISTINCT i MATCH (holder:${container} {uid: $holder}) CREATE (holder)-[:CONTAINS]->(i)`,
    { uid: item.uid, holder: item.collection_uid ?? item.library_uid },
  )
  await tx.run(
    `MATCH (:Item {uid: $uid})-[:HAS_CHUNK]->(c:Chunk) WITH DISTINCT c
     SET c.collection_uid = $collection, c.scope = $scope`,
    {
      uid: item.uid,
      collection: item.collection_uid,
      scope: scopeWords(item.library_uid, item.collection_uid),
    },
  )
}
