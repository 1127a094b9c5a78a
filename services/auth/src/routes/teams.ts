import { listAnswer } from '@mnemosyne/contracts'
import { actorOf } from '@mnemosyne/platform'
import type { AuthContext } from '../context.ts'
import { type AuthImplementer, personOf } from '../router.ts'
import { createTeam, deleteTeam, listTeams, ownTeam, putWorkspaces, rotateTeam } from '../teams.ts'

/** Teams of the caller's, which no other caller ever sees. */
export function teamRoutes(os: AuthImplementer, context: AuthContext) {
  const countMissing = context.metrics.counter(
    'mnemosyne_team_rotate_upserts_total',
    'Teams that a rotation found missing and created.',
  )
  return {
    list: os.teams.list.handler(async ({ input, context: { principal } }) => {
      const { teams, total } = await listTeams(context, { ...input, ownerId: personOf(principal).id })
      return listAnswer(teams, total)
    }),

    create: os.teams.create.handler(async ({ input, context: request }) => {
      const ownerId = personOf(request.principal).id
      const { team, jwt } = await createTeam(context, actorOf(request), { ...input, ownerId })
      if (jwt === undefined) return { status: 200 as const, body: team }
      return { status: 201 as const, body: { ...team, jwt } }
    }),

    get: os.teams.get.handler(({ input: { id }, context: { principal } }) =>
      ownTeam(context, { id, ownerId: personOf(principal).id }),
    ),

    delete: os.teams.delete.handler(async ({ input: { id }, context: request }) => {
      await deleteTeam(context, actorOf(request), { id, ownerId: personOf(request.principal).id })
    }),

    putWorkspaces: os.teams.putWorkspaces.handler(async ({ input, context: request }) => {
      const workspace_ids = await putWorkspaces(context, actorOf(request), {
        id: input.id,
        ownerId: personOf(request.principal).id,
        workspaceIds: input.workspace_ids,
      })
      return { workspace_ids }
    }),

    rotate: os.teams.rotate.handler(async ({ input: { id }, context: request }) => {
      const ownerId = personOf(request.principal).id
      const { jwt, wasMissing } = await rotateTeam(context, actorOf(request), { id, ownerId })
      if (wasMissing) countMissing()
      return { jwt }
    }),
  }
}
