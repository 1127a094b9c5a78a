import { LibraryGoneError, type Scope, WorkspaceTakenError } from '@mnemosyne/graph'
import type { Logger } from '@mnemosyne/platform'
import type { Stores } from './context.ts'
import { NotFoundError } from './errors.ts'
import { liveCollections } from './store/collections.ts'
import { markItemDeletionFinished, unfinishedItemDeletions } from './store/items.ts'
import {
  doomedLibraries,
  libraryNode,
  liveLibraries,
  liveLibrary,
  removeDeletedLibrary,
} from './store/libraries.ts'
import type { CollectionRow, LibraryRow } from './store/tables.ts'

const EVERYTHING: Scope = { libraries: 'all' }

/**
 * Writes a library's row into the graph, again and again while others change it, so that the last one to write has
 * written what is true; throws `NotFoundError` when it is deleted meanwhile.
 */
export async function projectLibrary(stores: Stores, library: LibraryRow): Promise<void> {
  const { sql, graph } = stores
  for (let row = library; ; ) {
    try {
      await putLibrary(stores, row)
    } catch (cause) {
      if (cause instanceof LibraryGoneError) throw new NotFoundError('Library', { cause })
      throw cause
    }
    const now = await liveLibrary(sql.read, row.uid)
    if (!now) break
    if (isAlike(now, row)) return
    row = now
  }
  // The deletion may have been through the graph before this write.
  await graph.deleteLibrary(library.uid)
  throw new NotFoundError('Library')
}

/** Of these rows those that the graph lacks, or has as they were before. */
export async function unprojected({ graph }: Stores, rows: LibraryRow[]): Promise<LibraryRow[]> {
  const { libraries } = await graph.libraries({ libraries: rows.map(({ uid }) => uid) })
  const known = new Map(libraries.map((library) => [library.uid, library]))
  return rows.filter((row) => {
    const library = known.get(row.uid)
    return !library || !isAlike(library, row)
  })
}

/** What changes of a library; the time alone would not tell of two changes within a millisecond. */
const CHANGING = ['updated_at', 'name', 'description', 'owner_username'] as const

function isAlike(one: Pick<LibraryRow, (typeof CHANGING)[number]>, other: typeof one): boolean {
  return CHANGING.every((field) => one[field] === other[field])
}

async function putLibrary(stores: Stores, library: LibraryRow): Promise<void> {
  const node = libraryNode(library)
  try {
    await stores.graph.putLibrary(node)
  } catch (error) {
    if (!(error instanceof WorkspaceTakenError)) throw error
    await removeLeftovers(stores, library)
    await stores.graph.putLibrary(node)
  }
}

/**
 * Deletes from the graph what holds the library's workspace id without being its library: one whose deletion
 * is under way, or that a slower request put there after its deletion.
 */
async function removeLeftovers({ sql, graph }: Stores, library: LibraryRow): Promise<void> {
  if (!(await liveLibrary(sql.read, library.uid))) throw new NotFoundError('Library')
  const { libraries } = await graph.libraries(EVERYTHING)
  for (const { uid, workspace_id } of libraries) {
    if (workspace_id !== library.workspace_id || uid === library.uid) continue
    if (!(await liveLibrary(sql.read, uid))) await graph.deleteLibrary(uid)
  }
}

export async function ensureLibraryProjected(stores: Stores, library: LibraryRow): Promise<void> {
  if (!(await stores.graph.getLibrary(EVERYTHING, library.uid))) await projectLibrary(stores, library)
}

/** Puts the collection, and before it its library where that is missing, into the graph. */
export async function ensureCollectionProjected(
  stores: Stores,
  library: LibraryRow,
  collection: CollectionRow,
): Promise<void> {
  const { graph } = stores
  if (await graph.getCollection(EVERYTHING, collection.uid)) return
  try {
    await graph.putCollection(collection)
  } catch (error) {
    if (!(error instanceof LibraryGoneError)) throw error
    await projectLibrary(stores, library)
    await graph.putCollection(collection)
  }
}

/** The second half of a library's deletion, after its row was marked. Idempotent. */
export async function finishLibraryDeletion({ sql, graph }: Stores, uid: string): Promise<void> {
  await graph.deleteLibrary(uid)
  await sql.transaction((tx) => removeDeletedLibrary(tx, uid))
}

/** The second half of an item's deletion. Idempotent. */
export async function finishItemDeletion({ sql, graph }: Stores, uid: string): Promise<void> {
  await graph.deleteItem(uid)
  await sql.transaction((tx) => markItemDeletionFinished(tx, uid))
}

/**
 * Finishes what a crash, or a graph that was away, has cut short: deletions, changes of libraries, and libraries and
 * collections that the graph lacks.
 */
export async function reconcile(stores: Stores, log: Logger): Promise<void> {
  const { sql, graph } = stores
  const doomed = await doomedLibraries(sql.read)
  for (const uid of doomed) await finishLibraryDeletion(stores, uid)
  const items = await unfinishedItemDeletions(sql.read)
  for (const uid of items) await finishItemDeletion(stores, uid)

  const libraries = await unprojected(stores, await liveLibraries(sql.read))
  for (const library of libraries) await unlessDeleted(projectLibrary(stores, library))
  const collections = await missingCollections(stores)
  for (const collection of collections) await unlessDeleted(graph.putCollection(collection))

  const done = {
    libraries_deleted: doomed.length,
    items_deleted: items.length,
    libraries_projected: libraries.length,
    collections_projected: collections.length,
  }
  if (Object.values(done).some((count) => count > 0)) log.info(done, 'finished what had been cut short')
}

async function missingCollections({ sql, graph }: Stores): Promise<CollectionRow[]> {
  const known = new Set<string>()
  for (let offset = 0, total = 1; offset < total; offset += PAGE) {
    const page = await graph.listCollections(EVERYTHING, { limit: PAGE, offset })
    for (const { uid } of page.collections) known.add(uid)
    total = page.total
  }
  return (await liveCollections(sql.read)).filter(({ uid }) => !known.has(uid))
}

const PAGE = 1_000

export async function unlessDeleted(projection: Promise<void>): Promise<void> {
  try {
    await projection
  } catch (error) {
    if (!(error instanceof NotFoundError || error instanceof LibraryGoneError)) throw error
  }
}
