import type { Chunk, LibraryType } from '@mnemosyne/contracts'
import type { StoredChunk } from '@mnemosyne/graph'
import type { LibraryContext } from '../context.ts'
import { NotFoundError } from '../errors.ts'
import type { LibraryImplementer } from './implementer.ts'
import { readable } from './scope.ts'

export function chunkRoutes(os: LibraryImplementer, { graph }: LibraryContext) {
  return {
    get: os.chunks.get.handler(async ({ input, context }) => {
      const { uid, ...around } = input
      const found = await graph.getChunk(readable(context.principal), uid, around)
      if (!found) throw new NotFoundError('Chunk')
      const { chunk, before, after } = found
      return {
        ...chunkAnswer(chunk),
        item_title: chunk.item_title,
        library_uid: chunk.library_uid,
        library_type: chunk.library_type as LibraryType,
        before: before.map(chunkAnswer),
        after: after.map(chunkAnswer),
      }
    }),
  }
}

export function chunkAnswer(chunk: StoredChunk): Chunk {
  return {
    chunk_uid: chunk.chunk_uid,
    item_uid: chunk.item_uid,
    chunk_index: chunk.chunk_index,
    text: chunk.text,
    section_path: chunk.section_path,
    page: chunk.page,
    char_start: chunk.char_start,
    char_end: chunk.char_end,
    token_count: chunk.token_count,
  }
}
