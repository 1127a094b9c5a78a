import type { Principal } from '@mnemosyne/contracts'
import { type Actor, actorOf, announceAudit, FieldError } from '@mnemosyne/platform'
import { assertService, assertServiceOrStaff, callerOf, mayIngest } from '../access.ts'
import type { LibraryContext } from '../context.ts'
import { deleteLibrariesOf } from '../delete-library.ts'
import { NotFoundError } from '../errors.ts'
import { projectLibrariesOf, reassignLibraries } from '../hand-over.ts'
import { ensureCollectionProjected } from '../projection.ts'
import { defaultCollectionUid, findCollection, insertCollection } from '../store/collections.ts'
import {
  globalLibraryUids,
  librariesOfWorkspaces,
  librariesOwnedBy,
  liveLibrary,
} from '../store/libraries.ts'
import type { CollectionRow, LibraryRow } from '../store/tables.ts'
import type { LibraryImplementer } from './implementer.ts'
import { ownWorkspace } from './workspaces.ts'

/** `onGraphAway` is told when the graph has to be brought into line later. */
export function internalRoutes(os: LibraryImplementer, deps: LibraryContext, onGraphAway: () => void) {
  return {
    globalLibraries: os.internal.globalLibraries.handler(() => globalLibraryUids(deps.sql.read)),

    librariesOf: os.internal.librariesOf.handler(({ input, context }) => {
      assertService(context.principal)
      return librariesOfWorkspaces(deps.sql.read, input.owner_username, input.workspace_ids)
    }),

    principalOwner: os.internal.principalOwner.handler(async ({ input }) => {
      const library = await liveLibrary(deps.sql.read, input.library_uid)
      return library ? { owner_username: library.owner_username } : null
    }),

    ownedLibraries: os.internal.ownedLibraries.handler(async ({ input, context }) => {
      assertServiceOrStaff(context.principal)
      return (await librariesOwnedBy(deps.sql.read, input.owner_username)).map(({ uid }) => uid)
    }),

    reassignLibraries: os.internal.reassignLibraries.handler(async ({ input, context }) => {
      assertServiceOrStaff(context.principal)
      const uids = await reassignLibraries(deps, actorOf(context), input)
      // They have changed hands: a graph that is away shows it later, and may not fail who asks.
      await projectLibrariesOf(deps, input.to).catch((err: unknown) => {
        deps.log.warn({ err }, 'libraries that were reassigned are shown so later')
        onGraphAway()
      })
      return uids
    }),

    deleteLibrariesOf: os.internal.deleteLibrariesOf.handler(({ input, context }) => {
      assertServiceOrStaff(context.principal)
      return deleteLibrariesOf(deps, actorOf(context), input.owner_username)
    }),

    ingestTarget: os.internal.ingestTarget.handler(async ({ input, context }) => {
      const library = await targetLibrary(deps, input, context.principal)
      const collection =
        input.collection_uid === undefined
          ? await defaultCollection(deps, actorOf(context), library)
          : await findCollection(deps.sql.read, library.uid, input.collection_uid)
      if (!collection) throw new NotFoundError('Collection')
      await ensureCollectionProjected(deps, library, collection)
      return { library_uid: library.uid, collection_uid: collection.uid }
    }),
  }
}

async function targetLibrary(
  deps: LibraryContext,
  { workspace_id, library_uid }: { workspace_id?: string; library_uid?: string },
  principal: Principal,
): Promise<LibraryRow> {
  const { username } = callerOf(principal)
  if (workspace_id !== undefined && library_uid === undefined)
    return ownWorkspace(deps, workspace_id, username)
  if (workspace_id !== undefined || library_uid === undefined)
    throw new FieldError('library_uid', 'Give one of workspace_id and library_uid.')
  const library = await liveLibrary(deps.sql.read, library_uid)
  if (!library || !mayIngest(principal, library)) throw new NotFoundError('Library')
  return library
}

/** Made at the first ingest that names none. */
async function defaultCollection(
  deps: LibraryContext,
  by: Actor,
  library: LibraryRow,
): Promise<CollectionRow> {
  const { sql, clock } = deps
  const uid = defaultCollectionUid(library.uid)
  const existing = await findCollection(sql.read, library.uid, uid)
  if (existing) return existing
  const now = clock().toISOString()
  const collection: CollectionRow = {
    uid,
    library_uid: library.uid,
    name: 'Default',
    description: '',
    created_at: now,
    updated_at: now,
  }
  await sql.transaction(async (tx) => {
    if (!(await liveLibrary(tx, library.uid))) throw new NotFoundError('Library')
    if (!(await insertCollection(tx, collection))) return
    const detail = { library_uid: library.uid, default: true }
    await announceAudit(tx, 'library', deps, by, { action: 'collection.created', target: uid, detail })
  })
  deps.relay.wake()
  return collection
}
