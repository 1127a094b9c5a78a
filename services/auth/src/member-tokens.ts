import { Uid } from '@mnemosyne/contracts'
import { type Actor, DomainError } from '@mnemosyne/platform'
import { audit } from './audit.ts'
import type { AuthContext, Tx } from './context.ts'
import { highestRole, libraryNotFound } from './memberships.ts'
import { ALL_LIBRARIES } from './scope.ts'
import { setLibraries, type TokenList } from './token-libraries.ts'

/** As many as a token's list may hold when it is edited. */
const MOST_LIBRARIES = 1_000

/** Which library in which token, and who asks. */
export interface TokenLibrary {
  callerId: string
  libraryUid: string
  tokenId: string
}

/**
 * Puts a library into a member's token, as one of its owners or managers. Idempotent. Throws DomainError
 * LIBRARY_NOT_FOUND, NOT_A_SHARER, TOKEN_NOT_FOUND, TOKEN_FULL.
 */
export async function allowInToken(context: AuthContext, by: Actor, of: TokenLibrary): Promise<void> {
  await changeMembersToken(context, by, of, 'user_token.library_allowed', (allowed) => {
    if (allowed.includes(ALL_LIBRARIES) || allowed.includes(of.libraryUid)) return allowed
    if (allowed.length >= MOST_LIBRARIES)
      throw new DomainError(
        'TOKEN_FULL',
        `This token names ${MOST_LIBRARIES} libraries, the most that it can.`,
      )
    return [...allowed, of.libraryUid]
  })
}

/**
 * Takes a library out of a member's token, as one of its owners or managers. Idempotent. Throws DomainError
 * LIBRARY_NOT_FOUND, NOT_A_SHARER, TOKEN_NOT_FOUND, TOKEN_ALLOWS_ALL.
 */
export async function removeFromToken(context: AuthContext, by: Actor, of: TokenLibrary): Promise<void> {
  await changeMembersToken(context, by, of, 'user_token.library_removed', (allowed) => {
    if (!allowed.includes(ALL_LIBRARIES)) return allowed.filter((uid) => uid !== of.libraryUid)
    throw new DomainError(
      'TOKEN_ALLOWS_ALL',
      'This token allows every library that its user is a member of: take the membership away instead.',
    )
  })
}

async function changeMembersToken(
  context: AuthContext,
  by: Actor,
  { callerId, libraryUid, tokenId }: TokenLibrary,
  action: string,
  change: (allowed: string[]) => string[],
): Promise<void> {
  await context.sql.transaction(
    async (tx) => {
      const role = await highestRole(tx, callerId, libraryUid)
      if (!role) throw libraryNotFound()
      if (role === 'reader')
        throw new DomainError(
          'NOT_A_SHARER',
          'Only owners and managers decide in which tokens a library stands.',
        )
      const token = await tokenOfMember(tx, tokenId, libraryUid)
      if (!token) throw new DomainError('TOKEN_NOT_FOUND', 'Token not found.')
      const allowed = change(JSON.parse(token.allowed_libraries) as string[])
      if (!(await setLibraries(tx, context, token, allowed))) return
      await audit(tx, context, by, {
        action,
        target: tokenId,
        detail: { user_id: token.user_id, library_uid: libraryUid },
      })
    },
    { isolation: 'serializable' },
  )
}

/** A token that is not revoked, of a member of any role. One question, whosever it is. */
async function tokenOfMember(tx: Tx, tokenId: string, libraryUid: string): Promise<TokenList | undefined> {
  if (!Uid.safeParse(tokenId).success) return undefined
  return tx
    .selectFrom('user_token')
    .select(['id', 'user_id', 'allowed_libraries'])
    .where('id', '=', tokenId)
    .where('is_active', '=', 1)
    .where('user_id', 'in', (members) =>
      members.selectFrom('library_membership').select('user_id').where('library_uid', '=', libraryUid),
    )
    .executeTakeFirst()
}
