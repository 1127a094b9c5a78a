import type { Logger, Metrics } from '@mnemosyne/platform'
import type { Chunk, ChunkingConfig, LibraryType } from '../chunking/chunk.ts'
import type { ExtractedConcept } from '../concepts/concept.ts'
import type { StructuredDocument } from '../document/document.ts'

export interface ProcessingLimits {
  /** For one document, from the moment a child takes it. */
  timeoutMs: number
  maxRssBytes: number
  /** Rendered text in bytes of UTF-8. */
  maxOutputBytes: number
  maxInputBytes: number
  maxPages: number
}

export interface ProcessorOptions {
  /** Number of child processes. */
  size: number
  limits: ProcessingLimits
  /** Folder of the embedding model whose tokenizer counts; without it counts are approximate. */
  tokenizerDir?: string
  /** Folders from which `path` may be read. */
  inputDirs: string[]
  log: Logger
  metrics: Metrics
}

export type ProcessingStage = 'parsing' | 'chunking' | 'concepts'

/** A file to parse, cut and search for concepts. */
export interface ProcessRequest {
  path: string
  declaredType?: string
  fileName?: string
  itemUid: string
  chunking: ChunkingConfig
  libraryType: LibraryType
  signal?: AbortSignal
  onStage?: (stage: ProcessingStage) => void
}

export interface ProcessingResult {
  document: StructuredDocument
  chunks: Chunk[]
  concepts: ExtractedConcept[]
  /** MIME type decided from the bytes. */
  fileType: string
}

export interface Processor extends AsyncDisposable {
  /** Waits for a free child. Rejects with a `DocumentError`, or with the signal's reason. */
  process(request: ProcessRequest): Promise<ProcessingResult>
  /** Kills the children, rejects what is in hand, and returns when no process is left. */
  close(): Promise<void>
}
