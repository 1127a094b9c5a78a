import { type Actor, actorOf, announceAudit, type RequestContext } from '@mnemosyne/platform'
import type { LibraryContext } from './context.ts'
import { announce } from './events/announce.ts'
import { finishLibraryDeletion } from './projection.ts'
import { librariesOwnedBy, liveLibrary, markLibraryDeleted } from './store/libraries.ts'

/**
 * Deletes a library and all that only it reaches. Once its row is marked it will go, also when this process dies
 * or the graph is away. Idempotent; a deletion that is under way is finished. False, and nothing done, when `ownedBy`
 * is given and it has another principal owner by now.
 */
export async function deleteLibrary(
  context: LibraryContext,
  request: RequestContext,
  { uid, ownedBy }: { uid: string; ownedBy?: string },
): Promise<boolean> {
  if (!(await doom(context, actorOf(request), { uid, ownedBy }))) return false
  await forgetMembers(context, request, uid)
  await finishLibraryDeletion(context, uid)
  return true
}

/** Deletes every library of one principal owner. Returns their uids. Idempotent. */
export async function deleteLibrariesOf(
  context: LibraryContext,
  by: Actor,
  owner: string,
): Promise<string[]> {
  const uids = (await librariesOwnedBy(context.sql.read, owner, { doomedToo: true })).map(({ uid }) => uid)
  // All are marked before the first is emptied, which may take its time.
  const doomed: string[] = []
  for (const uid of uids) if (await doom(context, by, { uid, ownedBy: owner })) doomed.push(uid)
  for (const uid of doomed) await finishLibraryDeletion(context, uid)
  return doomed
}

/** So that the next request sees no membership of it, and no token that names it. The event does the same, later. */
async function forgetMembers(
  { auth, log }: LibraryContext,
  { delegations }: RequestContext,
  library_uid: string,
): Promise<void> {
  try {
    await auth.forgetLibrary({ library_uid }, { context: { delegations } })
  } catch (err) {
    log.warn({ err, library_uid }, "a deleted library's members are forgotten later")
  }
}

/** Marks a library's row, unless it is marked or gone. False: it has another principal owner than `ownedBy` by now. */
async function doom(
  context: LibraryContext,
  by: Actor,
  which: { uid: string; ownedBy?: string },
): Promise<boolean> {
  const { sql, clock, relay } = context
  const marked = await sql.transaction(async (tx) => {
    const library = await markLibraryDeleted(tx, which, clock().toISOString())
    if (!library) return false
    const { uid, workspace_id, owner_username } = library
    await announce(tx, context, 'library.deleted.v1', { library_uid: uid, workspace_id })
    await announceAudit(tx, 'library', context, by, {
      action: 'library.deleted',
      target: uid,
      detail: { owner_username, workspace_id },
    })
    return true
  })
  relay.wake()
  return marked || !(await liveLibrary(sql.read, which.uid))
}
