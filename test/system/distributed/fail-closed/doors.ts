import { randomUUID } from 'node:crypto'
import { expect } from 'vitest'
import { SystemClient } from '../../client.ts'
import type { DistributedSystem } from '../../distributed-system.ts'
import { mnemosyne } from '../../harness.ts'

export interface Door {
  /** Where, and with what. */
  name: string
  /** Whether the credential is one that opens it. */
  opens: boolean
  /** Signing in: it takes no library. */
  signsIn?: boolean
  /** Refused for its looks, which takes auth and nothing of what it keeps. */
  byItsLooks?: boolean
  ask(): Promise<{ status: number; text: string }>
}

const PASSWORD = 'the keeper sleeps by day'

/** Every way in, with every kind of credential, good and bad. */
export async function doorsOf(system: DistributedSystem): Promise<Door[]> {
  const credentials = await makeCredentials(system)
  const direct = new SystemClient(system.cluster.processes.mcp[0]!.url, system.token)
  return [...overRest(system, credentials), ...overMcp(system, direct, credentials), ...signingIn(system)]
}

type Credentials = Awaited<ReturnType<typeof makeCredentials>>

async function makeCredentials(system: DistributedSystem) {
  const args = ['create-user', 'keeper', '--password-stdin', '--json']
  const made = await mnemosyne(args, { env: system.cluster.storeEnv, input: PASSWORD })
  expect(made.code, made.stdout + made.stderr).toBe(0)
  const minted = await system.call('POST', '/profile/api/tokens/', { name: 'old', allowed_libraries: ['*'] })
  const { id, token: revoked } = minted.body as { id: string; token: string }
  await system.call('POST', `/profile/api/tokens/${id}/revoke/`)
  const seeded = await system.command(['seed-signing-key', '--kid', 'fail-closed'])
  expect(seeded.code, seeded.stdout).toBe(0)
  const team = await system.call('POST', '/mcp_server/api/teams/', { id: randomUUID(), name: 'Crew' })
  const { id: teamId, jwt } = team.body as { id: string; jwt: string }
  // Without one there is nothing that the library service would be asked for.
  await system.createWorkspace('crew')
  await system.call('PUT', `/mcp_server/api/teams/${teamId}/workspaces/`, { workspace_ids: ['crew'] })
  const session = await signIn(system, PASSWORD)
  expect(session.status, session.text).toBe(200)
  const cookie = session.headers.getSetCookie()[0]!.split(';')[0]!
  const { csrf_token } = session.body as { csrf_token: string }
  return { revoked, jwt, cookie, csrf_token }
}

const signIn = (system: DistributedSystem, password: string) =>
  system.call(
    'POST',
    '/accounts/api/login/',
    { username: 'keeper', password },
    { token: null, headers: { origin: system.url } },
  )

function overRest(system: DistributedSystem, { revoked, jwt, cookie, csrf_token }: Credentials): Door[] {
  const read = '/library/api/items/'
  const bearer = (token: string) => () => system.call('GET', read, undefined, { token })
  const session = (headers: Record<string, string>) => () =>
    system.call('POST', '/library/api/search/', { query: 'x' }, { token: null, headers })
  const origin = { origin: system.url }
  const door = (name: string, opens: boolean, ask: Door['ask']): Door => ({
    name: `REST, ${name}`,
    opens,
    ask,
  })
  return [
    door('a token', true, bearer(system.token)),
    door('a token, to itself', true, () => system.call('GET', '/profile/api/me/')),
    door('a token, to search', true, () => system.call('POST', '/library/api/search/', { query: 'x' })),
    door('a token, to jobs', true, () => system.call('GET', '/library/api/jobs/')),
    door('an unknown token', false, bearer('mnem_unknown')),
    door('a revoked token', false, bearer(revoked)),
    { ...door("a team's token", false, bearer(jwt)), byItsLooks: true },
    { ...door('something like a JWT', false, bearer('e30.e30.e30')), byItsLooks: true },
    {
      ...door('another keyword', false, () =>
        system.call('GET', read, undefined, {
          token: null,
          headers: { authorization: `Token ${system.token}` },
        }),
      ),
      byItsLooks: true,
    },
    door('a session', true, session({ cookie, 'x-csrf-token': csrf_token, ...origin })),
    door('a session without its CSRF token', false, session({ cookie, ...origin })),
    door('an unknown session', false, session({ cookie: 'mnemosyne_session=unknown', ...origin })),
  ]
}

function overMcp(system: DistributedSystem, past: SystemClient, { revoked, jwt }: Credentials): Door[] {
  const cells: [name: string, token: string, opens: boolean][] = [
    ['a token', system.token, true],
    ["a team's token", jwt, true],
    ['an unknown token', 'mnem_unknown', false],
    ['a revoked token', revoked, false],
    ["a team's token that was changed", `${jwt.slice(0, -10)}AAAAAAAAAA`, false],
  ]
  const search = { name: 'search', arguments: { query: 'x' } }
  return Object.entries({ MCP: system, 'MCP past the gateway': past }).flatMap(([way, client]) =>
    cells.flatMap(([name, token, opens]): Door[] => [
      { name: `${way}, ${name}, to list`, opens, ask: () => client.mcp('tools/list', {}, { token }) },
      { name: `${way}, ${name}, to search`, opens, ask: () => client.mcp('tools/call', search, { token }) },
      // Served to anybody who comes without a credential, and to nobody with a bad one.
      { name: `${way}, ${name}, to ping`, opens, ask: () => client.mcp('ping', {}, { token }) },
    ]),
  )
}

function signingIn(system: DistributedSystem): Door[] {
  return [
    { name: 'login', opens: true, signsIn: true, ask: () => signIn(system, PASSWORD) },
    // Nobody's name: the keeper's would be locked before the last test.
    {
      name: 'login, of nobody',
      opens: false,
      signsIn: true,
      ask: () =>
        system.call(
          'POST',
          '/accounts/api/login/',
          { username: randomUUID(), password: PASSWORD },
          { token: null, headers: { origin: system.url } },
        ),
    },
  ]
}
