import { type Library, type LibraryDetail, listAnswer, Uid } from '@mnemosyne/contracts'
import type { LibraryCounts, LibraryNode } from '@mnemosyne/graph'
import { actorOf, type RequestContext } from '@mnemosyne/platform'
import { assertMayOwn, assertStaff, callerOf } from '../access.ts'
import type { LibraryContext } from '../context.ts'
import { establishLibrary, type NewLibrary, storeLibrary } from '../create-library.ts'
import { deleteLibrary } from '../delete-library.ts'
import { NotFoundError } from '../errors.ts'
import { findLibrary, libraryNode, liveLibrary } from '../store/libraries.ts'
import type { LibraryRow } from '../store/tables.ts'
import { updateLibrary } from '../update-library.ts'
import type { LibraryImplementer } from './implementer.ts'
import { readable } from './scope.ts'

export function libraryRoutes(os: LibraryImplementer, deps: LibraryContext) {
  const { graph } = deps
  return {
    list: os.libraries.list.handler(async ({ input, context }) => {
      const { libraries, total } = await graph.libraries(readable(context.principal), input)
      const counts = await graph.libraryCounts(libraries.map(({ uid }) => uid))
      return listAnswer(
        libraries.map((library, index) => libraryAnswer(library, counts[index])),
        total,
      )
    }),

    create: os.libraries.create.handler(async ({ input, context }) => {
      const caller = callerOf(context.principal)
      const { global, ...library } = input
      if (global) assertStaff(context.principal, 'change')
      const owner_username = global ? null : caller.username
      return createLibrary(deps, { ...library, workspace_id: null, owner_username }, context)
    }),

    get: os.libraries.get.handler(async ({ input, context }) => {
      const library = await graph.getLibrary(readable(context.principal), input.uid)
      if (!library) throw new NotFoundError('Library')
      const [counts] = await graph.libraryCounts([library.uid])
      return libraryDetail(library, counts)
    }),

    update: os.libraries.update.handler(async ({ input: { uid, ...change }, context }) => {
      const library = Uid.safeParse(uid).success ? await liveLibrary(deps.sql.read, uid) : undefined
      if (!library) throw new NotFoundError('Library')
      assertMayOwn(context.principal, library, 'change')
      const changed = await updateLibrary(deps, context, library, change)
      const [counts] = await graph.libraryCounts([uid])
      return libraryDetail(libraryNode(changed), counts)
    }),

    delete: os.libraries.delete.handler(async ({ input, context }) => {
      const library = await findLibrary(deps.sql.read, input.uid)
      if (!library) throw new NotFoundError('Library')
      assertMayOwn(context.principal, library, 'delete')
      await deleteLibrary(deps, context, { uid: library.uid })
    }),
  }
}

/** Nothing names a library that has no workspace a second time, so what fails half way is taken back. */
async function createLibrary(
  deps: LibraryContext,
  library: NewLibrary,
  request: RequestContext,
): Promise<LibraryDetail> {
  const stored = (await storeLibrary(deps, actorOf(request), library)) as LibraryRow
  try {
    await establishLibrary(deps, stored, request.delegations)
  } catch (error) {
    await deleteLibrary(deps, request, { uid: stored.uid }).catch((err: unknown) =>
      deps.log.warn({ err, library_uid: stored.uid }, 'a library that failed half way is deleted later'),
    )
    throw error
  }
  return libraryDetail(libraryNode(stored))
}

export function libraryAnswer(library: LibraryNode, counts?: LibraryCounts): Library {
  return {
    uid: library.uid,
    name: library.name,
    library_type: library.library_type as Library['library_type'],
    description: library.description,
    workspace_id: library.workspace_id,
    owner_username: library.owner_username,
    global: library.owner_username === null,
    item_count: counts?.items ?? 0,
    chunk_count: counts?.chunks ?? 0,
    image_count: counts?.images ?? 0,
    created_at: library.created_at,
    updated_at: library.updated_at,
  }
}

function libraryDetail(library: LibraryNode, counts?: LibraryCounts): LibraryDetail {
  return {
    ...libraryAnswer(library, counts),
    chunking_config: library.chunking_config as LibraryDetail['chunking_config'],
    embedding_instruction: library.embedding_instruction,
    reranker_instruction: library.reranker_instruction,
    llm_context_prompt: library.llm_context_prompt,
  }
}
