import type { MembershipRole } from '@mnemosyne/contracts'
import { type Actor, DomainError } from '@mnemosyne/platform'
import { audit } from './audit.ts'
import type { AuthContext, Tx } from './context.ts'
import { knownHandOvers, putOwnerIn, userCalled } from './memberships.ts'

export interface HandOver {
  library_uid: string
  /** User names, as the library service knows them. */
  from: string
  to: string
  /** How often the library has been handed over, with this time. */
  hand_overs: number
  /** When it was said, by an event: a time in ISO 8601 UTC. */
  asOf?: string
}

/**
 * A library is `to`'s now: they are an owner, and `from` is a manager. Idempotent, and in any order: what tells of an
 * earlier hand-over takes nothing from who became an owner by a later one, nor gives anything to whom a later one
 * has taken it from.
 */
export async function recordHandOver(
  context: Pick<AuthContext, 'sql' | 'clock' | 'ids' | 'log'>,
  by: Actor,
  handOver: HandOver,
): Promise<void> {
  const { library_uid, hand_overs } = handOver
  await context.sql.transaction(
    async (tx) => {
      // Before the library was theirs `to` was made an owner, unless this is one of many (of a user who is deleted).
      if ((await knownHandOvers(tx, library_uid)) < hand_overs) await putNewOwner(tx, context, by, handOver)
      await demoteFormerOwner(tx, context, by, handOver)
    },
    { isolation: 'serializable' },
  )
}

async function putNewOwner(
  tx: Tx,
  context: Pick<AuthContext, 'clock' | 'ids' | 'log'>,
  by: Actor,
  { library_uid, to, hand_overs, asOf }: HandOver,
): Promise<void> {
  try {
    await putOwnerIn(tx, context, by, { library_uid, username: to, hand_overs, asOf })
  } catch (error) {
    if (!(error instanceof DomainError) || !['USER_NOT_FOUND', 'USER_DISABLED'].includes(error.code))
      throw error
    context.log.warn({ err: error, library_uid }, 'a library was handed over to nobody who is here')
  }
}

/** Only who is an owner still, and became one before. */
async function demoteFormerOwner(
  tx: Tx,
  context: Pick<AuthContext, 'clock' | 'ids'>,
  by: Actor,
  { library_uid, from, to, hand_overs, asOf }: HandOver,
): Promise<void> {
  const former = await userCalled(tx, from, asOf)
  const present = await userCalled(tx, to, asOf)
  if (!former || former.id === present?.id) return
  const { numDeletedRows } = await tx
    .deleteFrom('library_membership')
    .where('user_id', '=', former.id)
    .where('library_uid', '=', library_uid)
    .where('role', '=', 'owner')
    .where('hand_overs', '<', hand_overs)
    .executeTakeFirst()
  if (numDeletedRows === 0n) return
  const membership = { user_id: former.id, library_uid, role: 'manager' as const }
  const { numInsertedOrUpdatedRows } = await tx
    .insertInto('library_membership')
    .values({ ...membership, created_at: context.clock().toISOString() })
    .onConflict((conflict) => conflict.columns(['user_id', 'library_uid', 'role']).doNothing())
    .executeTakeFirst()
  // That the library was handed over is told by the library service, which does it.
  const of = { user_id: former.id, username: former.username }
  const told = (action: string, role: MembershipRole) =>
    audit(tx, context, by, { action, target: library_uid, detail: { ...of, role } })
  await told('membership.removed', 'owner')
  if (numInsertedOrUpdatedRows) await told('membership.added', 'manager')
}
