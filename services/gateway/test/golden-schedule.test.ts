import { goldenQueriesInternalContract, type Principal, servicePrincipal } from '@mnemosyne/contracts'
import {
  createLog,
  createSigner,
  createVerifier,
  DomainError,
  generateAssertionKeys,
  Metrics,
  publicKeys,
  type RequestContext,
  serviceApp,
  systemClock,
} from '@mnemosyne/platform'
import { implement } from '@orpc/server'
import { Registry } from 'prom-client'
import { expect, onTestFinished, test, vi } from 'vitest'
import { startGoldenSchedule } from '../src/index.ts'

const BIRDS = '00000000-0000-4000-8000-000000000001'
const REEDS = '00000000-0000-4000-8000-000000000002'
const log = createLog({ component: 'gateway', level: 'silent' })

/** A gateway's schedule before a library service that gives out what is due, and keeps who asks for what. */
async function openSchedule(everyHours: number) {
  const signing = await generateAssertionKeys('k1')
  const keys = publicKeys(signing)
  const verifySearch = await createVerifier('search', keys)
  const due: string[] = []
  const claims: { every_hours: number; principal: Principal }[] = []
  const replays: { library_uid: string; principal: Principal; forSearch: Principal }[] = []
  /** How often a replay is not whole (below 0: search is away), and what it waits for. */
  const state: { left: number; hold?: Promise<void> } = { left: 0 }
  const os = implement(goldenQueriesInternalContract).$context<RequestContext>()
  const library = serviceApp({
    name: 'library',
    log,
    metrics: new Metrics(new Registry(), 'library'),
    readiness: async () => ({ status: 'ready', checks: {} }),
    verify: await createVerifier('library', keys),
    errorStatus: { SEARCH_UNAVAILABLE: 503 },
    router: os.router({
      claim: os.claim.handler(({ input, context: { principal } }) => {
        claims.push({ ...input, principal })
        const library_uid = due.shift()
        return library_uid ? { library_uid } : null
      }),
      replay: os.replay.handler(async ({ input: { library_uid }, context }) => {
        const forSearch = await verifySearch(context.delegations.search ?? null)
        replays.push({ library_uid, principal: context.principal, forSearch })
        await state.hold
        context.signal.throwIfAborted()
        if (state.left < 0) throw new DomainError('SEARCH_UNAVAILABLE', 'Search is away.')
        const remaining = state.left > 0 ? state.left-- : 0
        return {
          ...{ id: library_uid, library_uid, trigger: 'schedule', started_at: '2026-01-01T00:00:00.000Z' },
          ...{ finished_at: null, queries: 4, remaining, gone: 0, recall_at_10: null, mrr: null },
          ...{ exact: true, degraded: [] },
        }
      }),
    }),
  })
  const schedule = startGoldenSchedule({
    ...{ everyHours, library, clock: systemClock, log, lookMs: 10 },
    sign: await createSigner('gateway', signing),
  })
  onTestFinished(() => schedule[Symbol.asyncDispose]())
  return { due, claims, replays, schedule, state }
}

test('each library that is due is replayed to its end, by a service that may read it alone', async () => {
  const world = await openSchedule(6)
  world.state.left = 2
  world.due.push(BIRDS, REEDS)
  await vi.waitFor(() => expect(world.replays.length).toBe(4))
  const reader = (uid: string) => ({ ...servicePrincipal('rest'), resolved_libraries: [uid] })
  expect(world.replays).toEqual(
    [BIRDS, BIRDS, BIRDS, REEDS].map((library_uid) => ({
      ...{ library_uid, principal: reader(library_uid), forSearch: reader(library_uid) },
    })),
  )
  for (const claim of world.claims)
    expect(claim).toEqual({ every_hours: 6, principal: servicePrincipal('rest') })
})

test('what fails is left, and what is due later is replayed all the same', async () => {
  const world = await openSchedule(24)
  world.state.left = -1
  world.due.push(BIRDS)
  await vi.waitFor(() => expect(world.replays.length).toBe(1))
  world.state.left = 0
  world.due.push(REEDS)
  await vi.waitFor(() => expect(world.replays.at(-1)?.library_uid).toBe(REEDS))
  expect(world.replays).toHaveLength(2)
})

test('its end ends a replay', async () => {
  const world = await openSchedule(24)
  const held = Promise.withResolvers<void>()
  world.state.hold = held.promise
  world.due.push(BIRDS, REEDS)
  await vi.waitFor(() => expect(world.replays.length).toBe(1))
  const ended = world.schedule[Symbol.asyncDispose]()
  held.resolve()
  await ended
  const { length } = world.claims
  expect([world.due, length]).toEqual([[REEDS], 1])
})

test('with 0 hours nobody is asked', async () => {
  const off = await openSchedule(0)
  const on = await openSchedule(1)
  off.due.push(BIRDS)
  await vi.waitFor(() => expect(on.claims.length).toBeGreaterThan(3))
  expect(off.claims).toEqual([])
})
