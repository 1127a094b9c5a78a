import { createHash, randomUUID } from 'node:crypto'
import { join } from 'node:path'
import type { AuthTables } from '@mnemosyne/auth'
import { openSql, type Sql } from '@mnemosyne/platform'
import type { RunningSystem } from '../test/system/harness.ts'
import { type Bench, noMetrics, say, silent } from './bench.ts'
import { milliseconds, percentile, type Report } from './report.ts'
import { createLibrary, startSystem } from './system.ts'

const WARM_UP = 100

/** Where the request ends in the MCP service, which has nothing there: with a credential and without alike. */
const NOWHERE = '/mcp/nothing/'

const WORKSPACES = [1, 10, 100] as const

/** What it costs to know who is calling, by credential, with few and with very many credentials in the store. */
export async function measureIdentity(bench: Bench): Promise<Report> {
  const { tokens, teams } = bench.sizes.identity
  await using system = await startSystem(bench.newFolder())
  const credentials = await makeCredentials(system)
  say('resolving credentials in a small store')
  const few = await ask(system, credentials, bench.sizes.hops)
  say(`adding ${tokens} tokens and ${teams} teams`)
  await addCredentials(system.dataDir, { tokens, teams })
  say('resolving credentials in a large store')
  const many = await ask(system, credentials, bench.sizes.hops)

  const added = (times: number[][], n: number) => times[n]!.map((ms, round) => ms - times[0]![round]!)
  const pair = (values: readonly number[]) =>
    `${milliseconds(percentile(values, 0.5))} / ${milliseconds(percentile(values, 0.95))}`
  const figures: Record<string, number> = {}
  const rows = credentials.map(({ name, figure }, n) => {
    if (n === 0) return [name, pair(few[n]!), '', pair(many[n]!), '']
    figures[`${figure}_few_p50_ms`] = percentile(added(few, n), 0.5)
    figures[`${figure}_many_p50_ms`] = percentile(added(many, n), 0.5)
    return [name, pair(few[n]!), `**${pair(added(few, n))}**`, pair(many[n]!), `**${pair(added(many, n))}**`]
  })
  return {
    title: 'What it costs to know who is calling',
    about: `A path under /mcp/ where nothing is, through the gateway's socket to the MCP service and back, without a credential (so nothing is resolved) and with each kind, in turns, ${bench.sizes.hops} times. "Added" is the difference from the request without one, round by round. First with a handful of credentials in the store, then with ${tokens.toLocaleString('en')} tokens and ${teams.toLocaleString('en')} teams of ten workspaces more. Milliseconds, p50 / p95.`,
    columns: ['', 'few', 'added', 'many', 'added (aim: under 2 at p50)'],
    rows,
    figures,
  }
}

interface Presented {
  name: string
  figure: string
  token: string | null
}

/** The first is none. Made over REST, as their owners make them. */
async function makeCredentials(system: RunningSystem): Promise<Presented[]> {
  const most = Math.max(...WORKSPACES)
  for (let n = 0; n < most; n++) await createLibrary(system, `bench-${n}`)
  const teams = []
  for (const count of WORKSPACES) {
    const id = randomUUID()
    const { jwt } = await made<{ jwt: string }>(system, 'POST', '/mcp_server/api/teams/', {
      id,
      name: `of ${count}`,
    })
    const workspace_ids = Array.from({ length: count }, (_, n) => `bench-${n}`)
    await made(system, 'PUT', `/mcp_server/api/teams/${id}/workspaces/`, { workspace_ids })
    teams.push({
      name: `team JWT, ${count} ${count === 1 ? 'workspace' : 'workspaces'}`,
      figure: `team_${count}`,
      token: jwt,
    })
  }
  const { token } = await made<{ token: string }>(system, 'POST', '/profile/api/tokens/', {
    name: 'bench',
    allowed_libraries: ['*'],
  })
  return [
    { name: 'no credential', figure: 'none', token: null },
    { name: `UserToken, ${most} libraries`, figure: 'user_token', token },
    ...teams,
  ]
}

async function made<T>(system: RunningSystem, method: string, path: string, body: unknown): Promise<T> {
  const answer = await system.call(method, path, body)
  if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${answer.text}`)
  return answer.body
}

/** Times in milliseconds by credential, then by round. */
async function ask(
  system: RunningSystem,
  credentials: readonly Presented[],
  rounds: number,
): Promise<number[][]> {
  const times = credentials.map(() => [] as number[])
  for (let round = 0; round < WARM_UP + rounds; round++) {
    for (const [n, { name, token }] of credentials.entries()) {
      const started = performance.now()
      const { status, text } = await system.call('GET', NOWHERE, undefined, { token })
      const took = performance.now() - started
      if (status !== 404) throw new Error(`${name}: ${status} ${text}`)
      if (round >= WARM_UP) times[n]!.push(took)
    }
  }
  return times
}

const ROWS_AT_ONCE = 1_000
const WORKSPACES_A_TEAM = 10

/** Writes credentials that nobody holds into the database of a running system. */
async function addCredentials(dataDir: string, { tokens, teams }: { tokens: number; teams: number }) {
  await using sql = await openSql<AuthTables>(`sqlite:${join(dataDir, 'auth.db')}`, {
    schema: 'auth',
    log: silent,
    metrics: noMetrics(),
  })
  const now = new Date().toISOString()
  const user = await sql.read.selectFrom('user').select('id').executeTakeFirstOrThrow()
  await inSteps(sql, tokens, (tx) =>
    tx.insertInto('user_token').values({
      id: randomUUID(),
      user_id: user.id,
      token_hash: createHash('sha256').update(randomUUID()).digest('hex'),
      name: 'made up',
      is_active: 1,
      expires_at: null,
      last_used_at: null,
      allowed_tools: '[]',
      allowed_libraries: '["*"]',
      created_at: now,
      updated_at: now,
    }),
  )
  const ids = Array.from({ length: teams }, () => randomUUID())
  await inSteps(sql, teams, (tx, n) =>
    tx.insertInto('team').values({
      id: ids[n]!,
      name: `made up ${n}`,
      owner_id: user.id,
      active: 1,
      active_jti: randomUUID(),
      created_at: now,
      updated_at: now,
    }),
  )
  await inSteps(sql, teams * WORKSPACES_A_TEAM, (tx, n) =>
    tx.insertInto('team_workspace_assignment').values({
      team_id: ids[Math.floor(n / WORKSPACES_A_TEAM)]!,
      workspace_id: `bench-${n % WORKSPACES_A_TEAM}`,
      created_at: now,
    }),
  )
}

type Transaction = Parameters<Parameters<Sql<AuthTables>['transaction']>[0]>[0]

/** Short transactions, so that the system beside is not held up. */
async function inSteps(
  sql: Sql<AuthTables>,
  count: number,
  insert: (tx: Transaction, n: number) => { execute(): Promise<unknown> },
): Promise<void> {
  for (let from = 0; from < count; from += ROWS_AT_ONCE) {
    await sql.transaction(async (tx) => {
      for (let n = from; n < Math.min(count, from + ROWS_AT_ONCE); n++) await insert(tx, n).execute()
    })
  }
}
