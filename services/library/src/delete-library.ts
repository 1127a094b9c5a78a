import { type Actor, announceAudit } from '@mnemosyne/platform'
import type { LibraryContext } from './context.ts'
import { announce } from './events/announce.ts'
import { finishLibraryDeletion } from './projection.ts'
import { markLibraryDeleted } from './store/libraries.ts'

/**
 * Deletes a library and all that only it reaches. Once its row is marked it will go, also when this process dies
 * or the graph is away. Idempotent; a deletion that is under way is finished.
 */
export async function deleteLibrary(context: LibraryContext, by: Actor, uid: string): Promise<void> {
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
  await finishLibraryDeletion(context, uid)
}
