import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { startEmbeddingServer, startRerankerServer } from '@mnemosyne/models/testing'
import { openRabbitBus } from '@mnemosyne/platform'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { SystemClient } from '../client.ts'
import type { DaedalusStore } from '../daedalus-store.ts'
import { DistributedSystem } from '../distributed-system.ts'
import { type ExposedMetric, exposedMetrics, mostOf } from '../exposed-metrics.ts'
import { mode, type SystemInMode, startInMode } from '../mode.ts'
import { surroundings } from '../stores.ts'
import { type ReceivedSpan, TraceReceiver } from '../trace-receiver.ts'

const distributed = mode() === 'distributed'

/** Stand in documents, queries, titles and names of files only. */
const PRIVATE_WORDS = ['zanzibar', 'quillwort', 'oxbow', 'harquebus', 'marlinspike', 'wherryman']
/** Stand in names of people and of what they made, which a log may tell. */
const NAMES = ['jocasta', 'bilgewater', 'capstanbook']

const PROBED = 'a'.repeat(31)
/** Trace contexts that the test itself sends. */
const SENT = {
  sampled: { trace: '1'.repeat(32), parent: '2'.repeat(16), flags: '01' },
  unsampled: { trace: '3'.repeat(32), parent: '4'.repeat(16), flags: '00' },
  probe: { trace: `${PROBED}5`, parent: '6'.repeat(16), flags: '01' },
}
const contextOf = ({ trace, parent, flags }: (typeof SENT)['sampled']) => ({
  traceparent: `00-${trace}-${parent}-${flags}`,
})
const REQUEST_ID = 'telemetry-test-1'

let receiver: TraceReceiver
let spans: ReceivedSpan[]
let log: Record<string, unknown>[]
let logText: string
let metricsText: string
/** The most that each metric ever was. */
let metrics = new Map<string, ExposedMetric>()
const secrets: string[] = []

/** Documents go in, one over a retry, and are searched for; then everything that was told of it is here. */
beforeAll(async () => {
  receiver = await TraceReceiver.start()
  await using model = await startEmbeddingServer({ dimensions: 64 })
  await using reranker = await startRerankerServer()
  await using system = await startInMode({
    env: {
      OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
      EMBEDDING_BASE_URL: model.url,
      EMBEDDING_MODEL: 'hashed',
      EMBEDDING_DIMENSIONS: '64',
      RERANKER_BASE_URL: reranker.url,
      RERANKER_MODEL: 'shared words',
      INGEST_RETRIES: '30',
      // So long that a job which waits is seen to wait: they are counted every ten seconds.
      INGEST_RETRY_FIRST_SECONDS: '12',
      INGEST_RETRY_MAX_SECONDS: '12',
    },
  })
  const token = await system.addUser('jocasta')
  secrets.push(system.token, token, ...passwordsOf(system))
  const look = async () => {
    metricsText = await system.metrics()
    metrics = mostOf(metrics, exposedMetrics(metricsText))
  }
  let over = false
  const watching = (async () => {
    while (!over) {
      await look()
      await delay(100)
    }
  })()
  watching.catch(() => {})
  const client = new SystemClient(system.url, token)
  await client.createWorkspace('bilgewater', { name: 'Capstanbook' })

  model.fail({ status: 503 })
  const failing = await ingest(client, system.daedalus, 'first')
  await vi.waitFor(() => expect(metrics.get('mnemosyne_job_retries_total')?.value).toBeGreaterThan(0), {
    timeout: 60_000,
  })
  model.recover()
  await client.ended(failing)
  await client.ended(await ingest(client, system.daedalus, 'second'))
  const { body: uploaded } = await client.upload(
    { workspace_id: 'bilgewater' },
    { name: 'marlinspike.md', content: documentOf('third') },
  )
  await client.ended(uploaded.job_id)

  await search(client, { 'x-request-id': REQUEST_ID })
  await search(client, contextOf(SENT.sampled))
  await search(client, contextOf(SENT.unsampled))
  for (const path of ['/live/', '/ready/', '/metrics', '/mcp/health'])
    await system.call('GET', path, undefined, { token: null, headers: contextOf(SENT.probe) })
  await client.call('GET', '/library/api/nowhere/wherryman/?q=wherryman')
  const call = { name: 'search', arguments: { query: 'oxbow anchor' } }
  await client.mcp('tools/call', call)
  await client.mcp('tools/call', { ...call, arguments: { query: '' } })
  if (system instanceof DistributedSystem) {
    await mcpDirectly(system, token, call)
    await putNonsenseInto(system, 'ingest.embedding')
  }
  // The queues are looked at every fifteen seconds.
  await vi
    .waitFor(() => expect([...unmoved()]).toEqual([]), { timeout: 40_000, interval: 500 })
    .catch(() => {})
  over = true
  await watching
  await system.stop()
  logText = system.log()
  log = logText
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
  spans = receiver.spans
})
afterAll(() => receiver?.[Symbol.asyncDispose]())

function documentOf(name: string): string {
  return `# Anchors of ${name}\n\nThe Zanzibar anchor of ${name} is painted with quillwort.\n\n## More\n\nThe Zanzibar sails.\n`
}

async function ingest(client: SystemClient, daedalus: DaedalusStore, name: string): Promise<string> {
  const key = `harquebus/${name}/marlinspike.md`
  const request = await daedalus.put(key, documentOf(name), {
    title: `Wherryman ${name}`,
    workspace_id: 'bilgewater',
  })
  const { status, body, text } = await client.call('POST', '/library/api/ingest/', request)
  expect(status, text).toBe(202)
  return (body as { job_id: string }).job_id
}

async function search(client: SystemClient, headers: Record<string, string>): Promise<void> {
  const query = { query: 'oxbow Zanzibar anchor' }
  const { status, text } = await client.call('POST', '/library/api/search/', query, { headers })
  expect(status, text).toBe(200)
}

/** Past the gateway, as agents on the same network do. */
async function mcpDirectly({ cluster }: DistributedSystem, token: string, params: unknown): Promise<void> {
  const answer = await fetch(`${cluster.processes.mcp[0]!.url}/mcp/`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${token}`,
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'x-request-id': 'directly',
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params }),
  })
  expect(answer.status, await answer.text()).toBe(200)
}

/** A message that no version of the product would send. */
async function putNonsenseInto({ servers }: DistributedSystem, queue: string): Promise<void> {
  await using bus = await openRabbitBus({ url: servers.amqpUrl, ...surroundings() })
  const body = { nonsense: 'Wherryman!' }
  await bus.publish({ kind: 'command', destination: queue, id: 'nonsense', body, headers: {} })
}

function passwordsOf(system: SystemInMode): string[] {
  if (!(system instanceof DistributedSystem)) return []
  const { databaseUrl, amqpUrl, neo4jUrl, bucket } = system.servers
  const inUrls = [databaseUrl, amqpUrl, neo4jUrl].map((url) => new URL(url).password)
  return [...inUrls, bucket.secretAccessKey].filter((password) => password.length > 4)
}

const shown = ({ kind, name, service }: ReceivedSpan) => `${kind} ${name} (${service})`

/** The spans from the top of its trace down to this one. */
function pathTo(span: ReceivedSpan): ReceivedSpan[] {
  const path = [span]
  for (let at = span; at.parentSpanId; ) {
    const above = spans.find(({ spanId }) => spanId === at.parentSpanId)
    if (!above) break
    path.unshift(above)
    at = above
  }
  return path
}

/** The service's own name, or that of the one process. */
const by = (service: string) => (distributed ? `mnemosyne-${service}` : 'mnemosyne')

const INGEST = [
  `SERVER POST /library/api/ingest/* (${by('gateway')})`,
  `CLIENT POST ingest (${by('gateway')})`,
  `SERVER POST /library/api/ingest/ (${by('ingest')})`,
]
const UPLOAD = [
  `SERVER POST /library/api/items/upload/* (${by('gateway')})`,
  `CLIENT POST ingest (${by('gateway')})`,
  `SERVER POST /library/api/items/upload (${by('ingest')})`,
]
const WORK = [
  `INTERNAL sql.transaction (${by('ingest')})`,
  `PRODUCER publish ingest.embedding (${by('ingest')})`,
  `CONSUMER process ingest.embedding (${by('ingest')})`,
]
const REST = [
  `SERVER POST /library/api/search/* (${by('gateway')})`,
  `CLIENT POST search (${by('gateway')})`,
  `SERVER POST /library/api/search/ (${by('search')})`,
]
const TOOL = [
  `SERVER POST /mcp (${by('mcp')})`,
  `SERVER tools/call search (${by('mcp')})`,
  `CLIENT POST search (${by('mcp')})`,
  `SERVER POST /library/api/search/ (${by('search')})`,
]
const MCP = [`SERVER POST /mcp/* (${by('gateway')})`, `CLIENT POST mcp (${by('gateway')})`, ...TOOL]
const database = distributed ? 'postgresql' : 'sqlite'

describe('one trace', () => {
  test.each([
    ['an ingest request', INGEST],
    ['an upload', UPLOAD],
  ])('from %s through outbox, bus and worker to every store', (_, request) => {
    const paths = spans.map((span) => pathTo(span).map(shown))
    const work = [...request, ...WORK]
    const expected = [
      [`INTERNAL ingest fetching (${by('ingest')})`],
      [`INTERNAL ingest parsing (${by('ingest')})`],
      [`INTERNAL ingest chunking (${by('ingest')})`],
      [`INTERNAL ingest concepts (${by('ingest')})`],
      [`INTERNAL ingest embedding (${by('ingest')})`, `CLIENT embed passages (${by('ingest')})`],
      [`INTERNAL ingest storing (${by('ingest')})`, `INTERNAL blob.put (${by('ingest')})`],
      [`INTERNAL sql.transaction (${by('ingest')})`, `CLIENT UPDATE job (${by('ingest')})`],
    ]
    for (const below of expected) expect(paths).toContainEqual([...work, ...below])
    const storing = [...work, `INTERNAL ingest storing (${by('ingest')})`].join()
    const written = spans.filter(({ name }) => name === 'graph replaceItemContent').map(pathTo)
    expect(written.map((path) => path.slice(0, -1).map(shown).join())).toContain(storing)
    for (const path of written) expect(new Set(path.map(({ traceId }) => traceId)).size).toBe(1)
  })

  test.each<[string, string[]]>([
    ['a search', REST],
    ['an MCP call through the gateway', MCP],
    ...(distributed ? ([['an MCP call past the gateway', TOOL]] satisfies [string, string[]][]) : []),
  ])('from %s through each retriever to the store', (_, request) => {
    const paths = spans.map(pathTo)
    const below = (part: string) =>
      paths.filter((path) =>
        path
          .map(shown)
          .join()
          .startsWith([...request, `INTERNAL search ${part} (${by('search')})`].join()),
      )
    for (const part of ['scope', 'vector', 'fulltext', 'graph', 'fuse', 'load'])
      expect(
        below(part).map((path) => path[request.length + 1]?.name ?? ''),
        part,
      ).toContainEqual(expect.stringMatching(/^graph \w+$/))
    expect(below('embed').length).toBeGreaterThan(0)
    expect(below('rerank').map((path) => path.slice(request.length + 1).map(shown))).toContainEqual([
      `CLIENT rerank (${by('search')})`,
    ])
    for (const path of below('load')) expect(new Set(path.map(({ traceId }) => traceId)).size).toBe(1)
  })

  test('goes on from the one that the caller began, and ends at a caller who does not sample', () => {
    const of = ({ trace }: { trace: string }) => spans.filter(({ traceId }) => traceId === trace)
    const theirs = of(SENT.sampled)
    expect(theirs.map(({ name }) => name)).toEqual(expect.arrayContaining(['search vector']))
    expect(theirs.filter(({ parentSpanId }) => parentSpanId === SENT.sampled.parent).map(shown)).toEqual([
      REST[0],
    ])
    expect(of(SENT.unsampled)).toEqual([])
  })

  test('is never of a probe, or of a process that has nothing to do', () => {
    expect(spans.filter(({ traceId }) => traceId === SENT.probe.trace)).toEqual([])
    expect(spans.filter(({ name }) => /\/(live|ready|metrics|health)/.test(name))).toEqual([])
    const alone = spans.filter(({ parentSpanId, name }) => !parentSpanId && /outbox|^graph ping/.test(name))
    expect(alone).toEqual([])
  })

  test('has all its spans: each parent was received, but those of the test itself', () => {
    const known = new Set(spans.map(({ spanId }) => spanId))
    const orphans = spans.filter(
      ({ parentSpanId }) => parentSpanId && parentSpanId !== SENT.sampled.parent && !known.has(parentSpanId),
    )
    expect(orphans.map(shown)).toEqual([])
  })
})

describe('every span', () => {
  test('comes from a process that says which it is', () => {
    const services = distributed
      ? ['auth', 'gateway', 'ingest', 'library', 'mcp', 'search'].map((name) => `mnemosyne-${name}`)
      : ['mnemosyne']
    // Beside them the command line, which made the users.
    expect(new Set(['mnemosyne', ...spans.map(({ service }) => service)])).toEqual(
      new Set(['mnemosyne', ...services]),
    )
    for (const resource of receiver.resources)
      expect(resource).toMatchObject({
        'service.namespace': 'mnemosyne',
        'service.version': expect.stringMatching(/^\d/),
        'service.instance.id': expect.stringMatching(/^[0-9a-f-]{36}$/),
      })
  })

  /** Which attributes a span has to have, and how it is called, by its kind and what it is about. */
  test.each<[about: string, kind: ReceivedSpan['kind'], has: string, attributes: string[], name: RegExp]>([
    [
      'HTTP served',
      'SERVER',
      'http.request.method',
      ['url.scheme', 'server.address', 'http.response.status_code', 'mnemosyne.component'],
      /^(GET|POST|PUT|PATCH|DELETE|HEAD)( \/[\w{}*./-]*)?$/,
    ],
    [
      'HTTP called',
      'CLIENT',
      'http.request.method',
      ['server.address'],
      /^[A-Z]+ (auth|library|ingest|search|mcp)$/,
    ],
    ['MCP', 'SERVER', 'mcp.method.name', ['gen_ai.tool.name'], /^tools\/call \w+$/],
    [
      'a message sent',
      'PRODUCER',
      'messaging.system',
      [
        'messaging.destination.name',
        'messaging.operation.type',
        'messaging.operation.name',
        'messaging.message.id',
      ],
      /^publish [a-z_.]+(\.v\d)?$/,
    ],
    [
      'a message handled',
      'CONSUMER',
      'messaging.system',
      [
        'messaging.destination.name',
        'messaging.operation.type',
        'messaging.operation.name',
        'messaging.message.id',
      ],
      /^process [a-z_.-]+$/,
    ],
    [
      'a statement',
      'CLIENT',
      'db.namespace',
      ['db.system.name', ...(distributed ? ['server.address', 'server.port'] : [])],
      /^((SELECT|INSERT|UPDATE|DELETE) \w+|sqlite|postgresql)$/,
    ],
    [
      'a model',
      'CLIENT',
      'gen_ai.operation.name',
      ['gen_ai.request.model', 'server.address'],
      /^(embed \w+|rerank)$/,
    ],
  ])('about %s has its kind, name and attributes', (_, kind, has, attributes, name) => {
    const about = spans.filter((span) => span.kind === kind && has in span.attributes)
    expect(about.length).toBeGreaterThan(0)
    for (const span of about) {
      expect(span.name).toMatch(name)
      expect(Object.keys(span.attributes)).toEqual(expect.arrayContaining(attributes))
    }
  })

  test('is documented', () => {
    const patterns = tableOf('Spans').map(([name]) => patternOf(name!))
    const unknown = spans.filter(
      ({ kind, name }) => !patterns.some((pattern) => pattern.test(`${kind} ${name}`)),
    )
    expect([...new Set(unknown.map(({ kind, name }) => `${kind} ${name}`))]).toEqual([])
  })

  test('has one of few names, and no attribute that could hold what people wrote', () => {
    for (const { name } of spans) expect(name).not.toMatch(/[0-9a-f]{8}|\d{3}|\?/)
    expect(new Set(spans.map(({ name }) => name)).size).toBeLessThan(150)
    const keys = new Set(spans.flatMap(({ attributes }) => Object.keys(attributes)))
    for (const key of ['url.path', 'url.query', 'url.full', 'db.query.text', 'exception.message'])
      expect(keys).not.toContain(key)
    for (const { attributes } of spans)
      for (const value of Object.values(attributes)) expect(String(value).length).toBeLessThan(100)
  })

  test('failed or not as the conventions have it', () => {
    const notFound = spans.filter(({ attributes }) => attributes['http.response.status_code'] === 404)
    expect(notFound.filter(({ kind }) => kind === 'SERVER').map(({ failed }) => failed)).toContain(false)
    expect(notFound.filter(({ kind, failed }) => kind === 'SERVER' && failed)).toEqual([])
    const failed = spans.filter((span) => span.failed)
    expect(failed.filter(({ attributes }) => !attributes['error.type'])).toEqual([])
    expect(failed.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['ingest embedding', 'process ingest.embedding', 'tools/call search']),
    )
  })

  test('of a call between processes names the port', () => {
    const calls = spans.filter(
      ({ kind, attributes }) => kind === 'CLIENT' && 'http.request.method' in attributes,
    )
    const ports = calls
      .filter(({ service }) => service !== 'mnemosyne')
      .map((call) => call.attributes['server.port'])
    expect(ports.filter((port) => typeof port !== 'number')).toEqual([])
    expect(ports.length > 0).toBe(distributed)
  })

  test('of a statement names its database', () => {
    const systems = spans.flatMap(({ attributes }) => ('db.namespace' in attributes ? [attributes] : []))
    expect(new Set(systems.map((attributes) => attributes['db.system.name']))).toEqual(new Set([database]))
  })
})

describe('what is told of', () => {
  test('traces and metrics holds no text, no query, no names of people and files, no secret', () => {
    const all = `${receiver.raw}\n${metricsText}`.toLowerCase()
    expect(spans.length).toBeGreaterThan(100)
    for (const word of [...PRIVATE_WORDS, ...NAMES, ...secrets]) expect(all).not.toContain(word.toLowerCase())
  })

  test('the log holds no text, no query, no name of a file and no secret', () => {
    const lines = log.map((line) => JSON.stringify(line).toLowerCase())
    const told = lines.filter((line) =>
      [...PRIVATE_WORDS, ...secrets].some((word) => line.includes(word.toLowerCase())),
    )
    expect(told).toEqual([])
  })
})

describe('the log', () => {
  test('has a component on every line, and ids of request and trace where there is one', () => {
    expect(log.filter(({ component }) => typeof component !== 'string')).toEqual([])
    const requests = log.filter(({ msg }) => msg === 'request')
    expect(requests.length).toBeGreaterThan(10)
    expect(requests.filter(({ request_id, trace_id }) => !request_id || !trace_id)).toEqual([])
  })

  test('follows a request through the services by the id that the caller gave', () => {
    const lines = log.filter(({ request_id }) => request_id === REQUEST_ID)
    expect(lines.map(({ component }) => component)).toEqual(expect.arrayContaining(['gateway', 'search']))
  })
})

test('who acts is told by the same id in logs and spans, from the gateway into the worker', () => {
  const logged = log.flatMap(({ request_id, component, user_id }) =>
    request_id === REQUEST_ID && user_id ? [{ component, user_id }] : [],
  )
  expect(new Set(logged.map(({ component }) => component))).toEqual(new Set(['gateway', 'search']))
  const [user] = logged.map(({ user_id }) => user_id)
  expect(user).toMatch(/^[0-9a-f-]{36}$/)
  const stages = spans.filter(({ name }) => /^ingest \w+$/.test(name))
  expect(stages.length).toBeGreaterThan(5)
  expect(new Set(stages.map(({ attributes }) => attributes['user.id']))).toEqual(new Set([user]))
  const served = spans.filter(({ kind, name }) => kind === 'SERVER' && name.startsWith('POST /library/api/'))
  expect(served.filter(({ attributes }) => !attributes['user.id']).map(shown)).toEqual([])
  const theirs = served.filter(({ traceId }) => traceId === SENT.sampled.trace)
  expect(theirs.map(({ attributes }) => attributes['user.id'])).toEqual([user, user])
  expect(log.filter(({ msg, user_id }) => msg === 'job completed' && user_id !== user)).toEqual([])
})

describe('metrics', () => {
  const documented = () =>
    tableOf('Metrics').map(([name, type, , labels, , only]) => ({
      name: plainName(name!),
      type: type!,
      labels: ['component', ...labels!.split(',').map(plainName)].filter(Boolean).sort(),
      only: only!,
    }))
  const here = ({ only }: { only: string }) => only === '' || only === mode()
  const exposed = () => [...metrics].filter(([name]) => /^(mnemosyne|mcp)_/.test(name))

  test('are those of the documentation, in one process as in six', () => {
    const names = documented().filter(here)
    expect(
      exposed()
        .map(([name, { type }]) => `${name} ${type}`)
        .sort(),
    ).toEqual(names.map(({ name, type }) => `${name} ${type}`).sort())
  })

  test('have the labels of the documentation, `component` first', () => {
    const labels = new Map(documented().map(({ name, labels }) => [name, labels]))
    for (const [name, metric] of exposed())
      if (metric.labels) expect({ name, labels: metric.labels }).toEqual({ name, labels: labels.get(name) })
    const unlabelled = [...metrics].filter(([, { labels }]) => labels && !labels.includes('component'))
    expect(unlabelled.map(([name]) => name)).toEqual([])
  })

  test('have moved, but those of what did not happen', () => {
    expect([...unmoved()]).toEqual([])
  })

  test('tell of the process itself', () => {
    for (const name of [
      'nodejs_eventloop_lag_p50_seconds',
      'nodejs_eventloop_lag_p99_seconds',
      'nodejs_eventloop_lag_max_seconds',
      'nodejs_gc_duration_seconds',
      'process_resident_memory_bytes',
    ])
      expect(metrics.get(name)?.value, name).toBeGreaterThan(0)
  })
})

/** What this run does not make happen. */
const DID_NOT_HAPPEN = new Set([
  'mnemosyne_http_client_resends_total',
  'mnemosyne_outbox_failures_total',
  'mnemosyne_outbox_oldest_seconds',
  'mnemosyne_outbox_pending',
  'mnemosyne_bus_queue_depth',
  'mnemosyne_bus_redelivered_total',
  'mnemosyne_search_part_failures_total',
  'mnemosyne_search_in_hand',
  'mnemosyne_search_waiting',
  'mnemosyne_search_refused_total',
  'mnemosyne_golden_queries_recall',
  'mnemosyne_golden_queries_mrr',
  'mnemosyne_processing_child_ends_total',
  'mnemosyne_processing_queue_length',
  'mnemosyne_embedding_endpoint_left_alone',
  'mnemosyne_embedding_queue_length',
  'mnemosyne_reranker_endpoint_left_alone',
  'mnemosyne_reranker_retries_total',
  'mnemosyne_audit_dropped_total',
  'mnemosyne_audit_waiting',
  'mnemosyne_auth_logins_total',
  'mnemosyne_team_rotate_upserts_total',
  'mnemosyne_gateway_auth_failures_total',
  'mcp_auth_failures_total',
  // Nothing but what both ends understand gets onto the bus of one process.
  ...(distributed ? [] : ['mnemosyne_bus_dead_lettered_total', 'mnemosyne_bus_dead_letters']),
])

function* unmoved(): Generator<string> {
  for (const [name, { value }] of metrics)
    if (/^(mnemosyne|mcp)_/.test(name) && value <= 0 && !DID_NOT_HAPPEN.has(name)) yield name
}

const DOCUMENT = new URL('../../../docs/telemetry.md', import.meta.url)

/** The rows of all tables below a heading of the documentation. */
function tableOf(heading: string): string[][] {
  const section = readFileSync(DOCUMENT, 'utf8')
    .split(/^## /m)
    .find((part) => part.startsWith(heading))!
  return section
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    )
}

const plainName = (cell: string) => cell.replaceAll('`', '').trim()

/** `SERVER {method} {route}` stands for any words in the place of those in braces. */
function patternOf(cell: string): RegExp {
  const parts = plainName(cell).split(/(\{\w+\})/)
  const escaped = parts.map((part) =>
    part.startsWith('{') ? '\\S+' : part.replace(/[.*+?^$()|[\]\\/]/g, '\\$&'),
  )
  return new RegExp(`^${escaped.join('')}$`)
}
