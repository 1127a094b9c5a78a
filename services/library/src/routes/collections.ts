import { listAnswer } from '@mnemosyne/contracts'
import { type Actor, actorOf, announceAudit } from '@mnemosyne/platform'
import { assertMayCurate } from '../access.ts'
import type { LibraryContext } from '../context.ts'
import { NotFoundError } from '../errors.ts'
import { ensureCollectionProjected } from '../projection.ts'
import { insertCollection, removeCollection } from '../store/collections.ts'
import { liveLibrary } from '../store/libraries.ts'
import type { CollectionRow, LibraryRow } from '../store/tables.ts'
import type { LibraryImplementer } from './implementer.ts'
import { readable } from './scope.ts'

export function collectionRoutes(os: LibraryImplementer, deps: LibraryContext) {
  const { sql, graph, clock, ids } = deps
  return {
    list: os.collections.list.handler(async ({ input, context }) => {
      const { library_uid, ...page } = input
      const { collections, total } = await graph.listCollections(
        readable(context.principal, { library_uid }),
        page,
      )
      return listAnswer(
        collections.map(({ updated_at: _, item_count: __, ...collection }) => collection),
        total,
      )
    }),

    create: os.collections.create.handler(async ({ input, context }) => {
      const now = clock().toISOString()
      const collection = { ...input, uid: ids(), created_at: now, updated_at: now }
      const library = await liveLibrary(sql.read, input.library_uid)
      if (!library) throw new NotFoundError('Library')
      assertMayCurate(context.principal, library, 'change')
      await createCollection(deps, actorOf(context), library, collection)
      const { updated_at: _, ...answer } = collection
      return { ...answer, library_name: library.name }
    }),
  }
}

/** Nothing names a collection a second time, so one that the graph did not take is taken back. */
async function createCollection(
  deps: LibraryContext,
  by: Actor,
  library: LibraryRow,
  collection: CollectionRow,
): Promise<void> {
  const { sql, graph, log } = deps
  const { uid, library_uid } = collection
  await sql.transaction(async (tx) => {
    if (!(await liveLibrary(tx, library.uid))) throw new NotFoundError('Library')
    await insertCollection(tx, collection)
    const detail = { library_uid }
    await announceAudit(tx, 'library', deps, by, { action: 'collection.created', target: uid, detail })
  })
  deps.relay.wake()
  try {
    await ensureCollectionProjected(deps, library, collection)
  } catch (error) {
    await sql.transaction(async (tx) => {
      await removeCollection(tx, uid)
      const detail = { library_uid, taken_back: true }
      await announceAudit(tx, 'library', deps, by, { action: 'collection.deleted', target: uid, detail })
    })
    deps.relay.wake()
    await graph
      .deleteCollection(uid)
      .catch((err: unknown) => log.warn({ err }, 'a collection that was taken back may be left in the graph'))
    throw error
  }
}
