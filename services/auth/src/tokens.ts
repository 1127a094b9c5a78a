import { type EditToken, Uid, type UserToken } from '@mnemosyne/contracts'
import { type Actor, DomainError, FieldError } from '@mnemosyne/platform'
import type { Selectable } from 'kysely'
import type { z } from 'zod'
import { audit } from './audit.ts'
import { type AuthContext, announce, type Tx } from './context.ts'
import { hintOf, newToken } from './credential.ts'
import { membershipsIn } from './memberships.ts'
import type { AuthTables } from './schema.ts'
import { ALL_LIBRARIES, type Membership } from './scope.ts'

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
 * Which libraries may come into a token: those that its user owns or manages, or (when staff or the operator say so)
 * all that they read; and those of everybody.
 */
export interface Allowing {
  libraries: 'managed' | 'read'
  global: readonly string[]
}

/** What is left out stays as it is. */
export type TokenChange = Partial<Omit<NewToken, 'userId'>>

export const tokenChange = (input: z.infer<typeof EditToken>): TokenChange => ({
  name: input.name,
  expiresAt: input.expires_at,
  allowedTools: input.allowed_tools,
  allowedLibraries: input.allowed_libraries,
})

/** Mints a token; its plaintext is in the result only. Throws FieldError. */
export async function mintToken(
  context: AuthContext,
  by: Actor,
  input: NewToken,
  allowing: Allowing,
): Promise<UserToken & { token: string }> {
  const name = checkName(input.name)
  const expiresAt = checkExpiry(input.expiresAt, context.clock())
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
    const mayAllow = allowed(await membershipsIn(tx, input.userId), allowing)
    checkLibraries(input.allowedLibraries, (uid) => mayAllow.has(uid))
    await tx.insertInto('user_token').values(row).execute()
    await audit(tx, context, by, {
      action: 'user_token.minted',
      target: row.id,
      detail: { user_id: row.user_id },
    })
  }, AGAINST_MEMBERSHIPS)
  return { ...tokenOf(row), token: plaintext }
}

/** A token by its id, and whose it is: of one user only, or of anybody's. Throws DomainError TOKEN_NOT_FOUND. */
export async function getToken(
  { sql }: Pick<AuthContext, 'sql'>,
  of: { tokenId: string; userId?: string },
): Promise<UserToken> {
  return tokenOf(await tokenRow(sql.read, of))
}

/**
 * Changes a token that is not revoked: a user's own, or (without `userId`) anybody's. Libraries that its user reads
 * stay where they stand. Throws FieldError, or DomainError TOKEN_NOT_FOUND, TOKEN_REVOKED.
 */
export async function editToken(
  context: AuthContext,
  by: Actor,
  of: { tokenId: string; userId?: string },
  change: TokenChange,
  allowing: Allowing,
): Promise<UserToken> {
  const now = context.clock()
  return context.sql.transaction(async (tx) => {
    const before = await tokenRow(tx, of)
    if (before.is_active !== 1)
      throw new DomainError('TOKEN_REVOKED', 'This token is revoked, for good. Mint a new one.')
    const changes: Partial<TokenRow> = {}
    if (change.name !== undefined) changes.name = checkName(change.name)
    if (change.expiresAt !== undefined) changes.expires_at = checkExpiry(change.expiresAt, now)
    if (change.allowedTools) changes.allowed_tools = JSON.stringify([...new Set(change.allowedTools)])
    if (change.allowedLibraries) {
      const memberships = await membershipsIn(tx, before.user_id)
      const mayAllow = allowed(memberships, allowing)
      const stays = stayingIn(before, allowed(memberships, { ...allowing, libraries: 'read' }))
      checkLibraries(change.allowedLibraries, (uid) => mayAllow.has(uid) || stays.has(uid))
      changes.allowed_libraries = JSON.stringify([...new Set(change.allowedLibraries)])
    }
    const fields = Object.entries(changes).flatMap(([field, value]) =>
      value === before[field as keyof TokenRow] ? [] : [field],
    )
    if (fields.length === 0) return tokenOf(before)
    const after = { ...before, ...changes, updated_at: now.toISOString() }
    await tx
      .updateTable('user_token')
      .set({ ...changes, updated_at: after.updated_at })
      .where('id', '=', before.id)
      .execute()
    const detail = { user_id: before.user_id, fields: fields.join(',') }
    await audit(tx, context, by, { action: 'user_token.edited', target: before.id, detail })
    return tokenOf(after)
  }, AGAINST_MEMBERSHIPS)
}

/** A membership that goes at the same moment takes the library out of the list, or is seen here to be gone. */
const AGAINST_MEMBERSHIPS = { isolation: 'serializable' } as const

function allowed(memberships: readonly Membership[], { libraries, global }: Allowing): Set<string> {
  const own = memberships.filter(({ role }) => libraries === 'read' || role !== 'reader')
  return new Set([...own.map(({ library_uid }) => library_uid), ...global])
}

/** What stands in the list, however it came there, and is still read. */
function stayingIn({ allowed_libraries }: TokenRow, readable: ReadonlySet<string>): Set<string> {
  return new Set((JSON.parse(allowed_libraries) as string[]).filter((uid) => readable.has(uid)))
}

async function tokenRow(
  db: Tx | AuthContext['sql']['read'],
  { tokenId, userId }: { tokenId: string; userId?: string },
): Promise<TokenRow> {
  const row = Uid.safeParse(tokenId).success
    ? await db.selectFrom('user_token').selectAll().where('id', '=', tokenId).executeTakeFirst()
    : undefined
  if (!row || (userId !== undefined && row.user_id !== userId))
    throw new DomainError('TOKEN_NOT_FOUND', 'Token not found.')
  return row
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
    await tokenRow(tx, { tokenId, userId })
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

/** A token was used. */
export async function noteTokenUse(tx: Tx, id: string, at: string): Promise<void> {
  await tx.updateTable('user_token').set({ last_used_at: at }).where('id', '=', id).execute()
}

export function tokenOf(row: TokenRow): UserToken {
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
