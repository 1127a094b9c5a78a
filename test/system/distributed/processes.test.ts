import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { SERVICE_NAMES, type ServiceName } from '@mnemosyne/contracts'
import { freshAmqpUrl, freshPostgresUrl, freshS3Bucket, leaseNeo4j } from '@mnemosyne/platform/testing'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { Cluster } from '../../../scripts/distributed/cluster.ts'
import { TcpProxy } from '../../chaos/tcp-proxy.ts'
import { SystemClient } from '../client.ts'
import { DistributedSystem } from '../distributed-system.ts'
import { openStore } from '../stores.ts'

type Env = Record<string, string | undefined>

/** Runs a service to its end, which has to come by itself. */
function runToEnd(name: ServiceName, env: Env, args: string[] = []) {
  const main = fileURLToPath(new URL(`../../../services/${name}/src/main.ts`, import.meta.url))
  const own = { PATH: process.env.PATH, HOME: process.env.HOME, ...env }
  return spawnSync(process.execPath, [main, ...args], { env: own, encoding: 'utf8', timeout: 30_000 })
}

describe('the configuration', () => {
  test.each(SERVICE_NAMES)('of %s that lacks everything is refused in one message that lists it', (name) => {
    const { status, stderr } = runToEnd(name, {})
    expect(status).toBe(1)
    expect(stderr).toMatch(
      new RegExp(`^The configuration of ${name} cannot be used:\n(  - [A-Z_0-9]+ is missing\n)+$`),
    )
    expect(stderr).toContain('ASSERTION_KEYS is missing')
  })

  const secret = 'hush-hush'
  const everything: Env = {
    ASSERTION_KEYS: `{"keys": ["${secret}"]}`,
    DATABASE_URL: `postgres://ada:${secret}@db/mnemosyne`,
    AMQP_URL: `amqp://ada:${secret}@broker/`,
    NEO4J_URL: `bolt://neo4j:${secret}@graph:7687`,
    AWS_S3_ENDPOINT_URL: 'http://s3:9000',
    AWS_ACCESS_KEY_ID: secret,
    AWS_SECRET_ACCESS_KEY: secret,
    EMBEDDING_API_KEY: secret,
    DAEDALUS_S3_SECRET_ACCESS_KEY: secret,
    ...Object.fromEntries(SERVICE_NAMES.map((name) => [`${name.toUpperCase()}_URL`, `http://${name}:80`])),
  }

  test.each<[ServiceName, absent: string[]]>([
    ['gateway', ['DATABASE_URL', 'AMQP_URL', 'NEO4J_URL', 'AWS_', '_S3_', 'EMBEDDING_']],
    ['auth', ['NEO4J_URL', 'AWS_', '_S3_', 'EMBEDDING_']],
    ['library', ['AWS_', '_S3_', 'EMBEDDING_']],
    ['ingest', ['AUTH_URL', 'MCP_URL', 'SEARCH_URL']],
    ['search', ['DATABASE_URL', 'AMQP_URL', 'AWS_', '_S3_', 'AUTH_URL', 'LIBRARY_URL']],
    ['mcp', ['DATABASE_URL', 'AMQP_URL', 'NEO4J_URL', 'AWS_', '_S3_', 'EMBEDDING_', 'ENCRYPTION']],
  ])('of %s, printed, holds nothing of others, and no secret in the clear', (name, absent) => {
    const { status, stdout, stderr } = runToEnd(name, everything, ['--print-config'])
    expect(stderr).toBe('')
    expect(status).toBe(0)
    expect(stdout).not.toContain(secret)
    expect(stdout).toMatch(/^ASSERTION_KEYS=\*+$/m)
    for (const part of absent) expect(stdout).not.toContain(part)
  })

  test('may be given under the names of before, and a database in its parts', () => {
    const { AMQP_URL, DATABASE_URL: _, ...rest } = everything
    const parts = {
      APP_DB_NAME: 'm',
      APP_DB_USER: 'ada',
      APP_DB_PASSWORD: 'p@ss/word',
      DB_HOST: 'db',
      DB_PORT: '6',
    }
    const { status, stderr } = runToEnd('auth', { ...rest, CELERY_BROKER_URL: AMQP_URL, ...parts }, [
      '--print-config',
    ])
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  })
})

describe('six processes', () => {
  let system: DistributedSystem
  const closing = new AsyncDisposableStack()

  /** Started one after another, last first, on servers of which none can be reached yet. */
  beforeAll(async () => {
    const lease = closing.use(await leaseNeo4j())
    const databaseUrl = await freshPostgresUrl()
    const bucket = await freshS3Bucket()
    const proxy = closing.use(await TcpProxy.start(databaseUrl))
    proxy.refuse()
    const servers = {
      databaseUrl: proxy.through(databaseUrl),
      amqpUrl: await freshAmqpUrl(),
      neo4jUrl: lease.url,
      bucket,
      daedalus: await freshS3Bucket(),
    }
    const cluster = closing.use(await Cluster.plan({ servers, env: { LOGGING_LEVEL: 'debug' } }))
    for (const process of cluster.all.toReversed()) process.start()
    const { auth, library, gateway, search } = cluster.processes
    await search[0]!.ready()
    await vi.waitFor(async () => expect((await library[0]!.readiness())?.status).toBe('starting'), 20_000)
    // It lives, says what it waits for, and sends callers elsewhere.
    expect((await fetch(`${library[0]!.url}/live/`)).status).toBe(200)
    expect((await fetch(`${library[0]!.url}/ready/`)).status).toBe(503)
    await vi.waitFor(
      async () => expect(JSON.stringify(await auth[0]!.readiness())).toMatch(/PostgreSQL cannot be reached/),
      20_000,
    )
    const refused = await fetch(`${gateway[0]!.url}/profile/api/me/`, {
      headers: { authorization: 'Bearer x' },
    })
    expect(refused.status).toBe(503)
    proxy.heal()
    await Promise.all(cluster.all.map((process) => process.ready()))
    system = await DistributedSystem.around(cluster, servers, [])
  }, 120_000)
  afterAll(() => closing.disposeAsync())

  test('start in any order, before what they need, and serve when it is there', async () => {
    await system.createWorkspace('ws')
    const file = { name: 'anchor.md', content: '# Anchors\n\nThe sheet anchor is kept on the lee side.\n' }
    const job = await system.ended((await system.upload({ workspace_id: 'ws' }, file)).body.job_id)
    expect(job).toMatchObject({ status: 'completed', error: null })
    expect((await system.search('where is the emergency anchor?')).candidates[0]?.text_preview).toContain(
      'lee side',
    )
  })

  test('serve probes and metrics each', async () => {
    for (const { name, url } of system.cluster.all) {
      expect((await fetch(`${url}/live/`)).status, name).toBe(200)
      expect((await fetch(`${url}/ready/`)).status, name).toBe(200)
      expect(await (await fetch(`${url}/metrics`)).text(), name).toContain(`component="${name}"`)
    }
  })

  test('believe the gateway and nobody else', async () => {
    for (const { name, url } of system.cluster.all) {
      if (name === 'gateway' || name === 'mcp') continue
      const path = name === 'search' ? '/library/api/search/' : '/library/api/jobs/'
      const answer = await fetch(`${url}${name === 'auth' ? '/profile/api/me/' : path}`, {
        method: name === 'search' ? 'POST' : 'GET',
        headers: { authorization: `Bearer ${system.token}`, 'x-mnemosyne-principal': 'forged' },
      })
      expect(answer.status, name).toBe(401)
    }
  })

  test('mcp resolves a bearer itself, and heeds its revocation at once', async () => {
    const direct = new SystemClient(system.cluster.processes.mcp[0]!.url, system.token)
    const search = () =>
      direct.mcp('tools/call', { name: 'search', arguments: { query: 'emergency anchor' } })
    const found = (await search()).body as { result: { structuredContent: { candidates: unknown[] } } }
    expect(found.result.structuredContent.candidates.length).toBeGreaterThan(0)
    expect((await direct.mcp('tools/list', {}, { token: 'mnem_wrong' })).status).toBe(401)
    expect((await direct.mcp('tools/list', {}, { token: null })).status).toBe(401)
    const minted = (
      await system.call('POST', '/profile/api/tokens/', { name: 'x', allowed_libraries: ['*'] })
    ).body as { id: string; token: string }
    expect((await direct.mcp('tools/list', {}, { token: minted.token })).status).toBe(200)
    await system.call('POST', `/profile/api/tokens/${minted.id}/revoke/`)
    expect((await direct.mcp('tools/list', {}, { token: minted.token })).status).toBe(401)
  })

  test('while auth is frozen everything that needs it is 503 within two seconds', async () => {
    const [auth] = system.cluster.processes.auth
    const direct = new SystemClient(system.cluster.processes.mcp[0]!.url, system.token)
    auth!.pause()
    try {
      for (const ask of [() => system.call('GET', '/profile/api/me/'), () => direct.mcp('tools/list')]) {
        const started = performance.now()
        expect((await ask()).status).toBe(503)
        expect(performance.now() - started).toBeLessThan(2_500)
      }
    } finally {
      auth!.resume()
    }
    await expect.poll(async () => (await system.call('GET', '/profile/api/me/')).status).toBe(200)
  })

  test('a store that a newer version has written ends the service with the reason', async () => {
    const { databaseUrl } = system.servers
    const [auth] = system.cluster.processes.auth
    await auth!.stop()
    await using store = await openStore(databaseUrl, 'auth')
    await store.transaction(async (tx) => {
      await tx
        .insertInto('schema_migrations')
        .values({ name: 'auth-9999-of-tomorrow', applied_at: 'then' })
        .execute()
    })
    auth!.start()
    await expect(auth!.ready()).rejects.toThrow(/has ended/)
    expect(auth!.log).toMatch(/written by a newer version/)
    await store.transaction(async (tx) => {
      await tx.deleteFrom('schema_migrations').where('name', '=', 'auth-9999-of-tomorrow').execute()
    })
    auth!.start()
    await auth!.ready()
  })

  test('refuse a key that they must not have, and one that does not sign', () => {
    for (const name of ['auth', 'gateway'] as const) {
      const keys = { kty: 'OKP', crv: 'Ed25519', kid: 'k', x: 'AAAA', ...(name === 'auth' && { d: 'BBBB' }) }
      const [process] = system.cluster.processes[name]
      const { status, stdout } = runToEnd(name, {
        ...process!.variables,
        LISTEN_PORT: '0',
        ASSERTION_KEYS: JSON.stringify({ keys: [keys] }),
      })
      expect(status, stdout).toBe(1)
      expect(stdout).toContain('private key')
      expect(stdout).not.toContain('BBBB')
    }
  })

  test('end in order within ten seconds', async () => {
    const started = performance.now()
    const codes = await Promise.all(system.cluster.all.map((process) => process.stop()))
    expect(codes).toEqual(codes.map(() => 0))
    expect(performance.now() - started).toBeLessThan(10_000)
  })
})
