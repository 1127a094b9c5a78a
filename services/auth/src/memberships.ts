import type { MembershipRole } from '@mnemosyne/contracts'
import { type Actor, DomainError, prepared } from '@mnemosyne/platform'
import { audit } from './audit.ts'
import type { AuthContext, Tx } from './context.ts'
import { dropFromTokens } from './token-libraries.ts'
import type { UserRow } from './users.ts'

type Db = Tx | AuthContext['sql']['read']

/** From the highest. */
const ROLES: readonly MembershipRole[] = ['owner', 'manager', 'reader']

/** There is none, or it is not shared with who asks: the words are the same. */
export const libraryNotFound = () => new DomainError('LIBRARY_NOT_FOUND', 'Library not found.')

/** Every membership of a user, of any role. */
export const membershipsIn = prepared((db: Db, userId: string) =>
  db.selectFrom('library_membership').select(['library_uid', 'role']).where('user_id', '=', userId),
)

/** What a user is in a library: of several roles the highest counts. */
export async function highestRole(
  db: Db,
  userId: string,
  libraryUid: string,
): Promise<MembershipRole | undefined> {
  const rows = await db
    .selectFrom('library_membership')
    .select('role')
    .where('user_id', '=', userId)
    .where('library_uid', '=', libraryUid)
    .execute()
  return ROLES.find((role) => rows.some((row) => row.role === role))
}

export async function hasMembers(db: Db, libraryUid: string): Promise<boolean> {
  const members = db.selectFrom('library_membership').select('user_id').where('library_uid', '=', libraryUid)
  return (await members.limit(1).executeTakeFirst()) !== undefined
}

/** How often the library has been handed over, as far as its owners' memberships tell. */
export async function knownHandOvers(db: Db, libraryUid: string): Promise<number> {
  const { most } = await db
    .selectFrom('library_membership')
    .select((select) => select.fn.max('hand_overs').as('most'))
    .where('library_uid', '=', libraryUid)
    .executeTakeFirstOrThrow()
  return most ?? 0
}

/** A library service that was brought back from a backup may be behind: it counts on from where it is. */
export async function forgetHandOversAfter(tx: Tx, libraryUid: string, hand_overs: number): Promise<void> {
  await tx
    .updateTable('library_membership')
    .set({ hand_overs })
    .where('library_uid', '=', libraryUid)
    .where('hand_overs', '>', hand_overs)
    .execute()
}

/**
 * The user whom the library service calls by this name: also one who is being renamed, until that service has
 * followed. With `asOf` whom it called so then: a name may have come to another since.
 */
export async function userCalled(db: Db, username: string, asOf?: string): Promise<UserRow | undefined> {
  const users = db.selectFrom('user').selectAll('user')
  const named = await users.where('username', '=', username).executeTakeFirst()
  if (named && (asOf === undefined || named.named_at <= asOf)) return named
  const renamed = await users
    .innerJoin('user_rename', 'user_rename.user_id', 'user.id')
    .where((where) => where.or([where('from_username', '=', username), where('to_username', '=', username)]))
    .executeTakeFirst()
  if (renamed || asOf === undefined) return renamed
  return users
    .innerJoin('former_username', 'former_username.successor_id', 'user.id')
    .where('former_username.username', '=', username)
    .where('renamed', '=', 1)
    .where('released_at', '>=', asOf)
    .executeTakeFirst()
}

export interface NewOwner {
  library_uid: string
  username: string
  /** How often the library has been handed over, with this time; left out: as often as is known. */
  hand_overs?: number
  /** When it was said, by an event: a time in ISO 8601 UTC. */
  asOf?: string
  /** Whose name it is, where that is known: it may be another's since the request was resolved. */
  userId?: string
}

/**
 * Makes an active user an owner of a library. Passed over when the library has been handed over since, so that what
 * was on its way for long gives nothing back. Idempotent. Throws DomainError USER_NOT_FOUND, USER_DISABLED.
 */
export async function putOwner(
  context: Pick<AuthContext, 'sql' | 'clock' | 'ids'>,
  by: Actor,
  owner: NewOwner,
): Promise<void> {
  await context.sql.transaction((tx) => putOwnerIn(tx, context, by, owner))
}

export async function putOwnerIn(
  tx: Tx,
  context: Pick<AuthContext, 'clock' | 'ids'>,
  by: Actor,
  { library_uid, username, hand_overs, asOf, userId }: NewOwner,
): Promise<void> {
  const user =
    userId === undefined
      ? await userCalled(tx, username, asOf)
      : await tx.selectFrom('user').selectAll().where('id', '=', userId).executeTakeFirst()
  if (!user) throw new DomainError('USER_NOT_FOUND', `There is no user "${username}".`)
  if (user.is_active !== 1) throw new DomainError('USER_DISABLED', `The account "${username}" is disabled.`)
  const known = await knownHandOvers(tx, library_uid)
  const count = hand_overs ?? known
  if (count < known) return
  const row = { user_id: user.id, library_uid, role: 'owner' as const }
  const { numInsertedOrUpdatedRows } = await tx
    .insertInto('library_membership')
    .values({ ...row, hand_overs: count, created_at: context.clock().toISOString() })
    .onConflict((conflict) => conflict.columns(['user_id', 'library_uid', 'role']).doNothing())
    .executeTakeFirst()
  if (numInsertedOrUpdatedRows) {
    const detail = { user_id: user.id, username: user.username, role: 'owner' }
    await audit(tx, context, by, { action: 'membership.added', target: library_uid, detail })
    return
  }
  await tx
    .updateTable('library_membership')
    .set({ hand_overs: count })
    .where('user_id', '=', user.id)
    .where('library_uid', '=', library_uid)
    .where('role', '=', 'owner')
    .where('hand_overs', '<', count)
    .execute()
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
  await context.sql.transaction(
    async (tx) => {
      const { numDeletedRows } = await tx
        .deleteFrom('library_membership')
        .where('library_uid', '=', libraryUid)
        .executeTakeFirst()
      const tokens = await dropFromTokens(tx, context, { libraryUid })
      if (numDeletedRows > 0n || tokens > 0)
        await audit(tx, context, by, { action: 'library.forgotten', target: libraryUid })
    },
    { isolation: 'serializable' },
  )
}
