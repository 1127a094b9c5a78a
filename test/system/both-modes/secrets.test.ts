import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { startEmbeddingServer, startRerankerServer } from '@mnemosyne/models/testing'
import { openRabbitBus, parseAssertionKeys } from '@mnemosyne/platform'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { SystemClient } from '../client.ts'
import { DistributedSystem } from '../distributed-system.ts'
import { mnemosyne, temporaryFolder } from '../harness.ts'
import { mode, type SystemInMode, startInMode } from '../mode.ts'
import { rowsOf, surroundings } from '../stores.ts'
import { TraceReceiver } from '../trace-receiver.ts'
import { Recorder } from './secrets/asking.ts'
import { everything } from './secrets/full-run.ts'
import { Secrets } from './secrets/ledger.ts'
import { filesIn, seenOf, unpacked } from './secrets/places.ts'

// Whole processes, on a machine that other tests keep busy.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 480_000 })

const folder = temporaryFolder()
const path = (name: string) => join(folder.path, name)
const secrets = new Secrets()
const printed: string[] = []
/** Bodies of all messages on the bus. In one process they are where the outbox was. */
const messages: string[] = []

let receiver: TraceReceiver
let rest: Recorder
let log: string
let metrics: string
let audit: string
let processes: [string, Buffer][]
const kept: [string, Buffer][] = []

beforeAll(async () => {
  const apiKey = secrets.add('the key of the model', `sk-${randomBytes(24).toString('hex')}`)
  const rerankerKey = secrets.add('a key that the re-ranker refuses', `sk-${randomBytes(24).toString('hex')}`)
  receiver = await TraceReceiver.start()
  await using model = await startEmbeddingServer({ dimensions: 64, apiKey })
  // It quotes the key that it refuses.
  await using reranker = await startRerankerServer({ apiKey: 'another' })
  await using system = await startInMode({
    env: {
      LOGGING_LEVEL: 'trace',
      OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
      EMBEDDING_BASE_URL: model.url,
      EMBEDDING_MODEL: 'hashed',
      EMBEDDING_DIMENSIONS: '64',
      EMBEDDING_API_KEY: apiKey,
      RERANKER_BASE_URL: reranker.url,
      RERANKER_MODEL: 'shared words',
      RERANKER_API_KEY: rerankerKey,
    },
  })
  secrets.add('the token of the administrator', system.token)
  for (const [name, value] of await ownSecretsOf(system)) secrets.add(name, value)
  await using _tap = await tapOf(system)
  rest = new Recorder(system.url, system.token)
  const { token, jwt } = await everything({ system, rest, secrets, printed })
  await pastTheGateway(system, [token, jwt])
  await withoutStores(system)
  await backUp(system)
  for (const { secret } of await rowsOf<{ secret: string }>(
    '',
    'auth',
    'signing_key',
    system.databaseUrl('auth'),
  ))
    secrets.add('the secret of a signing key', secret)
  audit = ''
  for (let offset = 0; ; offset += 200) {
    const page = await system.call('GET', `/admin/api/audit/?limit=200&offset=${offset}`)
    expect(page.status, page.text).toBe(200)
    audit += page.text
    if ((page.body as unknown[]).length < 200) break
  }
  metrics = await system.metrics()
  processes = [...seenOf(pidsOf(system))]
  for await (const place of system.kept()) kept.push(place)
  await system.stop()
  log = system.log()
})
afterAll(async () => {
  await receiver?.[Symbol.asyncDispose]()
  folder[Symbol.dispose]()
})

/** What the system itself holds, and was given. */
async function ownSecretsOf(system: SystemInMode): Promise<[name: string, value: string][]> {
  const keys = (json: string): [string, string][] =>
    parseAssertionKeys(json).keys.flatMap(({ d }) => (d ? [['the key that signs assertions', d]] : []))
  if (!(system instanceof DistributedSystem)) {
    return keys(readFileSync(join(system.dataDir, 'secrets', 'assertion-keys.json'), 'utf8'))
  }
  const { databaseUrl, amqpUrl, neo4jUrl, bucket, daedalus } = system.servers
  return [
    ...keys(system.cluster.processes.gateway[0]!.variables.ASSERTION_KEYS!),
    ...[databaseUrl, amqpUrl, neo4jUrl].flatMap((url): [string, string][] => [
      [`the URL of ${new URL(url).protocol}`, url],
      [`the password of ${new URL(url).protocol}`, new URL(url).password],
    ]),
    ['the secret key of the bucket', bucket.secretAccessKey],
    ["the secret key of Daedalus's bucket", daedalus!.secretAccessKey],
  ]
}

/** Hears every event that goes over the broker. */
async function tapOf(system: SystemInMode): Promise<AsyncDisposable> {
  const closing = new AsyncDisposableStack()
  if (system instanceof DistributedSystem) {
    const bus = closing.use(await openRabbitBus({ url: system.servers.amqpUrl, ...surroundings() }))
    await bus.subscribe({
      queue: 'test.secrets',
      topics: ['#'],
      handle: async (message) => void messages.push(JSON.stringify(message)),
    })
  }
  return closing
}

async function pastTheGateway(system: SystemInMode, tokens: string[]): Promise<void> {
  if (!(system instanceof DistributedSystem)) return
  const direct = new Recorder(system.cluster.processes.mcp[0]!.url, system.token)
  const call = { name: 'search', arguments: { query: 'fog' } }
  for (const token of [...tokens, secrets.add('an unknown token past the gateway', `mnem_${'x'.repeat(40)}`)])
    await direct.mcp('tools/call', call, { token })
  for (const { url, name } of system.cluster.all) {
    const forged = secrets.add(
      `a forged assertion for ${name}`,
      `eyJ.${randomBytes(40).toString('base64url')}.x`,
    )
    await new SystemClient(url, tokens[0]!).call('GET', '/', undefined, {
      headers: { 'x-mnemosyne-principal': forged },
    })
  }
  rest.answers.push(...direct.answers)
}

/** What commands and services say when no server can be reached with what they were given. */
async function withoutStores(system: SystemInMode): Promise<void> {
  const hidden = (name: string) =>
    secrets.add(`the ${name} of a server that is away`, randomBytes(12).toString('hex'))
  const env = {
    DATABASE_URL: `postgres://ada:${hidden('password')}@127.0.0.1:9/mnemosyne`,
    AMQP_URL: `amqp://ada:${hidden('password')}@127.0.0.1:9/`,
    NEO4J_URL: `bolt://neo4j:${hidden('password')}@127.0.0.1:9`,
    AWS_S3_ENDPOINT_URL: 'http://127.0.0.1:9',
    AWS_ACCESS_KEY_ID: 'ada',
    AWS_SECRET_ACCESS_KEY: hidden('secret key'),
  }
  for (const variable of ['DATABASE_URL', 'AMQP_URL', 'NEO4J_URL'] as const) {
    const own = { [variable]: env[variable], MNEMOSYNE_DATA_DIR: path(`without-${variable}`) }
    const { code, stdout, stderr } = await mnemosyne(['create-user', 'ada', '--no-password', '--json'], {
      env: own,
    })
    expect(code, stdout).not.toBe(0)
    printed.push(stdout, stderr)
  }
  const malformed = `postgres://ada:${hidden('password')}@[/x`
  const { stdout, stderr } = await mnemosyne(['status', '--json'], {
    env: { ...env, DATABASE_URL: malformed },
  })
  printed.push(stdout, stderr)
  if (!(system instanceof DistributedSystem)) return
  const [auth] = system.cluster.processes.auth
  await auth!.stop()
  const good = { DATABASE_URL: auth!.variables.DATABASE_URL, AMQP_URL: auth!.variables.AMQP_URL }
  auth!.start({ DATABASE_URL: env.DATABASE_URL, AMQP_URL: env.AMQP_URL })
  await vi.waitFor(() => expect(auth!.log).toContain('cannot start yet'), 60_000)
  rest.answers.push(JSON.stringify(await auth!.readiness()))
  await auth!.stop()
  auth!.start(good)
  await auth!.ready()
}

/** Takes backups with and without a passphrase, and tries to restore with others. */
async function backUp(system: SystemInMode): Promise<void> {
  const passphrase = secrets.add('the passphrase', 'the "tide" turns at noon & ebbs')
  await writeFile(path('passphrase'), passphrase)
  const run = async (args: string[], expected: number) => {
    const { code, stdout, stderr } = await system.command(args)
    expect(code, stdout + stderr).toBe(expected)
    printed.push(stdout, stderr)
  }
  await run(['backup', path('bare')], 0)
  await run(['backup', path('sealed'), '--passphrase-file', path('passphrase')], 0)
  await writeFile(path('wrong'), secrets.add('a wrong passphrase', 'the tide turns at midnight'))
  const restore = ['restore', path('sealed'), '--json', '--data-dir', path('restored')]
  for (const [args, expected] of [
    [['--passphrase-file', path('wrong')], 1],
    [['--passphrase-file', path('passphrase')], 0],
  ] as const) {
    const { code, stdout, stderr } = await mnemosyne([...restore, ...args])
    expect(code, stdout + stderr).toBe(expected)
    printed.push(stdout, stderr)
  }
}

function pidsOf(system: SystemInMode): number[] {
  return system instanceof DistributedSystem
    ? system.cluster.all.map(({ pid }) => pid!)
    : [system.process.pid!]
}

/** No token of three parts but the few that a test sends: assertions are nowhere written down. */
const JWS = /eyJ[\w-]{16,}\.[\w-]{16,}\.[\w-]{40,}/

test('a secret is found in every form', () => {
  const own = new Secrets()
  const value = own.add('it', 'a "b" \\ ü/+ 0123')
  const forms = [
    value,
    JSON.stringify({ value }),
    JSON.stringify({ error: JSON.stringify({ value }) }),
    encodeURIComponent(value),
    new URLSearchParams({ value }).toString(),
    Buffer.from(value).toString('hex'),
    ...['', 'u', 'us', 'user:'].flatMap((before) =>
      (['base64', 'base64url'] as const).map((form) =>
        Buffer.from(`${before}${value}, after`).toString(form),
      ),
    ),
  ]
  for (const form of forms)
    expect(own.foundIn('here', Buffer.from(`before ${form} after`)), form).not.toEqual([])
  expect(own.foundIn('here', Buffer.from('a b ü'))).toEqual([])
})

test('there is something to look for', () => {
  expect(secrets.count).toBeGreaterThan(45)
  expect(log.length).toBeGreaterThan(10_000)
  expect(receiver.raw).toContain('traceId')
  expect(metrics).toContain('mnemosyne_auth_logins_total')
  expect(audit).toContain('session.started')
  expect(rest.answers.length).toBeGreaterThan(60)
  expect(kept.length).toBeGreaterThan(10)
  if (mode() === 'distributed') expect(messages.join()).toContain('audit.recorded.v1')
  const sealed = [...filesIn(path('sealed'))].map(([, bytes]) => bytes.toString()).join()
  expect(sealed).toContain('"sealed":')
})

describe('no secret stands in', () => {
  const texts: [string, () => string][] = [
    ['the log', () => log],
    ['traces', () => receiver.raw],
    ['metrics', () => metrics],
    ['the audit log', () => audit],
    ['answers', () => rest.answers.join('\n')],
    ['what commands print', () => printed.join('\n')],
    ['messages', () => messages.join('\n')],
  ]
  test.each(texts)('%s', (place, text) => {
    expect(secrets.foundIn(place, Buffer.from(text()))).toEqual([])
    expect(text()).not.toMatch(JWS)
  })

  test.skipIf(process.platform !== 'linux')('titles and arguments of processes', () => {
    // Parsers, at the least.
    expect(processes.some(([place]) => place.startsWith('environ'))).toBe(true)
    expect(processes.flatMap(([place, bytes]) => secrets.foundIn(place, bytes))).toEqual([])
  })

  test.each(['bare', 'sealed'])('a backup: %s', (name) => {
    const files = [...filesIn(path(name))]
    expect(files.flatMap(([place, bytes]) => secrets.foundIn(place, bytes))).toEqual([])
  })
})

/** Where a secret has to stand, and what it is. */
const AT_HOME: [place: RegExp, secret: RegExp][] = [
  [/^table auth\.signing_key$|^auth\.db/, /^the secret of a signing key/],
  // Good for nothing without the session's cookie, of which the hash is kept.
  [/^table auth\.session$|^auth\.db/, /^a CSRF token( \(\d+\))?$/],
  [/^secrets\/assertion-keys\.json$/, /^the key that signs assertions/],
]

test('what is kept holds secrets of signing keys, in their table, and no other', () => {
  const found = kept.flatMap(([place, bytes]) => {
    const may = (secret: string) => AT_HOME.some(([at, what]) => at.test(place) && what.test(secret))
    return secrets.foundIn(place, unpacked(place, bytes), may)
  })
  expect(found).toEqual([])
})
