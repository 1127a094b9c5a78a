import type { StructuredDocument } from '../document/document.ts'

export type LibraryType =
  | 'fiction'
  | 'nonfiction'
  | 'technical'
  | 'music'
  | 'film'
  | 'art'
  | 'journal'
  | 'business'
  | 'finance'

export type ChunkingStrategy =
  | 'heading'
  | 'chapter'
  | 'section'
  | 'stanza'
  | 'scene'
  | 'work'
  | 'entry'
  | 'statement'

/** What is split only when it exceeds `max_tokens` by itself. */
export type KeepWhole = 'code' | 'table' | 'list' | 'quotation' | 'dialogue' | 'stanza' | 'speech'

/** How a library's documents are cut; stored with the library as JSON. Sizes are tokens of the embedding model. */
export interface ChunkingConfig {
  strategy: ChunkingStrategy
  /** Chunks are filled up to here. */
  target_tokens: number
  /** No chunk is larger, headings included; at most 500. */
  max_tokens: number
  /** Smaller sections are joined with a neighbour under the same parent. */
  min_tokens: number
  /** Sentences of the chunk before, in running text of one section; 0 for none. */
  overlap_tokens: number
  keep_whole: KeepWhole[]
}

export interface Chunk {
  /** Uuid-shaped, derived from item, text and occurrence: an unchanged chunk keeps it. */
  chunk_uid: string
  chunk_index: number
  /** The heading path, an empty line, the body. */
  text: string
  section_path: string[]
  page?: number
  /** Range of the body in the rendered text. */
  char_start: number
  char_end: number
  /** Of the whole `text`, without the model's special tokens. */
  token_count: number
}

export type CountTokens = (text: string) => number

export type ChunkDocument = (
  itemUid: string,
  document: StructuredDocument,
  config: ChunkingConfig,
  countTokens: CountTokens,
) => Chunk[]
