import {
  describePostgres,
  describeServers,
  freshAmqpUrl,
  freshPostgresUrl,
} from '@mnemosyne/platform/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { TestEmbedder } from './test-embedder.ts'
import { Ground, manual, World } from './world.ts'

let ground: Ground
beforeAll(async () => {
  ground = await Ground.open()
})
afterAll(() => ground[Symbol.asyncDispose]())

describe('over SQLite', () => {
  suite(() => World.open(ground))
})

await describePostgres('over PostgreSQL', (freshUrl) => {
  suite(async () => World.open(ground, { sqlUrl: await freshUrl() }))
})

await describeServers('over PostgreSQL and RabbitMQ', () => {
  it('takes a document in, and lets go of it', async () => {
    await using world = await World.open(ground, {
      sqlUrl: await freshPostgresUrl(),
      amqpUrl: await freshAmqpUrl(),
    })
    await world.start({ soleWorker: false })
    const job = await world.completed(manual('valve', 'pump'))
    expect(await world.chunks(job.item_uid)).toHaveLength(2)
    await world.deleteItem(job.item_uid)
    await expect.poll(() => world.blobKeys()).toEqual([])
    expect(await world.rows()).toEqual([])
  })
})

function suite(open: () => Promise<World>) {
  describe('a document that is taken in', () => {
    it('is in the graph and in the blobs, and leaves nothing else behind', async () => {
      await using world = await open()
      await world.start()
      const job = await world.completed(manual('valve', 'pump', 'gauge'))
      expect(job).toMatchObject({ chunks_created: 3, embedding_model: 'test', stage: 'completed' })
      const version = `items/${job.item_uid}/${job.content_hash}`
      // What a job kept between its stages goes after it has ended.
      await expect
        .poll(() => world.blobKeys())
        .toEqual([`${version}/content.json.gz`, `${version}/original.md`, `${version}/vectors.f32`])
      expect(await world.sql.read.selectFrom('embedding_cache').selectAll().execute()).toEqual([])
      expect(await world.graph.stats()).toMatchObject({ items: 1, chunks: 3, embeddings: 3 })
      await expect
        .poll(() => world.events.map(({ destination }) => destination))
        .toEqual(['ingest.job.accepted.v1', 'ingest.job.completed.v1'])
    })

    it('shows callers nothing of how jobs are kept', async () => {
      await using world = await open()
      await world.start()
      const job = await world.completed(manual('valve'))
      expect(Object.keys(job)).not.toEqual(
        expect.arrayContaining([expect.stringMatching(/claim|heartbeat|interruptions|version|current/)]),
      )
    })

    it('that was uploaded needs its upload no more', async () => {
      await using world = await open()
      await world.start()
      const { status, body } = await world.upload(manual('valve'))
      expect(status).toBe(202)
      expect(await world.ended(body.job_id)).toMatchObject({ status: 'completed', source: 'upload' })
      await expect.poll(() => world.blobKeys()).not.toContain(expect.stringContaining('uploads/'))
      expect(await world.upload(manual('valve'))).toMatchObject({
        status: 200,
        body: { job_id: body.job_id },
      })
      expect((await world.blobKeys()).filter((key) => key.startsWith('uploads/'))).toEqual([])
    })
  })

  describe('equal requests', () => {
    it('at one moment make one job', async () => {
      await using world = await open()
      await world.start()
      const jobs = await Promise.all(Array.from({ length: 10 }, () => world.ingest(manual('valve'))))
      expect(new Set(jobs.map((job) => job.job_id)).size).toBe(1)
      await world.ended(jobs[0]!.job_id)
      expect((await world.ingest(manual('valve'))).job_id).toBe(jobs[0]!.job_id)
      expect(await world.rows()).toHaveLength(1)
    })

    it('with different contents at one moment make a version each, and the last one stays', async () => {
      await using world = await open()
      await world.start({ config: { WORKER_CONCURRENCY: 4 } })
      const words = ['one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight']
      const jobs = await Promise.all(words.map((word) => world.ingest(manual(word))))
      expect(new Set(jobs.map((job) => job.item_uid)).size).toBe(1)
      const ended = await Promise.all(jobs.map((job) => world.ended(job.job_id)))
      expect(ended.map((job) => job.status)).toEqual(words.map(() => 'completed'))
      const rows = await world.rows()
      expect(rows.map((row) => row.version).sort()).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
      const latest = rows.find((row) => row.version === 8)!
      expect(latest.stage).toBe('completed')
      expect(await world.graph.getItem({ libraries: 'all' }, latest.item_uid)).toMatchObject({
        version: 8,
        content_hash: latest.content_hash,
        chunk_count: 1,
      })
      await expect
        .poll(async () => (await world.blobKeys()).filter((key) => !key.includes(latest.content_hash)))
        .toEqual([])
    })

    it('are answered with the failed job, until another version has overtaken it', async () => {
      await using world = await open()
      await world.start()
      const wrong = { content_hash: 'f'.repeat(64) }
      const failed = await world.ended((await world.ingest(manual('valve'), wrong)).job_id)
      expect(failed).toMatchObject({ status: 'failed', error: expect.stringContaining('SHA-256') })
      expect((await world.ingest(manual('valve'), wrong)).job_id).toBe(failed.job_id)
      await world.completed(manual('pump'))
      expect((await world.ingest(manual('valve'), wrong)).job_id).not.toBe(failed.job_id)
    })
  })

  describe('a new version', () => {
    it('keeps the item, its unchanged chunks and their vectors, and embeds only what changed', async () => {
      await using world = await open()
      await world.start()
      const first = await world.completed(manual('valve', 'pump', 'gauge'))
      const before = await world.chunks(first.item_uid)
      world.embedder!.texts.length = 0
      const second = await world.completed(manual('valve', 'hose', 'gauge'))
      expect(second.item_uid).toBe(first.item_uid)
      const after = await world.chunks(first.item_uid)
      expect(after.map((chunk) => before.some((old) => old.chunk_uid === chunk.chunk_uid))).toEqual([
        true,
        false,
        true,
      ])
      expect(world.embedder!.texts).toEqual([expect.stringContaining('The hose')])
      await expect.poll(async () => (await world.blobKeys()).join()).not.toContain(first.content_hash)
    })

    it('that fails leaves the item as it was, with the reason', async () => {
      await using world = await open()
      const { ports } = await world.start({ config: { INGEST_RETRIES: 0 } })
      const good = await world.completed(manual('valve'))
      const before = await world.graph.getItem({ libraries: 'all' }, good.item_uid)
      ports.fail('graph.replaceItemContent', new Error('secret: 10.0.0.1'))
      const bad = await world.ended((await world.ingest(manual('pump'))).job_id)
      expect(bad.status).toBe('failed')
      expect(bad.error).not.toContain('secret')
      const { updated_at: _u, ...rest } = before!
      await expect
        .poll(() => world.graph.getItem({ libraries: 'all' }, good.item_uid))
        .toMatchObject({ ...rest, error: bad.error })
    })

    it('back to an older content is a version of its own', async () => {
      await using world = await open()
      await world.start()
      const jobs = []
      for (const word of ['valve', 'pump', 'valve']) jobs.push(await world.completed(manual(word)))
      expect(new Set(jobs.map((job) => job.job_id)).size).toBe(3)
      const [, , last] = jobs
      expect((await world.ingest(manual('valve'))).job_id).toBe(last!.job_id)
      expect((await world.chunks(last!.item_uid))[0]!.text).toContain('The valve')
      await expect.poll(() => world.blobKeys()).toHaveLength(3)
    })

    it('back to an older content while that waits comes last', async () => {
      await using world = await open()
      const { ports } = await world.start({ config: { WORKER_CONCURRENCY: 3 } })
      const holds = [ports.hold('processor.process'), ports.hold('processor.process')]
      const [a, b] = [await world.ingest(manual('valve')), await world.ingest(manual('pump'))]
      await Promise.all(holds.map((hold) => hold.reached))
      const again = await world.completed(manual('valve'))
      expect(again.job_id).not.toBe(a.job_id)
      for (const hold of holds) hold.release()
      for (const { job_id } of [a, b])
        expect(await world.ended(job_id)).toMatchObject({ stage: 'superseded' })
      expect((await world.chunks(again.item_uid))[0]!.text).toContain('The valve')
      const kept = `items/${again.item_uid}/${again.content_hash}/`
      await expect
        .poll(() => world.blobKeys())
        .toEqual([`${kept}content.json.gz`, `${kept}original.md`, `${kept}vectors.f32`])
    })

    it('is not undone by an older one that comes through later', async () => {
      await using world = await open()
      const { ports } = await world.start()
      const hold = ports.hold('embedder.embedPassages')
      const old = await world.ingest(manual('valve'))
      await hold.reached
      const latest = await world.completed(manual('pump'))
      hold.release()
      expect(await world.ended(old.job_id)).toMatchObject({ status: 'completed', stage: 'superseded' })
      expect((await world.chunks(latest.item_uid))[0]!.text).toContain('The pump')
      expect(await world.graph.getItem({ libraries: 'all' }, latest.item_uid)).toMatchObject({
        content_hash: latest.content_hash,
        s3_key: expect.stringContaining(latest.content_hash),
      })
    })
  })

  it('embeds nothing that another library has embedded', async () => {
    await using world = await open()
    await world.start()
    await world.completed(manual('valve', 'pump'))
    expect(world.embedder!.texts).toHaveLength(2)
    await world.completed(manual('valve', 'pump'), { library_uid: world.libraries[1] })
    expect(world.embedder!.texts).toHaveLength(2)
    expect(await world.graph.stats()).toMatchObject({ items: 2, chunks: 4, embeddings: 4 })
  })

  const STAGES = [
    ['fetching', 'source.open', undefined],
    ['parsing', 'processor.process', undefined],
    ['embedding', 'embedder.embedPassages', undefined],
    ['storing', 'blobs.put', (args: unknown[]) => String(args[0]).endsWith('content.json.gz')],
  ] as const

  describe('cancelling', () => {
    it.each(STAGES)('stops a job in %s, and a retry brings it to its end', async (_stage, port, where) => {
      await using world = await open()
      const { ports } = await world.start()
      const hold = ports.hold(port, where)
      const job = await world.ingest(manual('valve', 'pump'))
      await hold.reached
      expect((await world.call('POST', `/library/api/jobs/${job.job_id}/cancel/`)).status).toBe(202)
      hold.release()
      const ended = await world.ended(job.job_id)
      expect(ended).toMatchObject({ status: 'failed', error: 'Cancelled.' })
      expect(await world.graph.stats()).toMatchObject({ chunks: 0 })
      await expect
        .poll(() => world.graph.getItem({ libraries: 'all' }, job.item_uid))
        .toMatchObject({ embedding_status: 'failed', error: 'Cancelled.' })
      expect((await world.call('POST', `/library/api/jobs/${job.job_id}/cancel/`)).status).toBe(409)
      expect((await world.call('POST', `/library/api/jobs/${job.job_id}/retry/`)).status).toBe(202)
      expect(await world.ended(job.job_id)).toMatchObject({
        status: 'completed',
        error: null,
        retry_count: 1,
      })
    })

    it('ends a job that waits at once', async () => {
      await using world = await open()
      const { ports } = await world.start({
        config: { INGEST_RETRY_FIRST_SECONDS: 60, INGEST_RETRY_MAX_SECONDS: 60 },
      })
      ports.fail('graph.replaceItemContent', new Error('away'))
      const job = await world.ingest(manual('valve'))
      await expect.poll(async () => (await world.rows())[0]!.attempts).toBe(1)
      const { body } = await world.call('POST', `/library/api/jobs/${job.job_id}/cancel/`)
      expect(body).toMatchObject({ status: 'failed', error: 'Cancelled.' })
      expect(await world.graph.getItem({ libraries: 'all' }, job.item_uid)).toMatchObject({
        embedding_status: 'failed',
      })
    })
  })

  describe('deleting', () => {
    const what = (['item', 'library'] as const).flatMap((one) =>
      STAGES.map((stage) => [one, ...stage] as const),
    )

    it.each(what)('the %s of a job in %s leaves nothing', async (one, _stage, port, where) => {
      await using world = await open()
      const { ports, stop } = await world.start()
      const hold = ports.hold(port, where)
      const job = await world.ingest(manual('valve', 'pump'))
      await hold.reached
      if (one === 'item') await world.deleteItem(job.item_uid)
      else await world.deleteLibrary(job.library_uid)
      hold.release()
      await stop()
      expect(await world.blobKeys()).toEqual([])
      expect(await world.rows()).toEqual([])
      for (const table of ['source_item', 'embedding_cache'] as const)
        expect(await world.sql.read.selectFrom(table).selectAll().execute()).toEqual([])
      expect(await world.graph.stats()).toMatchObject({ items: 0, chunks: 0 })
    })

    it('is not undone by a job that begins before the deletion is heard of', async () => {
      await using world = await open()
      const { ports } = await world.start()
      const first = await world.completed(manual('valve'))
      const hold = ports.hold('graph.putItem')
      await world.ingest(manual('pump'))
      await hold.reached
      await world.graph.deleteItem(first.item_uid)
      hold.release()
      await expect.poll(() => world.graph.itemVersion(first.item_uid)).not.toBeNull()
      await world.tell('item.deleted.v1', { item_uid: first.item_uid, library_uid: first.library_uid })
      await expect.poll(() => world.graph.itemVersion(first.item_uid)).toBeNull()
      await expect.poll(() => world.blobKeys()).toEqual([])
    })

    it.each([
      ['the same', 'valve'],
      ['another', 'pump'],
    ])('does not take away %s content that comes before it is heard of', async (_name, word) => {
      await using world = await open()
      await world.start()
      const first = await world.completed(manual('valve'))
      await world.graph.deleteItem(first.item_uid)
      const second = await world.completed(manual(word))
      expect(second.item_uid).not.toBe(first.item_uid)
      await world.tell('item.deleted.v1', { item_uid: first.item_uid, library_uid: first.library_uid })
      expect(await world.job(second.job_id)).toMatchObject({ status: 'completed' })
      expect(await world.chunks(second.item_uid)).toHaveLength(1)
      expect(await world.rows()).toHaveLength(1)
    })
  })

  describe('without a model', () => {
    it('a document is taken in, and given its vectors when the model comes', async () => {
      await using world = await open()
      world.embedder = null
      await world.start()
      const job = await world.completed(manual('valve', 'pump'))
      expect(job.embedding_model).toBeNull()
      expect(await world.graph.stats()).toMatchObject({ chunks: 2, embeddings: 0 })
      world.embedder = new TestEmbedder()
      await expect.poll(async () => (await world.graph.stats()).embeddings, { timeout: 10_000 }).toBe(2)
      await expect.poll(async () => (await world.job(job.job_id)).embedding_model).toBe('test')
      expect(world.embedder.texts).toHaveLength(2)
    })

    it('a document in hand when the model comes is given its vectors too', async () => {
      await using world = await open()
      world.embedder = null
      const { ports } = await world.start()
      const hold = ports.hold('graph.replaceItemContent')
      const job = await world.ingest(manual('valve'))
      await hold.reached
      world.embedder = new TestEmbedder()
      hold.release()
      await expect
        .poll(async () => world.job(job.job_id), { timeout: 10_000 })
        .toMatchObject({ status: 'completed', embedding_model: 'test' })
    })
  })

  it('lets a job be watched to its end', async () => {
    await using world = await open()
    const { ports } = await world.start()
    const hold = ports.hold('embedder.embedPassages')
    const job = await world.ingest(manual('valve'))
    const stream = await world.respond('GET', `/library/api/jobs/${job.job_id}/events/`)
    await hold.reached
    hold.release()
    const shown = [...(await stream.text()).matchAll(/^data: ?(\{.*\})$/gm)].map(([, json]) =>
      JSON.parse(json!),
    )
    expect(shown.length).toBeGreaterThan(1)
    expect(shown.at(-1)).toMatchObject({ status: 'completed', progress: 100 })
    expect(new Set(shown.map((one) => JSON.stringify(one))).size).toBe(shown.length)
  })

  it('says in 503 that the library service is away, and nothing of its inside', async () => {
    await using world = await open()
    await world.start()
    world.libraryIsAway = true
    const answer = await world.call('POST', '/library/api/ingest/', await world.file(manual('valve')))
    expect(answer).toEqual({
      status: 503,
      body: { detail: 'The library cannot be asked right now. Try again shortly.' },
    })
    expect((await world.upload(manual('valve'))).status).toBe(503)
    expect(await world.blobKeys()).toEqual([])
  })
}
