import { randomUUID } from 'node:crypto'
import { type AuditRecord, EVENTS } from '@mnemosyne/contracts'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { recordJob } from '../src/store/items.ts'
import { job } from './stores.ts'
import { type Answer, type CallOptions, type Person, World } from './world.ts'

const ada: Person = { username: 'ada' }
const bob: Person = { username: 'bob' }
const staff: Person = { username: 'staff', staff: true }

let world: World
beforeAll(async () => {
  world = await World.open()
})
afterAll(() => world?.[Symbol.asyncDispose]())

const call = (who: Person, method: string, path: string, options?: CallOptions) =>
  world.call(who, method, path, options)
const post = (who: Person, path: string, body: unknown) => call(who, 'POST', path, { body })

const records = (): AuditRecord[] =>
  world.events
    .filter(({ destination }) => destination === 'audit.recorded.v1')
    .map(({ body }) => EVENTS['audit.recorded.v1'].parse((body as { data: unknown }).data))

/** What was recorded of the request that got this answer. */
async function recordsOf({ headers }: Answer, count = 1) {
  const id = headers.get('x-request-id')
  const found = () => records().filter(({ request_id }) => request_id === id)
  await vi.waitFor(() => expect(found()).toHaveLength(count))
  return found().map(({ username, action, target, outcome, detail }) => ({
    ...{ username, action, target, outcome, detail },
  }))
}

async function createWorkspace(workspace_id: string, who = ada) {
  const answer = await post(who, '/library/api/workspaces/', {
    workspace_id,
    name: 'Secret name',
    library_type: 'technical',
  })
  return { answer, library: answer.body.library_uid as string }
}

describe('who did what is told with the change', () => {
  test('a workspace: created, repeated, deleted, and deleted when there is none', async () => {
    const { answer, library } = await createWorkspace('w1')
    const detail = { owner_username: 'ada', workspace_id: 'w1' }
    expect(await recordsOf(answer)).toEqual([
      {
        username: 'ada',
        action: 'library.created',
        target: library,
        outcome: 'done',
        detail: { ...detail, library_type: 'technical' },
      },
    ])
    const repeated = (await createWorkspace('w1')).answer
    const deleted = await call(ada, 'DELETE', '/library/api/workspaces/w1/')
    expect(await recordsOf(deleted)).toEqual([
      { username: 'ada', action: 'library.deleted', target: library, outcome: 'done', detail },
    ])
    expect(await recordsOf(repeated, 0)).toEqual([])
  })

  test("a workspace that is someone else's looks deleted, and is told to have been refused as one that is not there", async () => {
    await createWorkspace('w2')
    const refusals = []
    for (const id of ['w2', 'w3']) {
      const answer = await call(bob, 'DELETE', `/library/api/workspaces/${id}/`)
      expect(answer.status).toBe(204)
      refusals.push(...(await recordsOf(answer)))
    }
    expect(refusals).toEqual(
      ['w2', 'w3'].map((workspace_id) => ({
        username: 'bob',
        action: 'library.deleted',
        target: workspace_id,
        outcome: 'refused',
        detail: { workspace_id, reason: 'no_such_workspace' },
      })),
    )
  })

  test('a library, by staff for everybody, with a collection and an item', async () => {
    const created = await post(staff, '/library/api/libraries/', {
      name: 'Everybody',
      library_type: 'fiction',
      global: true,
    })
    const { uid } = created.body
    expect(await recordsOf(created)).toMatchObject([
      { username: 'staff', action: 'library.created', detail: { owner_username: null } },
    ])
    const collection = await post(staff, '/library/api/collections/', { library_uid: uid, name: 'Part' })
    expect(await recordsOf(collection)).toEqual([
      {
        username: 'staff',
        action: 'collection.created',
        target: collection.body.uid,
        outcome: 'done',
        detail: { library_uid: uid },
      },
    ])
    const item_uid = randomUUID()
    await recordJob(world.sql, job({ library_uid: uid, item_uid }))
    const deletion = await call(staff, 'DELETE', `/library/api/items/${item_uid}/`)
    expect(await recordsOf(deletion)).toMatchObject([
      { action: 'item.deleted', target: item_uid, detail: { library_uid: uid } },
    ])
    const end = await call(staff, 'DELETE', `/library/api/libraries/${uid}/`)
    expect(await recordsOf(end)).toMatchObject([{ action: 'library.deleted', target: uid }])
  })

  test("the default collection, on the account of whoever's ingest makes it, once", async () => {
    const { library } = await createWorkspace('w4')
    const target = { workspace_id: 'w4' }
    const first = await post(ada, '/internal/library/ingest-target/', target)
    expect(await recordsOf(first)).toMatchObject([
      { username: 'ada', action: 'collection.created', detail: { library_uid: library, default: true } },
    ])
    expect(await recordsOf(await post(ada, '/internal/library/ingest-target/', target), 0)).toEqual([])
  })

  test('what was taken back, because the rest of the system was away', async () => {
    const { library } = await createWorkspace('w5')
    const body = { library_uid: library, name: 'Part' }
    const failed = await world.without('putCollection', () => post(ada, '/library/api/collections/', body))
    expect(failed.status).toBe(503)
    const [made, taken] = await recordsOf(failed, 2)
    expect([made?.action, taken?.action]).toEqual(['collection.created', 'collection.deleted'])
    expect(taken?.detail).toEqual({ library_uid: library, taken_back: true })
    const library2 = { name: 'x', library_type: 'fiction' }
    const half = await world.without('auth', () => post(ada, '/library/api/libraries/', library2))
    const actions = (await recordsOf(half, 2)).map(({ action }) => action)
    expect(actions).toEqual(['library.created', 'library.deleted'])
  })
})

test('what is refused changes nothing and is not told of here: the gateway sees it', async () => {
  const { library } = await createWorkspace('w6')
  const before = records().length
  for (const answer of [
    await post(bob, '/library/api/collections/', { library_uid: library, name: 'x' }),
    await call(bob, 'DELETE', `/library/api/libraries/${library}/`),
    await post(bob, '/library/api/libraries/', { name: 'x', library_type: 'fiction', global: true }),
  ])
    expect([403, 404]).toContain(answer.status)
  const last = await createWorkspace('w7')
  await recordsOf(last.answer)
  expect(records()).toHaveLength(before + 1)
})

test('no name and no text stands in a record', () => {
  expect(records().length).toBeGreaterThan(10)
  expect(JSON.stringify(records())).not.toMatch(/Secret name|Everybody|Part/)
})
