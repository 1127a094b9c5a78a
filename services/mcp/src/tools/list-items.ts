import { EmbeddingStatus, Uid } from '@mnemosyne/contracts'
import { z } from 'zod'
import { clamped, paged, pageLine, paging } from './paging.ts'
import { defineTool } from './tool.ts'

export const listItemsTool = defineTool({
  name: 'list_items',
  title: 'List documents',
  description: `List the documents (items) of a library or collection, or all that this connection may read. Use it to see what a library holds; to find what documents say, use search instead. Only items whose embedding_status is "completed" can be found by search yet.`,
  input: z.object({
    collection_uid: Uid.optional().describe('Only this collection.'),
    library_uid: Uid.optional().describe('Only this library, as list_libraries gives it.'),
    ...paging,
  }),
  output: z.looseObject({
    items: z.array(
      z.looseObject({
        uid: Uid,
        title: z.string(),
        item_type: z.string(),
        file_type: z.string(),
        chunk_count: z.number().int(),
        image_count: z.number().int(),
        embedding_status: EmbeddingStatus,
      }),
    ),
    ...paged,
  }),
  async run({ collection_uid, library_uid, limit, offset }, { services, as }) {
    const page = { limit: clamped(limit), offset }
    const { body, headers } = await services.library.items.list(
      { collection_uid, library_uid, ...page },
      await as('library'),
    )
    const total = Number(headers['x-total-count'])
    return {
      structured: {
        items: body.map((item) => ({
          uid: item.uid,
          title: item.title,
          item_type: item.item_type,
          file_type: item.file_type,
          chunk_count: item.chunk_count,
          image_count: item.image_count,
          embedding_status: item.embedding_status,
        })),
        ...page,
        total,
      },
      text: [
        pageLine('Items', body.length, offset, total),
        ...body.map(
          (item) =>
            `- ${item.title} (${item.file_type}, ${item.chunk_count} passages, ${item.embedding_status}), item_uid ${item.uid}`,
        ),
      ].join('\n'),
      counts: { items: body.length },
    }
  },
})
