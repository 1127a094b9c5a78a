import type { Delegations } from '@mnemosyne/contracts'
import { DomainError, serviceActor } from '@mnemosyne/platform'
import { askLibrary } from './ask-library.ts'
import type { AuthContext, Tx } from './context.ts'
import { putOwnerships } from './ownerships.ts'
import { usernameKey } from './username.ts'
import { assertUnclaimed, withUsername } from './username-claims.ts'

/**
 * How long after a name has been given up its last libraries may still come into being: by requests that were under
 * way, whose assertions hold for a minute.
 */
const AFTERMATH_MS = 120_000

/**
 * Ask in `changeUsers`. Throws DomainError USERNAME_TAKEN when another user has the name, or one that looks like it, or is about to; and
 * USERNAME_BUSY.
 */
export async function assertNameFree(
  tx: Tx,
  context: Pick<AuthContext, 'clock'>,
  username: string,
  { forId = null }: { forId?: string | null } = {},
): Promise<void> {
  const key = usernameKey(username)
  const holders = await tx
    .selectFrom('user')
    .select(['id', 'username'])
    .where('username_key', '=', key)
    .execute()
  const renames = await tx.selectFrom('user_rename').selectAll().execute()
  const taken = [
    ...holders.map((holder) => ({ ...holder, user_id: holder.id })),
    ...renames.flatMap(({ user_id, from_username, to_username }) => [
      { user_id, username: from_username },
      { user_id, username: to_username },
    ]),
  ].find((name) => name.user_id !== forId && usernameKey(name.username) === key)
  if (taken) throw nameTaken(taken.username)
  await assertUnclaimed(tx, context, username)
}

export function nameTaken(username: string, options?: ErrorOptions): DomainError {
  return new DomainError(
    'USERNAME_TAKEN',
    `There is a user "${username}" already. Choose another name.`,
    options,
  )
}

/** Nobody has `username` any more: what still comes into being under it is the successor's, or is deleted. */
export async function releaseName(
  tx: Tx,
  { clock }: Pick<AuthContext, 'clock'>,
  { username, successorId, renamed }: { username: string; successorId: string | null; renamed: boolean },
): Promise<void> {
  const now = clock()
  const row = {
    username,
    successor_id: successorId,
    renamed: renamed ? 1 : 0,
    released_at: now.toISOString(),
    settle_at: new Date(now.getTime() + AFTERMATH_MS).toISOString(),
  }
  await tx
    .insertInto('former_username')
    .values(row)
    .onConflict((conflict) => conflict.column('username').doUpdateSet(row))
    .execute()
}

/** Somebody has `username` again. */
export async function takeName(tx: Tx, username: string): Promise<void> {
  await tx.deleteFrom('former_username').where('username', '=', username).execute()
}

/**
 * Before somebody else takes a name that was another's: what still stands under it goes to whom it belongs. Throws
 * DomainError LIBRARY_UNAVAILABLE, USERNAME_BUSY.
 */
export async function settleBeforeTaking(
  context: AuthContext,
  username: string,
  delegations: Delegations,
  { forId = null }: { forId?: string | null } = {},
): Promise<void> {
  const former = await context.sql.read
    .selectFrom('former_username')
    .select('successor_id')
    .where('username', '=', username)
    .executeTakeFirst()
  // Their own former name: what stands under it is theirs.
  if (!former || (forId !== null && former.successor_id === forId)) return
  await settle(context, username, delegations)
}

/** Names whose aftermath is over: what came into being under them meanwhile goes to whom it belongs. */
export async function settleFormerNames(context: AuthContext, delegations: Delegations): Promise<void> {
  const due = await context.sql.read
    .selectFrom('former_username')
    .select('username')
    .where('settle_at', '<=', context.clock().toISOString())
    .execute()
  for (const { username } of due) await settle(context, username, delegations)
}

function settle(context: AuthContext, username: string, delegations: Delegations): Promise<void> {
  return withUsername(context, username, async () => {
    // Read under the claim: by now somebody may have the name, and all that stands under it.
    const former = await context.sql.read
      .selectFrom('former_username')
      .leftJoin('user', 'user.id', 'former_username.successor_id')
      .select(['renamed', 'settle_at', 'user.id as successor_id', 'user.username as successor'])
      .where('former_username.username', '=', username)
      .executeTakeFirst()
    if (!former) return
    const { settle_at, successor_id, successor } = former
    const call = { context: { delegations } }
    if (successor_id === null || successor === null) {
      await askLibrary(() => context.library.deleteLibrariesOf({ owner_username: username }, call))
    } else {
      const libraries = await askLibrary(() =>
        context.library.reassignLibraries(
          { from: username, to: successor, renamed: former.renamed === 1 },
          call,
        ),
      )
      await context.sql.transaction((tx) =>
        putOwnerships(tx, context, serviceActor(''), { userId: successor_id, libraries }),
      )
    }
    await context.sql.transaction(async (tx) => {
      await tx
        .updateTable('former_username')
        .set({ settle_at: null })
        .where('username', '=', username)
        .where('settle_at', settle_at === null ? 'is' : '=', settle_at)
        .execute()
    })
  })
}
