import { createServer, type Server } from 'node:http'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startInMode } from '../mode.ts'

interface Span {
  traceId: string
  spanId: string
  parentSpanId?: string
  name: string
}

interface TraceExport {
  resourceSpans: { scopeSpans: { spans: Span[] }[] }[]
}

const SECRET_WORDS = ['zanzibar', 'quillwort', 'oxbow']
const REQUEST_ID = 'telemetry-test-1'

const received: string[] = []
let receiver: Server
let spans: Span[]
let log: Record<string, unknown>[]
let metrics: string
let token: string

/** One document goes in and is searched for; then everything that was told of it is here. */
beforeAll(async () => {
  receiver = createServer(async (request, reply) => {
    received.push(await text(request))
    reply.setHeader('content-type', 'application/json').end('{}')
  })
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve))
  const { port } = receiver.address() as { port: number }
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}` }
  const system = await startInMode({ env })
  token = system.token
  await system.createWorkspace('ws')
  const content =
    '# Anchors\n\nThe Zanzibar anchor is painted with quillwort.\n\n## More\n\nThe Zanzibar sails.\n'
  const { body: job } = await system.upload({ workspace_id: 'ws' }, { name: 'anchors.md', content })
  await system.ended(job.job_id)
  await system.call(
    'POST',
    '/library/api/search/',
    { query: 'oxbow Zanzibar anchor' },
    {
      headers: { 'x-request-id': REQUEST_ID },
    },
  )
  await system.mcp('tools/call', { name: 'search', arguments: { query: 'oxbow anchor' } })
  metrics = await system.metrics()
  await system.stop()
  log = system
    .log()
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
  await system[Symbol.asyncDispose]()
  spans = received
    .flatMap((body) => (JSON.parse(body) as TraceExport).resourceSpans)
    .flatMap(({ scopeSpans }) => scopeSpans.flatMap((scope) => scope.spans))
})
afterAll(() => {
  receiver?.close()
})

/** Names of the spans above the first span of this name in a trace that has `root` at its top, nearest first. */
function pathTo(name: RegExp, root: string): string[] {
  const byId = new Map(spans.map((span) => [span.spanId, span]))
  const paths = spans
    .filter((span) => name.test(span.name))
    .map((span) => {
      const path: Span[] = []
      for (let at: Span | undefined = span; at; at = byId.get(at.parentSpanId ?? '')) path.push(at)
      return path
    })
  const found = paths.find((path) => path.at(-1)?.name === root)
  expect(
    found,
    `${name} in a trace of ${root}; traces: ${paths.map((path) => path.at(-1)?.name)}`,
  ).toBeDefined()
  expect(new Set(found!.map(({ traceId }) => traceId)).size).toBe(1)
  return found!.map((span) => span.name)
}

describe('traces', () => {
  test('one from the upload through outbox, bus and worker to the graph', () => {
    expect(pathTo(/^graph replaceItemContent/, 'POST ingest')).toEqual(
      expect.arrayContaining([
        'ingest storing',
        'process ingest.embedding',
        'publish ingest.embedding',
        'POST items.upload',
      ]),
    )
    pathTo(/^embed passages/, 'POST ingest')
    pathTo(/^blob\.put/, 'POST ingest')
  })

  test.each(['POST search', 'POST mcp'])(
    'one from %s through each retriever to the graph and the model',
    (root) => {
      for (const stage of ['vector', 'fulltext', 'graph', 'load'])
        expect(pathTo(new RegExp(`^search ${stage}`), root).at(-1)).toBe(root)
      expect(pathTo(/^graph /, root).length).toBeGreaterThan(2)
      pathTo(/^embed query/, root)
    },
  )

  test('hold no text of documents or queries, and no token', () => {
    const all = received.join('\n').toLowerCase()
    expect(spans.length).toBeGreaterThan(20)
    for (const word of [...SECRET_WORDS, token.toLowerCase()]) expect(all).not.toContain(word)
  })
})

describe('the log', () => {
  test('has a component on every line, and ids of request and trace where there is one', () => {
    expect(log.filter(({ component }) => typeof component !== 'string')).toEqual([])
    const requests = log.filter(({ msg }) => msg === 'request')
    expect(requests.filter(({ request_id, trace_id }) => !request_id || !trace_id)).toEqual([])
  })

  test('follows a request through the services by the id that the caller gave', () => {
    const lines = log.filter(({ request_id }) => request_id === REQUEST_ID)
    expect(lines.map(({ component }) => component)).toEqual(expect.arrayContaining(['gateway', 'search']))
  })

  test('holds no text of documents or queries, and no token', () => {
    const all = JSON.stringify(log).toLowerCase()
    for (const word of [...SECRET_WORDS, token.toLowerCase()]) expect(all).not.toContain(word)
  })
})

test.each([
  'mnemosyne_http_request_duration_seconds_count',
  'mnemosyne_embedding_texts_total',
  'mnemosyne_graph_query_duration_seconds_count',
  'mnemosyne_job_duration_seconds_count',
  'mnemosyne_mcp_calls_total',
  'mnemosyne_outbox_published_total',
  'mnemosyne_processing_duration_seconds_count',
  'mnemosyne_search_stage_duration_seconds_count',
  'mnemosyne_sql_transaction_seconds_count',
  'nodejs_eventloop_lag_seconds',
  'process_resident_memory_bytes',
])('/metrics has %s', (name) => {
  expect(metrics).toMatch(new RegExp(`^${name}(\\{[^}]*\\})? [\\d.e+-]+$`, 'm'))
})
