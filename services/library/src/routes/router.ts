import type { LibraryContext } from '../context.ts'
import { libraryTypeList } from '../library-types.ts'
import { adminRoutes } from './admin.ts'
import { chunkRoutes } from './chunks.ts'
import { collectionRoutes } from './collections.ts'
import { goldenQueryRoutes, goldenScheduleRoutes } from './golden-queries.ts'
import { implementLibrary } from './implementer.ts'
import { internalRoutes } from './internal.ts'
import { itemRoutes } from './items.ts'
import { libraryRoutes } from './libraries.ts'
import { workspaceRoutes } from './workspaces.ts'

export function libraryRouter(context: LibraryContext, onGraphAway: () => void) {
  const os = implementLibrary(onGraphAway)
  return os.router({
    workspaces: workspaceRoutes(os, context),
    libraries: libraryRoutes(os, context),
    collections: collectionRoutes(os, context),
    items: itemRoutes(os, context),
    chunks: chunkRoutes(os, context),
    libraryTypes: { list: os.libraryTypes.list.handler(() => libraryTypeList) },
    goldenQueries: goldenQueryRoutes(os, context),
    goldenSchedule: goldenScheduleRoutes(os, context),
    admin: adminRoutes(os, context),
    internal: internalRoutes(os, context, onGraphAway),
  })
}
