import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { mode } from '../mode.ts'
import { sendTo } from './isolation/asking.ts'
import { browserWithoutToken, callersOf, refusedOf } from './isolation/callers.ts'
import { type Outcome, tableOf } from './isolation/cells.ts'
import { askGranted, askRefused } from './isolation/matrix.ts'
import { askTools, askToolsRefused, resultOf, rpc, TOOLS_IN_TABLE } from './isolation/mcp.ts'
import { INTERNAL_OPERATIONS, OPERATIONS } from './isolation/operations.ts'
import { bearer } from './isolation/people.ts'
import { ROWS } from './isolation/rows.ts'
import { snapshotOf } from './isolation/snapshot.ts'
import { makeWorld, type World } from './isolation/world.ts'

let world: World
let before: Record<string, unknown>
beforeAll(async () => {
  world = await makeWorld()
  before = await snapshotOf(world)
})
afterAll(() => world?.[Symbol.asyncDispose]())

/** Nothing differs; says how much was asked. */
function expectAsExpected(what: string, { cells, differences }: Outcome): void {
  process.stderr.write(`isolation, ${mode()}: ${what}: ${cells} cells, ${differences.length} differ\n`)
  expect(cells).toBeGreaterThan(0)
  expect(tableOf(differences)).toBe('')
}

describe('REST', () => {
  test('every operation of the contracts has a row, and every path of the description is one', async () => {
    expect(Object.keys(ROWS).sort()).toEqual(OPERATIONS.map(({ name }) => name).sort())
    const { body } = await world.system.call('GET', '/api/schema/')
    const { paths } = body as { paths: Record<string, Record<string, unknown>> }
    const described = Object.entries(paths).flatMap(([path, item]) =>
      Object.keys(item).map((method) => `${method.toUpperCase()} ${path}`),
    )
    expect(described.sort()).toEqual(OPERATIONS.map(({ method, path }) => `${method} ${path}`).sort())
  })

  test('no path between services is routed', async () => {
    expect(INTERNAL_OPERATIONS.length).toBeGreaterThan(0)
    for (const { method, path } of INTERNAL_OPERATIONS) {
      const body = method === 'GET' ? undefined : {}
      const answer = await world.system.call(method, path, body)
      expect([answer.status, answer.body], path).toEqual([404, { detail: 'Not found.' }])
    }
  })

  test('who has no good credential is refused, whatever is asked for', async () => {
    expectAsExpected('REST, refused', await askRefused(world, refusedOf(world), world.people.ada))
  })

  test('who has one sees what is theirs, and nothing of the rest', async () => {
    const callers = [...callersOf(world), browserWithoutToken(world)]
    expectAsExpected('REST, reading', await askGranted(world, callers, 'safe'))
  })
})

describe('MCP', () => {
  const urls = () =>
    'cluster' in world.system
      ? { 'the gateway': world.system.url, 'mcp itself': world.system.cluster.processes.mcp[0]!.url }
      : { 'the gateway': world.system.url }

  test('every tool has a row', async () => {
    const headers = bearer(world.people.ada.token)
    const { tools } = resultOf<{ tools: { name: string }[] }>(
      await rpc(sendTo(world.system.url), 'tools/list', {}, headers),
    )
    expect(TOOLS_IN_TABLE).toEqual(tools.map(({ name }) => name).sort())
  })

  test('a tool shows what its caller sees, and nothing of the rest', async () => {
    for (const [name, url] of Object.entries(urls())) {
      expectAsExpected(`MCP at ${name}`, await askTools(world, url))
    }
  })

  test('who has no good credential is refused, whatever is asked for', async () => {
    for (const [name, url] of Object.entries(urls())) {
      expectAsExpected(`MCP at ${name}, refused`, await askToolsRefused(world, url))
    }
  })
})

describe('changes', () => {
  test('are made by who may make them', async () => {
    expectAsExpected('REST, changing', await askGranted(world, callersOf(world), 'unsafe'))
  }, 400_000)

  test('that were refused have changed nothing', async () => {
    expect(await snapshotOf(world)).toEqual(before)
  })
})
