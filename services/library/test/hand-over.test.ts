import { randomUUID } from 'node:crypto'
import { EVENTS } from '@mnemosyne/contracts'
import { describePostgres } from '@mnemosyne/platform/testing'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Answer, type CallOptions, type Person, type Role, World } from './world.ts'

const ada: Person = { username: 'ada' }
const bob: Person = { username: 'bob' }
const eve: Person = { username: 'eve' }
const root: Person = { username: 'root', staff: true }
const service: Person = { username: '', service: true }
const NOWHERE = '00000000-0000-4000-8000-000000000000'
const LIBRARY_NOT_FOUND = { status: 404, body: { detail: 'Library not found.' } }

describe('on SQLite', () => suite())
await describePostgres('on PostgreSQL', (freshUrl) => suite(freshUrl))

function suite(freshUrl?: () => Promise<string>): void {
  let world: World
  beforeAll(async () => {
    world = await World.open(await freshUrl?.())
  })
  afterAll(() => world?.[Symbol.asyncDispose]())
  beforeEach(() => {
    world.absent.clear()
    world.asked.length = 0
  })

  const call = (who: Person, method: string, path: string, options?: CallOptions) =>
    world.call(who, method, path, options)
  const post = (who: Person, path: string, body: unknown) => call(who, 'POST', path, { body })
  const patch = (who: Person, uid: string, body: unknown, options: CallOptions = {}) =>
    call(who, 'PATCH', `/library/api/libraries/${uid}/`, { ...options, body })
  const read = async (who: Person, uid: string) =>
    (await call(who, 'GET', `/library/api/libraries/${uid}/`)).body

  async function newLibrary(who: Person, more: object = {}): Promise<string> {
    const { body, text } = await post(who, '/library/api/libraries/', {
      ...{ name: 'Pumps', library_type: 'technical' },
      ...more,
    })
    return body.uid ?? expect.fail(text)
  }
  async function newWorkspace(who: Person, workspace_id: string): Promise<string> {
    const { body } = await post(who, '/library/api/workspaces/', {
      ...{ workspace_id, name: 'Pumps', library_type: 'technical' },
    })
    return body.library_uid
  }
  const share = (uid: string, username: string, role: Role) => world.members.set(`${username} ${uid}`, role)
  const row = (uid: string) =>
    world.sql.read.selectFrom('library').selectAll().where('uid', '=', uid).executeTakeFirst()

  /** Events about a library after the first, which told of its creation, in order: but for the audit log's. */
  async function told(uid: string, count: number) {
    const all = () =>
      world.events.flatMap(({ destination, body }) => {
        const { data } = body as { data: { library_uid?: string } }
        const about = data.library_uid === uid && !/created|audit/.test(destination)
        return about ? [{ type: destination, ...data }] : []
      })
    await expect.poll(all).toHaveLength(count)
    return all()
  }
  async function audited({ headers }: Answer) {
    const id = headers.get('x-request-id')
    const records = world.events
      .filter(({ destination }) => destination === 'audit.recorded.v1')
      .map(({ body }) => EVENTS['audit.recorded.v1'].parse((body as { data: unknown }).data))
    return records
      .filter(({ request_id }) => request_id === id)
      .map(({ username, action, target, detail }) => ({ username, action, target, detail }))
  }

  describe('a library is changed', () => {
    test('in name and description, wherever its name is read', async () => {
      const uid = await newLibrary(ada, { description: 'All' })
      await post(ada, '/internal/library/ingest-target/', { library_uid: uid })
      const before = await read(ada, uid)
      const renamed = await patch(ada, uid, { name: ' Valves ' })
      expect(renamed).toMatchObject({
        status: 200,
        body: { ...before, name: 'Valves', updated_at: expect.any(String) },
      })
      expect(renamed.body.updated_at > before.updated_at).toBe(true)
      expect(await read(ada, uid)).toEqual(renamed.body)
      const { body: collections } = await call(ada, 'GET', `/library/api/collections/?library_uid=${uid}`)
      expect(collections).toMatchObject([{ library_name: 'Valves' }])
      const { body: libraries } = await call(ada, 'GET', '/library/api/libraries/?limit=200')
      expect(libraries).toContainEqual(expect.objectContaining({ uid, name: 'Valves' }))

      expect((await patch(ada, uid, { description: '' })).body).toMatchObject({
        name: 'Valves',
        description: '',
      })
      expect(await told(uid, 2)).toEqual(Array(2).fill({ type: 'library.updated.v1', library_uid: uid }))
      await expect
        .poll(() => audited(renamed))
        .toEqual([{ username: 'ada', action: 'library.updated', target: uid, detail: { fields: 'name' } }])
    })

    test('into what it is by nothing at all', async () => {
      const uid = await newLibrary(ada)
      const before = await read(ada, uid)
      for (const body of [{}, { name: 'Pumps' }, { name: 'Pumps', description: '', owner_username: 'ada' }])
        expect((await patch(ada, uid, body)).body).toEqual(before)
      const { status } = await patch(ada, uid, { name: 'Valves' })
      expect([status, await told(uid, 1)]).toEqual([200, [{ type: 'library.updated.v1', library_uid: uid }]])
      expect(world.asked.filter(({ operation }) => operation === 'recordHandOver')).toEqual([])
    })

    test.each([
      ['a blank name', { name: ' ' }, 'name'],
      ['NUL', { description: 'a\0b' }, 'description'],
      ['a new owner without a name', { owner_username: '' }, 'owner_username'],
      ['a new owner whose name nobody can have', { owner_username: 'a\0b' }, 'owner_username'],
    ])('not by %s', async (_, body, field) => {
      const uid = await newLibrary(ada)
      const answer = await patch(ada, uid, body)
      expect([answer.status, Object.keys(answer.body)]).toEqual([400, [field]])
    })

    test.each([
      ['the principal owner', undefined, 200],
      ['another owner', 'owner', 200],
      ['a manager', 'manager', 403],
      ['a reader', 'reader', 403],
      ['a stranger', undefined, 404],
      ['staff', undefined, 404],
    ] as const)('by %s', async (who, role, status) => {
      const uid = await newLibrary(ada)
      if (role) share(uid, 'bob', role)
      const person = who === 'the principal owner' ? ada : who === 'staff' ? root : bob
      for (const body of [{ name: 'Valves' }, { owner_username: 'eve' }]) {
        const answer = await patch(person, uid, body)
        expect(answer.status).toBe(status)
        if (status === 403)
          expect(answer.body).toEqual({ detail: 'Only its owners may change this library.' })
        if (status === 404) {
          expect(answer).toMatchObject(LIBRARY_NOT_FOUND)
          for (const none of [NOWHERE, 'no-uid']) {
            const { text, status } = await patch(person, none, body)
            expect({ text, status }).toEqual({ text: answer.text, status: 404 })
          }
        }
      }
      expect((await row(uid))?.owner_username).toBe(status === 200 ? 'eve' : 'ada')
      if (status !== 200) expect(world.asked.filter(({ input }) => input.username === 'eve')).toEqual([])
    })

    test('not over MCP', async () => {
      const uid = await newLibrary(ada)
      expect((await patch(ada, uid, { name: 'Valves' }, { surface: 'mcp' })).status).toBe(403)
    })

    test.each([
      ['view', 403],
      ['change', 200],
      ['delete', 200],
    ] as const)('a global one by staff who have the level %s', async (staff, status) => {
      const uid = await newLibrary(root, { global: true })
      expect((await patch({ username: 'sue', staff }, uid, { name: 'Valves' })).status).toBe(status)
      expect((await patch(ada, uid, { name: 'Valves' })).status).toBe(403)
      const handed = await patch(root, uid, { owner_username: 'ada' })
      expect(handed).toMatchObject({
        status: 400,
        body: { owner_username: [expect.stringContaining('everybody')] },
      })
    })
  })

  describe('a library is handed over', () => {
    test('with all that follows: rights, answers, events, the audit log', async () => {
      const uid = await newLibrary(ada)
      const answer = await patch(ada, uid, { owner_username: 'bob', name: 'Valves' })
      expect(answer).toMatchObject({
        status: 200,
        body: { uid, owner_username: 'bob', name: 'Valves', global: false },
      })
      expect(await read(bob, uid)).toEqual(answer.body)
      expect(await row(uid)).toMatchObject({ owner_username: 'bob', hand_overs: 1 })
      expect([world.members.get(`ada ${uid}`), world.members.get(`bob ${uid}`)]).toEqual(['manager', 'owner'])

      const handOver = { library_uid: uid, from: 'ada', to: 'bob', hand_overs: 1 }
      expect(await told(uid, 2)).toEqual([
        { type: 'library.updated.v1', library_uid: uid },
        { type: 'library.handed_over.v1', ...handOver },
      ])
      expect(world.asked.slice(-2)).toEqual([
        { operation: 'putOwner', input: { library_uid: uid, username: 'bob', hand_overs: 1 } },
        { operation: 'recordHandOver', input: handOver },
      ])
      await expect
        .poll(() => audited(answer))
        .toEqual([
          { username: 'ada', action: 'library.updated', target: uid, detail: { fields: 'name' } },
          { username: 'ada', action: 'library.handed_over', target: uid, detail: { from: 'ada', to: 'bob' } },
        ])

      expect((await patch(ada, uid, { owner_username: 'ada' })).status).toBe(403)
      expect((await call(ada, 'DELETE', `/library/api/libraries/${uid}/`)).status).toBe(403)
      expect((await post(ada, '/internal/library/ingest-target/', { library_uid: uid })).status).toBe(200)
      expect((await patch(bob, uid, { owner_username: 'ada' })).status).toBe(200)
      expect(await row(uid)).toMatchObject({ owner_username: 'ada', hand_overs: 2 })
    })

    test('by another owner, also to themselves', async () => {
      const uid = await newLibrary(ada)
      share(uid, 'bob', 'owner')
      expect((await patch(bob, uid, { owner_username: 'bob' })).status).toBe(200)
      expect([world.members.get(`ada ${uid}`), world.members.get(`bob ${uid}`)]).toEqual(['manager', 'owner'])
      share(uid, 'eve', 'owner')
      expect((await patch(eve, uid, { owner_username: 'ada' })).status).toBe(200)
      expect(['ada', 'bob', 'eve'].map((name) => world.members.get(`${name} ${uid}`))).toEqual([
        'owner',
        'manager',
        'owner',
      ])
    })

    test('with the workspace', async () => {
      const uid = await newWorkspace(ada, 'w-moves')
      expect((await patch(ada, uid, { owner_username: 'bob' })).status).toBe(200)
      const path = '/library/api/workspaces/w-moves/'
      expect((await call(bob, 'GET', path)).body).toMatchObject({ library_uid: uid })
      expect(await call(ada, 'GET', path)).toMatchObject({
        status: 404,
        body: { detail: 'Workspace not found.' },
      })
      expect((await post(ada, '/internal/library/ingest-target/', { workspace_id: 'w-moves' })).status).toBe(
        404,
      )
      expect((await post(bob, '/internal/library/ingest-target/', { workspace_id: 'w-moves' })).status).toBe(
        200,
      )
      const again = { workspace_id: 'w-moves', name: 'Pumps', library_type: 'technical' }
      expect((await post(ada, '/library/api/workspaces/', again)).status).toBe(404)
      expect((await post(bob, '/library/api/workspaces/', again)).status).toBe(200)
      expect(world.asked.at(-1)).toEqual({
        operation: 'putOwner',
        input: { library_uid: uid, username: 'bob', hand_overs: 1 },
      })
      const teams = { workspace_ids: ['w-moves'] }
      const of = async (owner_username: string) =>
        (await post(service, '/internal/library/libraries-of/', { owner_username, ...teams })).body
      expect([await of('ada'), await of('bob')]).toEqual([[], [uid]])

      // Neither who it was before, nor an owner whose it is not: nothing is deleted.
      share(uid, 'eve', 'owner')
      for (const who of [ada, eve]) {
        expect((await call(who, 'DELETE', path)).status).toBe(204)
        expect((await call(bob, 'GET', path)).status).toBe(200)
      }
      expect((await call(eve, 'DELETE', `/library/api/libraries/${uid}/`)).status).toBe(204)
      expect((await call(bob, 'GET', path)).status).toBe(404)
    })

    test.each(['unknown', 'disabled'] as const)('not to who is %s', async (absence) => {
      const uid = await newLibrary(ada)
      world.absent.set('nemo', absence)
      expect(await patch(ada, uid, { owner_username: 'nemo', name: 'Valves' })).toMatchObject({
        status: 400,
        body: { owner_username: ['There is no active user of this name.'] },
      })
      expect(await row(uid)).toMatchObject({ owner_username: 'ada', name: 'Pumps', hand_overs: 0 })
    })

    test('not by who is an owner no more, as auth knows', async () => {
      const uid = await newLibrary(ada)
      share(uid, 'bob', 'owner')
      const principal = await world.principal(bob, 'rest')
      world.members.delete(`bob ${uid}`)
      const answer = await world.callAs(principal, 'PATCH', `/library/api/libraries/${uid}/`, {
        body: { owner_username: 'eve' },
      })
      expect(answer.status).toBe(403)
      expect((await row(uid))?.owner_username).toBe('ada')
    })

    test('to one of two when both are named at the same moment', async () => {
      for (let round = 0; round < 5; round++) {
        const uid = await newLibrary(ada)
        const answers = await Promise.all(
          ['bob', 'eve'].map((name) => patch(ada, uid, { owner_username: name })),
        )
        const statuses = answers.map(({ status }) => status).sort()
        // Or one after the other, the second by who was an owner when it was sent.
        expect([
          [200, 200],
          [200, 409],
          [200, 403],
        ]).toContainEqual(statuses)
        const now = await row(uid)
        expect(now?.hand_overs).toBe(statuses.filter((status) => status === 200).length)
        expect(await read({ username: now?.owner_username ?? '' }, uid)).toMatchObject({
          owner_username: now?.owner_username,
        })
      }
    })
  })

  describe('a change that is cut short', () => {
    test('before the new owner is known changes nothing', async () => {
      const uid = await newLibrary(ada)
      const failed = await world.without('putOwner', () =>
        patch(ada, uid, { owner_username: 'bob', name: 'Valves' }),
      )
      expect(failed).toMatchObject({ status: 503, body: { detail: expect.stringMatching(/Try again\.$/) } })
      expect(await row(uid)).toMatchObject({ owner_username: 'ada', name: 'Pumps', hand_overs: 0 })
      expect((await patch(ada, uid, { owner_username: 'bob' })).status).toBe(200)
    })

    test('after the row is written is made good by the event', async () => {
      const uid = await newLibrary(ada)
      const answer = await world.without('recordHandOver', () => patch(ada, uid, { owner_username: 'bob' }))
      expect(answer).toMatchObject({ status: 200, body: { owner_username: 'bob' } })
      expect(await told(uid, 1)).toEqual([
        { type: 'library.handed_over.v1', library_uid: uid, from: 'ada', to: 'bob', hand_overs: 1 },
      ])
    })

    test('before the graph shows it is shown later, without a further request', async () => {
      const uid = await newLibrary(ada)
      const change = { name: 'Valves', owner_username: 'bob' }
      const failed = await world.without('putLibrary', () => patch(ada, uid, change))
      expect(failed.status).toBe(503)
      expect(world.members.get(`ada ${uid}`)).toBe('manager')
      await expect.poll(() => read(bob, uid)).toMatchObject(change)
    })

    test('with the process is shown at the next start', async () => {
      const uid = await newLibrary(ada)
      const stale = await world.graph.getLibrary({ libraries: 'all' }, uid)
      await patch(ada, uid, { name: 'Valves', owner_username: 'bob' })
      await world.service.stop()
      await world.graph.putLibrary(stale!)
      await world.start()
      expect(await read(bob, uid)).toMatchObject({ name: 'Valves', owner_username: 'bob' })
    })

    test('by many others at the same moment ends with what is recorded', async () => {
      const uid = await newLibrary(ada)
      const names = Array.from({ length: 12 }, (_, index) => `Name ${index}`)
      const answers = await Promise.all(names.map((name) => patch(ada, uid, { name })))
      for (const { status } of answers) expect(status).toBe(200)
      expect((await read(ada, uid)).name).toBe((await row(uid))?.name)
    })

    test('by its deletion is found by nobody', async () => {
      for (let round = 0; round < 5; round++) {
        const uid = await newLibrary(ada)
        const [changed] = await Promise.all([
          patch(ada, uid, { name: 'Valves' }),
          call(ada, 'DELETE', `/library/api/libraries/${uid}/`),
        ])
        expect([200, 404]).toContain(changed.status)
        expect(await world.graph.getLibrary({ libraries: 'all' }, uid)).toBeNull()
        expect(await patch(ada, uid, { name: 'Pipes' })).toMatchObject(LIBRARY_NOT_FOUND)
      }
    })
  })

  describe('a library that is deleted', () => {
    test('is forgotten by auth before the answer', async () => {
      const uid = await newLibrary(ada)
      share(uid, 'bob', 'reader')
      expect((await call(ada, 'DELETE', `/library/api/libraries/${uid}/`)).status).toBe(204)
      expect([...world.members.keys()].filter((key) => key.endsWith(uid))).toEqual([])
    })

    test('goes also when auth is away, which hears of it later', async () => {
      const uid = await newWorkspace(ada, 'w-alone')
      const answer = await world.without('auth', () =>
        call(ada, 'DELETE', '/library/api/workspaces/w-alone/'),
      )
      expect(answer.status).toBe(204)
      expect(await row(uid)).toBeUndefined()
      expect(await told(uid, 1)).toMatchObject([{ type: 'library.deleted.v1' }])
    })
  })

  describe('what auth asks', () => {
    const asked = async (who: Person, what: string, body: object) =>
      post(who, `/internal/library/${what}/`, body)

    test('whose a library is', async () => {
      const [uid, everybodys] = [await newLibrary(ada), await newLibrary(root, { global: true })]
      const of = async (library_uid: string) => (await asked(eve, 'principal-owner', { library_uid })).body
      expect(await of(uid)).toEqual({ owner_username: 'ada' })
      expect(await of(everybodys)).toEqual({ owner_username: null })
      expect(await of(NOWHERE)).toBeNull()
      await call(ada, 'DELETE', `/library/api/libraries/${uid}/`)
      expect(await of(uid)).toBeNull()
    })

    test.each([
      [service, 200],
      [root, 200],
      [{ username: 'sue', staff: 'change' } as const, 200],
      [{ username: 'sue', staff: 'view' } as const, 403],
      [ada, 403],
    ])('about all of a user’s libraries: %o %i', async (who, status) => {
      const owner = `user-${randomUUID()}`
      expect((await asked(who, 'owned-libraries', { owner_username: owner })).status).toBe(status)
      expect((await asked(who, 'reassignments', { from: owner, to: 'ada' })).status).toBe(status)
      expect((await asked(who, 'deletions', { owner_username: owner })).status).toBe(status)
    })

    test('a user’s libraries go to another, once', async () => {
      const [zoe, uma] = [{ username: 'zoe' }, { username: 'uma' }]
      const own = [await newLibrary(zoe), await newWorkspace(zoe, 'w-zoe')].sort()
      const other = await newLibrary(ada)
      expect((await asked(service, 'owned-libraries', { owner_username: 'zoe' })).body).toEqual(own)
      const reassign = () => asked(service, 'reassignments', { from: 'zoe', to: 'uma' })
      expect((await reassign()).body).toEqual(own)
      expect((await reassign()).body).toEqual([])
      expect((await asked(service, 'reassignments', { from: 'uma', to: 'uma' })).body).toEqual([])
      for (const uid of own) {
        share(uid, 'uma', 'owner')
        expect(await read(uma, uid)).toMatchObject({ owner_username: 'uma' })
        expect(await told(uid, 1)).toEqual([
          { type: 'library.handed_over.v1', library_uid: uid, from: 'zoe', to: 'uma', hand_overs: 1 },
        ])
      }
      expect((await call(uma, 'GET', '/library/api/workspaces/w-zoe/')).status).toBe(200)
      expect((await row(other))?.owner_username).toBe('ada')
    })

    test('a user is called otherwise: nothing changes hands', async () => {
      const uid = await newLibrary({ username: 'old' })
      const rename = { from: 'old', to: 'new', renamed: true }
      expect((await asked(service, 'reassignments', rename)).body).toEqual([uid])
      expect(await row(uid)).toMatchObject({ owner_username: 'new', hand_overs: 0 })
      expect(await told(uid, 1)).toEqual([{ type: 'library.updated.v1', library_uid: uid }])
      share(uid, 'new', 'owner')
      expect(await read({ username: 'new' }, uid)).toMatchObject({ owner_username: 'new' })
    })

    test('who is asked for while the graph is away says what changed, and shows it later', async () => {
      const uid = await newLibrary({ username: 'ivy' })
      const reassigned = await world.without('putLibrary', () =>
        asked(service, 'reassignments', { from: 'ivy', to: 'joe' }),
      )
      expect(reassigned).toMatchObject({ status: 200, body: [uid] })
      share(uid, 'joe', 'owner')
      await expect.poll(() => read({ username: 'joe' }, uid)).toMatchObject({ owner_username: 'joe' })
    })

    test('a user’s libraries are deleted, once, and nobody else’s', async () => {
      const kim = { username: 'kim' }
      const own = [await newLibrary(kim), await newWorkspace(kim, 'w-kim')].sort()
      const other = await newLibrary(ada)
      const remove = () => asked(service, 'deletions', { owner_username: 'kim' })
      expect((await world.without('deleteLibrary', remove)).status).toBe(503)
      // They are marked: what is left goes with or without a further request.
      expect((await asked(service, 'owned-libraries', { owner_username: 'kim' })).body).toEqual([])
      expect((await remove()).status).toBe(200)
      expect((await remove()).body).toEqual([])
      for (const uid of own) {
        expect(await row(uid)).toBeUndefined()
        expect(await world.graph.getLibrary({ libraries: 'all' }, uid)).toBeNull()
        expect(await told(uid, 1)).toMatchObject([{ type: 'library.deleted.v1' }])
      }
      expect(await row(other)).toBeDefined()
    })
  })

  describe('staff see', () => {
    const list = (who: Person, query = '') => call(who, 'GET', `/admin/api/libraries/${query}`)

    test('every library, by name, of everybody or of one, with what is in it', async () => {
      const owner = `zed-${randomUUID()}`
      const uids = []
      for (const name of ['b', 'a', 'c']) uids.push(await newLibrary({ username: owner }, { name }))
      const [b, a, c] = uids
      const { body, headers } = await list(root, `?owner=${owner}`)
      expect(body.map(({ uid }: { uid: string }) => uid)).toEqual([a, b, c])
      expect(headers.get('x-total-count')).toBe('3')
      expect(body[0]).toEqual((await list(root, `?owner=${owner}&limit=1`)).body[0])
      expect(body[0]).toMatchObject({ name: 'a', owner_username: owner, global: false, item_count: 0 })
      expect((await list(root, `?owner=${owner}&offset=1&limit=1`)).body).toEqual([body[1]])
      const all = await list(root, '?limit=200')
      expect(Number(all.headers.get('x-total-count'))).toBeGreaterThan(3)
      expect(all.body).toContainEqual(expect.objectContaining({ global: true, owner_username: null }))
      expect((await list(root, '?owner=nobody')).body).toEqual([])
    })

    test.each([
      ['none', 403],
      ['view', 200],
      ['change', 200],
      ['delete', 200],
    ] as const)('them with the level %s: %i', async (staff, status) => {
      const answer = await list({ username: 'sue', staff })
      expect(answer.status).toBe(status)
      if (status === 403) expect(answer.body).toEqual({ detail: 'Only staff may do this.' })
    })

    test('them on no other list', async () => {
      const uid = await newLibrary(ada)
      expect((await call(root, 'GET', `/library/api/libraries/${uid}/`)).status).toBe(404)
      const { body } = await call(root, 'GET', '/library/api/libraries/?limit=200')
      expect(body.filter(({ global }: { global: boolean }) => !global)).toEqual([])
    })
  })

  test('beside a deletion by the former owner loses nothing of the new one', async () => {
    const outcomes = await Promise.all(
      Array.from({ length: 20 }, async (_, n) => {
        const id = `race-${randomUUID()}`
        const uid = await newWorkspace(ada, id)
        const remove = () => call(ada, 'DELETE', `/library/api/workspaces/${id}/`)
        const give = () => patch(ada, uid, { owner_username: 'bob' })
        const [first, second] = n % 2 === 0 ? [give, remove] : [remove, give]
        await Promise.all([first(), second()])
        return { uid, id, left: await row(uid) }
      }),
    )
    for (const { uid, id, left } of outcomes) {
      if (left) expect(left).toMatchObject({ owner_username: 'bob', deleted_at: null })
      const deleted = () =>
        world.events.flatMap(({ destination, body }) => {
          if (destination !== 'audit.recorded.v1') return []
          const record = EVENTS[destination].parse((body as { data: unknown }).data)
          const { action, target, outcome } = record
          return action === 'library.deleted' && outcome === 'done' && target === uid ? [record.detail] : []
        })
      const owners = left ? [] : [{ owner_username: 'ada', workspace_id: id }]
      await expect.poll(deleted).toEqual(owners)
    }
  })
}
