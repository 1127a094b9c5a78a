import type { Service } from '@mnemosyne/platform'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { openWorld, uid, type World } from './world.ts'

let world: World
let service: Service
/** Lets the searches in hand go on, which all wait for the store. */
let release: () => void

beforeAll(async () => {
  world = await openWorld()
  service = await world.start({ SEARCH_MAX_CONCURRENT: '2' })
})
afterAll(() => world.close())
beforeEach(() => {
  const { promise, resolve } = Promise.withResolvers<void>()
  release = resolve
  world.broken.set('libraries', async (...args) => {
    await promise
    return world.graph.libraries(...(args as Parameters<typeof world.graph.libraries>))
  })
})

const QUERY = { query: 'prime the pump' }
const search = (init?: RequestInit) => world.request(service, QUERY, init)
const explain = () =>
  world.request(
    service,
    { ...QUERY, chunk_uid: uid('Pump manual 0') },
    {},
    undefined,
    '/library/api/search/explain/',
  )
async function metric(name: string): Promise<number> {
  const { values } = await world.registry.getSingleMetric(`mnemosyne_search_${name}`)!.get()
  return values[0]?.value ?? 0
}
const inHand = () => metric('in_hand')
const waiting = () => metric('waiting')

test('beyond those in hand and in line searches are refused at once, in words; the others are answered', async () => {
  const before = await metric('refused_total')
  const taken = [search(), explain(), search(), search()]
  await expect.poll(inHand).toBe(2)
  await expect.poll(waiting).toBe(2)
  const started = performance.now()
  const refused = await Promise.all([search(), explain(), search()])
  expect(performance.now() - started).toBeLessThan(500)
  for (const answer of refused) {
    expect(answer.status).toBe(503)
    expect(answer.headers.get('retry-after')).toBe('2')
    expect(await answer.json()).toEqual({
      detail: 'Too many searches are being answered at this moment. Search again in a few seconds.',
    })
  }
  expect(await metric('refused_total')).toBe(before + 3)
  for (const path of ['/live', '/ready', '/metrics'])
    expect((await service.fetch(new Request(`http://search${path}`))).status).toBe(200)

  release()
  for (const answer of await Promise.all(taken)) expect(answer.status).toBe(200)
  expect((await search()).status).toBe(200)
  expect([await inHand(), await waiting()]).toEqual([0, 0])
})

test('nobody waits in line for long', async () => {
  const taken = [search(), search()]
  await expect.poll(inHand).toBe(2)
  const started = performance.now()
  expect((await search()).status).toBe(503)
  expect(performance.now() - started).toBeLessThan(2_000)
  release()
  for (const answer of await Promise.all(taken)) expect(answer.status).toBe(200)
})

test('whoever leaves the line makes room in it', async () => {
  const taken = [search(), search(), search()]
  const caller = new AbortController()
  await expect.poll(waiting).toBe(1)
  const left = search({ signal: caller.signal })
  await expect.poll(waiting).toBe(2)
  caller.abort()
  expect((await left).status).toBe(499)
  expect(await waiting()).toBe(1)
  const next = search()
  await expect.poll(waiting).toBe(2)
  release()
  for (const answer of await Promise.all([...taken, next])) expect(answer.status).toBe(200)
  expect(world.lines.join()).not.toContain('unexpected error')
})
