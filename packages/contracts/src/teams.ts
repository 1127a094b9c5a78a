import { oc } from '@orpc/contract'
import { z } from 'zod'
import { IsoTime, listOf, Name, Page, Uid } from './common.ts'

const base = oc.route({ tags: ['teams'] })

/** Given by the caller, in either case; kept in lower case. */
const TeamId = z.string().toLowerCase().pipe(Uid)

export const Team = z.object({
  id: Uid,
  name: z.string(),
  active: z.boolean(),
  /** Of the one token that is good; null: none is. */
  active_jti: Uid.nullable(),
  /** Sorted. */
  workspace_ids: z.array(z.string()),
  created_at: IsoTime,
  updated_at: IsoTime,
})
export type Team = z.infer<typeof Team>

/** In a path, where what is no uid is simply not found. */
const byId = z.object({ id: z.string().toLowerCase() })

export const teamsContract = {
  list: base
    .route({
      method: 'GET',
      path: '/mcp_server/api/teams/',
      summary: "The caller's teams",
      outputStructure: 'detailed',
    })
    .input(Page)
    .output(listOf(Team)),
  create: base
    .route({
      method: 'POST',
      path: '/mcp_server/api/teams/',
      summary:
        'Create a team and mint its token; repeated by its owner it answers 200 with the current state',
      outputStructure: 'detailed',
    })
    .input(z.object({ id: TeamId, name: Name(200) }))
    .output(
      z.union([
        z.object({ status: z.literal(201), body: Team.extend({ jwt: z.string() }) }),
        z.object({ status: z.literal(200), body: Team }),
      ]),
    ),
  get: base
    .route({ method: 'GET', path: '/mcp_server/api/teams/{id}/', summary: 'A team' })
    .input(byId)
    .output(Team),
  delete: base
    .route({
      method: 'DELETE',
      path: '/mcp_server/api/teams/{id}/',
      summary: 'Deactivate a team: its token dies at once; idempotent',
      successStatus: 204,
    })
    .input(byId)
    .output(z.void()),
  putWorkspaces: base
    .route({
      method: 'PUT',
      path: '/mcp_server/api/teams/{id}/workspaces/',
      summary: 'Replace the set of workspaces that a team reads',
    })
    .input(byId.extend({ workspace_ids: z.array(Name(64)).max(10_000) }))
    .output(z.object({ workspace_ids: z.array(z.string()) })),
  rotate: base
    .route({
      method: 'POST',
      path: '/mcp_server/api/teams/{id}/rotate/',
      summary: "Mint a team's token anew; the old one dies at once. A missing team is created",
    })
    .input(z.object({ id: TeamId }))
    .output(z.object({ jwt: z.string() })),
}
