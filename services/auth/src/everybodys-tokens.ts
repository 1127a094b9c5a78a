import type { Delegations, UserToken } from '@mnemosyne/contracts'
import { type Administrator, assertMayTouch, standingOf } from './administrators.ts'
import { type AuthContext, globalLibraries } from './context.ts'
import { editToken, getToken, revokeToken, type TokenChange, tokenOf } from './tokens.ts'
import { userWithId } from './users.ts'

export type OwnedToken = UserToken & { username: string }

/** Everybody's tokens, or one user's, newest first, and how many there are in all. */
export async function listEverybodysTokens(
  { sql }: Pick<AuthContext, 'sql'>,
  { username, limit, offset }: { username?: string; limit: number; offset: number },
): Promise<{ tokens: OwnedToken[]; total: number }> {
  let tokens = sql.read.selectFrom('user_token').innerJoin('user', 'user.id', 'user_token.user_id')
  if (username !== undefined) tokens = tokens.where('user.username', '=', username)
  const [rows, { total }] = await Promise.all([
    tokens
      .selectAll('user_token')
      .select('user.username')
      .orderBy('user_token.created_at', 'desc')
      .orderBy('user_token.id')
      .limit(limit)
      .offset(offset)
      .execute(),
    tokens.select((select) => select.fn.countAll<number>().as('total')).executeTakeFirstOrThrow(),
  ])
  return { tokens: rows.map(({ username, ...row }) => ({ ...tokenOf(row), username })), total }
}

/**
 * Changes what somebody's token is and may: of libraries, those that its user reads. Throws FieldError, or DomainError
 * TOKEN_NOT_FOUND, TOKEN_REVOKED, SUPERUSER_ONLY, LIBRARY_UNAVAILABLE.
 */
export async function editSomebodysToken(
  context: AuthContext,
  who: Administrator,
  { tokenId, change, delegations }: { tokenId: string; change: TokenChange; delegations: Delegations },
): Promise<OwnedToken> {
  const { username } = await bearerWhomToTouch(context, who, tokenId)
  const global = change.allowedLibraries ? await globalLibraries(context, delegations) : []
  const token = await editToken(context, who.by, { tokenId }, change, { libraries: 'read', global })
  return { ...token, username }
}

/** Revokes somebody's token, for good. Idempotent. Throws DomainError TOKEN_NOT_FOUND, SUPERUSER_ONLY. */
export async function revokeSomebodysToken(
  context: AuthContext,
  who: Administrator,
  tokenId: string,
): Promise<void> {
  const { id: userId } = await bearerWhomToTouch(context, who, tokenId)
  await revokeToken(context, who.by, { userId, tokenId })
}

async function bearerWhomToTouch(context: AuthContext, who: Administrator, tokenId: string) {
  await getToken(context, { tokenId })
  return context.sql.transaction(async (tx) => {
    const { user_id } = await tx
      .selectFrom('user_token')
      .select('user_id')
      .where('id', '=', tokenId)
      .executeTakeFirstOrThrow()
    const row = await userWithId(tx, user_id)
    if (who.userId !== row.id) await assertMayTouch(tx, who, await standingOf(tx, row))
    return row
  })
}
