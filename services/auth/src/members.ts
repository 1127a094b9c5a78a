import type { Member, MembershipRole } from '@mnemosyne/contracts'
import { type Actor, DomainError, FieldError } from '@mnemosyne/platform'
import { audit } from './audit.ts'
import type { AuthContext, Tx } from './context.ts'
import { highestRole, knownHandOvers, libraryNotFound, userCalled } from './memberships.ts'
import { dropFromTokens } from './token-libraries.ts'

/** Who asks, and for which library. */
export interface OfLibrary {
  callerId: string
  libraryUid: string
}

/** Members by name, each with every role that they hold, and how many rows there are in all. */
export async function listMembers(
  { sql }: Pick<AuthContext, 'sql'>,
  { callerId, libraryUid }: OfLibrary,
  { limit, offset }: { limit: number; offset: number },
): Promise<{ members: Member[]; total: number }> {
  const role = await highestRole(sql.read, callerId, libraryUid)
  if (!role) throw libraryNotFound()
  if (role === 'reader') throw notASharer('Only owners and managers see with whom a library is shared.')
  const rows = sql.read
    .selectFrom('library_membership')
    .innerJoin('user', 'user.id', 'library_membership.user_id')
    .where('library_uid', '=', libraryUid)
  const [members, { total }] = await Promise.all([
    rows
      .select(['username', 'role', 'library_membership.created_at'])
      .orderBy('username')
      .orderBy('role')
      .limit(limit)
      .offset(offset)
      .execute(),
    rows.select((select) => select.fn.countAll<number>().as('total')).executeTakeFirstOrThrow(),
  ])
  return { members, total }
}

export interface MemberRole {
  username: string
  role: string
}

/**
 * Gives an active user a role: an owner any, a manager `reader`. Idempotent; `added` is false when they hold it.
 * Throws FieldError, or DomainError LIBRARY_NOT_FOUND, NOT_A_SHARER.
 */
export async function addMember(
  context: AuthContext,
  by: Actor,
  { callerId, libraryUid }: OfLibrary,
  { username, role }: { username: string; role: MembershipRole },
): Promise<{ added: boolean; member: Member }> {
  return context.sql.transaction(
    async (tx) => {
      assertMayGive(await highestRole(tx, callerId, libraryUid), role)
      const user = await tx
        .selectFrom('user')
        .select(['id', 'is_active'])
        .where('username', '=', username)
        .executeTakeFirst()
      if (user?.is_active !== 1) throw new FieldError('username', 'There is no active user of this name.')
      const held = await membership(tx, user.id, libraryUid, role)
      if (held) return { added: false, member: { username, role, created_at: held.created_at } }
      const created_at = context.clock().toISOString()
      const hand_overs = role === 'owner' ? await knownHandOvers(tx, libraryUid) : 0
      await tx
        .insertInto('library_membership')
        .values({ user_id: user.id, library_uid: libraryUid, role, hand_overs, created_at })
        .execute()
      const detail = { user_id: user.id, username, role }
      await audit(tx, context, by, { action: 'membership.added', target: libraryUid, detail })
      return { added: true, member: { username, role, created_at } }
    },
    { isolation: 'serializable' },
  )
}

/**
 * Takes a role away: an owner anybody's, a manager a reader's, anybody their own. A library always keeps an active
 * owner, and `principalOwner` (a user name) stays one. With the last role goes the library's place in the user's
 * tokens. Idempotent. Throws DomainError LIBRARY_NOT_FOUND, NOT_A_SHARER, LAST_OWNER, PRINCIPAL_OWNER.
 */
export async function removeMember(
  context: AuthContext,
  by: Actor,
  { callerId, libraryUid, principalOwner }: OfLibrary & { principalOwner: string },
  { username, role }: MemberRole,
): Promise<void> {
  // Serializable: of two owners who go at the same moment one has to see that they are the last.
  const options = { isolation: 'serializable' } as const
  await context.sql.transaction(async (tx) => {
    const user = await tx.selectFrom('user').select('id').where('username', '=', username).executeTakeFirst()
    if (user?.id === callerId) await assertMember(tx, { callerId, libraryUid })
    else assertMayTake(await highestRole(tx, callerId, libraryUid), role)
    const held = user && (await membership(tx, user.id, libraryUid, role))
    if (!held) return
    if (role === 'owner') await assertOwnerMayGo(tx, { userId: user.id, libraryUid, principalOwner })
    await tx
      .deleteFrom('library_membership')
      .where('user_id', '=', user.id)
      .where('library_uid', '=', libraryUid)
      .where('role', '=', held.role)
      .execute()
    const last = !(await highestRole(tx, user.id, libraryUid))
    const tokens = last ? await dropFromTokens(tx, context, { libraryUid, userId: user.id }) : 0
    const detail = { user_id: user.id, username, role, tokens }
    await audit(tx, context, by, { action: 'membership.removed', target: libraryUid, detail })
  }, options)
}

async function assertMember(tx: Tx, { callerId, libraryUid }: OfLibrary): Promise<void> {
  if (!(await highestRole(tx, callerId, libraryUid))) throw libraryNotFound()
}

function assertMayGive(own: MembershipRole | undefined, role: MembershipRole): void {
  if (!own) throw libraryNotFound()
  if (own === 'owner' || (own === 'manager' && role === 'reader')) return
  throw notASharer(
    own === 'manager'
      ? 'A manager may let others read this library and no more: ask an owner.'
      : 'Only owners and managers share a library.',
  )
}

function assertMayTake(own: MembershipRole | undefined, role: string): void {
  if (!own) throw libraryNotFound()
  if (own === 'owner' || (own === 'manager' && role === 'reader')) return
  throw notASharer(
    own === 'manager'
      ? 'A manager may take this library from readers and nobody else: ask an owner.'
      : 'Only owners and managers take a library from others; you may leave it.',
  )
}

async function assertOwnerMayGo(
  tx: Tx,
  { userId, libraryUid, principalOwner }: { userId: string; libraryUid: string; principalOwner: string },
): Promise<void> {
  const { others } = await tx
    .selectFrom('library_membership')
    .innerJoin('user', 'user.id', 'library_membership.user_id')
    .select((select) => select.fn.countAll<number>().as('others'))
    .where('library_uid', '=', libraryUid)
    .where('role', '=', 'owner')
    .where('user_id', '<>', userId)
    .where('is_active', '=', 1)
    .executeTakeFirstOrThrow()
  if (others === 0)
    throw new DomainError('LAST_OWNER', 'This is the last owner: hand the library over, or delete it.')
  if ((await userCalled(tx, principalOwner))?.id === userId)
    throw new DomainError('PRINCIPAL_OWNER', 'The library is theirs: hand the library over first.')
}

function membership(tx: Tx, userId: string, libraryUid: string, role: string) {
  return tx
    .selectFrom('library_membership')
    .select(['role', 'created_at'])
    .where('user_id', '=', userId)
    .where('library_uid', '=', libraryUid)
    .where('role', '=', role as MembershipRole)
    .executeTakeFirst()
}

const notASharer = (message: string) => new DomainError('NOT_A_SHARER', message)
