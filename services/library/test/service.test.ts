import { randomUUID } from 'node:crypto'
import { describePostgres } from '@mnemosyne/platform/testing'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { job } from './stores.ts'
import { type Answer, type CallOptions, type Person, World } from './world.ts'

const ada: Person = { username: 'ada' }
const bob: Person = { username: 'bob' }
const root: Person = { username: 'root', staff: true }
const NOWHERE = '00000000-0000-4000-8000-000000000000'

let world: World
const call = (who: Person, method: string, path: string, options?: CallOptions) =>
  world.call(who, method, path, options)
const post = (who: Person, path: string, body: unknown) => call(who, 'POST', path, { body })

const workspaces = '/library/api/workspaces/'
const newWorkspace = (workspace_id: string, more: object = {}) => ({
  workspace_id,
  name: 'Pumps',
  library_type: 'technical',
  ...more,
})

async function newLibrary(who: Person, more: object = {}): Promise<string> {
  const answer = await post(who, '/library/api/libraries/', {
    name: 'Pumps',
    library_type: 'technical',
    ...more,
  })
  expect(answer.status, answer.text).toBe(201)
  return answer.body.uid
}

/** An item with three chunks, as ingest would leave it. */
async function newItem(
  who: Person,
  library_uid: string,
  title = 'Pump manual',
): Promise<{ uid: string; chunks: string[] }> {
  const uid = randomUUID()
  const now = new Date().toISOString()
  const { body } = await post(who, '/internal/library/ingest-target/', { library_uid })
  await world.graph.putItem({
    uid,
    library_uid,
    collection_uid: body.collection_uid,
    title,
    item_type: 'document',
    file_type: 'text/markdown',
    file_size: 100,
    s3_key: 'items/x/original.md',
    content_hash: 'a'.repeat(64),
    source: 'upload',
    source_ref: title,
    metadata: { authors: ['Ada'] },
    embedding_status: 'processing',
    error: null,
    created_at: now,
    updated_at: now,
  })
  const chunks = [0, 1, 2].map((chunk_index) => ({
    chunk_uid: randomUUID(),
    chunk_index,
    text: `# Part ${chunk_index}\n\nThe Grundfos pump stands in hall ${chunk_index}.`,
    section_path: [`Part ${chunk_index}`],
    page: null,
    char_start: chunk_index * 50,
    char_end: chunk_index * 50 + 45,
    token_count: 12,
    embedding: null,
    embedding_key: null,
  }))
  await world.graph.replaceItemContent({
    item_uid: uid,
    library_uid,
    version: 1,
    title,
    content_hash: 'a'.repeat(64),
    embedding_model: null,
    updated_at: now,
    chunks,
    concepts: [{ key: 'grundfos pump', name: 'Grundfos pump', kind: 'named', concept_type: 'product' }],
  })
  return { uid, chunks: chunks.map(({ chunk_uid }) => chunk_uid) }
}

const eventsOf = (uid: string) =>
  world.events
    .filter(({ destination }) => destination !== 'audit.recorded.v1')
    .filter(({ body }) => JSON.stringify((body as { data: unknown }).data).includes(uid))
    .map(({ destination }) => destination)

const graphLibraries = async (workspace_id: string) =>
  (await world.graph.libraries({ libraries: 'all' })).libraries.filter(
    (one) => one.workspace_id === workspace_id,
  )

/** Status and body to the byte. */
const seen = ({ status, text }: Answer) => ({ status, text })

describe('on SQLite', () => suite())
await describePostgres('on PostgreSQL', (freshUrl) => suite(freshUrl))

function suite(freshUrl?: () => Promise<string>): void {
  beforeAll(async () => {
    world = await World.open(await freshUrl?.())
  })
  afterAll(() => world?.[Symbol.asyncDispose]())

  describe('workspaces', () => {
    test('are created once, read, deleted, and may be created anew', async () => {
      const made = await post(ada, workspaces, newWorkspace('w-1', { description: 'All pumps' }))
      expect(made).toMatchObject({
        status: 201,
        body: {
          workspace_id: 'w-1',
          name: 'Pumps',
          library_type: 'technical',
          description: 'All pumps',
          item_count: 0,
          chunk_count: 0,
          image_count: 0,
        },
      })
      const { library_uid } = made.body
      await newItem(ada, library_uid)
      const current = { ...made.body, item_count: 1, chunk_count: 3 }
      expect(await post(ada, workspaces, newWorkspace('w-1', { name: 'Other' }))).toMatchObject({
        status: 200,
        body: current,
      })
      expect(await call(ada, 'GET', `${workspaces}w-1/`)).toMatchObject({ status: 200, body: current })
      expect((await call(ada, 'GET', `/library/api/libraries/${library_uid}/`)).status).toBe(200)

      expect(seen(await call(ada, 'DELETE', `${workspaces}w-1/`))).toEqual({ status: 204, text: '' })
      expect(seen(await call(ada, 'DELETE', `${workspaces}w-1/`))).toEqual({ status: 204, text: '' })
      expect((await call(ada, 'GET', `${workspaces}w-1/`)).status).toBe(404)
      expect((await call(ada, 'GET', `/library/api/libraries/${library_uid}/`)).status).toBe(404)
      const again = await post(ada, workspaces, newWorkspace('w-1', { library_type: 'fiction' }))
      expect(again.status).toBe(201)
      expect(again.body.library_uid).not.toBe(library_uid)
      await expect.poll(() => eventsOf(library_uid)).toEqual(['library.created.v1', 'library.deleted.v1'])
    })

    test("keep their library's type", async () => {
      await post(ada, workspaces, newWorkspace('w-type'))
      const refused = await post(ada, workspaces, newWorkspace('w-type', { library_type: 'music' }))
      expect(refused).toMatchObject({ status: 409, body: { detail: expect.stringContaining('technical') } })
    })

    test("of someone else look like none, and can't be taken or deleted", async () => {
      await post(ada, workspaces, newWorkspace('w-ada'))
      expect(seen(await call(bob, 'GET', `${workspaces}w-ada/`))).toEqual(
        seen(await call(bob, 'GET', `${workspaces}w-none/`)),
      )
      expect(seen(await post(bob, workspaces, newWorkspace('w-ada')))).toEqual({
        status: 404,
        text: JSON.stringify({ detail: 'Workspace not found.' }),
      })
      expect(seen(await call(bob, 'DELETE', `${workspaces}w-ada/`))).toEqual(
        seen(await call(bob, 'DELETE', `${workspaces}w-none/`)),
      )
      expect((await call(ada, 'GET', `${workspaces}w-ada/`)).status).toBe(200)
    })

    test('posted twenty times at once are one', async () => {
      const answers = await Promise.all(
        Array.from({ length: 20 }, () => post(ada, workspaces, newWorkspace('w-race'))),
      )
      expect(answers.map(({ status }) => status).sort()).toEqual([...Array(19).fill(200), 201])
      expect(new Set(answers.map(({ text }) => text)).size).toBe(1)
      expect(await graphLibraries('w-race')).toHaveLength(1)
      await expect.poll(() => eventsOf(answers[0]!.body.library_uid)).toEqual(['library.created.v1'])
    })

    test('created and deleted at once are there whole or not at all', async () => {
      for (let round = 0; round < 10; round++) {
        await Promise.all(
          Array.from({ length: 8 }, async (_, turn) => {
            const answer =
              turn % 3 === 2
                ? await call(ada, 'DELETE', `${workspaces}w-storm/`)
                : await post(ada, workspaces, newWorkspace('w-storm'))
            expect([200, 201, 204, 409], answer.text).toContain(answer.status)
          }),
        )
        const { status, body } = await call(ada, 'GET', `${workspaces}w-storm/`)
        const inGraph = (await graphLibraries('w-storm')).map(({ uid }) => uid)
        expect(inGraph).toEqual(status === 200 ? [body.library_uid] : [])
      }
    })

    test.each([
      ['an id with a slash', { workspace_id: 'a/b' }, 'workspace_id'],
      ['an id that a path swallows', { workspace_id: '..' }, 'workspace_id'],
      ['an id that is too long', { workspace_id: 'x'.repeat(65) }, 'workspace_id'],
      ['a blank name', { name: '  ' }, 'name'],
      ['NUL in a name', { name: 'a\0b' }, 'name'],
      ['a type that there is not', { library_type: 'comics' }, 'library_type'],
    ])('refuse %s', async (_, change, field) => {
      const { status, body } = await post(ada, workspaces, { ...newWorkspace('w-bad'), ...change })
      expect(status).toBe(400)
      expect(Object.keys(body)).toEqual([field])
    })

    test.each(['%00', '%20', 'x'.repeat(100)])('with the impossible id %s are not found', async (id) => {
      expect(await call(ada, 'GET', `${workspaces}${id}/`)).toMatchObject({
        status: 404,
        body: { detail: 'Workspace not found.' },
      })
      expect((await call(ada, 'DELETE', `${workspaces}${id}/`)).status).toBe(204)
    })
  })

  describe('what is cut short is made good', () => {
    test.each(['putLibrary', 'auth'] as const)(
      'a workspace, by the same request again, without %s',
      async (part) => {
        const id = `w-heal-${part}`
        const failed = await world.without(part, () => post(ada, workspaces, newWorkspace(id)))
        expect(failed).toMatchObject({ status: 503, body: { detail: expect.stringMatching(/Try again\.$/) } })
        const healed = await post(ada, workspaces, newWorkspace(id))
        expect(healed.status).toBe(200)
        expect(world.members.get(`ada ${healed.body.library_uid}`)).toBe('owner')
        expect(await graphLibraries(id)).toHaveLength(1)
      },
    )

    test('a library that could not be made whole is taken back', async () => {
      const body = { name: 'Half', library_type: 'film' }
      for (const part of ['putLibrary', 'auth'] as const) {
        const failed = await world.without(part, () => post(ada, '/library/api/libraries/', body))
        expect(failed.status).toBe(503)
      }
      const rows = await world.sql.read
        .selectFrom('library')
        .select('uid')
        .where('name', '=', 'Half')
        .execute()
      expect(rows).toEqual([])
    })

    test('so is a collection', async () => {
      const library_uid = await newLibrary(ada)
      const body = { library_uid, name: 'Manuals' }
      const failed = await world.without('putCollection', () => post(ada, '/library/api/collections/', body))
      expect(failed.status).toBe(503)
      expect((await post(ada, '/library/api/collections/', body)).status).toBe(201)
      await world.restart()
      const { headers } = await call(ada, 'GET', `/library/api/collections/?library_uid=${library_uid}`)
      expect(headers.get('x-total-count')).toBe('1')
    })

    test('no delegation, no library', async () => {
      const body = { name: 'Half', library_type: 'film' }
      expect((await call(ada, 'POST', '/library/api/libraries/', { body, delegate: false })).status).toBe(503)
    })

    test('a library and a collection that the graph lacks are put there at start', async () => {
      const uid = await newLibrary(ada)
      const { body } = await post(ada, '/library/api/collections/', { library_uid: uid, name: 'Manuals' })
      await world.graph.deleteLibrary(uid)
      await world.restart()
      expect((await call(ada, 'GET', `/library/api/libraries/${uid}/`)).status).toBe(200)
      const { body: collections } = await call(ada, 'GET', `/library/api/collections/?library_uid=${uid}`)
      expect(collections).toEqual([body])
    })

    test('deletions are finished without a further request', async () => {
      const library = await newLibrary(ada)
      const item = await newItem(ada, library)
      const remove = (path: string) => call(ada, 'DELETE', `/library/api/${path}/`)
      expect((await world.without('deleteItem', () => remove(`items/${item.uid}`))).status).toBe(503)
      await expect.poll(() => world.graph.getItem({ libraries: 'all' }, item.uid)).toBeNull()

      expect((await world.without('deleteLibrary', () => remove(`libraries/${library}`))).status).toBe(503)
      const row = () =>
        world.sql.read.selectFrom('library').select('uid').where('uid', '=', library).execute()
      await expect.poll(row).toEqual([])
      expect(await world.graph.getLibrary({ libraries: 'all' }, library)).toBeNull()
    })

    test('a deletion that the process did not survive is finished at the next start', async () => {
      await post(ada, workspaces, newWorkspace('w-cut'))
      await world.service.stop()
      const failed = await world.without('deleteLibrary', () => call(ada, 'DELETE', `${workspaces}w-cut/`))
      expect(failed.status).toBe(503)
      await world.start()
      expect(await graphLibraries('w-cut')).toEqual([])
      expect((await post(ada, workspaces, newWorkspace('w-cut'))).status).toBe(201)
    })

    test('while the graph is away at start the service runs and says so', async () => {
      const uid = await newLibrary(ada)
      await world.graph.deleteLibrary(uid)
      await world.without('libraries', () => world.restart())
      expect(await world.service.readiness()).toMatchObject({
        status: 'degraded',
        checks: { projection: { status: 'degraded' } },
      })
      await expect
        .poll(async () => (await world.service.readiness()).status, { timeout: 20_000 })
        .toBe('ready')
      expect((await call(ada, 'GET', `/library/api/libraries/${uid}/`)).status).toBe(200)
    })
  })

  describe('libraries', () => {
    test('start from their type, and what is given stands in for it', async () => {
      const uid = await newLibrary(ada, { library_type: 'music', llm_context_prompt: 'Sing.' })
      const { body } = await call(ada, 'GET', `/library/api/libraries/${uid}/`)
      expect(body).toMatchObject({
        uid,
        owner_username: 'ada',
        global: false,
        workspace_id: null,
        chunking_config: { strategy: 'stanza', keep_whole: ['stanza'] },
        embedding_instruction: expect.stringContaining('music'),
        llm_context_prompt: 'Sing.',
      })
      const { body: types } = await call(ada, 'GET', '/library/api/library-types/')
      expect(types).toHaveLength(9)
    })

    test('refuse sizes that contradict one another', async () => {
      const sizes = {
        strategy: 'heading',
        target_tokens: 300,
        min_tokens: 50,
        overlap_tokens: 0,
        keep_whole: [],
      }
      for (const wrong of [{ max_tokens: 200 }, { max_tokens: 400, min_tokens: 350 }]) {
        const answer = await post(ada, '/library/api/libraries/', {
          name: 'x',
          library_type: 'art',
          chunking_config: { ...sizes, ...wrong },
        })
        expect(answer).toMatchObject({ status: 400, body: { chunking_config: [expect.any(String)] } })
      }
    })

    test('are listed by page, with the total, and only those that may be read', async () => {
      const zoe = { username: 'zoe' }
      for (const name of ['c', 'a', 'b']) await newLibrary(zoe, { name })
      const list = async (who: Person, query: string) => {
        const { body, headers } = await call(who, 'GET', `/library/api/libraries/${query}`)
        const names = body
          .filter(({ owner_username }: { owner_username: string }) => owner_username === 'zoe')
          .map(({ name }: { name: string }) => name)
        return [names, headers.get('x-total-count')]
      }
      expect(await list(zoe, '')).toEqual([['a', 'b', 'c'], '3'])
      expect(await list(zoe, '?limit=1&offset=1')).toEqual([['b'], '3'])
      expect(await list(zoe, '?limit=1000000')).toEqual([['a', 'b', 'c'], '3'])
      expect(await list(zoe, '?offset=9')).toEqual([[], '3'])
      expect(await list({ username: 'nobody' }, '')).toEqual([[], '0'])
      expect((await call(zoe, 'GET', '/library/api/libraries/?limit=0')).status).toBe(400)
    })

    test.each([
      ['its owner', 'owner', 204],
      ['a manager', 'manager', 403],
      ['a reader', 'reader', 403],
      ['a stranger', undefined, 404],
    ] as const)('are deleted by %s: %s %i', async (_, role, status) => {
      const owner = role === 'owner' ? bob : ada
      const uid = await newLibrary(owner)
      if (role && role !== 'owner') world.members.set(`bob ${uid}`, role)
      const answer = await call(bob, 'DELETE', `/library/api/libraries/${uid}/`)
      expect(answer.status).toBe(status)
      if (status === 404)
        expect(seen(answer)).toEqual(seen(await call(bob, 'DELETE', `/library/api/libraries/${NOWHERE}/`)))
      const left = await call(owner, 'GET', `/library/api/libraries/${uid}/`)
      expect(left.status).toBe(status === 204 ? 404 : 200)
    })

    test('that are global: staff make and delete them, everybody reads them', async () => {
      const body = { name: 'Everybody', library_type: 'nonfiction', global: true }
      expect((await post(ada, '/library/api/libraries/', body)).status).toBe(403)
      const uid = await newLibrary(root, body)
      expect((await call(bob, 'GET', `/library/api/libraries/${uid}/`)).body).toMatchObject({
        global: true,
        owner_username: null,
      })
      expect((await call(bob, 'GET', '/internal/library/global-libraries/')).body).toEqual([uid])
      const item = await newItem(ada, uid)
      expect((await call(bob, 'GET', `/library/api/items/${item.uid}/`)).status).toBe(200)
      expect((await call(bob, 'DELETE', `/library/api/items/${item.uid}/`)).status).toBe(403)
      expect((await post(bob, '/library/api/collections/', { library_uid: uid, name: 'x' })).status).toBe(403)
      expect((await call(bob, 'DELETE', `/library/api/libraries/${uid}/`)).status).toBe(403)
      expect((await call(root, 'DELETE', `/library/api/libraries/${uid}/`)).status).toBe(204)
      expect((await call(bob, 'GET', '/internal/library/global-libraries/')).body).toEqual([])
    })

    test('leave nothing when they are deleted', async () => {
      const before = await world.graph.stats()
      const uid = await newLibrary(ada)
      const item = await newItem(ada, uid)
      await world.bus.publish({
        kind: 'event',
        destination: 'ingest.job.accepted.v1',
        id: randomUUID(),
        headers: {},
        body: event('ingest.job.accepted.v1', job({ library_uid: uid, item_uid: item.uid })),
      })
      expect((await call(ada, 'DELETE', `/library/api/libraries/${uid}/`)).status).toBe(204)
      const { bytes: _, terms: __, ...after } = await world.graph.stats()
      expect(before).toMatchObject(after)
      for (const table of ['collection', 'item', 'item_deletion'] as const) {
        const rows = world.sql.read.selectFrom(table).select('library_uid').where('library_uid', '=', uid)
        expect(await rows.execute()).toEqual([])
      }
      await expect.poll(() => eventsOf(uid)).toContain('library.deleted.v1')
    })
  })

  describe('what is in a library', () => {
    let library: string
    let item: { uid: string; chunks: string[] }
    beforeAll(async () => {
      library = await newLibrary(ada)
      item = await newItem(ada, library)
    })

    test('items are listed and read with their concepts', async () => {
      const { body, headers } = await call(ada, 'GET', `/library/api/items/?library_uid=${library}`)
      expect(body).toMatchObject([
        {
          uid: item.uid,
          title: 'Pump manual',
          library_uid: library,
          embedding_status: 'completed',
          embedding_model: null,
          chunk_count: 3,
          metadata: { authors: ['Ada'] },
        },
      ])
      expect(headers.get('x-total-count')).toBe('1')
      const { collection_uid } = body[0]
      expect((await call(ada, 'GET', `/library/api/items/?collection_uid=${collection_uid}`)).body).toEqual(
        body,
      )
      expect((await call(ada, 'GET', `/library/api/items/?collection_uid=${NOWHERE}`)).body).toEqual([])
      expect((await call(ada, 'GET', `/library/api/items/${item.uid}`)).body).toMatchObject({
        uid: item.uid,
        concepts: [{ uid: expect.any(String), name: 'Grundfos pump', concept_type: 'product', mentions: 3 }],
      })
    })

    test('chunks are listed in order, and read with their neighbours', async () => {
      const { body, headers } = await call(
        ada,
        'GET',
        `/library/api/items/${item.uid}/chunks/?limit=2&offset=1`,
      )
      expect(body.map(({ chunk_uid }: { chunk_uid: string }) => chunk_uid)).toEqual(item.chunks.slice(1))
      expect(headers.get('x-total-count')).toBe('3')
      const { body: chunk } = await call(
        ada,
        'GET',
        `/library/api/chunks/${item.chunks[1]}/?before=1&after=5`,
      )
      expect(chunk).toMatchObject({
        chunk_uid: item.chunks[1],
        item_title: 'Pump manual',
        library_uid: library,
        library_type: 'technical',
        section_path: ['Part 1'],
        before: [{ chunk_uid: item.chunks[0] }],
        after: [{ chunk_uid: item.chunks[2] }],
      })
      expect((await call(ada, 'GET', `/library/api/chunks/${item.chunks[1]}/?before=11`)).status).toBe(400)
    })

    test.each([
      ['GET', 'libraries', () => library, 'Library'],
      ['DELETE', 'libraries', () => library, 'Library'],
      ['GET', 'items', () => item.uid, 'Item'],
      ['DELETE', 'items', () => item.uid, 'Item'],
      ['GET', 'items', () => `${item.uid}/chunks`, 'Item'],
      ['GET', 'chunks', () => item.chunks[0], 'Chunk'],
    ])('%s %s of someone else is answered as if there were none', async (method, resource, uid, kind) => {
      const path = `/library/api/${resource}/${uid()}/`
      const theirs = await call(bob, method, path)
      const none = await call(bob, method, path.replace(/[0-9a-f-]{36}/, NOWHERE))
      expect(seen(theirs)).toEqual(seen(none))
      expect(seen(theirs)).toEqual({ status: 404, text: JSON.stringify({ detail: `${kind} not found.` }) })
      const malformed = await call(bob, method, path.replace(/[0-9a-f-]{36}/, 'NOT-A-UID'))
      expect(malformed).toMatchObject({ status: 400, body: { uid: [expect.stringContaining('uid')] } })
    })

    test('lists hold nothing of someone else', async () => {
      for (const path of [`items/?library_uid=${library}`, `collections/?library_uid=${library}`]) {
        const { status, body, headers } = await call(bob, 'GET', `/library/api/${path}`)
        expect([status, body, headers.get('x-total-count')]).toEqual([200, [], '0'])
      }
      const refused = await post(bob, '/library/api/collections/', { library_uid: library, name: 'x' })
      const none = await post(bob, '/library/api/collections/', { library_uid: NOWHERE, name: 'x' })
      expect(seen(refused)).toEqual(seen(none))
    })

    test('over MCP it is read and not changed', async () => {
      const mcp: CallOptions = { surface: 'mcp' }
      expect((await call(ada, 'GET', `/library/api/items/${item.uid}/`, mcp)).status).toBe(200)
      expect((await call(ada, 'DELETE', `/library/api/items/${item.uid}/`, mcp)).status).toBe(403)
      expect((await call(ada, 'DELETE', `/library/api/libraries/${library}/`, mcp)).status).toBe(403)
    })

    test('a reader reads, a manager deletes; then it is gone', async () => {
      const { uid, chunks } = await newItem(ada, library, 'Second')
      world.members.set(`bob ${library}`, 'reader')
      expect((await call(bob, 'GET', `/library/api/items/${uid}/`)).status).toBe(200)
      expect(await call(bob, 'DELETE', `/library/api/items/${uid}/`)).toMatchObject({
        status: 403,
        body: { detail: expect.stringContaining('owner') },
      })
      world.members.set(`bob ${library}`, 'manager')
      expect((await call(bob, 'DELETE', `/library/api/items/${uid}/`)).status).toBe(204)
      world.members.delete(`bob ${library}`)
      expect((await call(ada, 'GET', `/library/api/items/${uid}/`)).status).toBe(404)
      expect((await call(ada, 'GET', `/library/api/chunks/${chunks[0]}/`)).status).toBe(404)
      expect((await call(ada, 'DELETE', `/library/api/items/${uid}/`)).status).toBe(404)
      await expect.poll(() => eventsOf(uid)).toEqual(['item.deleted.v1'])
    })

    test('jobs are followed by the record of items', async () => {
      const item_uid = randomUUID()
      const taken = job({ library_uid: library, item_uid, title: 'By event' })
      for (const [type, data] of [
        ['ingest.job.accepted.v1', taken],
        [
          'ingest.job.completed.v1',
          {
            ...taken,
            status: 'completed',
            stage: 'completed',
            chunks_created: 4,
            completed_at: taken.created_at,
          },
        ],
      ] as const) {
        const body = event(type, data)
        await world.bus.publish({ kind: 'event', destination: type, id: body.id, headers: {}, body })
      }
      const rows = await world.sql.read.selectFrom('item').selectAll().where('uid', '=', item_uid).execute()
      expect(rows).toMatchObject([{ title: 'By event', embedding_status: 'completed', chunk_count: 4 }])
    })
  })

  describe('libraries of workspaces', () => {
    const asks = (who: Person, owner_username: string, workspace_ids: string[]) =>
      post(who, '/internal/library/libraries-of/', { owner_username, workspace_ids })
    const service: Person = { username: '', service: true }

    test('are told to services: what the owner has of them at this moment', async () => {
      await post(ada, workspaces, newWorkspace('lo-1'))
      await post(bob, workspaces, newWorkspace('lo-2'))
      const [mine] = await graphLibraries('lo-1')
      const asked = ['lo-2', 'lo-1', 'lo-none']
      expect(await asks(service, 'ada', asked)).toMatchObject({ status: 200, body: [mine!.uid] })
      await call(ada, 'DELETE', `${workspaces}lo-1/`)
      expect(await asks(service, 'ada', asked)).toMatchObject({ status: 200, body: [] })
    })

    test.each([
      ['the owner', ada],
      ['staff', root],
    ])('are not told to %s', async (_, who) => {
      expect(await asks(who, 'ada', ['lo-1'])).toMatchObject({
        status: 403,
        body: { detail: 'Only services may ask this.' },
      })
    })
  })

  describe('the target of an ingest', () => {
    const target = (who: Person, body: object) => post(who, '/internal/library/ingest-target/', body)
    let library: string
    beforeAll(async () => {
      library = (await post(ada, workspaces, newWorkspace('w-target'))).body.library_uid
    })

    test('twenty at once are given one default collection', async () => {
      const answers = await Promise.all(
        Array.from({ length: 20 }, (_, turn) =>
          target(ada, turn % 2 ? { workspace_id: 'w-target' } : { library_uid: library }),
        ),
      )
      expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(200))
      expect(new Set(answers.map(({ text }) => text)).size).toBe(1)
      const { body } = await call(ada, 'GET', `/library/api/collections/?library_uid=${library}`)
      expect(body).toMatchObject([{ uid: answers[0]!.body.collection_uid, library_uid: library }])
    })

    test('is a collection of that library, where one is named', async () => {
      const { body } = await post(ada, '/library/api/collections/', { library_uid: library, name: 'Manuals' })
      expect((await target(ada, { library_uid: library, collection_uid: body.uid })).body).toEqual({
        library_uid: library,
        collection_uid: body.uid,
      })
      const other = await newLibrary(ada)
      for (const collection_uid of [body.uid, NOWHERE]) {
        expect(seen(await target(ada, { library_uid: other, collection_uid }))).toEqual({
          status: 404,
          text: JSON.stringify({ detail: 'Collection not found.' }),
        })
      }
    })

    test.each([
      ['the owner', ada, undefined, 200],
      ['a manager', bob, 'manager', 200],
      ['a reader', bob, 'reader', 404],
      ['a stranger', bob, undefined, 404],
    ] as const)('for %s by library', async (_, who, role, status) => {
      const uid = await newLibrary(ada)
      if (role) world.members.set(`bob ${uid}`, role)
      const answer = await target(who, { library_uid: uid })
      expect(answer.status).toBe(status)
      if (status === 404) expect(seen(answer)).toEqual(seen(await target(who, { library_uid: NOWHERE })))
    })

    test('by workspace is for its owner only', async () => {
      world.members.set(`bob ${library}`, 'manager')
      const refused = await target(bob, { workspace_id: 'w-target' })
      expect(seen(refused)).toEqual(seen(await target(bob, { workspace_id: 'w-none' })))
      expect(refused).toMatchObject({ status: 404, body: { detail: 'Workspace not found.' } })
    })

    test('of everybody is a global library', async () => {
      const uid = await newLibrary(root, { global: true })
      expect((await target(bob, { library_uid: uid })).status).toBe(200)
    })

    test('is one of the two', async () => {
      for (const body of [{}, { workspace_id: 'w-target', library_uid: library }])
        expect((await target(ada, body)).status).toBe(400)
    })
  })

  test('it is ready, and says of what', async () => {
    expect(await world.service.readiness()).toEqual({
      status: 'ready',
      checks: { sql: { status: 'ok' }, graph: { status: 'ok' }, bus: { status: 'ok' } },
    })
  })
}

function event(type: string, data: unknown) {
  return {
    specversion: '1.0' as const,
    id: randomUUID(),
    type,
    source: '/ingest',
    time: new Date().toISOString(),
    data,
  }
}
