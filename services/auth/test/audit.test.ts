import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type AuditRecord,
  adminContract,
  CallError,
  type Client,
  servicePrincipal,
} from '@mnemosyne/contracts'
import { cloudEvent, eventMessage } from '@mnemosyne/platform'
import { describePostgres } from '@mnemosyne/platform/testing'
import { sql as text } from 'kysely'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { openWorld, type World } from './harness.ts'

const ITEM = '00000000-0000-4000-8000-00000000000e'
const TEAM = '00000000-0000-4000-8000-00000000000f'

function suite(freshUrl: () => Promise<string>): void {
  let world: World
  beforeEach(async () => {
    world = await openWorld(await freshUrl())
  })
  afterEach(() => world.close())

  const createUser = (username: string, superuser = false) =>
    world.auth.admin.createUser({ username, email: '', staff: false, superuser, password: null })
  const record = (change: Partial<AuditRecord> = {}): AuditRecord => ({
    id: randomUUID(),
    actor: randomUUID(),
    username: 'ada',
    team_id: null,
    token_id: null,
    action: 'item.deleted',
    target: ITEM,
    outcome: 'done',
    count: 1,
    detail: { library_uid: ITEM },
    request_id: 'r1',
    created_at: '2030-01-01T00:00:00.000Z',
    ...change,
  })
  const send = async (...records: AuditRecord[]) => (await world.internal()).recordAudit({ records })
  const asStaff = async (): Promise<Client<typeof adminContract>> => {
    await createUser('root', true)
    return world.clientAs(adminContract, 'root')
  }
  type Filter = Parameters<Client<typeof adminContract>['audit']['list']>[0]
  const list = async (client: Client<typeof adminContract>, filter: Filter) => {
    const { headers, body } = await client.audit.list(filter)
    return { total: Number(headers['x-total-count']), records: body }
  }
  const rows = () => world.sql.read.selectFrom('audit_log').selectAll().orderBy('id').execute()
  const run = (statement: ReturnType<typeof text>) => world.sql.transaction((tx) => statement.execute(tx))

  describe('the list', () => {
    test('is newest first, by pages, with how many there are', async () => {
      const client = await asStaff()
      await send(
        record({ target: 'second', created_at: '2030-01-02T00:00:02.000Z' }),
        record({ target: 'first', created_at: '2030-01-02T00:00:01.000Z' }),
        record({ target: 'third', created_at: '2030-01-02T00:00:03.000Z' }),
      )
      const filter = { action: 'item.deleted' }
      const { total, records } = await list(client, { ...filter, limit: 2 })
      expect([total, ...records.map(({ target }) => target)]).toEqual([3, 'third', 'second'])
      const next = await list(client, { ...filter, limit: 2, offset: 2 })
      expect([next.total, ...next.records.map(({ target }) => target)]).toEqual([3, 'first'])
    })

    test('shows a record as it was handed in', async () => {
      const client = await asStaff()
      const sent = record({
        outcome: 'refused',
        count: 17,
        team_id: TEAM,
        token_id: ITEM,
        detail: { reason: 'Unbekannt “ä” 𝕏', n: 1.5, yes: true, none: null },
      })
      await send(sent)
      expect((await list(client, { request_id: 'r1' })).records).toEqual([sent])
    })

    const ada = randomUUID()
    test.each<[string, Filter, string[]]>([
      ['an action', { action: 'library.deleted' }, ['b']],
      ['a target', { target: 'a' }, ['a']],
      ['a request', { request_id: 'r9' }, ['c']],
      ['a team', { team_id: TEAM }, ['b']],
      ['refusals', { outcome: 'refused', target: 'c' }, ['c']],
      ["a user's id", { actor: ada }, ['b', 'a']],
      ["a user's name", { actor: 'eve' }, ['c']],
      ['an actor that is no user', { actor: 'anonymous' }, ['c']],
      ['from a moment on', { since: '2030-02-02T00:00:00Z' }, ['c', 'b']],
      ['before a moment', { until: '2030-02-02T00:00:00Z', since: '2030-02-01T00:00:00Z' }, ['a']],
      [
        'both, more precisely',
        { since: '2030-02-01T00:00:00.001Z', until: '2030-02-02T00:00:00.001Z' },
        ['b'],
      ],
      ['several things', { actor: ada, action: 'item.deleted' }, ['a']],
      ['what did not happen', { action: 'item.delete' }, []],
      ['a pattern, which is none', { target: '%' }, []],
    ])('asks for %s', async (_, filter, targets) => {
      const client = await asStaff()
      await send(
        record({ actor: ada, username: 'ada', target: 'a', created_at: '2030-02-01T00:00:00.000Z' }),
        record({
          ...{ actor: ada, username: 'ada', team_id: TEAM, action: 'library.deleted', target: 'b' },
          created_at: '2030-02-02T00:00:00.000Z',
        }),
        record({
          ...{ actor: 'anonymous', username: 'eve', target: 'c', outcome: 'refused', request_id: 'r9' },
          created_at: '2030-02-03T00:00:00.000Z',
        }),
      )
      const { total, records } = await list(client, filter)
      expect(records.map(({ target }) => target)).toEqual(targets)
      expect(total).toBe(targets.length)
    })

    test('finds by a name also what its bearer did under another one', async () => {
      const client = await asStaff()
      const { id } = await createUser('married')
      await send(record({ actor: id, username: 'maiden' }))
      for (const actor of ['maiden', 'married', id])
        expect((await list(client, { actor, action: 'item.deleted' })).total, actor).toBe(1)
    })

    test.each<[string, Filter | Record<string, string>]>([
      ['a time that is none', { since: 'yesterday' }],
      ['an outcome that is none', { outcome: 'perhaps' }],
      ['a page that is none', { limit: 0 }],
    ])('refuses %s', async (_, filter) => {
      const client = await asStaff()
      await expect(client.audit.list(filter as Filter)).rejects.toMatchObject({ status: 400 })
    })

    test('is for staff who may look', async () => {
      await createUser('eve')
      const client = await world.clientAs(adminContract, 'eve')
      const refusal = await client.audit.list({}).catch((error: CallError) => error)
      expect(refusal).toBeInstanceOf(CallError)
      expect(refusal).toMatchObject({ status: 403, message: 'Only staff may do this.' })
      const root = await asStaff()
      await root.users.create({ username: 'vera', groups: ['View Only'] })
      const vera = await world.clientAs(adminContract, 'vera')
      expect((await list(vera, { action: 'user.created' })).total).toBe(3)
    })
  })

  describe('a record that arrives twice is kept once', () => {
    test('by the bus', async () => {
      const data = record()
      const publish = (more: Partial<AuditRecord> = {}) =>
        world.bus.publish(
          eventMessage(
            cloudEvent({
              ...{ type: 'audit.recorded.v1', source: '/library', id: data.id, time: world.time.now },
              data: { ...data, ...more },
            }),
          ),
        )
      await publish()
      await publish({ target: 'changed on the way' })
      const last = record({ target: 'last' })
      await world.bus.publish(
        eventMessage(
          cloudEvent({
            ...{ type: 'audit.recorded.v1', source: '/ingest', id: last.id, time: world.time.now },
            data: last,
          }),
        ),
      )
      await vi.waitFor(async () => expect((await rows()).map(({ target }) => target)).toContain('last'))
      expect((await rows()).map(({ target }) => target)).toEqual([ITEM, 'last'])
    })

    test('by calls, also in one batch and at the same moment', async () => {
      const [one, two, three] = [record(), record(), record()]
      await send(one, two, one)
      await Promise.all([send(two, three), send(three, two), send(one, three)])
      const ids = (await rows()).map(({ record_id }) => record_id)
      expect(ids.sort()).toEqual([one.id, two.id, three.id].sort())
    })

    test('by one and the other', async () => {
      const data = record()
      await send(data)
      await world.publish('audit.recorded.v1', data)
      const last = record({ target: 'last' })
      await world.publish('audit.recorded.v1', last)
      await vi.waitFor(async () => expect((await rows()).at(-1)?.target).toBe('last'))
      expect(await rows()).toHaveLength(2)
    })
  })

  test('only services hand records in', async () => {
    await createUser('eve')
    const eve = await world.auth.admin.localPrincipal('eve', world.call)
    for (const principal of [eve, { ...servicePrincipal('rest'), kind: 'anonymous' as const }]) {
      const client = await world.internal(principal)
      await expect(client.recordAudit({ records: [record()] })).rejects.toMatchObject({ status: 403 })
    }
    expect(await rows()).toHaveLength(1)
  })

  describe('what is written stays', () => {
    const statements: [string, ReturnType<typeof text>][] = [
      ['changed', text`update audit_log set target = 'x'`],
      ['changed, of a row that is not there', text`update audit_log set target = 'x' where id = 1`],
      ['deleted', text`delete from audit_log`],
      ['deleted, one of them', text`delete from audit_log where target = ${ITEM}`],
    ]
    test.each(statements)('it is not %s', async (_, statement) => {
      await send(record())
      const before = await rows()
      await expect(run(statement)).rejects.toThrow(/append-only/)
      expect(await rows()).toEqual(before)
    })

    test('it is not truncated or replaced, in the words of this database', async () => {
      await send(record())
      const before = await rows()
      const copy = (id: string, record_id: string) =>
        text`(id, actor, action, target, request_id, created_at, record_id)
          select ${text.raw(id)}, 'x', action, target, request_id, created_at, ${text.raw(record_id)}
          from audit_log where true`
      const upsert = text`insert into audit_log ${copy('17', 'record_id')}
        on conflict (record_id) do update set actor = 'x'`
      if (world.sql.dialect === 'postgres') {
        for (const statement of [text`truncate audit_log`, text`truncate audit_log cascade`, upsert])
          await expect(run(statement)).rejects.toThrow(/append-only/)
      } else {
        const replace = text`insert or replace into audit_log ${copy('id', `'another'`)}`
        await expect(run(replace)).rejects.toThrow(/append-only/)
        // What is known already is passed over, however it comes.
        await run(text`insert or replace into audit_log ${copy('null', 'record_id')}`)
        await run(upsert)
      }
      expect(await rows()).toEqual(before)
    })

    test('after its user, their tokens and the libraries are gone', async () => {
      const client = await asStaff()
      const { id } = await createUser('leaver')
      await send(record({ actor: id, username: 'leaver' }))
      await client.users.delete({ params: { id }, query: {} })
      expect((await list(client, { actor: 'leaver' })).records).toMatchObject([{ actor: id }])
      expect((await list(client, { target: id })).records.map(({ action }) => action)).toEqual(
        expect.arrayContaining(['user.deleted', 'user.created']),
      )
    })
  })
}

describe('on SQLite', () => {
  let dir: string
  let count = 0
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'mnemosyne-audit-'))
  })
  afterAll(() => rm(dir, { recursive: true, force: true }))
  suite(async () => `sqlite:${join(dir, `${count++}.db`)}`)
})

await describePostgres('on PostgreSQL', (freshUrl) => suite(freshUrl))
