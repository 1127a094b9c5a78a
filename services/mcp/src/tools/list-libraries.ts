import { LibraryType, Uid } from '@mnemosyne/contracts'
import { z } from 'zod'
import { clamped, paged, pageLine, paging } from './paging.ts'
import { defineTool } from './tool.ts'

export const listLibrariesTool = defineTool({
  name: 'list_libraries',
  title: 'List libraries',
  description: `List the libraries that this connection may read, with their type and description. Use it to learn what can be searched, or to find the library_uid that narrows search and list_items.`,
  input: z.object(paging),
  output: z.looseObject({
    libraries: z.array(
      z.looseObject({ uid: Uid, name: z.string(), library_type: LibraryType, description: z.string() }),
    ),
    ...paged,
  }),
  async run({ limit, offset }, { services, as }) {
    const page = { limit: clamped(limit), offset }
    const { body, headers } = await services.library.libraries.list(page, await as('library'))
    const total = Number(headers['x-total-count'])
    return {
      structured: {
        libraries: body.map(({ uid, name, library_type, description }) => ({
          uid,
          name,
          library_type,
          description,
        })),
        ...page,
        total,
      },
      text: [
        pageLine('Libraries', body.length, offset, total),
        ...body.map(({ uid, name, library_type, description, item_count }) =>
          `- ${name} (${library_type}, ${item_count} items), library_uid ${uid}. ${description}`.trim(),
        ),
      ].join('\n'),
      counts: { libraries: body.length },
    }
  },
})
