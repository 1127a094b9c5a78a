import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createLog, Metrics, startTracing } from '@mnemosyne/platform'
import { Registry } from 'prom-client'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type EndpointEmbedderOptions, openEndpointEmbedder } from './endpoint-embedder.ts'
import { openLocalEmbedder } from './local-embedder.ts'
import type { Embedder } from './port.ts'
import { embedderContract } from './testing/embedding-contract.ts'
import {
  type EmbeddingServer,
  type EmbeddingServerOptions,
  type Item,
  startEmbeddingServer,
} from './testing/embedding-server.ts'
import type { Fault as FaultOf } from './testing/model-server.ts'
import { modelForSuite } from './testing/test-model.ts'

type Fault = FaultOf<Item>

const silent = createLog({ component: 'test', level: 'silent' })
const dir = await modelForSuite('endpoint over the local model')
const KEY = 'sk-test-0123456789abcdefghij'

function open(server: { url: string }, more: Partial<EndpointEmbedderOptions> = {}) {
  return openEndpointEmbedder({
    baseUrl: server.url,
    model: 'hashed',
    firstRetryMs: 5,
    breakMs: 100,
    log: silent,
    metrics: new Metrics(new Registry(), 'test'),
    ...more,
  })
}

/** Hashed vectors of 64 dimensions, and an embedder that knows the length. */
async function world(server: EmbeddingServerOptions = {}, more: Partial<EndpointEmbedderOptions> = {}) {
  const started = await startEmbeddingServer({ dimensions: 64, ...server })
  const embedder = await open(started, { dimensions: 64, ...more })
  return {
    server: started,
    embedder,
    async [Symbol.asyncDispose]() {
      await embedder.close()
      await started.close()
    },
  }
}

const refusal = (call: Promise<unknown>) =>
  call.then(
    () => expect.fail('it did not reject'),
    (error: Error & { code: string; retryable: boolean }) => error,
  )

describe('endpoint with hashed vectors', () => {
  let server: EmbeddingServer
  beforeAll(async () => {
    server = await startEmbeddingServer({ dimensions: 384 })
  })
  afterAll(() => server.close())
  embedderContract('endpoint, hashed vectors', () => open(server))
  embedderContract('endpoint, a model that takes instructions', () => open(server, { model: 'e5-instruct' }))
})

describe.skipIf(!dir)('endpoint over the local model', () => {
  let local: Embedder
  let server: EmbeddingServer
  beforeAll(async () => {
    local = await openLocalEmbedder({
      modelDir: dir!,
      log: silent,
      metrics: new Metrics(new Registry(), 'server'),
    })
    server = await startEmbeddingServer({ embedder: local })
  })
  afterAll(async () => {
    await server?.close()
    await local?.close()
  })
  // A server that answers in order, as fast as these cores are: what it is given at once is what a query waits for.
  embedderContract('endpoint, bge', () =>
    open(server, { model: 'bge-small-en-v1.5', tokenizerDir: dir!, concurrency: 2 }),
  )

  it('makes the vectors that the model makes here, query prefix included', async () => {
    await using embedder = await open(server, { model: 'BAAI/bge-small-en-v1.5' })
    const [there, here] = [await embedder.embedPassages(['a tide']), await local.embedPassages(['a tide'])]
    expect(dot(there[0]!, here[0]!)).toBeCloseTo(1, 5)
    const query = await embedder.embedQuery('when is low tide?')
    expect(dot(query, await local.embedQuery('when is low tide?'))).toBeCloseTo(1, 5)
  })

  it('counts by the tokenizer where it has it', async () => {
    await using embedder = await open(server, { tokenizerDir: dir! })
    const texts = ['unbelievably long-winded', 'Donaudampfschifffahrt']
    expect(await embedder.countTokens(texts)).toEqual(await local.countTokens(texts))
  })
})

describe('opening', () => {
  it('asks the model for its dimensions, once', async () => {
    await using server = await startEmbeddingServer({ dimensions: 48 })
    await using embedder = await open(server)
    expect(embedder.model).toMatchObject({ name: 'hashed', dimensions: 48, takesInstructions: false })
    expect(server.requests).toHaveLength(1)
  })

  it('asks nothing when it is told, and works when the endpoint comes up', async () => {
    const gone = await startEmbeddingServer({ dimensions: 64 })
    await gone.close()
    await using embedder = await open(gone, { dimensions: 64 })
    expect(await refusal(embedder.embedQuery('q'))).toMatchObject({
      code: 'endpoint_unavailable',
      retryable: true,
    })
    await using _ = await startEmbeddingServer({ dimensions: 64, port: Number(new URL(gone.url).port) })
    await expect.poll(() => embedder.embedQuery('q').catch(() => undefined)).toHaveLength(64)
  })

  it('rejects as retryable when it has to ask and nobody answers', async () => {
    const gone = await startEmbeddingServer({})
    await gone.close()
    expect(await refusal(open(gone))).toMatchObject({ code: 'endpoint_unavailable', retryable: true })
  })

  it.each([
    ['no address', { baseUrl: 'localhost' }],
    ['another protocol', { baseUrl: 'ftp://host/v1' }],
    ['a password in the address', { baseUrl: 'http://user:pass@host/v1' }],
    ['a query in the address', { baseUrl: 'http://host/v1?x=1' }],
    ['no model', { model: '' }],
    ['a key with a line break', { apiKey: 'one\ntwo' }],
  ])('refuses %s', async (_, options) => {
    const error = await refusal(open({ url: 'http://127.0.0.1:1/v1' }, options))
    expect(error).toMatchObject({ code: 'endpoint_invalid', retryable: false })
    expect(error.message).not.toMatch(/pass@|one/)
  })

  it.each([
    ['missing', '', /has no \/v1 .* want .*\d\/v1\./],
    ['doubled', '/v1/v1', /has \/v1 twice\. Set it to .*\d\/v1\./],
    ['followed by what is appended', '/v1/embeddings', /\/embeddings is appended .* Set it to .*\d\/v1\./],
  ])('explains an address whose /v1 is %s', async (_, path, message) => {
    await using server = await startEmbeddingServer({})
    const error = await refusal(open({ url: server.url.replace('/v1', path) }))
    expect(error).toMatchObject({ code: 'endpoint_misconfigured', message: expect.stringMatching(message) })
  })

  it('takes an address with a slash at its end', async () => {
    await using server = await startEmbeddingServer({})
    await using embedder = await open({ url: `${server.url}/` })
    await embedder.ping()
  })

  it('gives another revision to another model or length, and none to another address', async () => {
    const at = (url: string, more: Partial<EndpointEmbedderOptions>) =>
      open({ url }, { dimensions: 64, ...more })
    await using one = await at('http://one/v1', {})
    await using moved = await at('https://two:8080/v1', { apiKey: 'k', timeoutMs: 5 })
    await using other = await at('http://one/v1', { model: 'other' })
    await using short = await at('http://one/v1', { dimensions: 32 })
    await using prefixed = await at('http://one/v1', { passagePrefix: 'passage: ' })
    expect(moved.model.revision).toBe(one.model.revision)
    const revisions = [one, other, short, prefixed].map(({ model }) => model.revision)
    expect(new Set(revisions).size).toBe(4)
  })
})

describe('what is sent', () => {
  const instruction = 'Find the clause.'
  it.each([
    ['BAAI/bge-small-en-v1.5', 'Represent this sentence for searching relevant passages: q', 'p'],
    ['text-embedding-3-small', 'q', 'p'],
    ['intfloat/multilingual-e5-base', 'query: q', 'passage: p'],
    ['qwen3-embedding:0.6b', `Instruct: ${instruction}\nQuery: q`, `Instruct: ${instruction}\nPassage: p`],
    ['some-model', 'q', 'p'],
  ])('%s gets its form of query and passage', async (model, query, passage) => {
    await using it = await world({}, { model })
    await it.embedder.embedQuery('q', { instruction })
    await it.embedder.embedPassages(['p'], { instruction })
    expect(it.server.requests.map(({ texts }) => texts)).toEqual([[query], [passage]])
    expect(it.embedder.model.takesInstructions).toBe(query.startsWith('Instruct'))
  })

  it('keeps the instruction from passages where it is for queries only', async () => {
    await using it = await world({}, { instructions: 'queries' })
    await it.embedder.embedQuery('q', { instruction })
    await it.embedder.embedPassages(['p'], { instruction })
    expect(it.server.requests[0]!.texts).toEqual([`Instruct: ${instruction}\nQuery: q`])
    expect(it.server.requests[1]!.texts).toEqual(['p'])
  })

  it('asks for the dimensions it was given, until the model refuses', async () => {
    await using it = await world()
    const body = { error: { message: 'Model does not support matryoshka representation.' } }
    it.server.fail({ status: 400, body }, 1)
    await it.embedder.embedPassages(['one'])
    await it.embedder.embedPassages(['two'])
    expect(it.server.requests.map(({ dimensions }) => dimensions)).toEqual([64, undefined, undefined])
  })

  it('sends the key in the header, and keeps connections', async () => {
    await using it = await world({ apiKey: KEY }, { apiKey: KEY, concurrency: 1 })
    for (let n = 0; n < 20; n++) await it.embedder.embedPassages([`text ${n}`])
    expect(it.server.requests.every(({ authorization }) => authorization === `Bearer ${KEY}`)).toBe(true)
    expect(it.server.connections).toBeLessThanOrEqual(2)
  })

  it('cuts what is longer than the model reads', async () => {
    await using it = await world({}, { maxTokens: 20 })
    await it.embedder.embedPassages(['word '.repeat(1_000)])
    const [text] = it.server.requests[0]!.texts
    const [tokens] = await it.embedder.countTokens([text!])
    expect(tokens).toBe(18)
  })
})

describe('answers', () => {
  const scrambled: [string, (data: Item[]) => unknown][] = [
    ['out of order', (data) => ({ data: data.toReversed() })],
    ['without an index', (data) => ({ data: data.map(({ embedding }) => ({ embedding })) })],
    [
      'in base64',
      (data) => ({
        data: data.map(({ index, embedding }) => ({
          index,
          embedding: Buffer.from(new Float32Array(embedding as number[]).buffer).toString('base64'),
        })),
      }),
    ],
    [
      'not normalised',
      (data) => ({
        data: data.map((item) => ({ ...item, embedding: (item.embedding as number[]).map((x) => x * 40) })),
      }),
    ],
  ]
  it.each(scrambled)('are understood %s', async (_, reply) => {
    await using it = await world()
    const texts = ['one', 'two words', 'three words here']
    const plain = await it.embedder.embedPassages(texts)
    it.server.fail({ reply })
    const vectors = await it.embedder.embedPassages(texts)
    for (const [n, vector] of vectors.entries()) expect(dot(vector, plain[n]!)).toBeCloseTo(1, 5)
  })

  const first = (change: (item: Item) => object) => (data: Item[]) => ({
    data: data.map((item, n) => (n === 0 ? { ...item, ...change(item) } : item)),
  })
  const invalid: [string, Fault, RegExp][] = [
    ['too few vectors', { reply: (data) => ({ data: data.slice(1) }) }, /2 vectors for 3 texts/],
    ['too many', { reply: (data) => ({ data: [...data, data[0]] }) }, /4 vectors/],
    ['an index twice', { reply: first(() => ({ index: 1 })) }, /index 1 twice/],
    ['an index out of range', { reply: first(() => ({ index: 7 })) }, /index 7/],
    ['null among numbers', { reply: first(() => ({ embedding: [null, 1] })) }, /no number/],
    ['NaN in base64', { reply: first(() => ({ embedding: base64([Number.NaN, 1]) })) }, /no number/],
    ['infinity', { reply: first(() => ({ embedding: Array(64).fill(1e300) })) }, /no number/],
    ['zeros', { reply: first(() => ({ embedding: Array(64).fill(0) })) }, /zeros/],
    ['no vector', { reply: first(() => ({ embedding: { no: 'vector' } })) }, /no vector/],
    ['another shape', { reply: () => ({ embeddings: [[1, 2]] }) }, /list of embeddings/],
    ['NaN, which is no JSON', { status: 200, body: '{"data":[{"embedding":[NaN]}]}' }, /not JSON/],
    ['more than was asked for', { status: 200, body: ' '.repeat(1_000_000) }, /far more/],
  ]
  it.each(invalid)('with %s are refused', async (_, fault, message) => {
    await using it = await world()
    it.server.fail(fault)
    const error = await refusal(it.embedder.embedPassages(['one', 'two', 'three']))
    expect(error).toMatchObject({ code: 'endpoint_reply_invalid', retryable: false })
    expect(error.message).toMatch(message)
    expect(it.server.requests).toHaveLength(1)
  })

  it('of another length are refused, as a matter of configuration', async () => {
    await using it = await world({ dimensions: 32 })
    const error = await refusal(it.embedder.embedPassages(['x']))
    expect(error).toMatchObject({ code: 'endpoint_misconfigured', retryable: true })
    expect(error.message).toMatch(/32 dimensions where 64 are expected/)
  })
})

describe('faults', () => {
  const html = { 'content-type': 'text/html' }
  const faults: [string, Fault, string, RegExp, number][] = [
    ['a 500', { status: 500 }, 'endpoint_unavailable', /answered 500 \(fault 500\)/, 4],
    ['a 503 page', { status: 503, headers: html, body: '<p>x' }, 'endpoint_unavailable', /answered 503\./, 4],
    ['a broken connection', 'close', 'endpoint_unavailable', /cannot be reached \(\w+\)/, 4],
    ['an answer cut off', 'cut-off', 'endpoint_unavailable', /cannot be reached/, 4],
    ['silence', 'hang', 'endpoint_unavailable', /did not answer within 0\.3 s/, 1],
    ['a 429', { status: 429 }, 'endpoint_busy', /answered 429/, 4],
    [
      'a 429 for an hour',
      { status: 429, headers: { 'retry-after': '3600' } },
      'endpoint_busy',
      /answered 429/,
      1,
    ],
    ['a wrong key', { status: 401 }, 'endpoint_misconfigured', /EMBEDDING_API_KEY/, 1],
    [
      'an unknown model',
      { status: 404, body: { error: { message: 'model "x" not found, try pulling it first' } } },
      'endpoint_misconfigured',
      /try pulling it first\).*EMBEDDING_MODEL/,
      1,
    ],
    [
      'an unknown model by 400',
      { status: 400, body: { error: { message: 'The model `x` does not exist.' } } },
      'endpoint_misconfigured',
      /EMBEDDING_MODEL/,
      1,
    ],
    [
      'a web page',
      { status: 200, headers: html, body: '<html>' },
      'endpoint_misconfigured',
      /web page answers/,
      1,
    ],
    [
      'a redirect',
      { status: 302, headers: { location: '/login' } },
      'endpoint_misconfigured',
      /answered 302/,
      1,
    ],
    [
      'a refusal',
      { status: 400, body: { error: 'unsupported input' } },
      'endpoint_refused',
      /\(unsupported input\)/,
      1,
    ],
  ]
  it.each(faults)('%s is told as such', async (_, fault, code, message, requests) => {
    await using it = await world({}, { timeoutMs: 300, breakAfter: 100 })
    it.server.fail(fault)
    const error = await refusal(it.embedder.embedPassages(['a passage']))
    expect(error).toMatchObject({ code, retryable: code !== 'endpoint_refused' })
    expect(error.message).toMatch(message)
    expect(it.server.requests).toHaveLength(requests)
    it.server.recover()
    expect(await it.embedder.embedPassages(['a passage'])).toHaveLength(1)
  })

  it('that pass are not noticed', async () => {
    const registry = new Registry()
    await using it = await world({}, { metrics: new Metrics(registry, 'test') })
    it.server.fail({ status: 503 }, 2)
    expect(await it.embedder.embedPassages(['x'])).toHaveLength(1)
    const metric = 'mnemosyne_embedding_retries_total{component="test",reason="endpoint_unavailable"} 2'
    expect(await registry.metrics()).toContain(metric)
  })

  it('waits as long as a busy endpoint asks', async () => {
    await using it = await world()
    it.server.fail({ status: 429, headers: { 'retry-after': '1' } }, 1)
    const started = performance.now()
    await it.embedder.embedQuery('q')
    expect(performance.now() - started).toBeGreaterThan(990)
  })

  it('of an endpoint that is too slow for queries: it is left alone for a while, and tried again', async () => {
    await using it = await world({}, { breakAfter: 3, breakMs: 300 })
    it.server.fail('hang')
    const ask = (query: string) => it.embedder.embedQuery(query, { timeoutMs: 200 })
    for (let n = 0; n < 3; n++)
      expect(await refusal(ask(`query ${n}`))).toMatchObject({ code: 'endpoint_unavailable' })
    const started = performance.now()
    expect((await refusal(ask('one more'))).message).toMatch(/left alone/)
    expect(performance.now() - started).toBeLessThan(100)
    it.server.recover()
    await expect
      .poll(() =>
        ask('again').then(
          ({ length }) => length,
          () => 0,
        ),
      )
      .toBe(64)
  })

  it('are none of the endpoint when a query waits for others', async () => {
    await using it = await world({}, { concurrency: 1, breakAfter: 2 })
    it.server.fail('hang')
    const asked = ['first', 'second', 'third'].map((query) =>
      refusal(it.embedder.embedQuery(query, { timeoutMs: 400 })),
    )
    expect((await Promise.all(asked)).map(({ code }) => code)).toEqual([
      'endpoint_unavailable',
      'endpoint_busy',
      'endpoint_busy',
    ])
    expect(it.server.requests).toHaveLength(1)
    it.server.recover()
    expect(await it.embedder.embedQuery('fourth', { timeoutMs: 400 })).toHaveLength(64)
  })

  it('fails all of a call when a part fails, and sends no more of it', async () => {
    await using it = await world({}, { batchSize: 1, concurrency: 2 })
    it.server.fail({ status: 400, body: { error: 'no' } }, 1)
    await refusal(it.embedder.embedPassages(Array(50).fill('x')))
    expect(it.server.requests.length).toBeLessThan(5)
  })
})

describe('what is too large', () => {
  const wordings: [string, EmbeddingServerOptions['refusal']][] = [
    ['413', undefined],
    ['TEI', { status: 422, message: 'batch size 16 > maximum allowed batch size 4' }],
    [
      'OpenAI',
      {
        status: 400,
        message:
          "This model's maximum context length is 8192 tokens, however you requested 25701 tokens (25701 in your prompt; 0 for the completion). Please reduce your prompt; or completion length.",
      },
    ],
    ['Ollama', { status: 400, message: 'the input length exceeds the context length' }],
    [
      'llama.cpp',
      { status: 500, message: 'input is too large to process. increase the physical batch size' },
    ],
  ]
  it.each(wordings)('is split into batches as large as %s takes', async (_, refusal) => {
    await using it = await world({ maxTexts: 4, refusal })
    const texts = Array.from({ length: 16 }, (_, n) => `text ${n}`)
    const vectors = await it.embedder.embedPassages(texts)
    const [alone] = await it.embedder.embedPassages([texts[13]!])
    expect(dot(vectors[13]!, alone!)).toBeCloseTo(1, 5)
    const before = it.server.requests.length
    await it.embedder.embedPassages(texts)
    expect(it.server.requests.length - before).toBe(4)
  })

  it('is shortened when it is one text, without smaller batches for the others', async () => {
    await using it = await world({ maxCharacters: 300 }, { maxTokens: 8192 })
    const short = Array.from({ length: 15 }, (_, n) => `text ${n}`)
    const vectors = await it.embedder.embedPassages([...short, 'long '.repeat(200)])
    expect(vectors).toHaveLength(16)
    const before = it.server.requests.length
    await it.embedder.embedPassages(short)
    expect(it.server.requests.length - before).toBeLessThanOrEqual(2)
  })

  it('is an error when nothing is small enough', async () => {
    await using it = await world({ maxCharacters: 0 })
    const error = await refusal(it.embedder.embedPassages(['some text '.repeat(100)]))
    expect(error).toMatchObject({ code: 'endpoint_refused', retryable: false })
  })
})

describe('an endpoint that is down', () => {
  it('is left alone after repeated failures, and back by itself', async () => {
    const registry = new Registry()
    await using it = await world(
      {},
      { attempts: 1, breakAfter: 3, breakMs: 200, metrics: new Metrics(registry, 'test') },
    )
    const leftAlone = async () => /left_alone\{.*\} (\d)/.exec(await registry.metrics())![1]
    it.server.fail({ status: 500 })
    for (let n = 0; n < 3; n++) await refusal(it.embedder.embedPassages(['x']))
    expect(it.server.requests).toHaveLength(3)
    expect(await leftAlone()).toBe('1')
    expect(await refusal(it.embedder.embedPassages(['x']))).toMatchObject({
      code: 'endpoint_unavailable',
      retryable: true,
      message: expect.stringMatching(/failed 3 times running and is left alone for up to 1 s/),
    })
    await refusal(it.embedder.ping())
    expect(it.server.requests).toHaveLength(3)
    it.server.recover()
    await expect.poll(() => it.embedder.embedPassages(['x']).catch(() => [])).toHaveLength(1)
    expect(await leftAlone()).toBe('0')
  })

  it('is tried by one request, and left alone again when that fails', async () => {
    await using it = await world({}, { attempts: 1, breakAfter: 2, breakMs: 150 })
    it.server.fail({ status: 500 })
    for (let n = 0; n < 2; n++) await refusal(it.embedder.embedPassages(['x']))
    await expect
      .poll(async () => {
        await Promise.all(Array.from({ length: 4 }, () => refusal(it.embedder.embedPassages(['x']))))
        return it.server.requests.length
      })
      .toBe(3)
  })

  it('is not taken to be back by a probe that its caller gave up', async () => {
    await using it = await world({}, { attempts: 1, breakAfter: 1, breakMs: 100 })
    it.server.fail({ status: 500 })
    await refusal(it.embedder.embedQuery('x'))
    it.server.fail('hang')
    const isProbed = async () => {
      const { length } = it.server.requests
      const signal = AbortSignal.timeout(50)
      const error = await refusal(it.embedder.embedQuery('x', { signal }))
      return it.server.requests.length > length && error.name === 'TimeoutError'
    }
    await expect.poll(isProbed).toBe(true)
    expect(await refusal(it.embedder.embedQuery('x'))).toMatchObject({ code: 'endpoint_unavailable' })
    it.server.recover()
    await expect.poll(() => it.embedder.embedQuery('x').catch(() => undefined)).toHaveLength(64)
  })

  it('fails a ping soon', async () => {
    await using it = await world()
    it.server.fail('hang')
    const started = performance.now()
    expect(await refusal(it.embedder.ping())).toMatchObject({ code: 'endpoint_unavailable' })
    expect(performance.now() - started).toBeLessThan(4_000)
  })
})

describe('many at once', () => {
  it('are bounded, and queries wait for no passage', async () => {
    await using it = await world({ latencyMs: 20 }, { batchSize: 1, concurrency: 3 })
    const bulk = it.embedder.embedPassages(Array.from({ length: 60 }, (_, n) => `passage ${n}`))
    await expect.poll(() => it.server.inHand).toBe(3)
    await it.embedder.embedQuery('soon')
    expect(it.server.requests.length).toBeLessThan(30)
    await bulk
    expect(it.server.mostInHand).toBeLessThanOrEqual(4)
  })

  it('end at the endpoint when they are aborted', async () => {
    await using it = await world({}, { batchSize: 1, concurrency: 3 })
    it.server.fail('hang')
    const controller = new AbortController()
    const bulk = it.embedder.embedPassages(Array(60).fill('x'), { signal: controller.signal })
    const refused = expect(bulk).rejects.toThrow('enough')
    await expect.poll(() => it.server.inHand).toBe(3)
    controller.abort(new Error('enough'))
    await refused
    await expect.poll(() => it.server.inHand).toBe(0)
    expect(it.server.requests).toHaveLength(3)
  })

  it('are given up while they wait to be sent again', async () => {
    await using it = await world({}, { firstRetryMs: 60_000, attempts: 50 })
    it.server.fail({ status: 429, headers: { 'retry-after': '20' } })
    const controller = new AbortController()
    const call = expect(it.embedder.embedQuery('x', { signal: controller.signal })).rejects.toThrow('enough')
    await expect.poll(() => it.server.requests.length).toBe(1)
    controller.abort(new Error('enough'))
    await call
  })
})

describe('secrets', () => {
  it('neither the key nor a text is in a log line or an error', async () => {
    const lines: string[] = []
    const log = createLog({
      component: 'test',
      level: 'trace',
      destination: { write: (line) => lines.push(line) },
    })
    const text = 'the harbour master hides the ledger in the lighthouse'
    const echoes: Fault[] = [
      { status: 400, body: { error: { message: `bad input: "${text}" for key ${KEY}` } } },
      { status: 400, body: { detail: `key ${KEY} is spent` } },
      { status: 401, body: { error: { message: 'Incorrect API key provided: sk-test*****ghij.' } } },
      { status: 500, body: `<pre>${text} ${KEY}</pre>` },
      { status: 200, body: `not json ${text} ${KEY}` },
      { reply: () => ({ data: [{ embedding: text }] }) },
      'close',
    ]
    await using it = await world({}, { apiKey: KEY, log, breakAfter: 2 })
    for (const fault of echoes) {
      it.server.fail(fault)
      const error = await refusal(it.embedder.embedPassages([text]))
      log.error({ err: error }, 'as a service logs it')
    }
    expect(lines.length).toBeGreaterThan(echoes.length)
    for (const secret of [KEY, 'ghij', 'harbour', 'lighthouse'])
      expect(lines.join('\n')).not.toContain(secret)
  })
})

describe('traces', () => {
  it('name model and server, and hold neither text nor key', async () => {
    const { promise: received, resolve } = Promise.withResolvers<string>()
    const collector = createServer(async (incoming, response) => {
      let body = ''
      for await (const part of incoming.setEncoding('utf8')) body += part
      response.end('{}')
      resolve(body)
    })
    await once(collector.listen(0, '127.0.0.1'), 'listening')
    const { port } = collector.address() as AddressInfo
    const stop = startTracing({
      endpoint: `http://127.0.0.1:${port}`,
      serviceName: 'test',
      version: '0',
    })
    try {
      await using it = await world({}, { apiKey: KEY })
      await it.embedder.embedPassages(['the lighthouse'])
      await stop()
      const traces = await received
      const text = (key: string, stringValue: string) => JSON.stringify({ key, value: { stringValue } })
      expect(traces).toContain('"name":"embed passages"')
      expect(traces).toContain(text('gen_ai.operation.name', 'embeddings'))
      expect(traces).toContain(text('gen_ai.request.model', 'hashed'))
      expect(traces).toContain(text('server.address', '127.0.0.1'))
      for (const secret of ['lighthouse', KEY]) expect(traces).not.toContain(secret)
    } finally {
      collector.close()
      collector.closeAllConnections()
    }
  })
})

function base64(numbers: number[]): string {
  return Buffer.from(new Float32Array(numbers).buffer).toString('base64')
}

function dot(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, x, i) => sum + x * b[i]!, 0)
}
