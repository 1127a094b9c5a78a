import type { Delegations } from '@mnemosyne/contracts'
import { type Actor, DomainError, serviceActor } from '@mnemosyne/platform'
import { askLibrary } from './ask-library.ts'
import { audit } from './audit.ts'
import { changeUsers } from './change-users.ts'
import type { AuthContext, Tx } from './context.ts'
import { usernameKey } from './username.ts'
import { withUsername } from './username-claims.ts'
import { assertNameFree, releaseName, takeName } from './usernames.ts'
import type { UserRow } from './users.ts'

export interface Rename {
  user_id: string
  from_username: string
  to_username: string
}

/**
 * Renaming goes on in three steps, each of which may be the last for now: both names are reserved; the library
 * service calls the owner of the user's libraries by the new one; the user has it. What is reserved is finished by
 * `finishRenames`, whatever became of the request. Tokens, teams and memberships know users by their ids.
 *
 * Undefined when the user has the name already. Throws DomainError USERNAME_TAKEN, USERNAME_BUSY, RENAME_UNDER_WAY.
 */
export async function beginRename(
  tx: Tx,
  context: Pick<AuthContext, 'clock' | 'ids'>,
  by: Actor,
  { id, username }: UserRow,
  to: string,
): Promise<Rename | undefined> {
  const begun = await renameOf(tx, id)
  if (begun?.to_username === to) return begun
  if (begun) {
    throw new DomainError(
      'RENAME_UNDER_WAY',
      `"${username}" is being renamed to "${begun.to_username}". Wait until that is done.`,
    )
  }
  if (to === username) return undefined
  await assertNameFree(tx, context, to, { forId: id })
  const rename = { user_id: id, from_username: username, to_username: to }
  await tx
    .insertInto('user_rename')
    .values({ ...rename, created_at: context.clock().toISOString() })
    .execute()
  await audit(tx, context, by, {
    action: 'user.rename_begun',
    target: id,
    detail: { from: username, to },
  })
  return rename
}

/**
 * Lets the library service follow a rename that has begun, and ends it. Throws DomainError RENAME_UNDER_WAY when the
 * libraries cannot be reached, or somebody else is at it: it is finished later.
 */
export async function followRename(
  context: AuthContext,
  by: Actor,
  rename: Rename,
  delegations: Delegations,
): Promise<void> {
  const { from_username: from, to_username: to } = rename
  try {
    await withUsername(context, from, async () => {
      // Under the claim: somebody else may have ended it, and the old name may be another's by now.
      if (!(await renameOf(context.sql.read, rename.user_id))) return
      await askLibrary(() =>
        context.library.reassignLibraries({ from, to, renamed: true }, { context: { delegations } }),
      )
      await changeUsers(context, (tx) => endRename(tx, context, by, rename))
    })
  } catch (cause) {
    const later =
      cause instanceof DomainError && ['LIBRARY_UNAVAILABLE', 'USERNAME_BUSY'].includes(cause.code)
    if (!later) throw cause
    throw new DomainError(
      'RENAME_NOT_FOLLOWED',
      `The libraries of "${from}" cannot be brought along right now. "${from}" is called "${to}" as soon as they can; nobody else gets either name meanwhile.`,
      { cause },
    )
  }
}

async function endRename(
  tx: Tx,
  context: AuthContext,
  by: Actor,
  { user_id, from_username, to_username }: Rename,
): Promise<void> {
  const ended = await tx
    .deleteFrom('user_rename')
    .where('user_id', '=', user_id)
    .where('to_username', '=', to_username)
    .returning('user_id')
    .executeTakeFirst()
  if (!ended) return
  const now = context.clock().toISOString()
  await tx
    .updateTable('user')
    .set({ username: to_username, username_key: usernameKey(to_username), named_at: now, updated_at: now })
    .where('id', '=', user_id)
    .execute()
  await takeName(tx, to_username)
  await releaseName(tx, context, { username: from_username, successorId: user_id, renamed: true })
  const detail = { from: from_username, to: to_username }
  await audit(tx, context, by, { action: 'user.renamed', target: user_id, detail })
}

/** Finishes what was begun: of one user, or of everybody. Throws as `followRename`. */
export async function finishRenames(
  context: AuthContext,
  delegations: Delegations,
  { of }: { of?: string } = {},
): Promise<void> {
  let begun = context.sql.read.selectFrom('user_rename').selectAll()
  if (of !== undefined) begun = begun.where('user_id', '=', of)
  for (const rename of await begun.execute()) {
    await followRename(context, serviceActor(''), rename, delegations)
  }
}

function renameOf(db: Tx | AuthContext['sql']['read'], userId: string): Promise<Rename | undefined> {
  return db.selectFrom('user_rename').selectAll().where('user_id', '=', userId).executeTakeFirst()
}
