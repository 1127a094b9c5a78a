import {
  DELEGATION_HEADER,
  encodeDelegations,
  PRINCIPAL_HEADER,
  type Principal,
  type Resolution,
} from '@mnemosyne/contracts'
import { openWorld, type World } from './harness.ts'

export const TEAM = '10000000-0000-4000-8000-000000000001'
export const OTHER_TEAM = '20000000-0000-4000-8000-000000000002'
export const TEAMS = '/mcp_server/api/teams/'
export const ADMIN_TEAMS = '/admin/api/teams/'
export const SIGNING_KEYS = '/admin/api/signing-keys/'

export interface Answer {
  status: number
  text: string
  // biome-ignore lint/suspicious/noExplicitAny: whatever the service answered
  body: any
  headers: Record<string, string>
}

/** Alice and bob, who are users, and root, who is staff; and what they and a team present. */
export interface TeamsWorld extends World {
  /** A request over REST as the gateway passes it on. */
  rest(who: string | Principal, method: string, path: string, body?: unknown): Promise<Answer>
  /** On MCP, in one line: what the bearer resolves to, or reason and words of the refusal. */
  present(bearer: string): Promise<string>
  /** On MCP, whole. */
  resolution(bearer: string): Promise<Resolution>
  /** A team of alice's with its token. */
  newTeam(id?: string): Promise<string>
  seed(kid: string, retireOther?: boolean): Promise<void>
  audited(action: string): Promise<{ actor: string; target: string; outcome: string; detail: unknown }[]>
}

export async function openTeamsWorld(url: string): Promise<TeamsWorld> {
  const world = await openWorld(url)
  for (const username of ['alice', 'bob', 'root']) {
    const exists = await world.sql.read
      .selectFrom('user')
      .select('id')
      .where('username', '=', username)
      .execute()
    if (exists.length > 0) continue
    await world.auth.admin.createUser({
      username,
      email: '',
      staff: username === 'root',
      superuser: false,
      password: null,
    })
  }
  const rest: TeamsWorld['rest'] = async (who, method, path, body) => {
    const principal = typeof who === 'string' ? await world.auth.admin.localPrincipal(who, world.call) : who
    const [own, delegated] = await Promise.all([
      world.sign(principal, 'auth'),
      world.sign(principal, 'library'),
    ])
    const response = await world.auth.fetch(
      new Request(`http://auth${path}`, {
        method,
        headers: {
          [PRINCIPAL_HEADER]: own,
          [DELEGATION_HEADER]: encodeDelegations({ library: delegated }),
          ...(body !== undefined && { 'content-type': 'application/json' }),
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      }),
    )
    const text = await response.text()
    const { 'x-request-id': _, ...headers } = Object.fromEntries(response.headers)
    return { status: response.status, text, body: text === '' ? undefined : JSON.parse(text), headers }
  }
  const resolution: TeamsWorld['resolution'] = (bearer) => world.resolve(`Bearer ${bearer}`, 'mcp')
  return {
    ...world,
    rest,
    resolution,
    async present(bearer) {
      const found = await resolution(bearer)
      if (found.outcome === 'refused') return `${found.reason}: ${found.detail}`
      return `${found.principal.kind} of ${found.principal.user?.username}`
    },
    async newTeam(id = TEAM) {
      const answer = await rest('alice', 'POST', TEAMS, { id, name: 'Research' })
      if (answer.status !== 201) throw new Error(answer.text)
      return answer.body.jwt
    },
    async seed(kid, retireOther = false) {
      await world.auth.admin.seedSigningKey({ kid, retireOther })
    },
    async audited(action) {
      const rows = await world.sql.read
        .selectFrom('audit_log')
        .select(['actor', 'target', 'outcome', 'detail'])
        .where('action', '=', action)
        .orderBy('id')
        .execute()
      return rows.map((row) => ({ ...row, detail: JSON.parse(row.detail) }))
    },
  }
}
