import { authContract, authInternalContract, listAnswer, type Principal } from '@mnemosyne/contracts'
import { DomainError, type RequestContext } from '@mnemosyne/platform'
import { implement } from '@orpc/server'
import { type AuthContext, actorOf, globalLibraries } from './context.ts'
import type { LastUsed } from './last-used.ts'
import { membershipsOf, putOwner } from './memberships.ts'
import { resolve } from './resolve.ts'
import { listTokens, mintToken, revokeToken } from './tokens.ts'
import { userById, userOf } from './users.ts'

/** HTTP status of what auth's operations refuse. */
export const errorStatus = {
  NOT_A_PERSON: 403,
  NOT_FOR_ANOTHER: 403,
  NOT_A_SERVICE: 403,
  USER_NOT_FOUND: 404,
  TOKEN_NOT_FOUND: 404,
  USER_DISABLED: 409,
  LIBRARY_UNAVAILABLE: 503,
  SQL_UNAVAILABLE: 503,
  SQL_FULL: 507,
}

export function createRouter(context: AuthContext, lastUsed: LastUsed) {
  const os = implement({ ...authContract, internal: authInternalContract }).$context<RequestContext>()
  return os.router({
    me: os.me.handler(async ({ context: { principal } }) =>
      userOf(await userById(context, personOf(principal).id)),
    ),

    listTokens: os.listTokens.handler(async ({ input, context: { principal } }) => {
      const { tokens, total } = await listTokens(context, personOf(principal).id, input)
      return listAnswer(tokens, total)
    }),

    mintToken: os.mintToken.handler(async ({ input, context: request }) => {
      const { id: userId } = personOf(request.principal)
      const [memberships, global] = await Promise.all([
        membershipsOf(context, userId),
        globalLibraries(context, request.delegations, request.signal),
      ])
      const own = memberships.filter(({ role }) => role !== 'reader').map(({ library_uid }) => library_uid)
      const mayAllow = new Set([...own, ...global])
      const wanted = {
        userId,
        name: input.name,
        expiresAt: input.expires_at,
        allowedTools: input.allowed_tools,
        allowedLibraries: input.allowed_libraries,
      }
      return mintToken(context, actorOf(request), wanted, (uid) => mayAllow.has(uid))
    }),

    revokeToken: os.revokeToken.handler(async ({ input, context: request }) => {
      const { id: userId } = personOf(request.principal)
      await revokeToken(context, actorOf(request), { userId, tokenId: input.id })
    }),

    internal: {
      resolve: os.internal.resolve.handler(({ input, context: { principal, delegations, signal } }) => {
        if (principal.kind !== 'service') {
          throw new DomainError('NOT_A_SERVICE', 'Only services resolve credentials.')
        }
        return resolve(context, { ...input, delegations, signal, used: lastUsed.note })
      }),

      putOwner: os.internal.putOwner.handler(async ({ input, context: request }) => {
        const { kind, user } = request.principal
        if (kind !== 'service' && !user?.is_staff && user?.username !== input.username) {
          throw new DomainError('NOT_FOR_ANOTHER', 'Only staff make somebody else an owner.')
        }
        await putOwner(context, actorOf(request), input)
      }),
    },
  })
}

/** The person who acts. A profile is theirs alone, on REST. */
function personOf({ user, surface }: Principal): { id: string } {
  if (!user || surface !== 'rest') throw new DomainError('NOT_A_PERSON', 'Only a person has a profile.')
  return user
}
