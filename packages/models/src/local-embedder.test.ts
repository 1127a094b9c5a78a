import { type ChildProcess, spawn } from 'node:child_process'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createLog, Metrics } from '@mnemosyne/platform'
import { Registry } from 'prom-client'
import { afterAll, describe, expect, it } from 'vitest'
import { openLocalEmbedder } from './local-embedder.ts'
import { embedderContract } from './testing/embedding-contract.ts'
import { modelForSuite } from './testing/test-model.ts'
import { openTokenizer } from './tokenizer.ts'

const log = createLog({ component: 'test', level: 'silent' })
const dir = await modelForSuite('local embedder')
const scratch = mkdtempSync(join(tmpdir(), 'mnemosyne-model-'))
afterAll(() => rmSync(scratch, { recursive: true }))

function open(modelDir = dir!, processes = 2, registry = new Registry()) {
  return openLocalEmbedder({ modelDir, processes, log, metrics: new Metrics(registry, 'test') })
}

/** A folder with the real model's files under the names given, and settings. */
function folder(
  name: string,
  files: Record<string, 'model.onnx' | 'tokenizer.json'>,
  settings?: unknown,
): string {
  const path = join(scratch, name)
  mkdirSync(join(path, 'onnx'), { recursive: true })
  for (const [file, original] of Object.entries(files)) symlinkSync(join(dir!, original), join(path, file))
  if (settings) writeFileSync(join(path, 'mnemosyne.json'), JSON.stringify(settings))
  return path
}

describe.skipIf(!dir)('local embedder', () => {
  embedderContract('local, two processes', () => open())
  embedderContract('local, one process', () => open(dir, 1))

  it('knows bge by its weights, in a folder of any layout and name', async () => {
    const layouts = [
      folder('flat', { 'model_quantized.onnx': 'model.onnx', 'tokenizer.json': 'tokenizer.json' }),
      folder('hub', { 'onnx/model_quantized.onnx': 'model.onnx', 'tokenizer.json': 'tokenizer.json' }),
      folder('jar', { 'bge.onnx': 'model.onnx', 'bge-tokenizer.json': 'tokenizer.json' }),
    ]
    await using usual = await open()
    const expected = await usual.embedQuery('the same')
    for (const layout of layouts) {
      await using embedder = await open(layout, 1)
      expect(embedder.model).toEqual(usual.model)
      expect(await embedder.embedQuery('the same')).toEqual(expected)
    }
  })

  it('puts the query prefix before queries and nothing before passages', async () => {
    await using embedder = await open()
    const prefix = 'Represent this sentence for searching relevant passages: '
    const [prefixed, plain] = await embedder.embedPassages([`${prefix}tide tables`, 'tide tables'])
    expect(await embedder.embedQuery('tide tables')).toEqual(prefixed)
    expect(plain).not.toEqual(prefixed)
  })

  it('gives models that make other vectors another revision', async () => {
    const files = { 'model.onnx': 'model.onnx', 'tokenizer.json': 'tokenizer.json' } as const
    await using usual = await open(dir, 1)
    await using mean = await open(
      folder('mean', files, { pooling: 'mean', maxTokens: 128, name: 'other' }),
      1,
    )
    expect(mean.model).toMatchObject({ name: 'other', maxTokens: 128, dimensions: 384 })
    expect(mean.model.revision).not.toBe(usual.model.revision)
    const [a, b] = [await usual.embedPassages(['a text']), await mean.embedPassages(['a text'])]
    expect(a).not.toEqual(b)
  })

  it('counts as the synchronous tokenizer does', async () => {
    await using embedder = await open(dir, 1)
    const texts = ['', 'unbelievably long-winded', 'a\0b 漢字', 'x '.repeat(2_000)]
    const tokenizer = openTokenizer(dir!)
    expect(await embedder.countTokens(texts)).toEqual(texts.map(tokenizer.count))
    expect(tokenizer.encode('x '.repeat(2_000), 512)).toHaveLength(512)
  })

  it('embeds no query whose caller has left while it waited', async () => {
    const registry = new Registry()
    await using embedder = await open(dir, 1, registry)
    const caller = new AbortController()
    const left = Array.from({ length: 100 }, (_, n) =>
      embedder.embedQuery(`${n} ${'long '.repeat(500)}`, { signal: caller.signal }),
    )
    expect(await registry.metrics()).toMatch(/embedding_queue_length\{component="test"\} 98\b/)
    caller.abort(new Error('left'))
    for (const one of await Promise.allSettled(left)) expect(one.status).toBe('rejected')
    expect(await registry.metrics()).toMatch(/embedding_queue_length\{component="test"\} 0\b/)
    expect(await embedder.embedQuery('who stays')).toHaveLength(384)
  })

  it('replaces a process that dies; calls in hand fail as retryable', async () => {
    const children: ChildProcess[] = []
    const watch = (message: unknown) => void children.push((message as { process: ChildProcess }).process)
    subscribe('child_process', watch)
    await using embedder = await open()
    unsubscribe('child_process', watch)
    const bulk = embedder.embedPassages(Array(200).fill('some passage that takes a while'))
    const failed = expect(bulk).rejects.toMatchObject({ code: 'embedder_crashed', retryable: true })
    await embedder.ping()
    for (const child of children) child.kill('SIGKILL')
    await failed
    expect(await embedder.embedPassages(['again', 'and again'])).toHaveLength(2)
  })

  it('rejects rather than waits for ever when the model is gone for good', async () => {
    const children: ChildProcess[] = []
    const watch = (message: unknown) => void children.push((message as { process: ChildProcess }).process)
    const files = { 'model.onnx': 'model.onnx', 'tokenizer.json': 'tokenizer.json' } as const
    const path = folder('vanishing', files)
    subscribe('child_process', watch)
    await using embedder = await open(path, 1)
    unsubscribe('child_process', watch)
    rmSync(path, { recursive: true })
    children[0]!.kill('SIGKILL')
    const call = () => embedder.embedPassages(['x'])
    await expect(call()).rejects.toMatchObject({ code: 'embedder_crashed' })
    folder('vanishing', files)
    await expect
      .poll(
        () =>
          call().then(
            (vectors) => vectors.length,
            () => 0,
          ),
        { timeout: 20_000 },
      )
      .toBe(1)
  })

  it('leaves no process behind when its own is killed', async () => {
    const code = `
      const { subscribe } = await import('node:diagnostics_channel')
      const { openLocalEmbedder } = await import(${JSON.stringify(new URL('./local-embedder.ts', import.meta.url).href)})
      subscribe('child_process', ({ process }) => console.log(process.pid))
      const none = () => {}
      const metrics = { counter: () => none, gauge: () => none, histogram: () => none }
      const log = { info: none, error: none }
      const embedder = await openLocalEmbedder({ modelDir: ${JSON.stringify(dir)}, processes: 2, log, metrics })
      embedder.embedPassages(Array(1000).fill('long '.repeat(500)))
      await embedder.ping()
      process.kill(process.pid, 'SIGKILL')`
    const parent = spawn(process.execPath, ['--input-type=module', '-e', code], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let output = ''
    for await (const chunk of parent.stdout) output += chunk
    const pids = output.trim().split('\n').map(Number)
    expect(pids).toHaveLength(2)
    await expect.poll(() => pids.filter(isRunning), { timeout: 10_000 }).toEqual([])
  })

  it('measures calls, cache and queue', async () => {
    const registry = new Registry()
    await using embedder = await open(dir, 1, registry)
    await embedder.embedPassages(['one', 'two'])
    await embedder.embedQuery('q')
    await embedder.embedQuery('q')
    await embedder.embedQuery('q', { cache: false })
    await embedder.embedPassages(['x'], { signal: AbortSignal.abort() }).catch(() => {})
    const text = await registry.metrics()
    expect(text).toContain(
      'mnemosyne_embedding_calls_total{component="test",operation="passages",outcome="ok"} 1',
    )
    expect(text).toContain(
      'mnemosyne_embedding_calls_total{component="test",operation="passages",outcome="error"} 1',
    )
    expect(text).toContain('mnemosyne_embedding_texts_total{component="test",operation="passages"} 2')
    expect(text).toContain('mnemosyne_embedding_query_cache_total{component="test",outcome="hit"} 1')
    expect(text).toContain('mnemosyne_embedding_query_cache_total{component="test",outcome="miss"} 1')
    expect(text).toContain('mnemosyne_embedding_queue_length{component="test"} 0')
  })
})

describe('a folder without a usable model', () => {
  const cases: [string, Record<string, string>, RegExp][] = [
    ['nothing', {}, /No \.onnx file/],
    ['no tokenizer', { 'model.onnx': 'x' }, /No tokenizer\.json/],
    ['several models', { 'a.onnx': 'x', 'b.onnx': 'x', 'tokenizer.json': '{}' }, /Several \.onnx files/],
    [
      'bad settings',
      { 'model.onnx': 'x', 'tokenizer.json': '{}', 'mnemosyne.json': '{"pooling":"max"}' },
      /not understood/,
    ],
    [
      'settings that escape',
      { 'model.onnx': 'x', 'mnemosyne.json': '{"weights":"../x.onnx"}' },
      /not understood/,
    ],
    ['settings that are no JSON', { 'model.onnx': 'x', 'mnemosyne.json': '{' }, /not JSON/],
    [
      'an odd pooling',
      { 'model.onnx': 'x', 'tokenizer.json': '{}', '1_Pooling.json': '' },
      /cannot be used|not a tokenizer/,
    ],
    ['weights that are no model', { 'model.onnx': 'x', 'tokenizer.json': '{}' }, /cannot be used/],
  ]
  it.each(cases)('%s is refused with what to do', async (name, files, message) => {
    const path = join(scratch, name)
    mkdirSync(path)
    for (const [file, content] of Object.entries(files)) writeFileSync(join(path, file), content)
    if (dir && name.startsWith('weights'))
      copyFileSync(join(dir, 'tokenizer.json'), join(path, 'tokenizer.json'))
    const error = await open(path, 1).catch((error: unknown) => error)
    expect(error).toMatchObject({ code: 'model_unusable', message: expect.stringMatching(message) })
  })

  it('a folder that is not there is refused', async () => {
    await expect(open(join(scratch, 'nowhere'), 1)).rejects.toMatchObject({ code: 'model_unusable' })
  })
})

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
