import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { mode } from '../mode.ts'
import { sendTo } from './isolation/asking.ts'
import { browserWithoutToken, callersOf, refusedOf } from './isolation/callers.ts'
import { type Outcome, tableOf } from './isolation/cells.ts'
import { askCosts } from './isolation/cost.ts'
import { askForDocuments, askNowhere, askToSignIn } from './isolation/elsewhere.ts'
import { askGranted, askRefused } from './isolation/matrix.ts'
import {
  askResources,
  askResourcesRefused,
  askTools,
  askToolsRefused,
  RESOURCES_IN_TABLE,
  resultOf,
  rpc,
  TOOLS_IN_TABLE,
} from './isolation/mcp.ts'
import { OPERATIONS } from './isolation/operations.ts'
import { bearer } from './isolation/people.ts'
import { ROWS } from './isolation/rows.ts'
import { snapshotOf } from './isolation/snapshot.ts'
import { makeWorld, type World } from './isolation/world.ts'

/** Of what takes a minute on a machine that has nothing else to do. */
const PATIENCE = { timeout: 600_000 }

let world: World
let before: Record<string, unknown>
beforeAll(async () => {
  world = await makeWorld()
  before = await snapshotOf(world)
}, PATIENCE.timeout)
afterAll(() => world?.[Symbol.asyncDispose]())

/** Nothing differs; says how much was asked. */
async function expectNoDifference(what: string, asked: Promise<Outcome>): Promise<void> {
  const started = performance.now()
  const { cells, differences } = await asked
  const seconds = Math.round((performance.now() - started) / 1000)
  process.stderr.write(`isolation, ${mode()}: ${what}: ${cells} cells in ${seconds} s\n`)
  expect(cells).toBeGreaterThan(0)
  expect(tableOf(differences)).toBe('')
}

describe('every row is there', () => {
  test('for the operations of the contracts, which are what the description describes', async () => {
    expect(Object.keys(ROWS).sort()).toEqual(OPERATIONS.map(({ name }) => name).sort())
    const { body } = await world.system.call('GET', '/api/schema/')
    const { paths } = body as { paths: Record<string, object> }
    const described = Object.entries(paths).flatMap(([path, item]) =>
      Object.keys(item).map((method) => `${method.toUpperCase()} ${path}`),
    )
    expect(described.sort()).toEqual(OPERATIONS.map(({ method, path }) => `${method} ${path}`).sort())
  })

  test('for the tools and resources that mcp lists', async () => {
    const list = async <T>(what: string) =>
      resultOf<T>(await rpc(sendTo(world.system.url), `${what}/list`, {}, bearer(world.people.ada.token)))
    const { tools } = await list<{ tools: { name: string }[] }>('tools')
    expect(tools.map(({ name }) => name).sort()).toEqual(TOOLS_IN_TABLE)
    const { resources } = await list<{ resources: { uri: string }[] }>('resources')
    expect(resources.map(({ uri }) => uri).sort()).toEqual(RESOURCES_IN_TABLE)
  })
})

describe('over REST', PATIENCE, () => {
  test('who has no good credential is refused, whatever is asked for', () =>
    expectNoDifference('REST, refused', askRefused(world, refusedOf(world), world.people.ada)))

  test('who has one sees what is theirs, and nothing of the rest', () =>
    expectNoDifference(
      'REST, looked at',
      askGranted(world, [...callersOf(world), browserWithoutToken(world)], 'safe'),
    ))

  test('what is not theirs costs as much as what is not there', () =>
    expectNoDifference('REST, costs', askCosts(world, callersOf(world).slice(1, 2))))

  test('what leads nowhere leads nobody anywhere', () =>
    expectNoDifference('REST, nowhere', askNowhere(world, callersOf(world), refusedOf(world))))

  test('signing in, and what everybody may see, asks for no credential', async () => {
    await expectNoDifference('REST, signing in', askToSignIn(world, refusedOf(world)))
    await expectNoDifference('REST, documents', askForDocuments(world, refusedOf(world)))
  })
})

describe('over MCP', PATIENCE, () => {
  /** Each way to the tools. */
  function ways(): [name: string, url: string][] {
    const { system } = world
    const beside = 'cluster' in system ? system.cluster.processes.mcp : []
    return [['the gateway', system.url], ...beside.map(({ name, url }): [string, string] => [name, url])]
  }

  test('a tool shows what its caller sees, and nothing of the rest', async () => {
    for (const [name, url] of ways()) {
      await expectNoDifference(`tools of ${name}`, askTools(world, url))
      await expectNoDifference(`resources of ${name}`, askResources(world, url))
    }
  })

  test('who has no good credential is refused, whatever is asked for', async () => {
    for (const [name, url] of ways()) {
      await expectNoDifference(`tools of ${name}, refused`, askToolsRefused(world, url))
      await expectNoDifference(`resources of ${name}, refused`, askResourcesRefused(world, url))
    }
  })
})

describe('changes', PATIENCE, () => {
  test('are made by who may make them', () =>
    expectNoDifference('REST, changed', askGranted(world, callersOf(world), 'unsafe')))

  test('that were refused have changed nothing', async () => {
    expect(await snapshotOf(world)).toEqual(before)
  })
})
