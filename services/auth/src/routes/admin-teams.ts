import { listAnswer } from '@mnemosyne/contracts'
import { actorOf } from '@mnemosyne/platform'
import type { AuthContext } from '../context.ts'
import { type AuthImplementer, staffOf } from '../router.ts'
import { editTeam, listTeams } from '../teams.ts'

/** Everybody's teams, for staff. */
export function adminTeamRoutes(os: AuthImplementer, context: AuthContext) {
  return {
    list: os.admin.teams.list.handler(async ({ input, context: { principal } }) => {
      staffOf(principal, 'view')
      const { teams, total } = await listTeams(context, input)
      return listAnswer(teams, total)
    }),

    update: os.admin.teams.update.handler(({ input: { id, ...edit }, context: request }) => {
      staffOf(request.principal, 'change')
      return editTeam(context, actorOf(request), id, edit)
    }),
  }
}
