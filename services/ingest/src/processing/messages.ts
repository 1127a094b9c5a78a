import type { ChunkingConfig, LibraryType } from '../chunking/chunk.ts'
import type { DocumentErrorCode } from '../document/errors.ts'
import type { ProcessingResult, ProcessingStage } from './processor.ts'

/** What a child is told once, as its only argument, in JSON. */
export interface ChildSettings {
  maxInputBytes: number
  maxOutputBytes: number
  maxPages: number
  tokenizerDir?: string
}

export interface Task {
  id: number
  path: string
  declaredType?: string
  fileName?: string
  itemUid: string
  chunking: ChunkingConfig
  libraryType: LibraryType
  avoidNative: boolean
}

export type ChildMessage =
  | { type: 'ready' }
  | { type: 'stage'; id: number; stage: ProcessingStage }
  /** `rss` in bytes, for the decision whether to use the child again. */
  | { type: 'result'; id: number; result: ProcessingResult; rss: number }
  | {
      type: 'refused'
      id: number
      code: DocumentErrorCode
      message: string
      detectedType?: string
      rss: number
    }
  | { type: 'failed'; id: number; message: string; stack?: string; rss: number }
