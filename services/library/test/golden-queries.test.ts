import { randomUUID } from 'node:crypto'
import {
  type AuditRecord,
  EVENTS,
  GOLDEN_QUERIES_MAX,
  type Principal,
  servicePrincipal,
} from '@mnemosyne/contracts'
import { describePostgres } from '@mnemosyne/platform/testing'
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { type Answer, type CallOptions, type Person, World } from './world.ts'

const ada: Person = { username: 'ada' }
const bob: Person = { username: 'bob' }
const staff: Person = { username: 'vera', staff: 'change' }
const looker: Person = { username: 'lou', staff: 'view' }

const HOUR = 3_600_000

describe('on SQLite', () => suite())
await describePostgres('on PostgreSQL', (freshUrl) => suite(freshUrl))

function suite(freshUrl?: () => Promise<string>): void {
  let world: World
  let now = Date.parse('2026-03-01T08:00:00.000Z')
  beforeAll(async () => {
    world = await World.open(await freshUrl?.(), { clock: () => new Date(now) })
  })
  afterAll(() => world?.[Symbol.asyncDispose]())
  beforeEach(() => {
    now += 100 * HOUR
    world.beforeSearch = async () => undefined
    world.searchDegraded.length = 0
  })

  const call = (who: Person, method: string, path: string, options?: CallOptions) =>
    world.call(who, method, path, options)
  const at = (uid: string) => `/library/api/libraries/${uid}/golden-queries/`
  const add = (who: Person, uid: string, body: unknown) => call(who, 'POST', at(uid), { body })
  const run = (who: Person, uid: string, options?: CallOptions) =>
    call(who, 'POST', `${at(uid)}run/`, options)
  const list = async (uid: string) => (await call(ada, 'GET', at(uid))).body

  async function newLibrary(who = ada, more: object = {}): Promise<string> {
    const body = { name: 'Birds', library_type: 'technical', ...more }
    const answer = await call(who, 'POST', '/library/api/libraries/', { body })
    expect(answer.status, answer.text).toBe(201)
    return answer.body.uid
  }

  /** An item with a passage for each text; given again, its content is swapped. */
  async function fill(library_uid: string, texts: string[], uid: string = randomUUID(), version = 1) {
    const at = new Date(now).toISOString()
    const title = 'Notes'
    await world.graph.putItem({
      ...{ uid, library_uid, title, collection_uid: null, item_type: 'document', file_type: 'text/markdown' },
      ...{ file_size: 1, s3_key: 'k', content_hash: 'a'.repeat(64), source: 'upload', source_ref: uid },
      ...{ metadata: {}, embedding_status: 'processing', error: null, created_at: at, updated_at: at },
    })
    const chunks = texts.map((text, chunk_index) => ({
      ...{ chunk_uid: randomUUID(), chunk_index, text, section_path: [], page: null, token_count: 4 },
      ...{ char_start: 0, char_end: text.length, embedding: null, embedding_key: null },
    }))
    await world.graph.replaceItemContent({
      ...{ item_uid: uid, library_uid, version, title, content_hash: 'a'.repeat(64), embedding_model: null },
      ...{ updated_at: at, chunks, concepts: [] },
    })
    return { uid, chunks: chunks.map(({ chunk_uid }) => chunk_uid) }
  }

  async function recordsOf({ headers }: Answer): Promise<Partial<AuditRecord>[]> {
    const found = () =>
      world.events
        .filter(({ destination }) => destination === 'audit.recorded.v1')
        .map(({ body }) => EVENTS['audit.recorded.v1'].parse((body as { data: unknown }).data))
        .filter(({ request_id }) => request_id === headers.get('x-request-id'))
    await vi.waitFor(() => expect(found()).not.toEqual([]))
    return found().map(({ action, target, username, detail }) => ({ action, target, username, detail }))
  }

  const gauge = async (name: string, uid: string) => {
    const metric = await world.metrics.registry.getSingleMetric(name)!.get()
    return metric.values.find(({ labels }) => labels.library_uid === uid)?.value
  }

  describe('a person marks what a query should find', () => {
    test('a passage, or any of a document; the same again is the same one', async () => {
      const uid = await newLibrary()
      const { uid: item_uid, chunks } = await fill(uid, ['The corncrake rasps.', 'The heron waits.'])
      const answer = await add(ada, uid, { query: 'who rasps?', chunk_uid: chunks[0] })
      expect(answer.status, answer.text).toBe(201)
      const { id, created_by } = answer.body
      expect(answer.body).toEqual({
        ...{ id, library_uid: uid, query: 'who rasps?', chunk_uid: chunks[0], item_uid, created_by },
        ...{ created_at: new Date(now).toISOString(), last_result: null },
      })
      const again = await add(ada, uid, { query: 'who rasps?', chunk_uid: chunks[0] })
      expect([again.status, again.body]).toEqual([200, answer.body])
      const ofItem = await add(ada, uid, { query: 'who rasps?', item_uid })
      expect([ofItem.status, ofItem.body.chunk_uid]).toEqual([201, null])
      expect((await list(uid)).map((golden: { id: string }) => golden.id).sort()).toEqual(
        [id, ofItem.body.id].sort(),
      )
      expect(await recordsOf(answer)).toEqual([
        { action: 'golden_query.added', target: id, username: 'ada', detail: { library_uid: uid, item_uid } },
      ])
    })

    test('and takes it back', async () => {
      const uid = await newLibrary()
      const { uid: item_uid } = await fill(uid, ['The corncrake rasps.'])
      const { body } = await add(ada, uid, { query: 'who rasps?', item_uid })
      const other = await newLibrary()
      expect((await call(ada, 'DELETE', `${at(other)}${body.id}/`)).status).toBe(404)
      const answer = await call(ada, 'DELETE', `${at(uid)}${body.id}/`)
      expect(answer.status).toBe(204)
      expect(await recordsOf(answer)).toMatchObject([{ action: 'golden_query.deleted', target: body.id }])
      expect(await list(uid)).toEqual([])
      const none = await call(ada, 'DELETE', `${at(uid)}${body.id}/`)
      expect([none.status, none.body]).toEqual([404, { detail: 'Golden query not found.' }])
    })

    test('of this library only, and not without end', async () => {
      const uid = await newLibrary()
      const elsewhere = await fill(await newLibrary(), ['The corncrake rasps.'])
      const query = 'who rasps?'
      for (const [field, wanted] of Object.entries({
        chunk_uid: elsewhere.chunks[0],
        item_uid: elsewhere.uid,
      })) {
        const answer = await add(ada, uid, { query, [field]: wanted })
        expect([answer.status, Object.keys(answer.body)]).toEqual([400, [field]])
      }
      const { uid: item_uid, chunks } = await fill(uid, ['The corncrake rasps.'])
      for (const body of [
        { query },
        { query, item_uid, chunk_uid: chunks[0] },
        { query: ' ', item_uid },
        { query: 'a\0b', item_uid },
        { query: 'x'.repeat(8_001), item_uid },
      ])
        expect((await add(ada, uid, body)).status).toBe(400)
      const rows = Array.from({ length: GOLDEN_QUERIES_MAX - 1 }, (_, n) => ({
        ...{ id: randomUUID(), library_uid: uid, query: String(n), chunk_uid: null, item_uid },
        ...{ created_by: 'u', created_at: new Date(now).toISOString() },
      }))
      await world.sql.transaction((tx) => tx.insertInto('golden_query').values(rows).execute())
      const last = await Promise.all(['a', 'b'].map((query) => add(ada, uid, { query, item_uid })))
      expect(last.map(({ status }) => status).sort()).toEqual([201, 409])
      const page = await call(ada, 'GET', `${at(uid)}?limit=3&offset=5`)
      expect([page.body.length, page.headers.get('x-total-count')]).toEqual([3, String(GOLDEN_QUERIES_MAX)])
    })

    test('who may', async () => {
      const uid = await newLibrary()
      const { uid: item_uid } = await fill(uid, ['The corncrake rasps.'])
      const global = await newLibrary({ ...staff, staff: true }, { global: true })
      const { uid: globalItem } = await fill(global, ['The corncrake rasps.'])
      const body = { query: 'who rasps?', item_uid }
      const of = async (who: Person, uid: string, item_uid: string) => {
        const added = await add(who, uid, { ...body, item_uid })
        const id = added.body.id ?? randomUUID()
        const replayed = await run(who, uid)
        const runs = await call(who, 'GET', `${at(uid)}runs/`)
        const listed = await call(who, 'GET', at(uid))
        const deleted = await call(who, 'DELETE', `${at(uid)}${id}/`)
        return [added, replayed, runs, listed, deleted].map(({ status }) => status)
      }
      expect(await of(ada, uid, item_uid)).toEqual([201, 200, 200, 200, 204])
      expect(await of(bob, uid, item_uid)).toEqual([404, 404, 404, 404, 404])
      world.members.set(`bob ${uid}`, 'reader')
      expect(await of(bob, uid, item_uid)).toEqual([403, 403, 200, 200, 403])
      world.members.set(`bob ${uid}`, 'manager')
      expect(await of(bob, uid, item_uid)).toEqual([201, 200, 200, 200, 204])
      expect(await of(looker, global, globalItem)).toEqual([403, 403, 200, 200, 403])
      expect(await of(staff, global, globalItem)).toEqual([201, 200, 200, 200, 204])
    })
  })

  describe('a replay', () => {
    test('finds ranks, and what they amount to; it is shown, kept, told of and exported', async () => {
      const uid = await newLibrary()
      const { uid: item_uid, chunks } = await fill(uid, [
        'Corncrake corncrake corncrake.',
        'The corncrake and the heron stand in the reeds of the long quiet water.',
        'Nothing of birds here.',
      ])
      const wanted = [
        { query: 'corncrake', chunk_uid: chunks[0] },
        { query: 'a corncrake', chunk_uid: chunks[1] },
        { query: 'the corncrake', chunk_uid: chunks[2] },
        { query: 'quiet water', item_uid },
      ]
      for (const one of wanted) expect((await add(ada, uid, one)).status).toBe(201)
      const answer = await run(ada, uid)
      expect(answer.status, answer.text).toBe(200)
      const { results, id, ...rest } = answer.body
      const byQuery = new Map(results.map((result: { query: string }) => [result.query, result]))
      expect(wanted.map(({ query }) => byQuery.get(query))).toMatchObject([
        { rank: 1, counted_by: 'chunk' },
        { rank: 2, counted_by: 'chunk' },
        { rank: null, counted_by: 'chunk' },
        { rank: 1, counted_by: 'item' },
      ])
      const at8 = new Date(now).toISOString()
      expect(rest).toEqual({
        ...{
          library_uid: uid,
          trigger: 'asked',
          started_at: at8,
          finished_at: at8,
          exact: true,
          degraded: [],
        },
        ...{ queries: 4, remaining: 0, gone: 0, recall_at_10: 0.75, mrr: 2.5 / 4 },
      })
      expect((await call(ada, 'GET', `${at(uid)}runs/`)).body).toEqual([{ id, ...rest }])
      const listed = await list(uid)
      expect(listed.find(({ query }: { query: string }) => query === 'a corncrake').last_result).toEqual({
        ...{ rank: 2, counted_by: 'chunk' },
      })
      expect(await recordsOf(answer)).toEqual([
        {
          action: 'golden_queries.replayed',
          target: uid,
          username: 'ada',
          detail: { run: id, trigger: 'asked', asked: 4, remaining: 0, recall_at_10: 0.75 },
        },
      ])
      expect(await gauge('mnemosyne_golden_queries_recall', uid)).toBe(0.75)
      expect(await gauge('mnemosyne_golden_queries_mrr', uid)).toBe(2.5 / 4)
      await world.restart()
      expect(await gauge('mnemosyne_golden_queries_recall', uid)).toBe(0.75)
      expect((await call(ada, 'DELETE', `/library/api/libraries/${uid}/`)).status).toBe(204)
      await world.restart()
      expect(await gauge('mnemosyne_golden_queries_recall', uid)).toBeUndefined()
    })

    test('counts by the document when the passage is gone, and not when both are', async () => {
      const uid = await newLibrary()
      const item = await fill(uid, ['The corncrake rasps.'])
      const golden = await add(ada, uid, { query: 'who rasps?', chunk_uid: item.chunks[0] })
      await fill(uid, ['A corncrake rasps all night.'], item.uid, 2)
      const rewritten = await run(ada, uid)
      expect(rewritten.body).toMatchObject({
        ...{ gone: 0, recall_at_10: 1, mrr: 1 },
        results: [{ golden_query_id: golden.body.id, rank: 1, counted_by: 'item' }],
      })
      expect((await call(ada, 'DELETE', `/library/api/items/${item.uid}/`)).status).toBe(204)
      const deleted = await run(ada, uid)
      expect(deleted.body).toMatchObject({
        ...{ queries: 1, gone: 1, recall_at_10: null, mrr: null },
        results: [{ rank: null, counted_by: null }],
      })
    })

    test('says without what it was answered', async () => {
      const uid = await newLibrary()
      const { uid: item_uid } = await fill(uid, ['The corncrake rasps.'])
      for (const query of ['corncrake', 'rasps']) await add(ada, uid, { query, item_uid })
      world.searchDegraded.push({ part: 'vector', reason: 'The model is away.' })
      expect((await run(ada, uid)).body.degraded).toEqual([{ part: 'vector', queries: 2 }])
    })

    test('of a library without golden queries is refused with what to do', async () => {
      const answer = await run(ada, await newLibrary())
      expect([answer.status, answer.body]).toEqual([
        409,
        { detail: 'The library has no golden queries: add some first.' },
      ])
    })

    test('goes on where it was when search was away half way', async () => {
      const uid = await newLibrary()
      const { uid: item_uid } = await fill(uid, ['The corncrake rasps.'])
      const queries = Array.from({ length: 12 }, (_, n) => `corncrake ${n}`)
      for (const query of queries) await add(ada, uid, { query, item_uid })
      const asked: string[] = []
      world.beforeSearch = async (query) => {
        if (asked.length === 6) return Response.json({ detail: 'Busy.' }, { status: 503 })
        asked.push(query)
        return undefined
      }
      const broken = await run(ada, uid)
      expect([broken.status, broken.body.detail]).toEqual([503, expect.stringContaining('Try again')])
      const before = new Set(asked)
      world.beforeSearch = async (query) => void asked.push(query)
      const whole = await run(ada, uid)
      expect(whole.body).toMatchObject({ queries: 12, remaining: 0, recall_at_10: 1 })
      expect(new Set(asked)).toEqual(new Set(queries))
      // Only what was under way when it broke off was asked twice.
      expect(asked.length - before.size).toBeLessThan(12)
      const runs = await call(ada, 'GET', `${at(uid)}runs/`)
      expect(runs.body.map(({ id }: { id: string }) => id)).toEqual([whole.body.id])
    })

    test('never asks many at a time, and ends when the caller leaves', async () => {
      const uid = await newLibrary()
      const { uid: item_uid } = await fill(uid, ['The corncrake rasps.'])
      for (let n = 0; n < 12; n++) await add(ada, uid, { query: `corncrake ${n}`, item_uid })
      const leaving = new AbortController()
      let [running, most, begun] = [0, 0, 0]
      const many = Promise.withResolvers<void>()
      const held = Promise.withResolvers<void>()
      world.beforeSearch = async () => {
        most = Math.max(most, ++running)
        if (++begun === 4) many.resolve()
        await held.promise
        running--
        return undefined
      }
      const answer = run(ada, uid, { signal: leaving.signal })
      await many.promise
      leaving.abort()
      held.resolve()
      expect((await answer).status).toBe(499)
      expect([most, begun]).toEqual([4, 4])
      expect((await call(ada, 'GET', `${at(uid)}runs/`)).body).toEqual([])
    })
  })

  describe('on schedule', () => {
    const service: Principal = servicePrincipal('rest')
    const claim = async () => {
      const path = '/internal/library/golden-runs/claims/'
      const { body } = await world.callAs(service, 'POST', path, { body: { every_hours: 24 } })
      return body as { library_uid: string } | null
    }
    const replay = (library_uid: string, resolved_libraries = [library_uid]) =>
      world.callAs({ ...service, resolved_libraries }, 'POST', '/internal/library/golden-runs/', {
        body: { library_uid },
      })
    /** Replays what is due. */
    async function drain(): Promise<string[]> {
      const uids: string[] = []
      for (let due = await claim(); due; due = await claim()) {
        await replay(due.library_uid)
        uids.push(due.library_uid)
      }
      return uids
    }
    beforeEach(drain)

    test('each library is due again after so many hours, and given to one of those who ask at once', async () => {
      const [first, second] = [await newLibrary(), await newLibrary()]
      await newLibrary()
      for (const uid of [first, second])
        await add(ada, uid, { query: 'who rasps?', item_uid: (await fill(uid, ['It rasps.'])).uid })
      now += 1
      const given = await Promise.all(Array.from({ length: 5 }, claim))
      const uids = given.flatMap((due) => (due ? [due.library_uid] : []))
      expect(new Set(uids).size).toBe(uids.length)
      for (let due = await claim(); due; due = await claim()) uids.push(due.library_uid)
      expect(uids.sort()).toEqual([first, second].sort())
      const answer = await replay(first)
      expect(answer.body).toMatchObject({ trigger: 'schedule', queries: 1, remaining: 0, recall_at_10: 1 })
      expect(await recordsOf(answer)).toMatchObject([{ action: 'golden_queries.replayed', username: null }])
      // Whoever was given the second has come to nothing.
      now += HOUR / 4 + 1
      expect(await claim()).toEqual({ library_uid: second })
      expect(await claim()).toBeNull()
      await replay(second)
      now += 23 * HOUR
      expect(await claim()).toBeNull()
      now += HOUR
      expect(await drain()).toEqual(expect.arrayContaining([first, second]))
    })

    test('a replay by hand counts, and a library without golden queries is never due', async () => {
      const uid = await newLibrary()
      const { uid: item_uid } = await fill(uid, ['It rasps.'])
      const { body } = await add(ada, uid, { query: 'who rasps?', item_uid })
      await run(ada, uid)
      expect(await claim()).toBeNull()
      await call(ada, 'DELETE', `${at(uid)}${body.id}/`)
      now += 25 * HOUR
      expect(await drain()).not.toContain(uid)
    })

    test('is for services, and for what they may read', async () => {
      const uid = await newLibrary()
      await add(ada, uid, { query: 'who rasps?', item_uid: (await fill(uid, ['It rasps.'])).uid })
      expect((await replay(uid, [])).status).toBe(404)
      const body = { library_uid: uid, every_hours: 24 }
      for (const path of ['/internal/library/golden-runs/', '/internal/library/golden-runs/claims/'])
        expect((await call(ada, 'POST', path, { body })).status).toBe(403)
    })
  })
}

test('what cannot be asked in one go is asked in several', async () => {
  await using world = await World.open(undefined, { replayMs: 0 })
  const { body: library } = await world.call(ada, 'POST', '/library/api/libraries/', {
    body: { name: 'Birds', library_type: 'technical' },
  })
  const at = `/library/api/libraries/${library.uid}/golden-queries/`
  const rows = Array.from({ length: 10 }, (_, n) => ({
    ...{
      id: randomUUID(),
      library_uid: library.uid,
      query: String(n),
      chunk_uid: null,
      item_uid: randomUUID(),
    },
    ...{ created_by: 'u', created_at: new Date().toISOString() },
  }))
  await world.sql.transaction((tx) => tx.insertInto('golden_query').values(rows).execute())
  const remaining: number[] = []
  const ids = new Set<string>()
  for (let left = 1; left > 0; ) {
    const { body } = await world.call(ada, 'POST', `${at}run/`)
    left = body.remaining
    remaining.push(left)
    ids.add(body.id)
    expect(body.finished_at === null).toBe(left > 0)
  }
  expect([remaining, ids.size]).toEqual([[6, 2, 0], 1])
  // The next is another one.
  expect(ids).not.toContain((await world.call(ada, 'POST', `${at}run/`)).body.id)
})
