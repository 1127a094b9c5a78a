import type { ChunkingConfig, LibraryType } from '../src/chunking/chunk.ts'

/**
 * What each type of library starts from, as the library service hands it out. Targets leave room in a model of 512
 * tokens for special ones; prose is cut larger than reference text, where a hit should be one answer.
 */
export const DEFAULT_CHUNKING: Record<LibraryType, ChunkingConfig> = {
  fiction: config('chapter', 360, 80, 40, ['dialogue']),
  nonfiction: config('section', 320, 80, 40, ['table', 'quotation']),
  technical: config('heading', 300, 60, 0, ['code', 'table', 'list']),
  music: config('stanza', 240, 40, 0, ['stanza']),
  film: config('scene', 320, 60, 0, ['speech']),
  art: config('work', 320, 40, 0, ['table', 'quotation']),
  journal: config('entry', 320, 40, 40, []),
  business: config('section', 300, 80, 0, ['table', 'list']),
  finance: config('statement', 360, 60, 0, ['table']),
}

function config(
  strategy: ChunkingConfig['strategy'],
  target_tokens: number,
  min_tokens: number,
  overlap_tokens: number,
  keep_whole: ChunkingConfig['keep_whole'],
): ChunkingConfig {
  return { strategy, target_tokens, max_tokens: 480, min_tokens, overlap_tokens, keep_whole }
}
