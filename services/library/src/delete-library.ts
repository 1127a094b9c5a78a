import { type Actor, actorOf, announceAudit, type RequestContext } from '@mnemosyne/platform'
import type { LibraryContext } from './context.ts'
import { announce } from './events/announce.ts'
import { finishLibraryDeletion } from './projection.ts'
import { librariesOwnedBy, markLibraryDeleted } from './store/libraries.ts'

/**
 * Deletes a library and all that only it reaches. Once its row is marked it will go, also when this process dies
 * or the graph is away. Idempotent; a deletion that is under way is finished.
 */
export async function deleteLibrary(
  context: LibraryContext,
  request: RequestContext,
  uid: string,
): Promise<void> {
  await markDeleted(context, actorOf(request), uid)
  await forgetMembers(context, request, uid)
  await finishLibraryDeletion(context, uid)
}

/** Deletes every library of one principal owner. Returns their uids. Idempotent. */
export async function deleteLibrariesOf(
  context: LibraryContext,
  by: Actor,
  owner: string,
): Promise<string[]> {
  const uids = (await librariesOwnedBy(context.sql.read, owner, { doomedToo: true })).map(({ uid }) => uid)
  // All are marked before the first is emptied, which may take its time.
  for (const uid of uids) await markDeleted(context, by, uid)
  for (const uid of uids) await finishLibraryDeletion(context, uid)
  return uids
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

async function markDeleted(context: LibraryContext, by: Actor, uid: string): Promise<void> {
  const { sql, clock, relay } = context
  await sql.transaction(async (tx) => {
    const library = await markLibraryDeleted(tx, uid, clock().toISOString())
    if (!library) return
    const { workspace_id, owner_username } = library
    await announce(tx, context, 'library.deleted.v1', { library_uid: uid, workspace_id })
    await announceAudit(tx, 'library', context, by, {
      action: 'library.deleted',
      target: uid,
      detail: { owner_username, workspace_id },
    })
  })
  relay.wake()
}
