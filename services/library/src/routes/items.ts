import { type Item, listAnswer } from '@mnemosyne/contracts'
import type { StoredItem } from '@mnemosyne/graph'
import { actorOf, announceAudit, type RequestContext } from '@mnemosyne/platform'
import { assertMayCurate } from '../access.ts'
import type { LibraryContext } from '../context.ts'
import { NotFoundError } from '../errors.ts'
import { announce } from '../events/announce.ts'
import { finishItemDeletion } from '../projection.ts'
import { findItem, markItemDeleted } from '../store/items.ts'
import { liveLibrary } from '../store/libraries.ts'
import { chunkAnswer } from './chunks.ts'
import type { LibraryImplementer } from './implementer.ts'
import { readable } from './scope.ts'

export function itemRoutes(os: LibraryImplementer, deps: LibraryContext) {
  const { graph } = deps
  return {
    list: os.items.list.handler(async ({ input, context }) => {
      const { limit, offset, ...narrow } = input
      const page = { limit, offset }
      const { items, total } = await graph.listItems(readable(context.principal, narrow), { page })
      return listAnswer(items.map(itemAnswer), total)
    }),

    get: os.items.get.handler(async ({ input, context }) => {
      const scope = readable(context.principal)
      const [item, concepts] = await Promise.all([
        graph.getItem(scope, input.uid),
        graph.itemConcepts(scope, input.uid),
      ])
      if (!item) throw new NotFoundError('Item')
      return {
        ...itemAnswer(item),
        concepts: concepts.map(({ concept_uid, name, concept_type, kind, chunk_count }) => ({
          uid: concept_uid,
          name,
          concept_type: concept_type ?? kind,
          mentions: chunk_count,
        })),
      }
    }),

    delete: os.items.delete.handler(({ input, context }) => deleteItem(deps, input.uid, context)),

    chunks: os.items.chunks.handler(async ({ input, context }) => {
      const { uid, ...page } = input
      const scope = readable(context.principal)
      const [item, { chunks, total }] = await Promise.all([
        graph.getItem(scope, uid),
        graph.listChunks(scope, uid, page),
      ])
      if (!item) throw new NotFoundError('Item')
      return listAnswer(chunks.map(chunkAnswer), total)
    }),
  }
}

/** Once its tombstone is written the item will go, also when this process dies or the graph is away. */
async function deleteItem(deps: LibraryContext, uid: string, request: RequestContext): Promise<void> {
  const { principal } = request
  const { sql, graph, clock, relay } = deps
  // The graph has items of which no event has come yet, SQL those whose first job has not got so far.
  const known = (await graph.getItem(readable(principal), uid)) ?? (await findItem(sql.read, uid))
  if (!known || !principal.resolved_libraries.includes(known.library_uid)) throw new NotFoundError('Item')
  const { library_uid } = known
  const library = await liveLibrary(sql.read, library_uid)
  if (!library) throw new NotFoundError('Item')
  assertMayCurate(principal, library, 'delete')
  await sql.transaction(
    async (tx) => {
      await markItemDeleted(tx, { uid, library_uid }, clock().toISOString())
      await announce(tx, deps, 'item.deleted.v1', { item_uid: uid, library_uid })
      const detail = { library_uid }
      await announceAudit(tx, 'library', deps, actorOf(request), {
        action: 'item.deleted',
        target: uid,
        detail,
      })
    },
    { isolation: 'serializable' },
  )
  relay.wake()
  await finishItemDeletion(deps, uid)
}

function itemAnswer(item: StoredItem): Item {
  return {
    uid: item.uid,
    title: item.title,
    item_type: item.item_type,
    file_type: item.file_type,
    file_size: item.file_size,
    content_hash: item.content_hash ?? '',
    source: item.source,
    source_ref: item.source_ref ?? '',
    library_uid: item.library_uid,
    collection_uid: item.collection_uid,
    embedding_status: item.embedding_status,
    embedding_model: item.embedding_model,
    chunk_count: item.chunk_count,
    image_count: item.image_count,
    metadata: (item.metadata ?? {}) as Item['metadata'],
    error: item.error,
    created_at: item.created_at,
    updated_at: item.updated_at,
  }
}
