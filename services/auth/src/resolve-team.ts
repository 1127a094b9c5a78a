import { timingSafeEqual } from 'node:crypto'
import { type Delegations, type Principal, type Resolution, WORKSPACES_ASKED_MAX } from '@mnemosyne/contracts'
import { DomainError } from '@mnemosyne/platform'
import type { AuthContext } from './context.ts'
import { type Refused, refused } from './credential.ts'
import { readOnly } from './scope.ts'
import { liveSecret } from './signing-keys.ts'
import { readTeamToken } from './team-token.ts'

export interface TeamRequest {
  delegations: Delegations
  signal?: AbortSignal
}

/**
 * What a team is on MCP: its owner acts, and it reads the libraries of its workspaces that are its owner's at this
 * moment. It may do nothing else that its owner may. Throws DomainError LIBRARY_UNAVAILABLE.
 */
export async function resolveTeam(
  context: AuthContext,
  request: TeamRequest,
  jwt: string,
): Promise<Resolution> {
  const { sql, clock } = context
  const claims = await readTeamToken(jwt, (kid) => liveSecret(sql.read, kid), clock())
  if ('outcome' in claims) return claims
  const team = await teamWithOwner(context, claims.teamId)
  if (!team) return refused('unknown_team', 'Invalid MCP token.')
  const refusal = refusalOf(team, claims.jti)
  if (refusal) return refusal
  const principal: Principal = {
    kind: 'team',
    surface: 'mcp',
    user: { id: team.owner_id, username: team.owner_username, staff: 'none' },
    team_id: team.id,
    token_id: null,
    session_id: null,
    address: null,
    allowed_tools: [],
    ...readOnly(await teamLibraries(context, request, team)),
  }
  return { outcome: 'resolved', principal }
}

type TeamWithOwner = NonNullable<Awaited<ReturnType<typeof teamWithOwner>>>

function refusalOf(team: TeamWithOwner, jti: string): Refused | undefined {
  if (team.active !== 1) return refused('inactive_team', 'Team JWT references an inactive team.')
  if (!isSame(team.active_jti, jti)) return refused('stale_jti', 'Invalid MCP token.')
  if (team.owner_active !== 1) return refused('owner_disabled', 'Team owner is disabled.')
}

function teamWithOwner({ sql }: Pick<AuthContext, 'sql'>, id: string) {
  return sql.read
    .selectFrom('team')
    .innerJoin('user', 'user.id', 'team.owner_id')
    .select([
      'team.id',
      'team.active',
      'team.active_jti',
      'user.id as owner_id',
      'user.username as owner_username',
      'user.is_active as owner_active',
    ])
    .where('team.id', '=', id)
    .executeTakeFirst()
}

/** Sorted. A workspace that belongs to somebody else, or to nobody yet, counts for nothing. */
async function teamLibraries(
  { sql, library }: Pick<AuthContext, 'sql' | 'library'>,
  { delegations, signal }: TeamRequest,
  { id, owner_username }: TeamWithOwner,
): Promise<string[]> {
  const rows = await sql.read
    .selectFrom('team_workspace_assignment')
    .select('workspace_id')
    .where('team_id', '=', id)
    .execute()
  const questions: string[][] = []
  for (let from = 0; from < rows.length; from += WORKSPACES_ASKED_MAX) {
    questions.push(rows.slice(from, from + WORKSPACES_ASKED_MAX).map(({ workspace_id }) => workspace_id))
  }
  try {
    const answers = await Promise.all(
      questions.map((workspace_ids) =>
        library.librariesOf({ owner_username, workspace_ids }, { context: { delegations }, signal }),
      ),
    )
    return answers.flat().sort()
  } catch (cause) {
    throw new DomainError(
      'LIBRARY_UNAVAILABLE',
      'The libraries of the team cannot be determined right now. Try again shortly.',
      { cause },
    )
  }
}

/** In the time that it takes whatever differs. */
function isSame(known: string | null, given: string): boolean {
  const [a, b] = [Buffer.from(known ?? ''), Buffer.from(given)]
  return known !== null && a.length === b.length && timingSafeEqual(a, b)
}
