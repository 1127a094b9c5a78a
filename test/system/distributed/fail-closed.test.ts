import { freshPostgresUrl } from '@mnemosyne/platform/testing'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { TcpProxy } from '../../chaos/tcp-proxy.ts'
import { DistributedSystem } from '../distributed-system.ts'
import { type Door, doorsOf } from './fail-closed/doors.ts'
import { impersonate, NOISE, RUBBISH } from './fail-closed/impostors.ts'

// Whole processes on a machine that other tests keep busy.
vi.setConfig({ testTimeout: 180_000 })

/** Milliseconds: the promise is two seconds; what is above is the busy machine's. */
const LONGEST_MS = 2_500

let system: DistributedSystem
/** Before auth's own database, and nobody else's. */
let database: TcpProxy
let doors: Door[]
let pids: (number | undefined)[]

const closing = new AsyncDisposableStack()
const pidsOfDoors = () =>
  [...system.cluster.processes.gateway, ...system.cluster.processes.mcp].map(({ pid }) => pid)

beforeAll(async () => {
  const databaseUrl = await freshPostgresUrl()
  database = closing.use(await TcpProxy.start(databaseUrl))
  system = closing.use(
    await DistributedSystem.start({
      servers: { databaseUrl },
      envOf: { auth: { DATABASE_URL: database.through(databaseUrl) } },
    }),
  )
  doors = await doorsOf(system)
  pids = pidsOfDoors()
  await everythingIsRight()
}, 240_000)
afterAll(() => closing.disposeAsync())

async function ask({ name, ask }: Door) {
  const started = performance.now()
  const { status, text } = await ask().catch((error: Error) => ({
    status: 0,
    text: String(error.cause ?? error),
  }))
  return { name, status, text: text.slice(0, 200), ms: Math.round(performance.now() - started) }
}

/** Good credentials are let in, bad ones are not; without a restart of who lets them in. */
async function everythingIsRight(): Promise<void> {
  await vi.waitFor(
    async () => {
      const wrong = (await Promise.all(doors.map(async (door) => ({ door, ...(await ask(door)) }))))
        .filter(({ door, status }) => (door.opens ? status !== 200 : status !== 401 && status !== 403))
        .map(({ name, status, text }) => ({ name, status, text }))
      expect(wrong).toEqual([])
    },
    { timeout: 60_000, interval: 500 },
  )
  expect(pidsOfDoors()).toEqual(pids)
}

/** What some doors answer that is anything else than 503 in time. */
async function openAmong(some: readonly Door[]) {
  const answers = await Promise.all(some.map(ask))
  return answers.filter(
    ({ status, ms, text }) => status !== 503 || ms > LONGEST_MS || !text.includes('"detail"'),
  )
}

const nobody = async () => {
  for (const way of [
    system.call('GET', '/library/api/items/', undefined, { token: null }),
    system.mcp('tools/list', {}, { token: null }),
  ]) {
    expect((await way).status).toBe(401)
  }
}

describe('everything that takes a credential is 503 within two seconds, and works again by itself, when', () => {
  test('auth is killed', async () => {
    const [auth] = system.cluster.processes.auth
    await auth!.kill()
    expect(await openAmong(doors)).toEqual([])
    await nobody()
    auth!.start()
    await everythingIsRight()
  })

  test('auth is frozen: it takes requests, and never answers', async () => {
    const [auth] = system.cluster.processes.auth
    auth!.pause()
    try {
      expect(await openAmong(doors)).toEqual([])
      await nobody()
    } finally {
      auth!.resume()
    }
    await everythingIsRight()
  })

  test('auth answers rubbish', async () => {
    const [auth] = system.cluster.processes.auth
    await auth!.kill()
    for (const name of [...Object.keys(RUBBISH), ...Object.keys(NOISE)]) {
      await using impostor = await impersonate(auth!.url, name)
      // Whoever kept a connection to what was there before notices on the next request.
      const open = await openAmong(doors)
      expect(open, name).toEqual([])
      expect(impostor.asked, name).toBeGreaterThan(doors.length / 2)
    }
    auth!.start()
    await everythingIsRight()
  })

  test.each(['refuse', 'silence'] as const)("auth's database is gone: its connections %s", async (how) => {
    database[how]()
    try {
      const asked = doors.filter(({ byItsLooks }) => !byItsLooks)
      expect(await openAmong(asked)).toEqual([])
      // What was tried once is no reason to open at the second time.
      expect(await openAmong(asked)).toEqual([])
    } finally {
      database.heal()
    }
    await everythingIsRight()
  })
})

describe('without the library service nobody is resolved, within two seconds, when', () => {
  const faults: [string, () => unknown, () => unknown][] = [
    [
      'killed',
      () => system.cluster.processes.library[0]!.kill(),
      () => system.cluster.processes.library[0]!.start(),
    ],
    [
      'frozen',
      () => system.cluster.processes.library[0]!.pause(),
      () => system.cluster.processes.library[0]!.resume(),
    ],
  ]
  test.each(faults)('it is %s', async (_, harm, heal) => {
    await harm()
    try {
      expect(await openAmong(doors.filter(({ opens, signsIn }) => opens && !signsIn))).toEqual([])
      // That a credential is bad auth may know by itself; who signs in has signed in, and reads nothing yet.
      const rest = await Promise.all(doors.filter((door) => !door.opens || door.signsIn).map(ask))
      const wrong = rest.filter(
        ({ name, status, ms }) => (status === 200 && name !== 'login') || status === 0 || ms > LONGEST_MS,
      )
      expect(wrong).toEqual([])
      const { status, ms } = await ask({
        ...doors[0]!,
        ask: () => system.call('GET', '/library/api/libraries/'),
      })
      expect(status).toBe(503)
      expect(ms).toBeLessThan(LONGEST_MS)
    } finally {
      await heal()
    }
    await everythingIsRight()
  })
})
