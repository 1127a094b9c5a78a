import { DomainError } from '@mnemosyne/platform'
import { type Actor, audit } from './audit.ts'
import type { AuthContext } from './context.ts'
import type { Membership } from './scope.ts'
import { userByName } from './users.ts'

/** Every membership of a user, of any role. */
export function membershipsOf({ sql }: Pick<AuthContext, 'sql'>, userId: string): Promise<Membership[]> {
  return sql.read
    .selectFrom('library_membership')
    .select(['library_uid', 'role'])
    .where('user_id', '=', userId)
    .execute()
}

/** Makes `username` an owner of a library. Idempotent. Throws DomainError USER_NOT_FOUND, USER_DISABLED. */
export async function putOwner(
  context: Pick<AuthContext, 'sql' | 'clock' | 'ids'>,
  by: Actor,
  { library_uid, username }: { library_uid: string; username: string },
): Promise<void> {
  const user = await userByName(context, username)
  if (user.is_active !== 1) throw new DomainError('USER_DISABLED', `The account "${username}" is disabled.`)
  await context.sql.transaction(async (tx) => {
    const { numInsertedOrUpdatedRows } = await tx
      .insertInto('library_membership')
      .values({ user_id: user.id, library_uid, role: 'owner', created_at: context.clock().toISOString() })
      .onConflict((conflict) => conflict.columns(['user_id', 'library_uid', 'role']).doNothing())
      .executeTakeFirst()
    if (numInsertedOrUpdatedRows) {
      await audit(tx, context, by, {
        action: 'membership.added',
        target: library_uid,
        detail: { user_id: user.id, username, role: 'owner' },
      })
    }
  })
}

/**
 * A library is gone: so are its memberships, and its place in every token. A list that becomes empty sees
 * nothing. Idempotent.
 */
export async function forgetLibrary(
  context: Pick<AuthContext, 'sql' | 'clock' | 'ids'>,
  by: Actor,
  libraryUid: string,
): Promise<void> {
  // Serializable, because a list is read and written back: another change to it in between must not be lost.
  const options = { isolation: 'serializable' } as const
  await context.sql.transaction(async (tx) => {
    const { numDeletedRows } = await tx
      .deleteFrom('library_membership')
      .where('library_uid', '=', libraryUid)
      .executeTakeFirst()
    const tokens = await tx
      .selectFrom('user_token')
      .select(['id', 'allowed_libraries'])
      .where('allowed_libraries', 'like', `%"${libraryUid}"%`)
      .execute()
    for (const { id, allowed_libraries } of tokens) {
      const left = (JSON.parse(allowed_libraries) as string[]).filter((uid) => uid !== libraryUid)
      await tx
        .updateTable('user_token')
        .set({ allowed_libraries: JSON.stringify(left), updated_at: context.clock().toISOString() })
        .where('id', '=', id)
        .execute()
    }
    if (numDeletedRows > 0n || tokens.length > 0)
      await audit(tx, context, by, { action: 'library.forgotten', target: libraryUid })
  }, options)
}
