import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Chunk, Item, Job, Library } from '@mnemosyne/contracts'
import {
  createRabbitVhost,
  describeServers,
  freshAmqpUrl,
  freshPostgresUrl,
  startRabbitMq,
} from '@mnemosyne/platform/testing'
import { expect, onTestFinished, test, vi } from 'vitest'
import { seeded } from '../../bench/random.ts'
import { DaedalusFolder } from './daedalus-store.ts'
import { RunningSystem, temporaryFolder } from './harness.ts'
import { graphOf, inventedDocument, rowsOf } from './stores.ts'

// Whole processes on a machine that other tests keep busy.
vi.setConfig({ testTimeout: 150_000 })

type StartOptions = NonNullable<Parameters<typeof RunningSystem.start>[1]>

function folder(): string {
  const made = temporaryFolder()
  onTestFinished(() => made[Symbol.dispose]())
  return made.path
}

/** Started for one test, and killed if that leaves it running. */
async function start(dataDir: string, options?: StartOptions): Promise<RunningSystem> {
  const system = await RunningSystem.start(dataDir, options)
  onTestFinished(() => void system.process.kill('SIGKILL'))
  return system
}

async function jobOf(system: RunningSystem, id: string): Promise<Job> {
  return (await system.call('GET', `/library/api/jobs/${id}/`)).body
}

async function chunksOf(system: RunningSystem, itemUid: string) {
  const { body } = await system.call('GET', `/library/api/items/${itemUid}/chunks/?limit=200`)
  return (body as Chunk[]).map(({ chunk_index, text, section_path, page }) => ({
    chunk_index,
    text,
    section_path,
    page,
  }))
}

/** Kills the system in the middle of embedding a document, and looks whether the next one ends its job as if nothing had been. */
async function killedWhileEmbedding(
  dataDir: string,
  options: StartOptions,
  databaseUrl?: string,
): Promise<void> {
  const first = await start(dataDir, options)
  await first.createWorkspace('ws')
  const text = inventedDocument('Skerry', 24)
  const { body: job } = await first.upload({ workspace_id: 'ws' }, { name: 'log.md', content: text })
  await expect
    .poll(() => jobOf(first, job.job_id), { timeout: 60_000, interval: 20 })
    .toSatisfy(({ stage, progress }: Job) => stage === 'embedding' && progress > 26)
  await first.kill()
  const kept = (await rowsOf(dataDir, 'ingest', 'embedding_cache', databaseUrl)).length
  expect(kept).toBeGreaterThan(0)

  const second = await start(dataDir, { ...options, token: first.token })
  const done = await second.ended(job.job_id)
  expect(done).toMatchObject({ status: 'completed', error: null, item_uid: job.item_uid })
  expect(kept).toBeLessThan(done.chunks_created)
  const embedded = () => second.metric('mnemosyne_embedding_texts_total', { operation: 'passages' })
  expect(await embedded()).toBe(done.chunks_created - kept)

  await second.createWorkspace('undisturbed')
  const again = await second.upload({ workspace_id: 'undisturbed' }, { name: 'log.md', content: text })
  const calm = await second.ended(again.body.job_id)
  expect(await chunksOf(second, done.item_uid)).toEqual(await chunksOf(second, calm.item_uid))
  expect(await embedded()).toBe(done.chunks_created - kept)
  for (const workspace of ['ws', 'undisturbed'])
    expect((await second.call('GET', `/library/api/workspaces/${workspace}/`)).body).toMatchObject({
      item_count: 1,
      chunk_count: done.chunks_created,
    })
  await second.stop()
  expect(await graphOf(dataDir)).toMatchObject({
    items: 2,
    chunks: 2 * done.chunks_created,
    embeddings: 2 * done.chunks_created,
  })
  expect(await rowsOf(dataDir, 'ingest', 'outbox', databaseUrl)).toEqual([])
}

test('SIGKILL while it embeds: the job ends, once, with nothing doubled', async () => {
  await killedWhileEmbedding(join(folder(), 'data'), {})
})

await describeServers('over PostgreSQL and RabbitMQ', () => {
  // A worker that was killed is believed dead when its lease has run out.
  const env = async () => ({
    DATABASE_URL: await freshPostgresUrl(),
    AMQP_URL: await freshAmqpUrl(),
    INGEST_LEASE_SECONDS: '3',
  })

  test('SIGKILL while it embeds: the job ends, once, with nothing doubled', async () => {
    const servers = await env()
    await killedWhileEmbedding(join(folder(), 'data'), { env: servers }, servers.DATABASE_URL)
  })

  test('a workspace from its beginning to its end', async () => {
    const home = folder()
    const store = new DaedalusFolder(join(home, 'daedalus'))
    const servers = await env()
    const system = await start(join(home, 'data'), { env: { ...servers, ...store.env } })
    const workspace = await system.createWorkspace('ws')
    const guide = '# Guide\n\n## Anchors\n\nThe sheet anchor is kept on the lee side.\n'
    const request = await store.put('guide.md', guide, { workspace_id: 'ws' })
    const posts = await Promise.all(
      Array.from({ length: 8 }, () => system.call('POST', '/library/api/ingest/', request)),
    )
    expect(new Set(posts.map(({ body }) => (body as Job).job_id)).size).toBe(1)
    const job = await system.ended((posts[0]!.body as Job).job_id)
    expect(job).toMatchObject({ status: 'completed', error: null })
    expect((await system.search('where is the emergency anchor?')).candidates[0]).toMatchObject({
      library_uid: workspace.library_uid,
      text_preview: expect.stringContaining('lee side'),
    })
    await expect
      .poll(async () => (await system.call('GET', '/library/api/workspaces/ws/')).body)
      .toMatchObject({ item_count: 1, chunk_count: job.chunks_created })
    const bad = await store.put('bad.pdf', '%PDF-1.4 and no more', { workspace_id: 'ws' })
    const failed = await system.ended(
      ((await system.call('POST', '/library/api/ingest/', bad)).body as Job).job_id,
    )
    expect(failed).toMatchObject({ status: 'failed', error: expect.stringMatching(/\w/) })
    expect((await system.call('DELETE', '/library/api/workspaces/ws/')).status).toBe(204)
    expect((await system.search('sheet anchor')).candidates).toEqual([])
    await expect.poll(() => system.blobs(), { timeout: 20_000 }).toEqual([])
    await expect
      .poll(async () => (await jobOf(system, job.job_id)).job_id, { timeout: 20_000 })
      .toBeUndefined()
    expect(await system.stop()).toBe(0)
  })

  test('jobs that wait while RabbitMQ goes away and comes back are all done', async () => {
    const rabbit = await startRabbitMq()
    onTestFinished(() => rabbit.close())
    const AMQP_URL = await createRabbitVhost(rabbit)
    const dataDir = join(folder(), 'data')
    const system = await start(dataDir, { env: { ...(await env()), AMQP_URL } })
    await system.createWorkspace('ws')
    const accepted: Job[] = []
    const upload = async (names: string[]) => {
      for (const name of names) {
        const file = { name: `${name}.md`, content: inventedDocument(name, 2) }
        const answer = await system.upload({ workspace_id: 'ws', source_ref: name }, file)
        expect(answer.status, answer.text).toBe(202)
        accepted.push(answer.body)
      }
    }
    await upload(['Ailsa', 'Bell', 'Copinsay', 'Duncansby'])
    await rabbit.stop()
    await upload(['Eddystone', 'Fastnet'])
    await rabbit.start()
    const jobs = await Promise.all(accepted.map(({ job_id }) => system.ended(job_id, 90_000)))
    expect(jobs.map(({ status }) => status)).toEqual(Array(6).fill('completed'))
    await expect
      .poll(async () => (await system.call('GET', '/library/api/workspaces/ws/')).body, { timeout: 30_000 })
      .toMatchObject({ item_count: 6, chunk_count: jobs.reduce((sum, job) => sum + job.chunks_created, 0) })
    await expect.poll(() => system.metric('mnemosyne_outbox_pending'), { timeout: 30_000 }).toBe(0)
    await system.stop()
  }, 180_000)
})

const KILLS = Number(process.env.MNEMOSYNE_KILLS ?? 6)
const DOCUMENTS = 15

test(
  `${KILLS} times killed at random while files stream in: nothing is lost or doubled`,
  async () => {
    const random = seeded(Number(process.env.MNEMOSYNE_KILL_SEED ?? 1))
    const dataDir = join(folder(), 'data')
    const documents = Array.from({ length: DOCUMENTS }, (_, n) => ({
      name: `Light${n}`,
      content: inventedDocument(`Light${n}`, 1 + Math.floor(random() * 6)),
    }))
    let system = await start(dataDir)
    const { token } = system
    const { library_uid } = await system.createWorkspace('ws')
    /** What the system has promised, by document. */
    const promised = new Map<string, Job>()
    const send = async (to: RunningSystem, { name, content }: (typeof documents)[number]) => {
      const { status, body } = await to.upload(
        { library_uid, source_ref: name },
        { name: `${name}.md`, content },
      )
      expect([200, 202]).toContain(status)
      if (promised.has(name)) expect(body.job_id).toBe(promised.get(name)!.job_id)
      promised.set(name, body)
    }
    const stages: string[] = []
    for (let kill = 0; kill < KILLS; kill++) {
      // Every fifth kill hits a process that is still starting.
      if (kill % 5 === 4) {
        await expect(
          start(dataDir, {
            token,
            onSpawn: (child) => void pause(random() * 1500).then(() => child.kill('SIGKILL')),
          }),
        ).rejects.toThrow()
        stages.push('start')
        continue
      }
      if (kill > 0) system = await start(dataDir, { token })
      const share = documents.slice(
        Math.floor((kill / KILLS) * DOCUMENTS),
        Math.floor(((kill + 1) / KILLS) * DOCUMENTS),
      )
      const sending = share.map((document) => send(system, document).catch(() => undefined))
      await pause(random() * 2000)
      const { body: jobs } = await system.call('GET', '/library/api/jobs/?status=processing')
      stages.push((jobs as Job[]).map(({ stage }) => stage).join('+') || 'idle')
      await system.kill()
      await Promise.all(sending)
    }
    process.stderr.write(`killed while: ${stages.join(', ')}\n`)

    system = await start(dataDir, { token })
    for (const document of documents) await send(system, document)
    const jobs = await Promise.all([...promised.values()].map(({ job_id }) => system.ended(job_id, 120_000)))
    expect(jobs.map(({ status, stage, error }) => ({ status, stage, error }))).toEqual(
      Array(DOCUMENTS).fill({ status: 'completed', stage: 'completed', error: null }),
    )
    const listed = (await system.call('GET', '/library/api/jobs/?limit=200')).body as Job[]
    expect(listed.map(({ job_id }) => job_id).sort()).toEqual(jobs.map(({ job_id }) => job_id).sort())
    const items = (await system.call('GET', '/library/api/items/?limit=200')).body as Item[]
    expect(items.map(({ uid }) => uid).sort()).toEqual(jobs.map(({ item_uid }) => item_uid).sort())
    for (const { name, content } of documents) {
      const chunks = await chunksOf(system, promised.get(name)!.item_uid)
      expect(chunks.map(({ chunk_index }) => chunk_index)).toEqual(chunks.keys().toArray())
      const entries = [...content.matchAll(/Entry (\S+) tells/g)].map(([, entry]) => entry)
      const text = chunks.map((chunk) => chunk.text).join('\n')
      expect(entries.filter((entry) => !text.includes(`Entry ${entry} tells`))).toEqual([])
    }
    const chunks = jobs.reduce((sum, { chunks_created }) => sum + chunks_created, 0)
    const { body: library } = await system.call('GET', `/library/api/libraries/${library_uid}/`)
    expect(library as Library).toMatchObject({ item_count: DOCUMENTS, chunk_count: chunks })
    await expect
      .poll(async () => (await system.blobs()).filter((path) => !path.startsWith('items/')))
      .toEqual([])
    expect(new Set((await system.blobs()).map((path) => path.split('/')[1])).size).toBe(DOCUMENTS)
    await expect.poll(() => system.metric('mnemosyne_outbox_pending'), { timeout: 30_000 }).toBe(0)
    expect(await system.stop()).toBe(0)

    expect(await graphOf(dataDir)).toMatchObject({
      libraries: 1,
      items: DOCUMENTS,
      chunks,
      embeddings: chunks,
      indexed_texts: chunks,
    })
    for (const service of ['auth', 'library', 'ingest'] as const)
      expect(await rowsOf(dataDir, service, 'outbox')).toEqual([])
    expect(await rowsOf(dataDir, 'ingest', 'embedding_cache')).toEqual([])
    expect(await rowsOf(dataDir, 'library', 'item')).toHaveLength(DOCUMENTS)
    expect(readdirSync(join(dataDir, 'work'))).toEqual([])
  },
  60_000 + KILLS * 20_000,
)
