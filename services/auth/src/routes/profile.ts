import { listAnswer } from '@mnemosyne/contracts'
import { actorOf } from '@mnemosyne/platform'
import { changeProfile } from '../change-profile.ts'
import { type AuthContext, globalLibraries } from '../context.ts'
import { type AuthImplementer, personOf } from '../router.ts'
import { editToken, getToken, listTokens, mintToken, revokeToken, tokenChange } from '../tokens.ts'
import { groupsOf, type UserRow, userById, userOf } from '../users.ts'

/** What is the caller's own. */
export function profileRoutes(os: AuthImplementer, context: AuthContext) {
  return {
    me: os.me.handler(async ({ context: { principal } }) => {
      return meOf(context, await userById(context, personOf(principal).id))
    }),

    updateMe: os.updateMe.handler(async ({ input: changes, context: request }) => {
      const { id } = personOf(request.principal)
      return meOf(context, await changeProfile(context, actorOf(request), { id, changes }))
    }),

    listTokens: os.listTokens.handler(async ({ input, context: { principal } }) => {
      const { tokens, total } = await listTokens(context, personOf(principal).id, input)
      return listAnswer(tokens, total)
    }),

    mintToken: os.mintToken.handler(async ({ input, context: request }) => {
      const { id: userId } = personOf(request.principal)
      const global = await globalLibraries(context, request.delegations, request.signal)
      const wanted = {
        userId,
        name: input.name,
        expiresAt: input.expires_at,
        allowedTools: input.allowed_tools,
        allowedLibraries: input.allowed_libraries,
      }
      return mintToken(context, actorOf(request), wanted, { libraries: 'managed', global })
    }),

    getToken: os.getToken.handler(({ input, context: { principal } }) =>
      getToken(context, { tokenId: input.id, userId: personOf(principal).id }),
    ),

    editToken: os.editToken.handler(async ({ input, context: request }) => {
      const own = { tokenId: input.id, userId: personOf(request.principal).id }
      const global = input.allowed_libraries
        ? await globalLibraries(context, request.delegations, request.signal)
        : []
      const by = actorOf(request)
      return editToken(context, by, own, tokenChange(input), { libraries: 'managed', global })
    }),

    revokeToken: os.revokeToken.handler(async ({ input, context: request }) => {
      const { id: userId } = personOf(request.principal)
      await revokeToken(context, actorOf(request), { userId, tokenId: input.id })
    }),
  }
}

async function meOf({ sql }: AuthContext, row: UserRow) {
  const { theme, time_zone, date_format } = row
  const groups = await groupsOf(sql.read, row.id)
  return { ...userOf(row, groups), preferences: { theme, time_zone, date_format } }
}
