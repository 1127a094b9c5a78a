import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type NginxServer, startNginx } from '@mnemosyne/platform/testing'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { SystemClient } from '../client.ts'
import { DistributedSystem } from '../distributed-system.ts'
import { mnemosyne } from '../harness.ts'
import { inventedDocument } from '../stores.ts'

let system: DistributedSystem
let nginx: NginxServer
/** A caller who knows nginx only. */
let outside: SystemClient
const UPLOAD_MAX = 3_000_000

beforeAll(async () => {
  system = await DistributedSystem.start({
    envOf: { gateway: { ALLOWED_HOSTS: '127.0.0.1,.example.org', TRUSTED_PROXIES: '127.0.0.1' } },
  })
  const { gateway, mcp } = system.cluster.processes
  nginx = await startNginx({
    gateway: gateway[0]!.url,
    mcp: mcp[0]!.url,
    tlsTerminator: '127.0.0.1',
    uploadMax: String(UPLOAD_MAX),
  })
  outside = new SystemClient(nginx.url, system.token)
  await outside.createWorkspace('ws')
}, 180_000)
afterAll(async () => {
  await nginx?.close()
  await system?.stop()
})

test('the command line and an MCP client work through it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'mnemosyne-nginx-'))
  writeFileSync(join(folder, 'anchors.md'), '# Anchors\n\nThe sheet anchor is kept on the lee side.\n')
  const env = { MNEMOSYNE_URL: nginx.url, MNEMOSYNE_TOKEN: system.token }
  const ingested = await mnemosyne(
    [...['ingest', folder, '--library', 'Harbour', '--library-type', 'technical'], '--wait', '--json'],
    { env },
  )
  expect(ingested.code, ingested.stdout + ingested.stderr).toBe(0)
  const found = await mnemosyne(['search', 'where is the emergency anchor?', '--json'], { env })
  expect(found.stdout).toContain('lee side')
  rmSync(folder, { recursive: true })

  const client = new Client({ name: 'test', version: '1' })
  await client.connect(
    new StreamableHTTPClientTransport(new URL(`${nginx.url}/mcp/`), {
      requestInit: { headers: { Authorization: `Bearer ${system.token}` } },
    }),
  )
  const answer = await client.callTool({ name: 'search', arguments: { query: 'emergency anchor' } })
  expect(JSON.stringify(answer)).toContain('lee side')
  await client.close()
})

test('progress of a job comes as it happens, not when it has ended', async () => {
  const file = { name: 'long.md', content: inventedDocument('Long', 40) }
  const { body: job } = await outside.upload({ workspace_id: 'ws', source_ref: 'long' }, file)
  const response = await fetch(`${nginx.url}/library/api/jobs/${job.job_id}/events/`, {
    headers: { authorization: `Bearer ${system.token}` },
  })
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
  const first = await reader.read()
  expect(first.value).toContain('data:')
  expect(first.value).not.toContain('"status":"completed"')
  let rest = ''
  for (let part = await reader.read(); !part.done; part = await reader.read()) rest += part.value
  expect(rest).toContain('"status":"completed"')
})

test('an upload above the limit is refused before it is sent, one below it streams through', async () => {
  const upload = (bytes: number) =>
    outside.upload(
      { workspace_id: 'ws', source_ref: `bytes-${bytes}` },
      { name: 'big.txt', content: `${'word '.repeat(bytes / 5)}`, type: 'text/plain' },
    )
  expect((await upload(UPLOAD_MAX + 100_000)).status).toBe(413)
  const taken = await upload(1_500_000)
  expect(taken.status, taken.text).toBe(202)
  await outside.call('POST', `/library/api/jobs/${taken.body.job_id}/cancel/`)
})

test('headers of security stand once on every answer, errors too', async () => {
  for (const path of ['/', '/profile/api/me/', '/nothing/here', '/library/api/libraries/']) {
    const { headers } = await outside.call('GET', path, undefined, { token: null })
    for (const name of ['x-content-type-options', 'x-frame-options', 'content-security-policy']) {
      const value = headers.get(name)
      expect(value, `${name} of ${path}`).toBeTruthy()
      // Two headers of one name are joined by a comma.
      expect(value!.split(',').length, `${name} of ${path}: ${value}`).toBe(1)
    }
  }
})

test('a host that is not served is 400, one that is reaches the gateway', async () => {
  const ask = async (host: string) => {
    const answer = await outside.send(
      `GET /profile/api/me/ HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${system.token}\r\nConnection: close\r\n\r\n`,
    )
    return answer.split('\r\n')[0]
  }
  expect(await ask('evil.test')).toContain(' 400 ')
  expect(await ask('mnemosyne.example.org')).toContain(' 200 ')
})

test('the scheme that the TLS terminator saw is the one in the challenge', async () => {
  const refused = await outside.mcp(
    'tools/list',
    {},
    { token: null, headers: { 'x-forwarded-proto': 'https', host: 'mnemosyne.example.org' } },
  )
  expect(refused.status).toBe(401)
  expect(refused.headers.get('www-authenticate')).toContain('resource_metadata="https://')
})

test('failed logins count for the client whom the terminator names, whatever the client claims', async () => {
  const given = { username: 'ada', password: 'correct horse battery' }
  expect((await outside.call('POST', '/admin/api/users/', given)).status).toBe(201)
  const signIn = (client: string, password = given.password) =>
    outside.call(
      'POST',
      '/accounts/api/login/',
      { ...given, password },
      { token: null, headers: { 'x-forwarded-for': client, 'x-forwarded-proto': 'https' } },
    )
  for (let guess = 0; guess < 5; guess++) {
    const { status } = await signIn(`198.51.100.${guess}, 203.0.113.7`, 'wrong')
    expect(status).toBe(401)
  }
  const locked = await signIn('198.51.100.9, 203.0.113.7')
  expect([locked.status, Number(locked.headers.get('retry-after')) > 3_500]).toEqual([429, true])
  const elsewhere = await signIn('203.0.113.8')
  expect(elsewhere.status, elsewhere.text).toBe(200)
  expect(elsewhere.headers.getSetCookie()).toEqual([
    expect.stringMatching(/^mnemosyne_session=[\w-]{43}; Path=\/; HttpOnly; SameSite=Lax; Secure$/),
  ])
})

test('a page is of our own by the name and the scheme that the terminator saw', async () => {
  const ask = async (origin: string) => {
    const body = '{"username":"ada","password":"wrong"}'
    const answer = await outside.send(
      [
        'POST /accounts/api/login/ HTTP/1.1',
        'Host: mnemosyne.example.org',
        'X-Forwarded-For: 203.0.113.9',
        'X-Forwarded-Proto: https',
        `Origin: ${origin}`,
        'Content-Type: application/json',
        `Content-Length: ${body.length}`,
        'Connection: close',
        '',
        body,
      ].join('\r\n'),
    )
    return answer.split(' ')[1]
  }
  expect(await ask('https://mnemosyne.example.org')).toBe('401')
  expect(await ask('http://mnemosyne.example.org')).toBe('403')
  expect(await ask('https://evil.test')).toBe('403')
})

test('probes answer here, and /healthz past the gateway', async () => {
  for (const path of ['/live/', '/ready/', '/mcp/health', '/healthz']) {
    expect((await outside.call('GET', path, undefined, { token: null })).status, path).toBe(200)
  }
  const [gateway] = system.cluster.processes.gateway
  await gateway!.stop()
  expect((await outside.call('GET', '/healthz', undefined, { token: null })).status).toBe(200)
  const away = await outside.call('GET', '/profile/api/me/')
  expect(away.status).toBeGreaterThanOrEqual(502)
  expect(away.body).toMatchObject({ detail: expect.any(String) })
  gateway!.start()
  await gateway!.ready()
  expect((await outside.call('GET', '/profile/api/me/')).status).toBe(200)
})

test('internal headers of a client are dropped on both ways in', async () => {
  const forged = { 'x-mnemosyne-principal': 'forged', 'x-mnemosyne-delegation': 'library=forged' }
  const { status } = await outside.call('GET', '/profile/api/me/', undefined, { headers: forged })
  expect(status).toBe(200)
  expect((await outside.call('GET', '/healthz', undefined, { token: null, headers: forged })).status).toBe(
    200,
  )
})
