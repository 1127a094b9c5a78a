import { randomBytes } from 'node:crypto'
import { createTurns, DomainError } from '@mnemosyne/platform'
import type { AuthContext, Tx } from './context.ts'
import { assertNotLocked, countLogin, type LoginKey } from './login-failures.ts'
import { hashPassword, isOutdated, isPassword } from './passwords.ts'
import type { UserRow } from './users.ts'

/**
 * Each check takes 19 MiB and a processor for some 15 ms. Half of libuv's four threads are left to others, and a login
 * is answered within the two seconds that the gateway gives it.
 */
const CHECKS = { atOnce: 2, patienceMs: 1_000, waitingEach: 10, waiting: 50, tooBusy }

export type Checked =
  | {
      right: true
      user: UserWithPassword
      /** What is to be kept of the password from now on, by `putHash`. */
      hash: string
    }
  | {
      right: false
      user: UserRow | undefined
      reason: 'unknown_user' | 'no_password' | 'wrong_password' | 'user_disabled'
      /** No further login is let through for now. */
      locks: boolean
    }

type UserWithPassword = UserRow & { password_hash: string }

/**
 * Whether an active user has this name and password. Without one the answer costs the same. `hash` is made of
 * `next`, the password that is to be from now on, if it is given. Throws DomainError LOGIN_LOCKED, TOO_BUSY.
 */
export type CheckPassword = (key: LoginKey, password: string, next?: string) => Promise<Checked>

export async function createCheckPassword(context: AuthContext): Promise<CheckPassword> {
  const turns = createTurns(CHECKS)
  const nobodys = await hashPassword(randomBytes(32).toString('base64url'))
  return async (key, password, next) => {
    await assertNotLocked(context, key)
    // Counted in its turn: a login that gets none is not counted, or a flood from elsewhere could lock somebody out.
    return turns.take(key.address, async () => {
      const { locks } = await countLogin(context, key)
      const user = await context.sql.read
        .selectFrom('user')
        .selectAll()
        .where('username', '=', key.username)
        .executeTakeFirst()
      const matches = await isPassword(user?.password_hash ?? nobodys, password)
      if (!user) return { right: false, user, reason: 'unknown_user', locks }
      const { password_hash } = user
      if (password_hash === null) return { right: false, user, reason: 'no_password', locks }
      if (!matches) return { right: false, user, reason: 'wrong_password', locks }
      if (user.is_active !== 1) return { right: false, user, reason: 'user_disabled', locks }
      const stays = next === undefined && !isOutdated(password_hash)
      const hash = stays ? password_hash : await hashPassword(next ?? password)
      return { right: true, user: { ...user, password_hash }, hash }
    })
  }
}

function tooBusy(): DomainError {
  return new DomainError('TOO_BUSY', 'Too many people are signing in at this moment. Try again shortly.', {
    retryAfterSeconds: 2,
  })
}

/** For the audit log. */
export function whyRefused(checked: Checked): { reason: string; locks: boolean } {
  if (checked.right) return { reason: 'changed_meanwhile', locks: false }
  return { reason: checked.reason, locks: checked.locks }
}

/**
 * Keeps the hash; false when the user was disabled, or their password changed, since it was checked. It holds the
 * row, so that whoever does so next ends the session that begins in this transaction.
 */
export async function putHash(
  tx: Tx,
  { user, hash }: Extract<Checked, { right: true }>,
  changes: { updated_at?: string } = {},
): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('user')
    .set({ password_hash: hash, ...changes })
    .where('id', '=', user.id)
    .where('password_hash', '=', user.password_hash)
    .where('is_active', '=', 1)
    .executeTakeFirst()
  return numUpdatedRows > 0n
}
