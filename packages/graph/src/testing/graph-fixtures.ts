import { conceptKey } from '../analysis/concept-keys.ts'
import type {
  ChunkContent,
  CollectionNode,
  ConceptContent,
  ConceptKind,
  GraphStore,
  ItemContent,
  ItemNode,
  LibraryNode,
} from '../port.ts'

const NOW = '2026-01-02T03:04:05.000Z'

export function libraryNode(uid: string, over: Partial<LibraryNode> = {}): LibraryNode {
  return {
    uid,
    name: `Library ${uid}`,
    library_type: 'technical',
    description: '',
    workspace_id: null,
    owner_username: 'ada',
    chunking_config: { strategy: 'headings' },
    embedding_instruction: '',
    reranker_instruction: '',
    llm_context_prompt: '',
    created_at: NOW,
    updated_at: NOW,
    ...over,
  }
}

export function collectionNode(
  uid: string,
  library_uid: string,
  over: Partial<CollectionNode> = {},
): CollectionNode {
  return {
    uid,
    library_uid,
    name: `Collection ${uid}`,
    description: '',
    created_at: NOW,
    updated_at: NOW,
    ...over,
  }
}

export function itemNode(uid: string, library_uid: string, over: Partial<ItemNode> = {}): ItemNode {
  return {
    uid,
    library_uid,
    collection_uid: null,
    title: `Item ${uid}`,
    item_type: 'document',
    file_type: 'text/plain',
    file_size: 10,
    s3_key: null,
    content_hash: null,
    source: 'upload',
    source_ref: null,
    metadata: {},
    embedding_status: 'pending',
    error: null,
    created_at: NOW,
    updated_at: NOW,
    ...over,
  }
}

export function chunkContent(chunk_uid: string, text: string, vector: number[] | null = null): ChunkContent {
  return {
    chunk_uid,
    chunk_index: 0,
    text,
    section_path: [],
    page: null,
    char_start: 0,
    char_end: text.length,
    token_count: 1,
    embedding: vector && Float32Array.from(vector),
    embedding_key: vector && `key of ${chunk_uid}`,
  }
}

export function concept(name: string, kind: ConceptKind = 'named'): ConceptContent {
  return { key: conceptKey(name) ?? '', name, kind }
}

/** Content of an item; its chunks are numbered in the order given. */
export function itemContent(
  item_uid: string,
  library_uid: string,
  chunks: ChunkContent[],
  over: Partial<ItemContent> = {},
): ItemContent {
  return {
    item_uid,
    library_uid,
    version: 1,
    title: `Item ${item_uid}`,
    content_hash: 'hash',
    embedding_model: 'model',
    updated_at: NOW,
    concepts: [],
    ...over,
    chunks: chunks.map((chunk, chunk_index) => ({ ...chunk, chunk_index })),
  }
}

/** Puts library and item where they are missing, and stores the content. */
export async function store(
  graph: GraphStore,
  content: ItemContent,
  item: Partial<ItemNode> = {},
): Promise<void> {
  if (!(await graph.getLibrary({ libraries: 'all' }, content.library_uid))) {
    await graph.putLibrary(libraryNode(content.library_uid))
  }
  await graph.putItem(itemNode(content.item_uid, content.library_uid, { title: content.title, ...item }))
  await graph.replaceItemContent(content)
}
