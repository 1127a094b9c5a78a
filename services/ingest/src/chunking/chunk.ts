import type { ChunkingConfig, LibraryType } from '@mnemosyne/contracts'

export type { ChunkingConfig, LibraryType }
export type ChunkingStrategy = ChunkingConfig['strategy']
/** What is split only when it exceeds `max_tokens` by itself. */
export type KeepWhole = ChunkingConfig['keep_whole'][number]

export interface Chunk {
  /** Uuid-shaped, derived from item, text and occurrence: an unchanged chunk keeps it. */
  chunk_uid: string
  chunk_index: number
  /** The heading path, an empty line, the body. */
  text: string
  /** The headings above, from the outside in; `text` begins with the document's title too where it is a heading. */
  section_path: string[]
  page?: number
  /** Range of the body in the rendered text. */
  char_start: number
  char_end: number
  /** Of the whole `text`, without the model's special tokens. */
  token_count: number
}

export type CountTokens = (text: string) => number
