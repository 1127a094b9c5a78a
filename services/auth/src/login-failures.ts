import { createHash } from 'node:crypto'
import { addressBlock, DomainError } from '@mnemosyne/platform'
import { sql } from 'kysely'
import type { AuthContext, Tx } from './context.ts'

/** Failures after which a user name is locked for an address, and for how long; after as long they are forgotten. */
const FAILURES_MAX = 5
const LOCK_MS = 3_600_000

/** Who is trying to get in: any user name, known or not, from an address. */
export interface LoginKey {
  /** Addresses of one IPv6 network of /64 count as one. */
  address: string
  username: string
}

export function loginKeyOf(address: string | null, username: string): LoginKey {
  return { address: addressBlock(address ?? 'unknown'), username }
}

/** As it is kept: what is typed in as a name may be a password, in the wrong field. */
function rowKeyOf({ address, username }: LoginKey): { address: string; username_hash: string } {
  return { address, username_hash: createHash('sha256').update(username).digest('hex') }
}

/** Throws DomainError LOGIN_LOCKED. Counts nothing. */
export async function assertNotLocked(
  { sql, clock }: Pick<AuthContext, 'sql' | 'clock'>,
  key: LoginKey,
): Promise<void> {
  const now = clock()
  const { address, username_hash } = rowKeyOf(key)
  const row = await sql.read
    .selectFrom('login_failure')
    .select('locked_until')
    .where('address', '=', address)
    .where('username_hash', '=', username_hash)
    .where('locked_until', '>', now.toISOString())
    .executeTakeFirst()
  if (row?.locked_until) throw lockedError(row.locked_until, now)
}

/**
 * Counts a login as a failure, before its password is looked at: of any number of them at the same moment, on
 * any replica, no more than five get past this. Success takes the count back by `forgetFailures`. Returns whether
 * this was the last one. Throws DomainError LOGIN_LOCKED.
 */
export async function countLogin(
  context: Pick<AuthContext, 'sql' | 'clock'>,
  key: LoginKey,
): Promise<{ locks: boolean }> {
  const now = context.clock()
  const at = now.toISOString()
  const lockedUntil = new Date(now.getTime() + LOCK_MS).toISOString()
  const forgotten = sql<boolean>`login_failure.last_failed_at <= ${new Date(now.getTime() - LOCK_MS).toISOString()}`
  const counted = await context.sql.transaction((tx) =>
    tx
      .insertInto('login_failure')
      .values({ ...rowKeyOf(key), failures: 1, last_failed_at: at, locked_until: null })
      .onConflict((conflict) =>
        conflict
          .columns(['address', 'username_hash'])
          .doUpdateSet({
            failures: sql`case when ${forgotten} then 1 else login_failure.failures + 1 end`,
            last_failed_at: at,
            locked_until: sql`case when ${forgotten} or login_failure.failures + 1 < ${FAILURES_MAX}
              then null else ${lockedUntil} end`,
          })
          .where((where) =>
            where.or([
              where('login_failure.locked_until', 'is', null),
              where('login_failure.locked_until', '<=', at),
            ]),
          ),
      )
      .returning('locked_until')
      .executeTakeFirst(),
  )
  if (counted) return { locks: counted.locked_until !== null }
  await assertNotLocked(context, key)
  // The lock went between the two statements, by the success of another login.
  return countLogin(context, key)
}

/** Somebody got in: what failed before counts no more. */
export async function forgetFailures(tx: Tx, key: LoginKey): Promise<void> {
  const { address, username_hash } = rowKeyOf(key)
  await tx
    .deleteFrom('login_failure')
    .where('address', '=', address)
    .where('username_hash', '=', username_hash)
    .execute()
}

/** Writes as much as a record in the audit log does, and changes nothing. */
export async function touchFailures(tx: Tx, key: LoginKey): Promise<void> {
  const { address, username_hash } = rowKeyOf(key)
  await tx
    .updateTable('login_failure')
    .set((row) => ({ failures: row.ref('failures') }))
    .where('address', '=', address)
    .where('username_hash', '=', username_hash)
    .execute()
}

export async function purgeFailures(tx: Tx, now: Date): Promise<void> {
  await tx
    .deleteFrom('login_failure')
    .where('last_failed_at', '<=', new Date(now.getTime() - LOCK_MS).toISOString())
    .execute()
}

function lockedError(lockedUntil: string, now: Date): DomainError {
  const seconds = Math.max(1, Math.ceil((Date.parse(lockedUntil) - now.getTime()) / 1_000))
  const minutes = Math.ceil(seconds / 60)
  const when = minutes === 1 ? 'in a minute' : `in ${minutes} minutes`
  return new DomainError('LOGIN_LOCKED', `Too many failed logins. Try again ${when}.`, {
    retryAfterSeconds: seconds,
  })
}
