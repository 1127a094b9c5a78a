import type { UserToken } from '@mnemosyne/contracts'
import { DomainError, FieldError } from '@mnemosyne/platform'
import type { Selectable } from 'kysely'
import { type Actor, audit } from './audit.ts'
import { type AuthContext, announce } from './context.ts'
import { hintOf, newToken } from './credential.ts'
import type { AuthTables } from './schema.ts'
import { ALL_LIBRARIES } from './scope.ts'

type TokenRow = Selectable<AuthTables['user_token']>

export interface NewToken {
  userId: string
  name: string
  /** ISO 8601 UTC; null: until revoked. */
  expiresAt: string | null
  allowedTools: string[]
  /** Library uids, or `["*"]`. */
  allowedLibraries: string[]
}

const NAME_MAX = 100

/**
 * Mints a token. `mayAllow` says which of the library uids its user may put into it; the plaintext is in the
 * result only. Throws FieldError.
 */
export async function mintToken(
  context: AuthContext,
  by: Actor,
  input: NewToken,
  mayAllow: (uid: string) => boolean,
): Promise<UserToken & { token: string }> {
  const name = checkName(input.name)
  const expiresAt = checkExpiry(input.expiresAt, context.clock())
  checkLibraries(input.allowedLibraries, mayAllow)
  const { plaintext, hash } = newToken()
  const now = context.clock().toISOString()
  const row: TokenRow = {
    id: context.ids(),
    user_id: input.userId,
    token_hash: hash,
    name,
    is_active: 1,
    expires_at: expiresAt,
    last_used_at: null,
    allowed_tools: JSON.stringify([...new Set(input.allowedTools)]),
    allowed_libraries: JSON.stringify([...new Set(input.allowedLibraries)]),
    created_at: now,
    updated_at: now,
  }
  await context.sql.transaction(async (tx) => {
    await tx.insertInto('user_token').values(row).execute()
    await audit(tx, context, by, {
      action: 'user_token.minted',
      target: row.id,
      detail: { user_id: row.user_id },
    })
  })
  return { ...tokenOf(row), token: plaintext }
}

/** A user's tokens, newest first, and how many there are in all. */
export async function listTokens(
  { sql }: Pick<AuthContext, 'sql'>,
  userId: string,
  { limit, offset }: { limit: number; offset: number },
): Promise<{ tokens: UserToken[]; total: number }> {
  const own = sql.read.selectFrom('user_token').where('user_id', '=', userId)
  const [rows, { total }] = await Promise.all([
    own.selectAll().orderBy('created_at', 'desc').orderBy('id').limit(limit).offset(offset).execute(),
    own.select((select) => select.fn.countAll<number>().as('total')).executeTakeFirstOrThrow(),
  ])
  return { tokens: rows.map(tokenOf), total }
}

/** Revokes a user's own token, for good. Idempotent. Throws DomainError TOKEN_NOT_FOUND. */
export async function revokeToken(
  context: AuthContext,
  by: Actor,
  { userId, tokenId }: { userId: string; tokenId: string },
): Promise<void> {
  await context.sql.transaction(async (tx) => {
    const own = await tx
      .selectFrom('user_token')
      .select('id')
      .where('id', '=', tokenId)
      .where('user_id', '=', userId)
      .executeTakeFirst()
    if (!own) throw new DomainError('TOKEN_NOT_FOUND', 'Token not found.')
    const { numUpdatedRows } = await tx
      .updateTable('user_token')
      .set({ is_active: 0, updated_at: context.clock().toISOString() })
      .where('id', '=', tokenId)
      .where('is_active', '=', 1)
      .executeTakeFirst()
    if (numUpdatedRows === 0n) return
    await announce(tx, context, 'user_token.revoked.v1', { token_id: tokenId, user_id: userId })
    await audit(tx, context, by, {
      action: 'user_token.revoked',
      target: tokenId,
      detail: { user_id: userId },
    })
  })
  context.relay.wake()
}

function tokenOf(row: TokenRow): UserToken {
  return {
    id: row.id,
    name: row.name,
    hint: hintOf(row.token_hash),
    is_active: row.is_active === 1,
    expires_at: row.expires_at,
    last_used_at: row.last_used_at,
    allowed_tools: JSON.parse(row.allowed_tools),
    allowed_libraries: JSON.parse(row.allowed_libraries),
    created_at: row.created_at,
  }
}

function checkName(name: string): string {
  const trimmed = name.trim()
  if (trimmed === '' || trimmed.length > NAME_MAX || trimmed.includes('\0')) {
    throw new FieldError('name', `A token's name has 1 to ${NAME_MAX} characters.`)
  }
  return trimmed
}

/** In the form that is compared as text. */
function checkExpiry(expiresAt: string | null, now: Date): string | null {
  if (expiresAt === null) return null
  const time = new Date(expiresAt)
  if (Number.isNaN(time.getTime())) {
    throw new FieldError('expires_at', 'Must be a time in ISO 8601, such as 2030-12-31T00:00:00Z.')
  }
  if (time <= now) throw new FieldError('expires_at', 'Must lie in the future.')
  return time.toISOString()
}

function checkLibraries(uids: readonly string[], mayAllow: (uid: string) => boolean): void {
  if (uids.includes(ALL_LIBRARIES)) {
    if (uids.every((uid) => uid === ALL_LIBRARIES)) return
    throw new FieldError('allowed_libraries', 'Give either * alone or library uids, not both.')
  }
  const refused = uids.filter((uid) => !mayAllow(uid))
  if (refused.length === 0) return
  throw new FieldError(
    'allowed_libraries',
    `A token may be allowed only libraries that its user owns or manages, and global ones. Not: ${refused.join(', ')}.`,
  )
}
