import { createLog, Metrics, parseConfig, printConfig } from '@mnemosyne/platform'
import { Registry } from 'prom-client'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { type EndpointRerankerOptions, openEndpointReranker } from './endpoint-reranker.ts'
import { openConfiguredReranker, rerankerVariables } from './reranker-config.ts'
import type { Fault as FaultOf } from './testing/model-server.ts'
import { type RerankerServerOptions, type Result, startRerankerServer } from './testing/reranker-server.ts'

type Fault = FaultOf<Result>

const silent = createLog({ component: 'test', level: 'silent' })
const KEY = 'sk-test-0123456789abcdefghij'
const DOCUMENTS = ['nothing of it', 'the low tide', 'when is low tide today']

function open(server: { url: string }, more: Partial<EndpointRerankerOptions> = {}) {
  return openEndpointReranker({
    baseUrl: server.url,
    model: 'cross-encoder',
    firstRetryMs: 5,
    breakMs: 100,
    log: silent,
    metrics: new Metrics(new Registry(), 'test'),
    ...more,
  })
}

async function world(server: RerankerServerOptions = {}, more: Partial<EndpointRerankerOptions> = {}) {
  const started = await startRerankerServer(server)
  const reranker = open(started, more)
  return {
    server: started,
    reranker,
    async [Symbol.asyncDispose]() {
      await reranker.close()
      await started.close()
    },
  }
}

const refusal = (call: Promise<unknown>) =>
  call.then(
    () => expect.fail('it did not reject'),
    (error: Error & { code: string }) => error,
  )

describe('scores', () => {
  it('stand in the order of the documents, whatever the order of the answer', async () => {
    await using it = await world()
    expect(await it.reranker.rerank('low tide', DOCUMENTS)).toEqual([0, 1, 1])
    expect(await it.reranker.rerank('when low', DOCUMENTS)).toEqual([0, 0.5, 1])
  })

  it('are asked for by the protocol', async () => {
    await using it = await world({ apiKey: KEY }, { apiKey: KEY })
    await it.reranker.rerank('low tide', DOCUMENTS)
    await it.reranker.rerank('low tide', ['a'], { instruction: 'Find the hour.' })
    expect(it.server.requests).toEqual([
      {
        model: 'cross-encoder',
        query: 'low tide',
        texts: DOCUMENTS,
        top_n: 3,
        instruction: undefined,
        authorization: `Bearer ${KEY}`,
      },
      expect.objectContaining({ texts: ['a'], top_n: 1, instruction: 'Find the hour.' }),
    ])
  })

  it('of no documents cost nothing', async () => {
    await using it = await world()
    expect(await it.reranker.rerank('q', [])).toEqual([])
    expect(it.server.requests).toEqual([])
  })

  it('may be negative, and as large as they like', async () => {
    await using it = await world({ score: (_, document) => Number(document) })
    expect(await it.reranker.rerank('q', ['-11.5', '0', '1e20'])).toEqual([-11.5, 0, 1e20])
  })

  it('are there for any text', async () => {
    await using it = await world()
    const odd = ['', 'a\0b', 'left \ud83d right', '漢字'.repeat(2_000), '\u202eאבג']
    expect(await it.reranker.rerank('\udc00 q', odd)).toHaveLength(odd.length)
  })

  it('come in batches, and over connections that are kept', async () => {
    await using it = await world({}, { batchSize: 2, concurrency: 1 })
    for (let n = 0; n < 5; n++) expect(await it.reranker.rerank('when low', DOCUMENTS)).toEqual([0, 0.5, 1])
    expect(it.server.requests.map(({ texts }) => texts.length)).toEqual([2, 1, 2, 1, 2, 1, 2, 1, 2, 1])
    expect(it.server.connections).toBeLessThanOrEqual(2)
  })

  it.each([
    ['413', undefined],
    ['TEI', { status: 422, message: 'batch size 3 > maximum allowed batch size 2' }],
  ])('come in smaller batches from an endpoint that says so: %s', async (_, refusal) => {
    await using it = await world({ maxTexts: 2, refusal })
    expect(await it.reranker.rerank('when low', DOCUMENTS)).toEqual([0, 0.5, 1])
    const before = it.server.requests.length
    await it.reranker.rerank('when low', DOCUMENTS)
    expect(it.server.requests.length - before).toBe(2)
  })

  it('of a document that is too long are those of its beginning', async () => {
    await using it = await world({ maxCharacters: 300 })
    expect(await it.reranker.rerank('low', ['low', `low ${'x '.repeat(500)}`])).toEqual([1, 1])
  })
})

describe('answers that are refused', () => {
  const change =
    (index: number, to: Partial<Result>) =>
    (results: Result[]): unknown => ({
      results: results.map((result) => (result.index === index ? { ...result, ...to } : result)),
    })
  const invalid: [string, Fault, RegExp][] = [
    ['a result too few', { reply: (results) => ({ results: results.slice(1) }) }, /2 scores for 3 documents/],
    ['one too many', { reply: (results) => ({ results: [...results, results[0]] }) }, /4 scores for 3/],
    ['none', { reply: () => ({ results: [] }) }, /0 scores for 3/],
    ['an index twice', { reply: change(0, { index: 1 }) }, /index 1 twice/],
    ['an index out of range', { reply: change(0, { index: 3 }) }, /index that no document has/],
    ['a negative index', { reply: change(0, { index: -1 }) }, /index that no document has/],
    ['an index in words', { reply: change(0, { index: 'first' as never }) }, /index that no document has/],
    ['no score', { reply: change(0, { relevance_score: undefined }) }, /score that is no number/],
    ['a score in words', { reply: change(0, { relevance_score: '0.7' }) }, /score that is no number/],
    ['null for NaN', { reply: change(0, { relevance_score: Number.NaN }) }, /score that is no number/],
    [
      'a score without end',
      {
        status: 200,
        body: '{"results":[{"index":0,"relevance_score":1e999},{"index":1,"relevance_score":0},{"index":2,"relevance_score":0}]}',
      },
      /score that is no number/,
    ],
    ['another shape', { reply: (results) => ({ data: results }) }, /list of results/],
    ['a bare list', { reply: (results) => results }, /list of results/],
    ['NaN, which is no JSON', { status: 200, body: '{"results":[NaN]}' }, /not JSON/],
    ['more than was asked for', { status: 200, body: ' '.repeat(1_000_000) }, /far more/],
  ]
  it.each(invalid)('%s', async (_, fault, message) => {
    await using it = await world()
    it.server.fail(fault)
    const error = await refusal(it.reranker.rerank('low tide', DOCUMENTS))
    expect(error).toMatchObject({ code: 'endpoint_reply_invalid', message: expect.stringMatching(message) })
    expect(it.server.requests).toHaveLength(1)
    it.server.recover()
    expect(await it.reranker.rerank('low tide', DOCUMENTS)).toHaveLength(3)
  })
})

describe('faults', () => {
  const html = { 'content-type': 'text/html' }
  it.each<[string, Fault, string, RegExp, number]>([
    ['a 500', { status: 500 }, 'endpoint_unavailable', /re-ranking endpoint answered 500 \(fault 500\)/, 3],
    ['a broken connection', 'close', 'endpoint_unavailable', /cannot be reached \(\w+\)/, 3],
    ['silence', 'hang', 'endpoint_unavailable', /did not answer within 0\.3 s/, 1],
    ['a 429', { status: 429 }, 'endpoint_busy', /answered 429/, 3],
    [
      'a 429 for longer than there is time',
      { status: 429, headers: { 'retry-after': '20' } },
      'endpoint_busy',
      /429/,
      1,
    ],
    ['a wrong key', { status: 401 }, 'endpoint_misconfigured', /RERANKER_API_KEY/, 1],
    [
      'an unknown model',
      { status: 400, body: { error: { message: 'The model `x` does not exist.' } } },
      'endpoint_misconfigured',
      /RERANKER_MODEL/,
      1,
    ],
    ['a web page', { status: 200, headers: html, body: '<html>' }, 'endpoint_misconfigured', /web page/, 1],
    ['a refusal', { status: 400, body: { error: 'no such thing' } }, 'endpoint_refused', /no such thing/, 1],
  ])('%s is told as such', async (_, fault, code, message, requests) => {
    await using it = await world({}, { timeoutMs: 300, breakAfter: 100 })
    it.server.fail(fault)
    const error = await refusal(it.reranker.rerank('low tide', DOCUMENTS))
    expect(error).toMatchObject({ code, message: expect.stringMatching(message) })
    expect(error.message).not.toContain('EMBEDDING')
    expect(it.server.requests).toHaveLength(requests)
    expect(it.reranker.fault).toBeNull()
  })

  it('that pass are not noticed', async () => {
    const registry = new Registry()
    await using it = await world({}, { metrics: new Metrics(registry, 'test') })
    it.server.fail({ status: 503 }, 2)
    expect(await it.reranker.rerank('low tide', DOCUMENTS)).toEqual([0, 1, 1])
    const lines = await registry.metrics()
    expect(lines).toContain(
      'mnemosyne_reranker_retries_total{component="test",reason="endpoint_unavailable"} 2',
    )
    expect(lines).toContain('mnemosyne_reranker_calls_total{component="test",outcome="ok"} 1')
    expect(lines).toContain('mnemosyne_reranker_documents_total{component="test"} 3')
  })

  it.each([
    ['missing', '', /has no \/v1 .* want .*\d\/v1\./],
    ['doubled', '/v1/v1', /has \/v1 twice\. Set it to .*\d\/v1\./],
    ['followed by what is appended', '/v1/rerank', /\/rerank is appended .* Set it to .*\d\/v1\./],
  ])('an address whose /v1 is %s is explained', async (_, path, message) => {
    await using server = await startRerankerServer()
    await using reranker = open({ url: server.url.replace('/v1', path) })
    expect(await refusal(reranker.rerank('q', ['d']))).toMatchObject({
      code: 'endpoint_misconfigured',
      message: expect.stringMatching(message),
    })
  })

  it('that repeat: the endpoint is left alone, says so, and is back by itself', async () => {
    await using it = await world({}, { attempts: 1, breakAfter: 3 })
    it.server.fail({ status: 500 })
    for (let n = 0; n < 5; n++) await refusal(it.reranker.rerank('q', ['d']))
    expect(it.server.requests).toHaveLength(3)
    expect(it.reranker.fault).toMatch(/failed 3 times running and is left alone/)
    it.server.recover()
    await expect.poll(() => it.reranker.rerank('q', ['q']).catch(() => [])).toEqual([1])
    expect(it.reranker.fault).toBeNull()
  })

  it('one that is slow every time is left alone too', async () => {
    await using it = await world({}, { timeoutMs: 50, breakAfter: 2, breakMs: 60_000 })
    it.server.fail('hang')
    for (let n = 0; n < 3; n++) await refusal(it.reranker.rerank('q', ['d']))
    expect(it.server.requests).toHaveLength(2)
  })
})

describe('the time of a call', () => {
  it('bounds all tries together', async () => {
    await using it = await world({ latencyMs: 80 }, { timeoutMs: 200, attempts: 100, breakAfter: 100 })
    it.server.fail({ status: 503 })
    const started = performance.now()
    expect(await refusal(it.reranker.rerank('q', ['d']))).toMatchObject({ code: 'endpoint_unavailable' })
    expect(performance.now() - started).toBeLessThan(1_000)
    expect(it.server.requests.length).toBeLessThan(5)
  })

  it('bounds waiting for a turn; who finds too many waiting is refused at once', async () => {
    await using it = await world({}, { timeoutMs: 300, concurrency: 1, mostWaiting: 1 })
    it.server.fail('hang')
    const first = refusal(it.reranker.rerank('q', ['d']))
    await expect.poll(() => it.server.inHand).toBe(1)
    const second = refusal(it.reranker.rerank('q', ['d']))
    const started = performance.now()
    expect(await refusal(it.reranker.rerank('q', ['d']))).toMatchObject({
      code: 'endpoint_busy',
      message: expect.stringContaining('Too many searches wait'),
    })
    expect(performance.now() - started).toBeLessThan(200)
    expect(await first).toMatchObject({ code: 'endpoint_unavailable' })
    expect((await second).message).toMatch(/Too many searches wait|not done in time|did not answer/)
  })

  it('ends with the caller, at the endpoint too', async () => {
    await using it = await world({}, { batchSize: 1 })
    it.server.fail('hang')
    const controller = new AbortController()
    const call = refusal(it.reranker.rerank('q', DOCUMENTS, { signal: controller.signal }))
    await expect.poll(() => it.server.inHand).toBe(3)
    controller.abort(new Error('left'))
    expect((await call).message).toBe('left')
    await expect.poll(() => it.server.inHand).toBe(0)
    await expect(it.reranker.rerank('q', ['d'], { signal: controller.signal })).rejects.toThrow('left')
  })

  it('ends when the re-ranker is closed', async () => {
    await using it = await world()
    it.server.fail('hang')
    const call = refusal(it.reranker.rerank('q', ['d']))
    await expect.poll(() => it.server.inHand).toBe(1)
    await it.reranker.close()
    expect((await call).message).toMatch(/closed/)
    expect((await refusal(it.reranker.rerank('q', ['d']))).message).toMatch(/closed/)
    await it.reranker.close()
  })
})

it('lets neither the key nor a text into a log line, an error or a metric', async () => {
  const lines: string[] = []
  const registry = new Registry()
  const log = createLog({
    component: 'test',
    level: 'trace',
    destination: { write: (line) => lines.push(line) },
  })
  const query = 'where does the harbour master hide it'
  const text = 'the ledger is kept in the lighthouse by the sea'
  const echoes: Fault[] = [
    { status: 400, body: { error: { message: `bad input: "${text}" for key ${KEY}` } } },
    { status: 422, body: { detail: `bad query ${query}` } },
    { status: 401, body: { error: { message: 'Incorrect API key provided: sk-test*****ghij.' } } },
    { status: 500, body: `<pre>${text} ${KEY}</pre>` },
    { status: 200, body: `not json ${text} ${KEY}` },
    { reply: () => ({ results: [{ index: text, relevance_score: text }] }) },
    'close',
  ]
  await using it = await world(
    {},
    { apiKey: KEY, log, breakAfter: 2, metrics: new Metrics(registry, 'test') },
  )
  for (const fault of echoes) {
    it.server.fail(fault)
    const error = await refusal(it.reranker.rerank(query, [text]))
    log.error({ err: error }, 'as a service logs it')
  }
  expect(lines.length).toBeGreaterThan(echoes.length)
  const written = lines.join('\n') + (await registry.metrics())
  for (const secret of [KEY, 'ghij', 'harbour', 'lighthouse']) expect(written).not.toContain(secret)
})

describe('the variables of the re-ranker', () => {
  const schema = z.object(rerankerVariables)
  const configured = (env: Record<string, string>) =>
    openConfiguredReranker(parseConfig('test', schema, env), {
      log: silent,
      metrics: new Metrics(new Registry(), 'test'),
    })

  it('are all optional: without an address there is none', () => {
    expect(parseConfig('test', schema, {})).toEqual({ RERANKER_TIMEOUT: 30 })
    expect(configured({})).toBeNull()
  })

  it.each([
    ['RERANKER_BASE_URL', 'host:8080'],
    ['RERANKER_BASE_URL', 'http://me:secret@host/v1'],
    ['RERANKER_TIMEOUT', 'soon'],
    ['RERANKER_TIMEOUT', '0'],
  ])('%s refuses %s and does not quote it', (name, value) => {
    const read = () => parseConfig('test', schema, { [name]: value })
    expect(read).toThrow(name)
    expect(read).not.toThrow('secret')
  })

  it('hide the key when they are printed', () => {
    const config = parseConfig('test', schema, { RERANKER_API_KEY: 'sk-1234567' })
    expect(printConfig(schema, config)).toContain('RERANKER_API_KEY=********')
  })

  it('open the endpoint', async () => {
    await using server = await startRerankerServer({ apiKey: 'k-1' })
    await using reranker = configured({
      RERANKER_BASE_URL: server.url,
      RERANKER_MODEL: 'bge-reranker-v2-m3',
      RERANKER_API_KEY: ' k-1\n',
    })
    expect(reranker?.model.name).toBe('bge-reranker-v2-m3')
    expect(await reranker?.rerank('q', ['q'])).toEqual([1])
  })

  it('need a name with an address', () => {
    expect(() => configured({ RERANKER_BASE_URL: 'http://127.0.0.1:1/v1' })).toThrow(
      /RERANKER_MODEL is missing; with RERANKER_BASE_URL/,
    )
  })
})
