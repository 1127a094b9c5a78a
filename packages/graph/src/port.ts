/**
 * The graph store port: what library, ingest and search ask of the knowledge graph, in the domain's words.
 *
 * Conventions
 * - Uids are opaque strings of the caller's making. Times are ISO-8601 UTC strings. Vectors are `Float32Array`.
 * - `Scope` is part of every read question; nothing outside it is returned, counted or hinted at. An unknown uid
 *   and one outside the scope look the same (`null`, or missing from the answer).
 * - Answers in an array that was asked for by uid (`chunkDetails`, `mentions`, …) keep the order of the question,
 *   leave out what is unknown, and answer a repeated uid once.
 * - Strings from documents may hold anything (NUL, lone surrogates, any length). A lone surrogate is stored as
 *   U+FFFD; every other character comes back as it went in.
 * - `embedding_status` of an item that has content is always `completed` (see {@link GraphStore.putItem}), so
 *   search never has to filter by it.
 */

/** What a caller may read, and what it asks to see of that. Every given part narrows; none widens. */
export interface Scope {
  /** Library uids; `'all'` is for staff and the system. An empty list sees nothing. */
  libraries: string[] | 'all'
  /** Only items of this collection. */
  collection?: string
  /** Only libraries of this type. */
  library_type?: string
}

/** A slice of a listing. `limit` is at least 1, `offset` at least 0; the service has clamped them. */
export interface Page {
  limit: number
  offset: number
}

/** Options of every read question. */
export interface Ask {
  /** Rejects with the signal's reason. The work itself may run to its end; its answer is dropped. */
  signal?: AbortSignal
}

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json | undefined }

// ---------------------------------------------------------------------------------------------- structure

export interface LibraryNode {
  uid: string
  name: string
  library_type: string
  description: string
  /** Unique among libraries where set. */
  workspace_id: string | null
  /** Null: a global library. */
  owner_username: string | null
  chunking_config: Json
  embedding_instruction: string
  reranker_instruction: string
  llm_context_prompt: string
  created_at: string
  updated_at: string
}

export interface CollectionNode {
  uid: string
  library_uid: string
  name: string
  description: string
  created_at: string
  updated_at: string
}

export interface CollectionListing extends CollectionNode {
  library_name: string
  item_count: number
}

export interface LibraryCounts {
  library_uid: string
  items: number
  chunks: number
  images: number
}

/** What a deletion took out of the graph. */
export interface DeletionCounts {
  libraries: number
  collections: number
  items: number
  chunks: number
  images: number
  embeddings: number
  mentions: number
  concepts: number
}

export type EmbeddingStatus = 'pending' | 'processing' | 'completed' | 'failed'

/** An item's metadata, without its content. */
export interface ItemNode {
  uid: string
  library_uid: string
  /** Null: in no collection (ingest puts an item into the library's default collection). */
  collection_uid: string | null
  title: string
  item_type: string
  file_type: string
  file_size: number
  s3_key: string | null
  content_hash: string | null
  source: string
  source_ref: string | null
  metadata: Json
  embedding_status: EmbeddingStatus
  error: string | null
  created_at: string
  updated_at: string
}

/** An item as it is read: metadata, and what the stored content says of itself. */
export interface StoredItem extends ItemNode {
  library_name: string
  library_type: string
  collection_name: string | null
  /** Null: no content yet, or content without vectors. */
  embedding_model: string | null
  chunk_count: number
  image_count: number
  /** Version of the stored content; 0 before any. */
  version: number
}

// ---------------------------------------------------------------------------------------------- content

export interface ChunkContent {
  chunk_uid: string
  /** 0, 1, 2, … in reading order, without gaps. */
  chunk_index: number
  text: string
  s3_key?: string | null
  section_path: string[]
  /** 1-based; null where the format has no pages. */
  page: number | null
  /** Range in the item's parsed text, in UTF-16 units. */
  char_start: number
  char_end: number
  token_count: number
  /** Any length from 1 to 4096, the same throughout the store; need not be normalised; all finite. */
  embedding: Float32Array | null
  /** Hash of model revision, instruction and text: what makes the vector reusable. */
  embedding_key: string | null
  /** Concepts of `concepts` that the chunk mentions although its words do not name them. */
  concept_keys?: string[]
}

/** `title`: names a document. `named`: a proper name. `phrase`: a key phrase (weaker evidence). */
export type ConceptKind = 'title' | 'named' | 'phrase'

export interface ConceptContent {
  /** As `conceptKey(name)` gives it. Other spellings are normalised; one of no or over 6 words is left out. */
  key: string
  /** Display name. The first one stored stays. */
  name: string
  kind: ConceptKind
  concept_type?: string | null
}

/** The whole content of an item in one version. */
export interface ItemContent {
  item_uid: string
  library_uid: string
  /** Rises with every job on the item. Content of an older version never replaces newer. */
  version: number
  title: string
  content_hash: string
  /** Null when no model was there: found by text and graph only. */
  embedding_model: string | null
  image_count?: number
  /** Where given, they replace the item's. */
  file_type?: string
  file_size?: number
  s3_key?: string | null
  metadata?: Json
  updated_at: string
  chunks: ChunkContent[]
  concepts: ConceptContent[]
}

export type ReplaceOutcome = 'stored' | 'superseded'

/** A stored chunk as it is read. */
export interface StoredChunk {
  chunk_uid: string
  item_uid: string
  item_title: string
  library_uid: string
  library_type: string
  chunk_index: number
  text: string
  s3_key: string | null
  section_path: string[]
  page: number | null
  char_start: number
  char_end: number
  token_count: number
  embedded: boolean
}

export interface ChunkInContext {
  chunk: StoredChunk
  /** Nearest last: in reading order. */
  before: StoredChunk[]
  after: StoredChunk[]
}

// ---------------------------------------------------------------------------------------------- search

export interface VectorHit {
  chunk_uid: string
  /** -1 to 1. A zero vector has cosine 0 with everything. */
  cosine: number
}

export interface VectorCandidates {
  /** Best first; ties by chunk uid. */
  hits: VectorHit[]
  /** True: these are the nearest in the scope. False: found through an approximate index. */
  exact: boolean
  /** Chunks with a vector in the scope. */
  scope_size: number
  /** Mean of the cosine over the scope, or over a sample of at least 1,000 of it. 0 when empty. */
  mean: number
}

/** A full-text question as data, already analysed by `queryTerms`. */
export interface TextQuery {
  /** Analysed terms; a chunk that holds any of them is a candidate. Repeats count as often as they stand. */
  terms: string[]
  /** Each a run of analysed terms that every hit must hold, adjacent and in this order (title or text). */
  phrases: string[][]
}

export interface TextHit {
  chunk_uid: string
  /**
   * BM25 (k1 0.9, b 0.4, idf ln(1+(N−df+.5)/(df+.5))) over the analysed text with the title counted twice.
   * N, df and the average length are those of the whole store.
   */
  bm25: number
  /** What a chunk of average length gets that holds every term of the question once: the same for all hits. */
  ideal: number
}

export interface ChunkScore {
  chunk_uid: string
  /** Null: no vector was asked for, or the chunk has none. */
  cosine: number | null
  bm25: number
}

export interface ConceptInScope {
  concept_uid: string
  /** Normalised words joined by one space; unique. */
  key: string
  name: string
  kind: ConceptKind
  /** Chunks in the scope that mention it, counted up to 201: 201 means "more than 200". */
  df: number
}

export interface ConceptsNamed {
  concepts: ConceptInScope[]
  /** Chunks in the scope. */
  scope_size: number
}

export interface ChunkMentions {
  chunk_uid: string
  concepts: ConceptInScope[]
  /** The concept that the item's title is, where there is one. */
  title_concept: ConceptInScope | null
}

export interface ConceptChunks {
  concept_uid: string
  /** At most `limitPerConcept`, in no promised order but always the same one. */
  chunk_uids: string[]
}

export interface ChunkTitle {
  chunk_uid: string
  /** The concept that the item's title is, where a chunk of the scope mentions it. */
  title_concept_uid: string | null
}

/** A chunk that mentions some of the concepts asked for. */
export interface LinkedChunk extends ChunkTitle {
  /** In the order asked. */
  concept_uids: string[]
}

export interface ChunkNeighbours {
  chunk_uid: string
  previous: string | null
  next: string | null
}

/** What an answer shows of a chunk. */
export interface ChunkDetail {
  chunk_uid: string
  chunk_index: number
  text: string
  section_path: string[]
  page: number | null
  char_start: number
  char_end: number
  token_count: number
  item_uid: string
  item_title: string
  library_uid: string
  library_name: string
  library_type: string
  collection_uid: string | null
}

export interface ConceptListing {
  concept_uid: string
  key: string
  name: string
  kind: ConceptKind
  concept_type: string | null
  /** Chunks in the scope that mention it, counted up to 201. */
  chunk_count: number
}

/** An edge between two concepts that the same chunks in the scope mention. */
export interface ConceptEdge {
  from: string
  to: string
  /** Number of chunks in the scope that mention both (of those that were looked at). */
  weight: number
}

export interface ConceptNeighbourhood {
  /** The concept asked for first, then by distance and weight. At most 200. */
  concepts: (ConceptListing & { distance: number })[]
  edges: ConceptEdge[]
  /** Items in the scope whose chunks mention the concept asked for; at most 100. */
  items: { item_uid: string; title: string; library_uid: string }[]
}

export interface GraphStats {
  libraries: number
  collections: number
  items: number
  chunks: number
  images: number
  embeddings: number
  concepts: number
  mentions: number
  /** Rows of the full-text index. */
  indexed_texts: number
  /** Distinct terms known to the full-text index. */
  terms: number
  /** Null while the store holds no vector. */
  dimensions: number | null
  bytes: number
}

// ---------------------------------------------------------------------------------------------- the port

/** The questions that a search asks many of, one after another. */
export type SearchStore = Pick<
  GraphStore,
  | 'getLibrary'
  | 'getCollection'
  | 'libraries'
  | 'vectorCandidates'
  | 'fullTextCandidates'
  | 'scoreChunks'
  | 'conceptsNamed'
  | 'mentions'
  | 'chunksMentioning'
  | 'titleConcepts'
  | 'linkedChunks'
  | 'neighbours'
  | 'chunkDetails'
>

/** Work that asks a store, given an input and something that comes later. */
export type Near<I, L, O> = (graph: SearchStore, input: I, later: Promise<L>) => Promise<O>

export interface GraphStore extends AsyncDisposable {
  // Structure

  /**
   * Creates or updates a library by uid.
   * @throws LibraryGoneError while its deletion is under way. WorkspaceTakenError when another library has the workspace.
   */
  putLibrary(library: LibraryNode): Promise<void>
  getLibrary(scope: Scope, uid: string, ask?: Ask): Promise<LibraryNode | null>
  /** Libraries in the scope by name. Without a page: all of them. */
  libraries(scope: Scope, page?: Page, ask?: Ask): Promise<{ libraries: LibraryNode[]; total: number }>
  /** In the order asked; unknown libraries have zeros. */
  libraryCounts(library_uids: string[], ask?: Ask): Promise<LibraryCounts[]>
  /**
   * Deletes a library and all that is reachable only through it, in bounded steps between which other writes go on.
   * From the first step on it is in no answer and takes no content. Idempotent (zeros when it does not exist);
   * a deletion that was cut short by a crash is finished when the store is opened again.
   */
  deleteLibrary(uid: string): Promise<DeletionCounts>
  /** @throws LibraryGoneError when the library does not exist. */
  putCollection(collection: CollectionNode): Promise<void>
  getCollection(scope: Scope, uid: string, ask?: Ask): Promise<CollectionListing | null>
  listCollections(
    scope: Scope,
    page: Page,
    ask?: Ask,
  ): Promise<{ collections: CollectionListing[]; total: number }>
  /** Deletes a collection; its items go with it. Idempotent. */
  deleteCollection(uid: string): Promise<DeletionCounts>
  /** Deletes an item, its chunks, vectors and links, and concepts that nothing mentions any more. Idempotent. */
  deleteItem(uid: string): Promise<DeletionCounts>

  // Items

  /**
   * Creates an item, or updates its node, without touching its content. While it has content all that tells of
   * the content (`title`, `content_hash`, `file_type`, `file_size`, `s3_key`, `metadata`) stays what it was stored
   * with, and `embedding_status` stays `completed`: the item remains as it was until {@link replaceItemContent}
   * swaps it, also when the new version can't be read.
   * @throws LibraryGoneError when the library does not exist. CollectionGoneError when the collection is not in it.
   */
  putItem(item: ItemNode): Promise<void>
  /** Version of the stored content, 0 before any, null when there is no such item. */
  itemVersion(item_uid: string, ask?: Ask): Promise<number | null>
  getItem(scope: Scope, uid: string, ask?: Ask): Promise<StoredItem | null>
  /** Items in the scope, by title, then uid. */
  listItems(scope: Scope, options: { page: Page }, ask?: Ask): Promise<{ items: StoredItem[]; total: number }>
  /** Concepts that the item's chunks mention; `chunk_count` counts within the item. At most 500, most mentioned first. */
  itemConcepts(scope: Scope, item_uid: string, ask?: Ask): Promise<ConceptListing[]>
  /** The chunks of an item in reading order. */
  listChunks(
    scope: Scope,
    item_uid: string,
    page: Page,
    ask?: Ask,
  ): Promise<{ chunks: StoredChunk[]; total: number }>
  /** A chunk with up to `before` and `after` (each at most 50) neighbours. */
  getChunk(
    scope: Scope,
    uid: string,
    options?: { before?: number; after?: number },
    ask?: Ask,
  ): Promise<ChunkInContext | null>

  // Content

  /**
   * Swaps the whole content of an item in one transaction: readers see the old content or the new, never a gap or
   * a mix. The item becomes `completed`. Doing it again gives the same graph.
   *
   * Every chunk is linked to every concept of the store that its title or text names (up to 6 words, overlaps
   * allowed); chunks that are in the store already and name a concept that is new now are linked too (at most
   * 1,000 per concept). A concept that no chunk mentions is not kept.
   *
   * @returns `superseded`, changing nothing, when the stored version is higher.
   * @throws LibraryGoneError, ItemGoneError, DimensionMismatchError, InvalidContentError, GraphFullError
   */
  replaceItemContent(content: ItemContent): Promise<ReplaceOutcome>
  /** Vectors that are stored under these keys; unknown keys are missing from the map. */
  reusableVectors(embedding_keys: string[], ask?: Ask): Promise<Map<string, Float32Array>>

  // Search

  /**
   * The `k` chunks of the scope nearest to `vector` by cosine.
   * @throws DimensionMismatchError when the store holds vectors of another length.
   */
  vectorCandidates(scope: Scope, vector: Float32Array, k: number, ask?: Ask): Promise<VectorCandidates>
  /**
   * The best `k` chunks of the scope by BM25, best first, ties by chunk uid. When `terms` is empty the words of the
   * phrases are scored. At most 64 distinct terms and 16 phrases are looked at: the rest is ignored.
   */
  fullTextCandidates(scope: Scope, query: TextQuery, k: number, ask?: Ask): Promise<TextHit[]>
  /** Cosine and BM25 of given chunks, for those that only the other retriever found. */
  scoreChunks(
    scope: Scope,
    chunk_uids: string[],
    query: { vector?: Float32Array | null; terms: string[] },
    ask?: Ask,
  ): Promise<ChunkScore[]>
  /** Concepts of the scope among `keys` (see `conceptKeys`); those that no chunk in the scope mentions are missing. */
  conceptsNamed(scope: Scope, keys: string[], ask?: Ask): Promise<ConceptsNamed>
  /** Per chunk its concepts, and the concept that its item's title is. */
  mentions(scope: Scope, chunk_uids: string[], ask?: Ask): Promise<ChunkMentions[]>
  /** Chunks in the scope that mention each concept. */
  chunksMentioning(
    scope: Scope,
    concept_uids: string[],
    limitPerConcept: number,
    ask?: Ask,
  ): Promise<ConceptChunks[]>
  /** Per chunk the concept that its item's title is: much cheaper than its mentions. */
  titleConcepts(scope: Scope, chunk_uids: string[], ask?: Ask): Promise<ChunkTitle[]>
  /**
   * Chunks in the scope that mention any of the concepts: all of those `among` these uids, and of the others the
   * first `others` by the heaviest concept that they mention, ties by uid. In no promised order. Of a concept that
   * more than 200 chunks in the scope mention only 200 are looked at, always the same ones.
   */
  linkedChunks(
    scope: Scope,
    concepts: { concept_uid: string; weight: number }[],
    options: { among: string[]; others: number },
    ask?: Ask,
  ): Promise<LinkedChunk[]>
  /** The chunk before and after, in the same item. */
  neighbours(scope: Scope, chunk_uids: string[], ask?: Ask): Promise<ChunkNeighbours[]>
  chunkDetails(scope: Scope, chunk_uids: string[], ask?: Ask): Promise<ChunkDetail[]>

  /**
   * Runs the function `near` of a module ({@link Near}) where this store's answers are made, so that its questions cost no
   * way there and back: only a store that answers in a thread of this process can. Input, what comes later and the answer
   * are cloned. The answer rejects when `later` does.
   */
  near?<I, L, O>(module: URL, input: I, later: Promise<L>, ask?: Ask): Promise<O>

  // Concepts

  /** Concepts in the scope whose name holds every word of `q` (the last as a prefix), by name; all when `q` is empty. */
  concepts(
    scope: Scope,
    options: { q?: string },
    page: Page,
    ask?: Ask,
  ): Promise<{ concepts: ConceptListing[]; total: number }>
  /** Concepts that stand in the same chunks of the scope, to `depth` 1 to 3. Null when none in the scope mentions it. */
  conceptNeighbourhood(
    scope: Scope,
    concept_uid: string,
    depth: number,
    ask?: Ask,
  ): Promise<ConceptNeighbourhood | null>

  // The store itself

  /**
   * Makes ready for vectors of so many dimensions, 1 to 4096: ingest asks for it before it stores the first. Where
   * the store has a vector index this makes it; with `drop` it is made anew from the stored vectors. Idempotent, and
   * several may ask at once. Until the index is made, and where there is none, every vector of a scope is compared.
   * @throws DimensionMismatchError when the store holds vectors of another length, InvalidContentError
   */
  setUpVectors(dimensions: number, options?: { drop?: boolean }): Promise<void>

  /** Answers when the store can be read. */
  ping(ask?: Ask): Promise<void>
  /** Row counts over the whole store. */
  stats(ask?: Ask): Promise<GraphStats>
  /** Waits for the questions in hand, then closes. Later questions are refused with GraphClosedError. */
  close(): Promise<void>
}
