import { listAnswer } from '@mnemosyne/contracts'
import { actorOf } from '../audit.ts'
import { type AuthContext, globalLibraries } from '../context.ts'
import { membershipsOf } from '../memberships.ts'
import { type AuthImplementer, personOf } from '../router.ts'
import { listTokens, mintToken, revokeToken } from '../tokens.ts'
import { groupsOf, userById, userOf } from '../users.ts'

/** What is the caller's own. */
export function profileRoutes(os: AuthImplementer, context: AuthContext) {
  return {
    me: os.me.handler(async ({ context: { principal } }) => {
      const row = await userById(context, personOf(principal).id)
      const { theme, time_zone, date_format } = row
      const groups = await groupsOf(context.sql.read, row.id)
      return { ...userOf(row, groups), preferences: { theme, time_zone, date_format } }
    }),

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
  }
}
