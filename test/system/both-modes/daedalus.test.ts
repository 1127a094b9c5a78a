import type { Chunk, Job, Workspace } from '@mnemosyne/contracts'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { DaedalusStore } from '../daedalus-store.ts'
import { type SystemInMode, startInMode } from '../mode.ts'

let system: SystemInMode
let store: DaedalusStore
let stranger: string

beforeAll(async () => {
  system = await startInMode()
  store = system.daedalus
  stranger = await system.addUser('stranger')
})
afterAll(() => system?.[Symbol.asyncDispose]())

const ANCHOR = 'The sheet anchor is kept on the lee side and is never used twice in one watch.'
const guide = (second: string) =>
  `# Harbour guide\n\n## Anchors\n\n${ANCHOR} ${'Its cable is tarred every spring by the harbour crew. '.repeat(12)}\n\n## Lanterns\n\n${second} ${'Wicks are trimmed at noon and at dusk by the keeper. '.repeat(12)}\n`

async function chunksOf(itemUid: string): Promise<Chunk[]> {
  return (await system.call('GET', `/library/api/items/${itemUid}/chunks/`)).body
}

describe("Daedalus's life with a workspace", () => {
  test('create, repeat, look', async () => {
    const request = { workspace_id: 'ws-1', name: 'Harbour', library_type: 'technical' }
    const first = await system.call('POST', '/library/api/workspaces/', request)
    expect(first.status).toBe(201)
    const again = await system.call('POST', '/library/api/workspaces', request)
    expect(again.status).toBe(200)
    expect(again.body).toEqual(first.body)
    expect(
      (await system.call('POST', '/library/api/workspaces/', { ...request, library_type: 'fiction' })).status,
    ).toBe(409)
    const { body } = await system.call('GET', '/library/api/workspaces/ws-1/')
    expect(body).toMatchObject({ workspace_id: 'ws-1', item_count: 0, chunk_count: 0, image_count: 0 })
  })

  test('a file goes in and evidence comes out', async () => {
    const request = await store.put('files/guide.md', guide('Lanterns burn whale oil.'), {
      workspace_id: 'ws-1',
    })
    const { status, body } = await system.call('POST', '/library/api/ingest/', request)
    expect(status).toBe(202)
    const job = await system.ended((body as Job).job_id)
    expect(job).toMatchObject({
      status: 'completed',
      stage: 'completed',
      progress: 100,
      error: null,
      embedding_model: 'bge-small-en-v1.5-q',
    })
    expect(job.chunks_created).toBeGreaterThan(1)
    const answer = await system.search('where does the emergency anchor live?', { explain: true })
    expect(answer.candidates[0]?.text_preview).toContain('sheet anchor')
    expect(answer.candidates[0]).toMatchObject({
      item_title: 'guide.md',
      library_type: 'technical',
      section_path: expect.arrayContaining(['Anchors']),
    })
    expect(answer).toMatchObject({ exact: true, degraded: [], reranker_used: false })
    const { body: workspace } = await system.call('GET', '/library/api/workspaces/ws-1/')
    expect(workspace).toMatchObject({
      item_count: 1,
      chunk_count: job.chunks_created,
    } satisfies Partial<Workspace>)
  })

  test('the same request again is the same job; an edit is a new version of the same item', async () => {
    const before = await store.put('files/guide.md', guide('Lanterns burn whale oil.'), {
      workspace_id: 'ws-1',
    })
    const same = await system.call('POST', '/library/api/ingest/', before)
    expect(same.status).toBe(200)
    const old = await chunksOf((same.body as Job).item_uid)
    const edited = await store.put('files/guide.md', guide('Lanterns burn rape-seed oil now.'), {
      workspace_id: 'ws-1',
    })
    const { body } = await system.call('POST', '/library/api/ingest/', edited)
    const job = await system.ended((body as Job).job_id)
    expect(job.item_uid).toBe((same.body as Job).item_uid)
    const now = await chunksOf(job.item_uid)
    const kept = now.filter((chunk) => old.some(({ chunk_uid }) => chunk_uid === chunk.chunk_uid))
    expect(kept.map(({ text }) => text).join()).toContain(ANCHOR)
    expect(kept.length).toBeLessThan(now.length)
    expect(
      (await system.search('lantern oil')).candidates.map((hit) => hit.text_preview).join(),
    ).not.toContain('whale')

    const back = await store.put('files/guide.md', guide('Lanterns burn whale oil.'), {
      workspace_id: 'ws-1',
    })
    const third = await system.call('POST', '/library/api/ingest/', back)
    expect(third.status).toBe(202)
    await system.ended((third.body as Job).job_id)
    expect((await chunksOf(job.item_uid)).map(({ chunk_uid }) => chunk_uid)).toEqual(
      old.map(({ chunk_uid }) => chunk_uid),
    )
  })

  test('twenty identical posts at once make one job', async () => {
    const request = await store.put('files/twin.md', '# Twin\n\nOne of two.', { workspace_id: 'ws-1' })
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => system.call('POST', '/library/api/ingest/', request)),
    )
    expect(new Set(answers.map(({ body }) => (body as Job).job_id)).size).toBe(1)
    expect(answers.filter(({ status }) => status === 202)).toHaveLength(1)
    await system.ended((answers[0]!.body as Job).job_id)
  })

  test('a stranger meets nothing, in the words for what does not exist', async () => {
    const alike = async (
      method: string,
      mine: string,
      missing: string,
      body?: unknown,
      bodyOfMissing?: unknown,
    ) => {
      const [one, other] = await Promise.all([
        system.call(method, mine, body, { token: stranger }),
        system.call(method, missing, bodyOfMissing ?? body, { token: stranger }),
      ])
      expect({ status: one.status, text: one.text }).toEqual({ status: other.status, text: other.text })
      return one.status
    }
    const { body: jobs } = await system.call('GET', '/library/api/jobs/')
    const [job] = jobs as Job[]
    const none = '00000000-0000-4000-8000-000000000000'
    expect(await alike('GET', '/library/api/workspaces/ws-1/', '/library/api/workspaces/ws-none/')).toBe(404)
    expect(await alike('GET', `/library/api/jobs/${job!.job_id}/`, `/library/api/jobs/${none}/`)).toBe(404)
    expect(
      await alike('POST', `/library/api/jobs/${job!.job_id}/retry/`, `/library/api/jobs/${none}/retry/`),
    ).toBe(404)
    expect(await alike('GET', `/library/api/items/${job!.item_uid}/`, `/library/api/items/${none}/`)).toBe(
      404,
    )
    expect(
      await alike('GET', `/library/api/libraries/${job!.library_uid}/`, `/library/api/libraries/${none}/`),
    ).toBe(404)
    expect(await alike('DELETE', '/library/api/workspaces/ws-1/', '/library/api/workspaces/ws-none/')).toBe(
      204,
    )
    const request = await store.put('files/x.md', '# X\n\nx', {})
    expect(
      await alike(
        'POST',
        '/library/api/ingest/',
        '/library/api/ingest/',
        { ...request, workspace_id: 'ws-1' },
        { ...request, workspace_id: 'ws-none' },
      ),
    ).toBe(404)
    expect(
      await alike(
        'POST',
        '/library/api/search/',
        '/library/api/search/',
        { query: 'anchor', library_uid: job!.library_uid },
        { query: 'anchor', library_uid: none },
      ),
    ).toBe(404)
    expect((await system.search('sheet anchor', {}, stranger)).candidates).toEqual([])
    expect((await system.call('GET', '/library/api/jobs/', undefined, { token: stranger })).body).toEqual([])
    expect((await system.call('GET', '/library/api/workspaces/ws-1/')).status).toBe(200)
  })

  test('delete leaves nothing, and the id is free again', async () => {
    const { body: jobs } = await system.call('GET', '/library/api/jobs/')
    const running = await store.put('files/long.md', `# Long\n\n${guide('x').repeat(40)}`, {
      workspace_id: 'ws-1',
    })
    await system.call('POST', '/library/api/ingest/', running)
    expect((await system.call('DELETE', '/library/api/workspaces/ws-1/')).status).toBe(204)
    expect((await system.call('DELETE', '/library/api/workspaces/ws-1/')).status).toBe(204)
    expect((await system.call('GET', '/library/api/workspaces/ws-1/')).status).toBe(404)
    expect((await system.search('sheet anchor')).candidates).toEqual([])
    await expect
      .poll(async () => (await system.call('GET', `/library/api/jobs/${(jobs as Job[])[0]!.job_id}/`)).status)
      .toBe(404)
    await expect.poll(() => system.blobs(), { timeout: 20_000 }).toEqual([])
    expect((await system.createWorkspace('ws-1')).item_count).toBe(0)
  })
})
