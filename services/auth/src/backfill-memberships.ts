import type { Delegations } from '@mnemosyne/contracts'
import type { Actor } from '@mnemosyne/platform'
import { askLibrary } from './ask-library.ts'
import type { AuthContext } from './context.ts'
import { putOwnerships } from './ownerships.ts'

/**
 * Gives every library's owner the owner's membership, where it is missing. Safe to run again, and while people work.
 * Throws DomainError LIBRARY_UNAVAILABLE.
 */
export async function backfillMemberships(
  context: AuthContext,
  by: Actor,
  delegations: Delegations,
): Promise<{ libraries: number; added: number }> {
  const { sql, library } = context
  const users = await sql.read.selectFrom('user').select(['id', 'username']).orderBy('username').execute()
  const total = { libraries: 0, added: 0 }
  for (const { id, username } of users) {
    const libraries = await askLibrary(() =>
      library.ownedLibraries({ owner_username: username }, { context: { delegations } }),
    )
    total.libraries += libraries.length
    if (libraries.length > 0)
      total.added += await sql.transaction((tx) => putOwnerships(tx, context, by, { userId: id, libraries }))
  }
  return total
}
