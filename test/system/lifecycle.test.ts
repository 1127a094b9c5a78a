import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, readFileSync } from 'node:fs'
import { get } from 'node:http'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Item, Job, Library, SearchAnswer } from '@mnemosyne/contracts'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { MAIN, RunningSystem, temporaryFolder } from './harness.ts'
import { graphOf, inventedDocument, rowsOf } from './stores.ts'

// Whole processes on a machine that other tests keep busy.
vi.setConfig({ testTimeout: 150_000 })

const SAMPLES = fileURLToPath(new URL('../../samples/', import.meta.url))
const QUERIES = JSON.parse(readFileSync(join(SAMPLES, 'queries.json'), 'utf8')) as {
  query: string
  library: string
  file: string
}[]
const SAMPLE_FILES = 13

function folder(): string {
  const made = temporaryFolder()
  onTestFinished(() => made[Symbol.dispose]())
  return made.path
}

/** Started for one test, and killed if that leaves it running. */
async function start(...args: Parameters<typeof RunningSystem.start>): Promise<RunningSystem> {
  const system = await RunningSystem.start(...args)
  onTestFinished(() => void system.process.kill('SIGKILL'))
  return system
}

async function libraries(system: RunningSystem): Promise<Library[]> {
  return (await system.call('GET', '/library/api/libraries/')).body
}

describe('the first start with samples, and those after it', () => {
  const home = temporaryFolder()
  const dataDir = join(home.path, 'data')
  let first: RunningSystem
  let items: Item[]
  beforeAll(async () => {
    first = await RunningSystem.start(dataDir, { args: [] })
    items = (await first.call('GET', '/library/api/items/?limit=200')).body
  })
  afterAll(async () => {
    first?.process.kill('SIGKILL')
    home[Symbol.dispose]()
  })

  test('makes two libraries of different types, with every sample in them', async () => {
    const made = await libraries(first)
    expect(made.map(({ library_type }) => library_type).sort()).toEqual(['fiction', 'technical'])
    expect(made.reduce((sum, { item_count }) => sum + item_count, 0)).toBe(SAMPLE_FILES)
    expect((await first.call('GET', '/library/api/jobs/?status=failed')).body).toEqual([])
  })

  test.each(QUERIES)('"$query" finds $file', async ({ query, file, library }) => {
    const { candidates } = await first.search(query, { limit: 3 })
    const found = candidates.map(({ item_uid }) => items.find(({ uid }) => uid === item_uid)?.source_ref)
    expect(found).toContain(`sample:${file}`)
    expect(candidates[0]?.library_type).toBe(library)
  })

  test('makes a user, a signing key, and a token that sees the sample libraries and no other', async () => {
    const { body } = await first.mcp('tools/call', { name: 'list_libraries', arguments: {} })
    const { structuredContent } = (body as { result: { structuredContent: { libraries: Library[] } } }).result
    expect(structuredContent.libraries.map(({ uid }) => uid).sort()).toEqual(
      (await libraries(first)).map(({ uid }) => uid).sort(),
    )
    const tokens = (await first.call('GET', '/profile/api/tokens/')).body as {
      allowed_libraries?: string[]
    }[]
    expect(tokens).toHaveLength(1)
  })

  test('has a page, a description of its API, probes and metrics', async () => {
    const page = await first.call('GET', '/', undefined, { token: null })
    expect(page.status).toBe(200)
    expect(page.headers.get('content-type')).toContain('text/html')
    expect(page.text).toContain('/api/docs')
    expect((await first.call('GET', '/api/docs/', undefined, { token: null })).text).toContain('<')
    expect((await first.call('GET', '/live/', undefined, { token: null })).body).toEqual({ status: 'live' })
    const ready = await first.call('GET', '/ready/', undefined, { token: null })
    expect(ready.status).toBe(200)
    expect(ready.body).toMatchObject({ status: 'ready' })
  })

  test('the description of the API is well formed and names every path', async () => {
    const { body } = await first.call('GET', '/api/schema/', undefined, { token: null })
    const document = body as OpenApi
    expect(document.openapi).toMatch(/^3\.1\./)
    expect(faultsOf(document)).toEqual([])
    expect(Object.keys(document.paths)).toEqual(expect.arrayContaining(DOCUMENTED))
  })

  test('Ctrl-C stops it, and the second start finds everything, quickly and without a token', async () => {
    const before = (await libraries(first)).map(({ uid, chunk_count }) => ({ uid, chunk_count }))
    const asked = performance.now()
    expect(await first.stop()).toBe(0)
    expect(performance.now() - asked).toBeLessThan(10_000)

    const begun = performance.now()
    const second = await start(dataDir, { args: [], token: first.token })
    // The bound is five seconds; this machine may be busy with other tests.
    expect(performance.now() - begun).toBeLessThan(10_000)
    expect(second.announced.token).toBeUndefined()
    expect((await libraries(second)).map(({ uid, chunk_count }) => ({ uid, chunk_count }))).toEqual(before)
    expect((await second.search(QUERIES[0]!.query, { limit: 1 })).degraded).toEqual([])
    expect(await second.metric('mnemosyne_embedding_texts_total', { operation: 'passages' })).toBe(0)
    await second.stop()
    expect((await rowsOf<{ kid: string }>(dataDir, 'auth', 'signing_key')).map(({ kid }) => kid)).toEqual([
      'first',
    ])
  })
})

test('a first start that was killed while it took in the samples is completed by the next', async () => {
  const dataDir = join(folder(), 'data')
  let child: ChildProcess | undefined
  const ended = RunningSystem.start(dataDir, {
    args: [],
    onSpawn: (spawned) => {
      child = spawned
    },
  }).catch((error: Error) => error)
  await expect.poll(() => completedJobs(dataDir), { timeout: 60_000, interval: 10 }).toBeGreaterThanOrEqual(3)
  child?.kill('SIGKILL')
  expect(await ended).toBeInstanceOf(Error)

  const second = await start(dataDir, { args: [] })
  expect(second.announced).toMatchObject({ token: expect.stringMatching(/^mnem_/) })
  const made = await libraries(second)
  expect(made.map(({ library_type }) => library_type).sort()).toEqual(['fiction', 'technical'])
  expect(made.reduce((sum, { item_count }) => sum + item_count, 0)).toBe(SAMPLE_FILES)
  const { body } = await second.call('GET', '/library/api/jobs/?limit=200')
  expect((body as Job[]).map(({ status }) => status)).toEqual(Array(SAMPLE_FILES).fill('completed'))
  await second.stop()
  const { items, chunks, embeddings } = await graphOf(dataDir)
  expect({ items, chunks }).toEqual({
    items: SAMPLE_FILES,
    chunks: made.reduce((sum, { chunk_count }) => sum + chunk_count, 0),
  })
  expect(embeddings).toBe(chunks)
})

/** Of a system whose first run is under way: it prints its address only after that, so its socket is asked. */
function completedJobs(dataDir: string): Promise<number> {
  const path = '/library/api/jobs/?status=completed'
  return new Promise((resolve) => {
    get({ socketPath: join(dataDir, 'control.sock'), path }, (answer) => {
      resolve(Number(answer.headers['x-total-count'] ?? 0))
      answer.resume()
    }).on('error', () => resolve(0))
  })
}

test('Ctrl-C in a terminal, where it reaches every process, hands a job in hand back', async () => {
  const dataDir = join(folder(), 'data')
  const first = await start(dataDir, { group: true })
  await first.createWorkspace('ws')
  const text = inventedDocument('Skerry', 30)
  const { body: job } = await first.upload({ workspace_id: 'ws' }, { name: 'log.md', content: text })
  const state = async () => (await first.call('GET', `/library/api/jobs/${job.job_id}/`)).body as Job
  await expect
    .poll(async () => (await state()).progress, { timeout: 60_000, interval: 20 })
    .toBeGreaterThan(26)
  const asked = performance.now()
  const stopped = first.stop()
  // npm passes on what the terminal has sent already.
  first.process.kill('SIGINT')
  expect(await stopped).toBe(0)
  expect(performance.now() - asked).toBeLessThan(10_000)

  const kept = await rowsOf(dataDir, 'ingest', 'embedding_cache')
  expect(kept.length).toBeGreaterThan(0)
  const second = await start(dataDir, { token: first.token })
  const done = await second.ended(job.job_id)
  expect(done).toMatchObject({ status: 'completed', error: null, retry_count: 0 })
  expect(await second.metric('mnemosyne_embedding_texts_total', { operation: 'passages' })).toBe(
    done.chunks_created - kept.length,
  )
  await second.stop()
})

test('--empty, --port and --data-dir; what it prints for people', async () => {
  const home = folder()
  const dataDir = join(home, 'chosen')
  const port = await freePort()
  const up = await upForPeople(['--empty', '--port', String(port), '--data-dir', 'chosen'], {
    cwd: home,
    env: { MNEMOSYNE_DATA_DIR: 'not-this-one' },
  })
  const printed = up.printed()
  expect(printed).toContain(`http://127.0.0.1:${port}/`)
  expect(printed).toContain(dataDir)
  const token = /Token +(mnem_\S+)/.exec(printed)?.[1]
  const response = await fetch(`http://127.0.0.1:${port}/library/api/libraries/`, {
    headers: { authorization: `Bearer ${token}` },
  })
  expect(await response.json()).toEqual([])
  expect(await up.end('SIGTERM')).toBe(0)
  expect(up.printed()).toContain('Stopped.')
})

/** `mnemosyne up` without --json, when it has printed everything. */
async function upForPeople(args: string[], options: { cwd?: string; env?: Record<string, string> }) {
  const child = spawn(process.execPath, [MAIN, 'up', ...args], {
    cwd: options.cwd,
    env: { ...process.env, INIT_CWD: undefined, ...options.env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  let text = ''
  child.stdout.on('data', (piece: Buffer) => {
    text += piece.toString('utf8')
  })
  await expect.poll(() => text, { timeout: 60_000 }).toContain('Ctrl-C stops it.')
  return {
    printed: () => text,
    end: (signal: NodeJS.Signals): Promise<number | null> =>
      new Promise((resolve) => {
        child.once('close', resolve)
        child.kill(signal)
      }),
  }
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}

test('without a model it says so everywhere, finds by text and graph, and embeds when one comes', async () => {
  const home = folder()
  const dataDir = join(home, 'data')
  const modelDir = join(home, 'no-model')
  mkdirSync(modelDir)
  const env = { MNEMOSYNE_MODEL_DIR: modelDir }
  const without = await start(dataDir, { env })
  await without.createWorkspace('ws')
  const manual = readFileSync(join(SAMPLES, 'technical', 'brenna-40-maintenance-and-troubleshooting.md'))
  const { body } = await without.upload({ workspace_id: 'ws' }, { name: 'manual.md', content: manual })
  expect(await without.ended(body.job_id)).toMatchObject({ status: 'completed', embedding_model: null })

  const ready = await without.call('GET', '/ready/')
  expect(ready.status).toBe(200)
  expect(ready.body).toMatchObject({ status: 'degraded' })
  const question = 'How do I stop the pump from losing its prime?'
  const blind = await without.search(question)
  expect(blind.degraded).toEqual([
    expect.objectContaining({ reason: expect.stringContaining('MNEMOSYNE_MODEL_DIR') }),
  ])
  expect(blind.candidates[0]?.section_path.at(-1)).toBe('Stopping the pump from losing its prime')
  expect(sourcesOf(blind)).not.toContain('vector')
  for (const search_types of [['fulltext'], ['graph']])
    expect((await without.search('foot valve', { search_types })).candidates).not.toEqual([])
  const vectorOnly = { query: question, search_types: ['vector'] }
  const refused = await without.call('POST', '/library/api/search/', vectorOnly)
  expect(refused.status).toBe(503)
  expect(refused.text).toContain('MNEMOSYNE_MODEL_DIR')
  await without.stop()

  const people = await upForPeople(['--port', '0', '--data-dir', dataDir], { env })
  expect(people.printed()).toContain('model   none')
  expect(people.printed()).toContain('MNEMOSYNE_MODEL_DIR')
  await people.end('SIGINT')

  const model = await start(dataDir, { token: without.token })
  await expect
    .poll(async () => (await model.search(question, { search_types: ['vector'] })).candidates.length, {
      timeout: 60_000,
    })
    .toBeGreaterThan(0)
  await expect
    .poll(async () => (await model.call('GET', `/library/api/jobs/${body.job_id}/`)).body as Job)
    .toMatchObject({ status: 'completed', embedding_model: 'bge-small-en-v1.5-q' })
  const { body: items } = await model.call('GET', '/library/api/items/')
  expect((items as Item[]).map(({ embedding_model }) => embedding_model)).toEqual(['bge-small-en-v1.5-q'])
  expect((await model.search(question)).degraded).toEqual([])
  await model.stop()
})

const sourcesOf = (answer: SearchAnswer) =>
  [...new Set(answer.candidates.flatMap(({ sources }) => sources))].sort()

/** What other programs rely on. */
const DOCUMENTED = [
  '/library/api/workspaces/',
  '/library/api/workspaces/{workspace_id}/',
  '/library/api/libraries/',
  '/library/api/libraries/{uid}/',
  '/library/api/items/',
  '/library/api/items/upload/',
  '/library/api/items/{uid}/',
  '/library/api/items/{uid}/chunks/',
  '/library/api/ingest/',
  '/library/api/jobs/',
  '/library/api/jobs/{job_id}/',
  '/library/api/jobs/{job_id}/retry/',
  '/library/api/jobs/{job_id}/cancel/',
  '/library/api/jobs/{job_id}/events/',
  '/library/api/search/',
  '/profile/api/tokens/',
]

interface OpenApi {
  openapi: string
  info: { title: string; version: string }
  paths: Record<string, Record<string, Operation>>
}
interface Operation {
  operationId?: string
  parameters?: { in: string; name: string; required?: boolean }[]
  responses?: Record<string, { description?: string; $ref?: string }>
}

/** Breaches of the rules of OpenAPI 3.1 that a JSON schema of it would tell, and some that it would not. */
function faultsOf(document: OpenApi): string[] {
  const faults: string[] = []
  const seen = new Set<string>()
  if (!document.info?.title || !document.info?.version) faults.push('info')
  for (const [path, item] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(item)) {
      const where = `${method} ${path}`
      if (!/^(get|put|post|delete|options|head|patch|trace)$/.test(method)) faults.push(`${where}: method`)
      const id = operation.operationId ?? ''
      if (id === '' || seen.has(id)) faults.push(`${where}: operationId "${id}"`)
      seen.add(id)
      const named = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name)
      const declared = (operation.parameters ?? []).filter((parameter) => parameter.in === 'path')
      if (declared.some(({ required }) => required !== true)) faults.push(`${where}: optional in path`)
      if (
        declared
          .map(({ name }) => name)
          .sort()
          .join() !== named.sort().join()
      )
        faults.push(`${where}: path`)
      const responses = Object.entries(operation.responses ?? {})
      if (responses.length === 0) faults.push(`${where}: responses`)
      for (const [status, response] of responses) {
        if (!/^([1-5]\d\d|default)$/.test(status)) faults.push(`${where}: ${status}`)
        if (response.description === undefined && !response.$ref)
          faults.push(`${where}: ${status} undescribed`)
      }
    }
  }
  for (const pointer of JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)) {
    if (resolvePointer(document, pointer[1]!) === undefined) faults.push(`${pointer[1]}: leads nowhere`)
  }
  return faults
}

function resolvePointer(document: unknown, pointer: string): unknown {
  if (!pointer.startsWith('#/')) return undefined
  return pointer
    .slice(2)
    .split('/')
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .reduce<unknown>((at, part) => (at as Record<string, unknown> | undefined)?.[part], document)
}
