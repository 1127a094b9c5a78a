import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { GraphUnavailableError, LibraryGoneError } from '@mnemosyne/graph'
import { EmbedderCrashed, ModelError } from '@mnemosyne/models'
import { BlobStoreFullError, SqlUnavailableError } from '@mnemosyne/platform'
import { describePostgres } from '@mnemosyne/platform/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { JobRow } from '../src/store/tables.ts'
import { Ports } from './ports.ts'
import { TestEmbedder } from './test-embedder.ts'
import { Ground, type Instance, manual, World } from './world.ts'

let ground: Ground
beforeAll(async () => {
  ground = await Ground.open()
})
afterAll(() => ground[Symbol.asyncDispose]())

const isContent = ([key]: unknown[]) => String(key).endsWith('content.json.gz')

async function rowOf(world: World, jobId: string): Promise<JobRow> {
  return world.sql.read.selectFrom('job').selectAll().where('job_id', '=', jobId).executeTakeFirstOrThrow()
}

describe('a fault that passes', () => {
  it.each<[string, string, Error, { times?: number; where?: (args: unknown[]) => boolean }]>([
    ['the blob store is full once', 'blobs.put', new BlobStoreFullError(), {}],
    ['the record of the content cannot be written', 'blobs.put', new Error('EIO'), { where: isContent }],
    ['the source does not answer', 'source.open', new Error('ETIMEDOUT'), {}],
    ['the graph is away twice', 'graph.replaceItemContent', new GraphUnavailableError('away'), { times: 2 }],
    ['the graph is away before all', 'graph.getItem', new GraphUnavailableError('away'), {}],
    ['the model crashes', 'embedder.embedPassages', new EmbedderCrashed('stopped'), {}],
    ['the library is not in the graph yet', 'graph.getLibrary', new LibraryGoneError('x'), {}],
    ['the database is busy', 'sql.transaction', new SqlUnavailableError('locked'), { times: 3 }],
  ])('is tried again: %s', async (_name, port, error, options) => {
    await using world = await World.open(ground)
    const { ports } = await world.start()
    const hold = ports.hold('graph.itemVersion')
    const job = await world.ingest(manual('valve', 'pump', 'gauge'))
    await hold.reached
    ports.fail(port, error, options)
    hold.release()
    expect(await world.ended(job.job_id)).toMatchObject({ status: 'completed', error: null })
    expect(await world.graph.stats()).toMatchObject({ items: 1, chunks: 3, embeddings: 3 })
    expect(new Set(world.embedder!.texts).size).toBe(world.embedder!.texts.length)
  })

  it('waits longer each time, for as long as the configuration says', async () => {
    await using world = await World.open(ground)
    let now = Date.parse('2026-01-01T00:00:00Z')
    const { ports } = await world.start({
      clock: () => new Date(now),
      config: { INGEST_RETRY_FIRST_SECONDS: 0.06, INGEST_RETRY_MAX_SECONDS: 0.15 },
    })
    ports.fail('graph.replaceItemContent', new Error('away'), { times: 10 })
    const job = await world.ingest(manual('valve'))
    const waits: number[] = []
    for (const attempts of [1, 2, 3]) {
      await expect.poll(async () => (await world.rows())[0]).toMatchObject({ attempts, status: 'pending' })
      const due = Date.parse((await world.rows())[0]!.retry_at!)
      waits.push(due - now)
      now = due
    }
    expect(waits).toEqual([60, 120, 150])
    expect(await world.ended(job.job_id)).toMatchObject({ status: 'failed' })
  })

  it('starts again where it failed', async () => {
    await using world = await World.open(ground)
    const { ports } = await world.start()
    ports.fail('graph.replaceItemContent', new Error('away'), { times: 4 })
    const failed = await world.ended((await world.ingest(manual('valve', 'pump'))).job_id)
    expect(failed.status).toBe('failed')
    ports.fail('source.open', new Error('not to be asked again'))
    ports.fail('processor.process', new Error('not to be asked again'))
    ports.fail('embedder.embedPassages', new Error('not to be asked again'))
    await world.call('POST', `/library/api/jobs/${failed.job_id}/retry/`)
    expect(await world.ended(failed.job_id)).toMatchObject({ status: 'completed', retry_count: 1 })
    expect(world.embedder!.texts).toHaveLength(2)
  })

  it('does not hold up the jobs behind it', async () => {
    await using world = await World.open(ground)
    const { ports } = await world.start({
      config: { WORKER_CONCURRENCY: 1, INGEST_RETRY_FIRST_SECONDS: 60, INGEST_RETRY_MAX_SECONDS: 60 },
    })
    ports.fail('graph.replaceItemContent', new Error('away'))
    const first = await world.ingest(manual('valve'))
    await world.completed(manual('pump'), { source_ref: 'other' })
    expect(await world.job(first.job_id)).toMatchObject({ status: 'pending', stage: 'queued' })
  })

  it('never makes a dead letter of a job', async () => {
    await using world = await World.open(ground)
    const { ports, bus } = await world.start()
    const job = await world.ingest(manual('valve'))
    ports.fail('sql.transaction', new SqlUnavailableError('away'), { times: 20 })
    expect(await world.ended(job.job_id)).toMatchObject({ status: 'completed' })
    expect(await bus.deadLetters().count()).toBe(0)
  })
})

describe('a fault that stays', () => {
  it.each<[string, string, Error, RegExp]>([
    ['space', 'blobs.put', new BlobStoreFullError(), /there is no space left/],
    [
      'the graph',
      'graph.replaceItemContent',
      new GraphUnavailableError('/data/x'),
      /graph store did not answer/,
    ],
    ['the model', 'embedder.embedPassages', new EmbedderCrashed('pid 7'), /embedding model stopped/],
    ['anything', 'source.open', new Error('connect 10.0.0.1:443'), /the log has the cause/],
  ])('fails the job in words, without the inside: %s', async (_name, port, error, words) => {
    await using world = await World.open(ground)
    const { ports } = await world.start({ config: { INGEST_RETRIES: 1 } })
    ports.fail(port, error, { times: 2 })
    const job = await world.ended((await world.ingest(manual('valve'))).job_id)
    expect(job.error).toMatch(words)
    expect(job.error).toMatch(/^It did not work after 2 attempts: .*Retry it/)
    expect(job.error).not.toMatch(/\/data|pid|10\.0/)
  })

  it.each<[string, (world: World) => Promise<Record<string, unknown>>, RegExp]>([
    [
      'a missing file',
      (w) => w.file(manual('a'), { s3_key: 'no.md' }),
      /There is no file "no.md" in the store of daedalus/,
    ],
    ['another size', (w) => w.file(manual('a'), { file_size: 7 }), /7 were announced/],
    ['another hash', (w) => w.file(manual('a'), { content_hash: '0'.repeat(64) }), /SHA-256 differs/],
    ['an empty file', (w) => w.file(''), /empty/],
    ['a size over the limit', (w) => w.file(manual('a'), { file_size: 2 ** 40 }), /at most \d+ are taken in/],
  ])('fails at once: %s', async (_name, request, words) => {
    await using world = await World.open(ground)
    await world.start()
    const { body } = await world.call('POST', '/library/api/ingest/', await request(world))
    expect(await world.ended(body.job_id)).toMatchObject({
      status: 'failed',
      error: expect.stringMatching(words),
    })
    expect((await world.rows())[0]!.attempts).toBe(0)
  })

  it('says what to do when the model is not the one of the store', async () => {
    await using world = await World.open(ground)
    await world.start()
    await world.completed(manual('valve'))
    world.embedder = new TestEmbedder({ dimensions: 12, revision: 'r2' })
    const job = await world.ended((await world.ingest(manual('pump'))).job_id)
    expect(job.error).toMatch(
      /vectors of 12 dimensions, and those in the store have 8\. .*MNEMOSYNE_MODEL_DIR/,
    )
    expect((await world.rows())[1]!.attempts).toBe(0)
  })

  it('fails at once when the model refuses a passage', async () => {
    await using world = await World.open(ground)
    const { ports } = await world.start()
    ports.fail('embedder.embedPassages', new ModelError('tensor 7 of /opt/x'))
    const job = await world.ended((await world.ingest(manual('valve'))).job_id)
    expect(job.error).toBe('The embedding model refused a passage of the document; the log has the reason.')
  })
})

describe('what is kept on disk', () => {
  it.each([
    ['cut off', new Uint8Array([31, 139, 8])],
    ['something else', new TextEncoder().encode('{}')],
    ['empty', new Uint8Array()],
  ])('may be damaged: a stage result that is %s is made again', async (_name, bytes) => {
    await using world = await World.open(ground)
    const { ports } = await world.start({ config: { INGEST_RETRIES: 0 } })
    ports.fail('graph.replaceItemContent', new Error('away'))
    const job = await world.ended((await world.ingest(manual('valve'))).job_id)
    await world.blobs.put(`jobs/${job.job_id}/processed.json.gz`, bytes)
    await world.call('POST', `/library/api/jobs/${job.job_id}/retry/`)
    expect(await world.ended(job.job_id)).toMatchObject({ status: 'completed' })
  })

  it('may be damaged: the copy of the original is made again', async () => {
    await using world = await World.open(ground)
    const { ports } = await world.start({ config: { INGEST_RETRIES: 0 } })
    ports.fail('processor.process', new Error('away'))
    const job = await world.ended((await world.ingest(manual('valve'))).job_id)
    const original = `items/${job.item_uid}/${job.content_hash}/original.md`
    await world.blobs.put(original, new Uint8Array([1, 2, 3]))
    await world.call('POST', `/library/api/jobs/${job.job_id}/retry/`)
    expect(await world.ended(job.job_id)).toMatchObject({ status: 'completed' })
    expect(await world.blobs.head(original)).toEqual({ bytes: job.file_size })
  })

  it('loses by a clean-up pass exactly what nothing refers to', async () => {
    await using world = await World.open(ground)
    const before = await world.start({ config: { INGEST_RETRIES: 0 } })
    const kept = await world.completed(manual('valve'))
    before.ports.fail('graph.replaceItemContent', new Error('away'))
    const failed = await world.ended((await world.ingest(manual('pump'), { source_ref: 'b' })).job_id)
    before.ports.fail('processor.process', new Error('away'))
    const upload = await world.ended((await world.upload(manual('hose'))).body.job_id)
    await before.stop()
    const wanted = await world.blobKeys()
    expect(wanted.filter((key) => key.startsWith('uploads/'))).toHaveLength(1)
    const gone = '00000000-0000-4000-8000-000000000000'
    for (const key of [
      `jobs/${kept.job_id}/processed.json.gz`,
      `jobs/${gone}/processed.json.gz`,
      `items/${gone}/${kept.content_hash}/original.md`,
      `items/${kept.item_uid}/${failed.content_hash}/original.md`,
      `uploads/${gone}/file.md`,
    ])
      await world.blobs.put(key, new Uint8Array([1]))
    await world.sql.transaction((tx) =>
      tx
        .insertInto('embedding_cache')
        .values({ embedding_key: 'k', job_id: kept.job_id, vector: new Uint8Array(4) })
        .execute(),
    )
    await world.start()
    await expect.poll(() => world.blobKeys()).toEqual(wanted)
    await expect
      .poll(async () =>
        (await world.sql.read.selectFrom('embedding_cache').selectAll().execute()).map((row) => row.job_id),
      )
      .toEqual([failed.job_id])
    expect(upload.status).toBe('failed')
  })
})

describe('a worker', () => {
  it('that stops hands its job back, and it goes on where it was', async () => {
    await using world = await World.open(ground)
    const first = await world.start()
    const hold = first.ports.hold('embedder.embedPassages', ([texts]) => String(texts).includes('The hose'))
    const job = await world.ingest(manual('valve', 'pump', 'gauge', 'hose'))
    await hold.reached
    const stopping = first.stop()
    hold.release()
    await stopping
    expect((await world.rows())[0]).toMatchObject({
      status: 'pending',
      stage: 'queued',
      claim: null,
      interruptions: 0,
    })
    await world.start({ ports: new Ports() })
    expect(await world.ended(job.job_id)).toMatchObject({ status: 'completed' })
    expect(new Set(world.embedder!.texts).size).toBe(4)
  })

  it('that has died is succeeded, whenever it died', { timeout: 180_000 }, async () => {
    await using world = await World.open(ground)
    const text = manual('valve', 'pump', 'gauge')
    let calls = 1
    for (let survived = false; !survived; calls += 1) {
      const ports = new Ports()
      const first = await world.start({ ports })
      const job = await world.ingest(text, { source_ref: `after ${calls} calls` })
      ports.dieAfter(ports.calls + calls)
      const completed = async () => (await rowOf(world, job.job_id)).status === 'completed'
      await expect
        .poll(async () => ports.dead || (await completed()), { interval: 5, timeout: 20_000 })
        .toBe(true)
      survived = !ports.dead
      ports.dieAfter(survived ? Number.POSITIVE_INFINITY : 0)
      if (survived) await first.stop()
      const second = await world.start()
      const ended = await world.ended(job.job_id)
      expect(ended, job.source_ref).toMatchObject({ status: 'completed', chunks_created: 3 })
      await second.stop()
      expect(await world.chunks(job.item_uid)).toHaveLength(3)
      const keys = await world.blobKeys()
      expect(keys.filter((key) => !key.startsWith('items/'))).toEqual([])
      expect(keys.filter((key) => key.includes(job.item_uid))).toHaveLength(3)
    }
    expect(calls).toBeGreaterThan(20)
    const rows = await world.rows()
    expect(await world.graph.stats()).toMatchObject({ items: rows.length, chunks: 3 * rows.length })
    expect(new Set(world.embedder!.texts).size).toBe(3)
  })

  it('whose job kills it every time loses the job, with a reason', async () => {
    await using world = await World.open(ground)
    for (let time = 0; time < 10; time += 1) {
      const ports = new Ports()
      const hold = ports.hold('graph.replaceItemContent')
      await world.start({ ports })
      if (time === 0) await world.ingest(manual('deadly'))
      await hold.reached
      ports.die()
      hold.release()
    }
    await world.start()
    const [row] = await world.rows()
    const job = await world.ended(row!.job_id)
    expect(job).toMatchObject({
      status: 'failed',
      error: expect.stringMatching(/ended unexpectedly 10 times.*retry it/s),
    })
    await world.call('POST', `/library/api/jobs/${job.job_id}/retry/`)
    expect(await world.ended(job.job_id)).toMatchObject({ status: 'completed' })
  })

  it('may be killed as often as one likes as long as its job gets further', async () => {
    await using world = await World.open(ground)
    const kept = async () => (await world.sql.read.selectFrom('embedding_cache').selectAll().execute()).length
    for (let life = 1; life <= 12; life += 1) {
      const ports = new Ports()
      let calls = 0
      const hold = ports.hold('embedder.embedPassages', () => ++calls === 3)
      await world.start({ ports, config: { EMBEDDING_BATCH_SIZE: 1, WORKER_CONCURRENCY: 1 } })
      if (life === 1) await world.ingest(manual(...Array.from({ length: 60 }, (_, n) => `part${n}`)))
      await hold.reached
      await expect.poll(kept).toBeGreaterThanOrEqual(2 * life)
      ports.die()
    }
    await world.start()
    const [row] = await world.rows()
    expect(await world.ended(row!.job_id)).toMatchObject({ status: 'completed', chunks_created: 60 })
  })

  it('takes no message for more than it is', async () => {
    await using world = await World.open(ground)
    const { bus } = await world.start()
    const job = await world.completed(manual('valve'))
    const send = (id: string, body: unknown) =>
      bus.publish({ kind: 'command', destination: 'ingest.embedding', id, body, headers: {} })
    for (const id of ['1', '2', '3']) await send(id, { job_id: job.job_id })
    await send('4', { job_id: '00000000-0000-4000-8000-000000000000' })
    await send('5', { nonsense: true })
    await expect
      .poll(async () => (await bus.deadLetters().list()).map(({ message }) => message.id))
      .toEqual(['5'])
    expect(world.embedder!.texts).toHaveLength(1)
    expect(await world.job(job.job_id)).toEqual(job)
  })
})

describe('two workers over SQLite', () => twoWorkers(() => World.open(ground)))

await describePostgres('two workers over PostgreSQL', (freshUrl) =>
  twoWorkers(async () => World.open(ground, { sqlUrl: await freshUrl() })),
)

function twoWorkers(open: () => Promise<World>) {
  async function startTwo(world: World): Promise<[Instance, Instance]> {
    const bus = await world.openBus()
    const options = { bus, soleWorker: false }
    return [await world.start(options), await world.start(options)]
  }

  it('do each job once', async () => {
    await using world = await open()
    const [{ bus }] = await startTwo(world)
    const jobs = await Promise.all(
      Array.from({ length: 12 }, (_, n) => world.ingest(manual(`part${n}`), { source_ref: `${n}` })),
    )
    for (const { job_id } of jobs)
      await bus.publish({
        kind: 'command',
        destination: 'ingest.embedding',
        id: `again ${job_id}`,
        body: { job_id },
        headers: {},
      })
    for (const { job_id } of jobs) expect(await world.ended(job_id)).toMatchObject({ status: 'completed' })
    expect(world.embedder!.texts).toHaveLength(12)
    const done = () => world.events.filter(({ destination }) => destination === 'ingest.job.completed.v1')
    await expect.poll(() => done().length).toBe(12)
  })

  it('succeed each other: the job of one that has died is taken over, and it can change nothing more', async () => {
    await using world = await open()
    const [a, b] = await startTwo(world)
    const holds = [a, b].map(({ ports }) => ports.hold('embedder.embedPassages'))
    const job = await world.ingest(manual('valve'))
    const [first, second] = await Promise.race(
      holds.map((hold, n) => hold.reached.then(() => (n === 0 ? ([a, b] as const) : ([b, a] as const)))),
    )
    first.ports.die()
    for (const hold of holds) hold.release()
    expect(await world.ended(job.job_id)).toMatchObject({ status: 'completed' })
    expect((await world.rows())[0]!.interruptions).toBe(0)
    expect(second.ports.dead).toBe(false)
    expect(await world.graph.stats()).toMatchObject({ items: 1, chunks: 1 })
  })

  it('leave a slow job to the one that has it, whatever their clocks say', async () => {
    await using world = await open()
    const bus = await world.openBus()
    const ports = new Ports()
    const hold = ports.hold('embedder.embedPassages')
    await world.start({ bus, ports, soleWorker: false })
    const job = await world.ingest(manual('valve'))
    await hold.reached
    await world.start({ bus, soleWorker: false, clock: () => new Date(Date.now() + 3_600_000) })
    const [{ heartbeat }] = (await world.rows()) as [JobRow]
    await expect
      .poll(async () => (await world.rows())[0]!.heartbeat, { timeout: 10_000 })
      .toBeGreaterThan(heartbeat + 10)
    expect((await world.rows())[0]).toMatchObject({ status: 'processing', interruptions: 0 })
    hold.release()
    expect(await world.ended(job.job_id)).toMatchObject({ status: 'completed' })
    expect(world.embedder!.texts).toHaveLength(1)
  })

  it('find a job that the queue has lost', async () => {
    await using world = await open()
    const away = await world.openBus()
    const door = await world.start({ bus: away, work: false })
    const job = await world.ingest(manual('valve'))
    await door.stop()
    await world.sql.transaction((tx) => tx.deleteFrom('outbox').execute())
    await world.start({ soleWorker: false })
    expect(await world.ended(job.job_id)).toMatchObject({ status: 'completed' })
  })
}

it('leaves the folder for files in hand empty', async () => {
  await using world = await World.open(ground)
  const { stop } = await world.start()
  await world.ended((await world.ingest(manual('valve'), { content_hash: '0'.repeat(64) })).job_id)
  await stop()
  const work = (await readdir(world.dir)).find((name) => name.startsWith('work-'))!
  expect(await readdir(join(world.dir, work))).toEqual([])
})
