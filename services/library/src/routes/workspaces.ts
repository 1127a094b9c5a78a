import { type Workspace, WorkspaceId } from '@mnemosyne/contracts'
import { WorkspaceTakenError } from '@mnemosyne/graph'
import { actorOf, announceAudit, type RequestContext, withoutSecret } from '@mnemosyne/platform'
import { callerOf } from '../access.ts'
import type { LibraryContext } from '../context.ts'
import { establishLibrary, type NewLibrary, storeLibrary } from '../create-library.ts'
import { deleteLibrary } from '../delete-library.ts'
import { LibraryTypeFrozenError, NotFoundError, WorkspaceBusyError } from '../errors.ts'
import { doomedLibraries, libraryOfWorkspace } from '../store/libraries.ts'
import type { LibraryRow } from '../store/tables.ts'
import type { LibraryImplementer } from './implementer.ts'

const ATTEMPTS = 5

export function workspaceRoutes(os: LibraryImplementer, deps: LibraryContext) {
  return {
    create: os.workspaces.create.handler(async ({ input, context }) => {
      const owner_username = callerOf(context.principal).username
      return createWorkspace(deps, { ...input, owner_username }, context)
    }),

    get: os.workspaces.get.handler(async ({ input, context }) => {
      const { username } = callerOf(context.principal)
      return workspaceAnswer(deps, await ownWorkspace(deps, input.workspace_id, username))
    }),

    delete: os.workspaces.delete.handler(async ({ input, context }) => {
      const { username } = callerOf(context.principal)
      if (!WorkspaceId.safeParse(input.workspace_id).success) return
      const library = await libraryOfWorkspace(deps.sql.read, input.workspace_id)
      if (library?.owner_username === username) {
        // Handed over in this moment it is somebody else's, and stays.
        if (!(await deleteLibrary(deps, context, { uid: library.uid, ownedBy: username })))
          await recordRefusal(deps, context, input.workspace_id)
        return
      }
      const own = { workspace_id: input.workspace_id, owner_username: username }
      const doomed = await doomedLibraries(deps.sql.read, own)
      for (const uid of doomed) await deleteLibrary(deps, context, { uid })
      if (doomed.length === 0) await recordRefusal(deps, context, input.workspace_id)
    }),
  }
}

/** The answer tells neither that there is none nor that it is someone else's; the audit log has that nothing was done. */
async function recordRefusal(deps: LibraryContext, request: RequestContext, named: string) {
  const workspace_id = withoutSecret(named)
  await deps.sql.transaction((tx) =>
    announceAudit(tx, 'library', deps, actorOf(request), {
      action: 'library.deleted',
      target: workspace_id,
      outcome: 'refused',
      detail: { workspace_id, reason: 'no_such_workspace' },
    }),
  )
  deps.relay.wake()
}

/** The caller's own workspace; any other, and an id that can't be one, is not found. */
export async function ownWorkspace(
  { sql }: Pick<LibraryContext, 'sql'>,
  workspaceId: string,
  username: string,
): Promise<LibraryRow> {
  const library = WorkspaceId.safeParse(workspaceId).success
    ? await libraryOfWorkspace(sql.read, workspaceId)
    : undefined
  if (!library || library.owner_username !== username) throw new NotFoundError('Workspace')
  return library
}

type NewWorkspace = NewLibrary & { workspace_id: string; owner_username: string }

/** Repeated while a deletion of the same workspace is under way, until one of the two is through. */
async function createWorkspace(deps: LibraryContext, workspace: NewWorkspace, request: RequestContext) {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const stored = await storeLibrary(deps, actorOf(request), workspace)
    const library = stored ?? (await libraryOfWorkspace(deps.sql.read, workspace.workspace_id))
    if (!library) continue
    if (library.owner_username !== workspace.owner_username) throw new NotFoundError('Workspace')
    if (library.library_type !== workspace.library_type)
      throw new LibraryTypeFrozenError(workspace.workspace_id, library.library_type)
    try {
      await establishLibrary(deps, library, request.delegations)
    } catch (error) {
      if (error instanceof NotFoundError || error instanceof WorkspaceTakenError) continue
      throw error
    }
    const body = await workspaceAnswer(deps, library)
    return stored ? { status: 201 as const, body } : { status: 200 as const, body }
  }
  throw new WorkspaceBusyError()
}

async function workspaceAnswer({ graph }: LibraryContext, library: LibraryRow): Promise<Workspace> {
  const [counts] = await graph.libraryCounts([library.uid])
  return {
    workspace_id: library.workspace_id ?? '',
    library_uid: library.uid,
    name: library.name,
    library_type: library.library_type,
    description: library.description,
    item_count: counts?.items ?? 0,
    chunk_count: counts?.chunks ?? 0,
    image_count: counts?.images ?? 0,
    created_at: library.created_at,
  }
}
