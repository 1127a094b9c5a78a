import { listAnswer } from '@mnemosyne/contracts'
import { actorOf, type RequestContext } from '@mnemosyne/platform'
import type { Administrator } from '../administrators.ts'
import type { AuthContext } from '../context.ts'
import { createUser } from '../create-user.ts'
import { deleteUser } from '../delete-user.ts'
import { editSomebodysToken, listEverybodysTokens, revokeSomebodysToken } from '../everybodys-tokens.ts'
import { listGroups } from '../groups.ts'
import { type AuthImplementer, staffOf } from '../router.ts'
import { tokenChange } from '../tokens.ts'
import { changeUser, endSessionsOf } from '../user-changes.ts'
import { groupsOf, listUsers, userById, userOf } from '../users.ts'

/** Users, their groups and their tokens, for staff. */
export function adminUserRoutes(os: AuthImplementer, context: AuthContext) {
  return {
    users: userRoutes(os, context),
    groups: {
      list: os.admin.groups.list.handler(({ context: request }) => {
        staffOf(request.principal, 'view')
        return listGroups(context)
      }),
    },
    tokens: tokenRoutes(os, context),
  }
}

function userRoutes({ admin: { users: os } }: AuthImplementer, context: AuthContext) {
  return {
    list: os.list.handler(async ({ input, context: request }) => {
      staffOf(request.principal, 'view')
      const { users, total } = await listUsers(context, input)
      return listAnswer(users, total)
    }),

    create: os.create.handler(({ input, context: request }) => {
      const { is_staff: staff, is_superuser: superuser, first_name, last_name, ...rest } = input
      const user = { ...rest, staff, superuser, firstName: first_name, lastName: last_name }
      return createUser(context, administrator(request, 'change'), user, request.delegations)
    }),

    get: os.get.handler(async ({ input, context: request }) => {
      staffOf(request.principal, 'view')
      const row = await userById(context, input.id)
      return userOf(row, await groupsOf(context.sql.read, row.id))
    }),

    update: os.update.handler(({ input: { id, ...changes }, context: request }) =>
      changeUser(context, administrator(request, 'change'), {
        id,
        changes,
        delegations: request.delegations,
      }),
    ),

    delete: os.delete.handler(async ({ input: { params, query }, context: request }) => {
      const decision = { handOverTo: query.hand_over_to, deleteLibraries: query.delete_libraries }
      const { delegations } = request
      await deleteUser(context, administrator(request, 'delete'), { id: params.id, decision, delegations })
    }),

    endSessions: os.endSessions.handler(({ input, context: request }) =>
      endSessionsOf(context, administrator(request, 'change'), input.id),
    ),
  }
}

function tokenRoutes({ admin: { tokens: os } }: AuthImplementer, context: AuthContext) {
  return {
    list: os.list.handler(async ({ input, context: request }) => {
      staffOf(request.principal, 'view')
      const { tokens, total } = await listEverybodysTokens(context, input)
      return listAnswer(tokens, total)
    }),

    update: os.update.handler(({ input: { id: tokenId, ...input }, context: request }) => {
      const { delegations } = request
      const change = tokenChange(input)
      return editSomebodysToken(context, administrator(request, 'change'), { tokenId, change, delegations })
    }),

    revoke: os.revoke.handler(({ input, context: request }) =>
      revokeSomebodysToken(context, administrator(request, 'change'), input.id),
    ),
  }
}

function administrator(request: RequestContext, level: 'change' | 'delete'): Administrator {
  return { by: actorOf(request), userId: staffOf(request.principal, level).id }
}
