import type { SearchRequest } from '@mnemosyne/contracts'
import type { Ask, LibraryNode, Scope, SearchStore } from '@mnemosyne/graph'
import { collectionNotFound, libraryNotFound } from './errors.ts'

/** What one request may look at: the scope that stands in every query, and the libraries in it. */
export interface SearchScope {
  scope: Scope
  libraries: LibraryNode[]
}

/**
 * The libraries that a principal may read, narrowed by what the request names. A library or collection that does not exist and
 * one that the caller may not read are refused in the same words.
 */
export async function resolveScope(
  graph: SearchStore,
  readable: string[],
  { library_uid, library_type, collection_uid }: SearchRequest,
  ask: Ask,
): Promise<SearchScope> {
  const scope: Scope = { libraries: readable }
  if (library_uid !== undefined) {
    const library = await graph.getLibrary(scope, library_uid, ask)
    if (!library) throw libraryNotFound()
    scope.libraries = [library_uid]
  }
  if (collection_uid !== undefined) {
    const collection = await graph.getCollection(scope, collection_uid, ask)
    if (!collection) throw collectionNotFound()
    scope.libraries = [collection.library_uid]
    scope.collection = collection_uid
  }
  if (library_type !== undefined) scope.library_type = library_type
  if (scope.libraries.length === 0) return { scope, libraries: [] }
  const { libraries } = await graph.libraries(scope, undefined, ask)
  return { scope, libraries }
}
