import type { Chunk, ChunkingConfig, LibraryType } from '../chunking/chunk.ts'
import type { ExtractedConcept } from '../concepts/concept.ts'
import type { StructuredDocument } from '../document/document.ts'
import type { DocumentErrorCode } from '../document/errors.ts'
import type { ProcessingStage } from './processor.ts'

/** What a child is told once, as its only argument, in JSON. */
export interface ChildSettings {
  maxInputBytes: number
  maxOutputBytes: number
  maxPages: number
  tokenizerDir?: string
}

export interface Task {
  id: number
  /** One of `path` and `document` is given. */
  path?: string
  declaredType?: string
  fileName?: string
  document?: StructuredDocument
  itemUid: string
  chunking: ChunkingConfig
  libraryType: LibraryType
  avoidNative: boolean
}

export interface TaskResult {
  document: StructuredDocument
  text: string
  chunks: Chunk[]
  concepts: ExtractedConcept[]
  fileType?: string
}

export type ChildMessage =
  | { type: 'ready' }
  | { type: 'stage'; id: number; stage: ProcessingStage }
  /** `rss` in bytes, for the decision whether to use the child again. */
  | { type: 'result'; id: number; result: TaskResult; rss: number }
  | {
      type: 'refused'
      id: number
      code: DocumentErrorCode
      message: string
      detectedType?: string
      rss: number
    }
  | { type: 'failed'; id: number; message: string; stack?: string; rss: number }
