import type { Stores } from './context.ts'
import { projectLibrary, unlessDeleted } from './projection.ts'
import { liveCollections } from './store/collections.ts'
import { findLibrary, liveLibraries } from './store/libraries.ts'

/**
 * Writes every library and collection into the graph again, and deletes there the libraries that have no row.
 * Idempotent, and safe beside a running library service.
 */
export async function rebuildStructure(
  stores: Stores,
): Promise<{ libraries: number; collections: number; libraries_removed: number }> {
  const { sql, graph } = stores
  // Asked before SQL: whatever comes into the graph has its row first.
  const { libraries: known } = await graph.libraries({ libraries: 'all' })
  let libraries_removed = 0
  for (const { uid } of known) {
    if (await findLibrary(sql.read, uid)) continue
    await graph.deleteLibrary(uid)
    libraries_removed++
  }
  const libraries = await liveLibraries(sql.read)
  for (const library of libraries) await unlessDeleted(projectLibrary(stores, library))
  const collections = await liveCollections(sql.read)
  for (const collection of collections) await unlessDeleted(graph.putCollection(collection))
  return { libraries: libraries.length, collections: collections.length, libraries_removed }
}
