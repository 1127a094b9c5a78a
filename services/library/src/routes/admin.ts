import { listAnswer } from '@mnemosyne/contracts'
import { assertStaffSurface } from '../access.ts'
import type { LibraryContext } from '../context.ts'
import { libraryNode, listLibraries } from '../store/libraries.ts'
import type { LibraryImplementer } from './implementer.ts'
import { libraryAnswer } from './libraries.ts'

/** What staff see: every library, whoever owns it. */
export function adminRoutes(os: LibraryImplementer, { sql, graph }: LibraryContext) {
  return {
    libraries: os.admin.libraries.handler(async ({ input, context }) => {
      assertStaffSurface(context.principal, 'view')
      const { libraries, total } = await listLibraries(sql.read, input)
      const counts = await graph.libraryCounts(libraries.map(({ uid }) => uid))
      return listAnswer(
        libraries.map((library, index) => libraryAnswer(libraryNode(library), counts[index])),
        total,
      )
    }),
  }
}
