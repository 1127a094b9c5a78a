import { randomBytes, timingSafeEqual } from 'node:crypto'
import { SESSION_COOKIE } from '@mnemosyne/contracts'
import type { Selectable } from 'kysely'
import type { AuthContext, Tx } from './context.ts'
import { hashOf } from './credential.ts'
import { isNews } from './last-used.ts'
import type { AuthTables } from './schema.ts'

type SessionRow = Selectable<AuthTables['session']>

/** With the secret, which is kept nowhere. */
export type StartedSession = SessionRow & { secret: string }

/** How long a session lasts after its last use. */
const LIFETIME_MS = 8 * 3_600_000

const ATTRIBUTES = 'Path=/; HttpOnly; SameSite=Lax'

/** The cookie that holds a session; the gateway adds `Secure` where it is reached by https. */
export const sessionCookie = (secret: string) => `${SESSION_COOKIE}=${secret}; ${ATTRIBUTES}`

/** Makes a browser forget its session. */
export const NO_SESSION_COOKIE = `${SESSION_COOKIE}=; Max-Age=0; ${ATTRIBUTES}`

/** Starts a session; what is kept of its secret is the SHA-256. */
export async function startSession(
  tx: Tx,
  { clock, ids }: Pick<AuthContext, 'clock' | 'ids'>,
  userId: string,
): Promise<StartedSession> {
  const now = clock().toISOString()
  const secret = randomBytes(32).toString('base64url')
  const row: SessionRow = {
    id: ids(),
    user_id: userId,
    secret_hash: hashOf(secret),
    csrf_token: randomBytes(32).toString('base64url'),
    created_at: now,
    last_used_at: now,
    expires_at: expiryAfter(now),
  }
  await tx.insertInto('session').values(row).execute()
  return { ...row, secret }
}

/** The session that a cookie holds, with its user; undefined when there is none, or it has expired. */
export function sessionBySecret({ sql, clock }: Pick<AuthContext, 'sql' | 'clock'>, secret: string) {
  return sql.read
    .selectFrom('session')
    .innerJoin('user', 'user.id', 'session.user_id')
    .select([
      'session.id as session_id',
      'session.csrf_token',
      'session.last_used_at',
      'user.id',
      'user.username',
      'user.is_active',
      'user.is_staff',
      'user.is_superuser',
    ])
    .where('session.secret_hash', '=', hashOf(secret))
    .where('session.expires_at', '>', clock().toISOString())
    .executeTakeFirst()
}

export function sessionById({ sql }: Pick<AuthContext, 'sql'>, id: string): Promise<SessionRow | undefined> {
  return sql.read.selectFrom('session').selectAll().where('id', '=', id).executeTakeFirst()
}

/** Compared by hashes: the time that it takes tells nothing of the token. */
export function isCsrfToken(presented: string | null, token: string): boolean {
  return presented !== null && timingSafeEqual(Buffer.from(hashOf(presented)), Buffer.from(hashOf(token)))
}

/** A session was used: it lasts on. One that has been ended meanwhile stays so. */
export async function slideSession(tx: Tx, id: string, at: string): Promise<void> {
  await tx
    .updateTable('session')
    .set({ last_used_at: at, expires_at: expiryAfter(at) })
    .where('id', '=', id)
    .where('last_used_at', '<', at)
    .execute()
}

/** When a session that is used now expires, of which not every use is written down. */
export function expiryOf({ last_used_at, expires_at }: SessionRow, now: Date): string {
  return isNews(last_used_at, now) ? expiryAfter(now.toISOString()) : expires_at
}

function expiryAfter(lastUsedAt: string): string {
  return new Date(Date.parse(lastUsedAt) + LIFETIME_MS).toISOString()
}

/** Ends a session; false when it had ended. */
export async function endSession(tx: Tx, id: string): Promise<boolean> {
  const { numDeletedRows } = await tx.deleteFrom('session').where('id', '=', id).executeTakeFirst()
  return numDeletedRows > 0n
}

/**
 * Ends all sessions of a user, and says how many. In a transaction that has changed the user's row first, no session
 * is left that somebody else begins at the same moment.
 */
export async function endSessions(tx: Tx, userId: string): Promise<number> {
  const { numDeletedRows } = await tx.deleteFrom('session').where('user_id', '=', userId).executeTakeFirst()
  return Number(numDeletedRows)
}

export async function purgeSessions(tx: Tx, now: Date): Promise<void> {
  await tx.deleteFrom('session').where('expires_at', '<=', now.toISOString()).execute()
}
