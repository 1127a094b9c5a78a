import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  createReadStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createLog } from '@mnemosyne/platform'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { DEFAULT_MODEL } from './default-model.ts'
import { type FindModelOptions, findModel, modelCacheDir } from './find-model.ts'
import { modelForSuite } from './testing/test-model.ts'

const log = createLog({ component: 'test', level: 'silent' })
const real = await modelForSuite('find the model')
let scratch: string
let cacheDir: string
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'mnemosyne-find-'))
  cacheDir = join(scratch, 'models')
})
afterEach(() => rmSync(scratch, { recursive: true }))

function find(more: Partial<FindModelOptions> = {}) {
  return findModel({ cacheDir, hubUrl: '', maven: '', log, ...more })
}

describe('where no model can be had', () => {
  it('names every source, why it gave nothing, and what to do', async () => {
    const found = await find({ hubUrl: 'http://127.0.0.1:9', maven: join(scratch, 'mvn') })
    expect(found).toMatchObject({
      kind: 'missing',
      tried: [
        { source: join(cacheDir, DEFAULT_MODEL.name), reason: 'not there yet' },
        { source: 'Hugging Face hub', reason: expect.stringMatching(/^127\.0\.0\.1:9 could not be read/) },
        { source: 'Maven', reason: 'there is no mvn command here' },
      ],
      whatToDo: expect.stringContaining('MNEMOSYNE_MODEL_DIR'),
    })
    expect(readdirSync(cacheDir)).toEqual([])
  })

  it('gives up in seconds where the network swallows everything', async () => {
    const swallow: typeof fetch = (_, init) =>
      new Promise((_, reject) => {
        init?.signal?.addEventListener('abort', () => reject(init.signal?.reason))
      })
    const started = performance.now()
    const found = await find({ hubUrl: 'https://hub.invalid', fetch: swallow })
    expect(performance.now() - started).toBeLessThan(6_000)
    expect(found).toMatchObject({
      kind: 'missing',
      reason: expect.stringContaining('did not answer within 4 s'),
    })
  })

  it('says so for an address that is none', async () => {
    expect(await find({ hubUrl: 'huggingface' })).toMatchObject({
      reason: expect.stringContaining('HF_ENDPOINT'),
    })
  })

  it('tells the error of Maven without the password of its repository', async () => {
    const mvn = join(scratch, 'mvn')
    writeFileSync(
      mvn,
      "#!/bin/sh\necho '[ERROR] no such artifact at https://me:secret@repo.example/x'\nexit 1\n",
      { mode: 0o755 },
    )
    expect(await find({ maven: mvn })).toMatchObject({
      tried: [{}, {}, { source: 'Maven', reason: 'no such artifact at https://repo.example/x' }],
    })
  })

  it('rejects when aborted', async () => {
    const signal = AbortSignal.abort(new Error('stopped'))
    await expect(find({ hubUrl: 'http://127.0.0.1:9', signal })).rejects.toThrow('stopped')
  })

  it('takes no other model for a folder that was asked for and cannot be used', async () => {
    const modelDir = join(scratch, 'mine')
    mkdirSync(modelDir)
    expect(await find({ modelDir })).toMatchObject({
      kind: 'missing',
      reason: expect.stringContaining('MNEMOSYNE_MODEL_DIR: No .onnx file'),
    })
  })
})

describe.skipIf(!real)('find the model', () => {
  let hubUrl: string
  let requests = 0
  let mode: 'good' | 'breaks' | 'wrong' = 'good'
  const server = createServer((request, response) => {
    requests++
    const { repository, commit } = DEFAULT_MODEL.hub
    const file = DEFAULT_MODEL.files.find(
      ({ hubPath }) => request.url === `/${repository}/resolve/${commit}/${hubPath}`,
    )
    if (!file) return response.writeHead(404).end()
    if (mode === 'wrong') return response.end(Buffer.alloc(file.bytes, 7))
    const start = Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0)
    const end = mode === 'breaks' && start === 0 ? Math.floor(file.bytes / 2) : file.bytes - 1
    const range = { 'content-range': `bytes ${start}-${file.bytes - 1}/${file.bytes}` }
    response.writeHead(start > 0 ? 206 : 200, {
      'content-length': file.bytes - start,
      ...(start > 0 && range),
    })
    createReadStream(join(real!, file.file), { start, end })
      .on('end', () => (end < file.bytes - 1 ? setImmediate(() => response.destroy()) : response.end()))
      .pipe(response, { end: false })
  })
  beforeAll(async () => {
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    hubUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  })
  afterAll(() => server.close())
  beforeEach(() => {
    requests = 0
    mode = 'good'
  })
  const inCache = () => readdirSync(join(cacheDir, DEFAULT_MODEL.name)).toSorted()
  const WHOLE = ['mnemosyne.json', 'model.onnx', 'tokenizer.json']

  it('installs from the hub, then finds it in the cache', async () => {
    const progress: number[] = []
    const first = await find({ hubUrl, onProgress: ({ received, total }) => progress.push(received / total) })
    expect(first).toMatchObject({ kind: 'found', source: 'hub', name: DEFAULT_MODEL.name })
    expect(progress.at(-1)).toBe(1)
    expect(inCache()).toEqual(WHOLE)
    expect(readdirSync(cacheDir)).toEqual([DEFAULT_MODEL.name])
    requests = 0
    expect(await find({ hubUrl })).toMatchObject({ kind: 'found', source: 'cache' })
    expect(requests).toBe(0)
  })

  it('installs from a hub that breaks off half way', async () => {
    mode = 'breaks'
    expect(await find({ hubUrl })).toMatchObject({ kind: 'found', source: 'hub' })
    expect(requests).toBe(4)
  })

  it('refuses other files from the hub and throws them away', async () => {
    mode = 'wrong'
    expect(await find({ hubUrl })).toMatchObject({
      kind: 'missing',
      reason: expect.stringContaining('another file'),
    })
    expect(readdirSync(cacheDir)).toEqual([])
  })

  it('replaces a model in the cache that is damaged', async () => {
    const dir = join(cacheDir, DEFAULT_MODEL.name)
    mkdirSync(dir, { recursive: true })
    writeFileSync(join(dir, 'model.onnx'), 'half a model')
    expect(await find({ hubUrl })).toMatchObject({ kind: 'found', source: 'hub' })
    expect(statSync(join(dir, 'model.onnx')).size).toBe(DEFAULT_MODEL.files[1]!.bytes)
    expect(readdirSync(cacheDir)).toEqual([DEFAULT_MODEL.name])
  })

  it('serves several processes that search at once', async () => {
    const code = `
      const { findModel } = await import(${JSON.stringify(new URL('./find-model.ts', import.meta.url).href)})
      const log = { info() {}, warn() {} }
      const found = await findModel({ cacheDir: ${JSON.stringify(cacheDir)}, hubUrl: '${hubUrl}', maven: '', log })
      console.log(found.kind)`
    const results = await Promise.all([1, 2, 3].map(() => run(code)))
    expect(results).toEqual(['found', 'found', 'found'])
    expect(inCache()).toEqual(WHOLE)
    expect(readdirSync(cacheDir)).toEqual([DEFAULT_MODEL.name])
  })

  it('uses a folder that was asked for', async () => {
    expect(await find({ modelDir: real, hubUrl })).toEqual({
      kind: 'found',
      source: 'folder',
      dir: real,
      name: DEFAULT_MODEL.name,
    })
    expect(existsSync(cacheDir)).toBe(false)
  })
})

it.each([
  [{ MNEMOSYNE_CACHE_DIR: '/var/cache/m' }, /^\/var\/cache\/m\/models$/],
  [{ MNEMOSYNE_CACHE_DIR: '' }, /\.cache\/mnemosyne\/models$/],
  [{}, /\.cache\/mnemosyne\/models$/],
])('keeps models under the cache folder: %o', (env, expected) => {
  expect(modelCacheDir(env)).toMatch(expected)
})

async function run(code: string): Promise<string> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  for await (const chunk of child.stdout) output += chunk
  return output.trim()
}
