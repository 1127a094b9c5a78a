import { LibraryType, Uid } from '@mnemosyne/contracts'
import { z } from 'zod'
import { defineTool } from './tool.ts'

export const getChunkTool = defineTool({
  name: 'get_chunk',
  title: 'Read a passage whole',
  description: `Return the full text of one passage by its chunk_uid. Use it after search, when a preview is cut or before you quote. The answer names the document, the section and the page for a citation.`,
  input: z.object({ chunk_uid: Uid.describe('As search returned it.') }),
  output: z.looseObject({
    chunk_uid: Uid,
    chunk_index: z.number().int().describe('Place in the document, from 0.'),
    item_uid: Uid,
    item_title: z.string(),
    library_type: LibraryType,
    text: z.string(),
    section_path: z.array(z.string()),
    page: z.number().int().nullable(),
  }),
  async run({ chunk_uid }, { services, as }) {
    const chunk = await services.library.chunks.get({ uid: chunk_uid }, await as('library'))
    const { before: _before, after: _after, ...structured } = chunk
    const place = [chunk.item_title, ...chunk.section_path].join(' › ')
    const page = chunk.page === null ? '' : `, page ${chunk.page}`
    return {
      structured,
      text: `${place}${page}\nchunk_uid: ${chunk.chunk_uid}\n\n${chunk.text}`,
      counts: { chunks: 1 },
    }
  },
})
