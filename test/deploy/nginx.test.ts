import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { text } from 'node:stream/consumers'
import { describeProgram, type NginxServer, nginxProgram, startNginx } from '@mnemosyne/platform/testing'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { ask, open } from './ask.ts'
import { startDnsServer } from './dns-server.ts'
import { startUpstream, type Upstream } from './upstream.ts'

const TERMINATOR = '127.0.0.2'
const MEBIBYTE = 1_048_576
const PROBES = ['/live/', '/ready/', '/metrics', '/healthz', '/mcp/health', '/nginx_status']
const SECURITY = ['x-content-type-options', 'x-frame-options', 'content-security-policy', 'referrer-policy']

/** A request from `client` by way of the TLS terminator. */
const by = (client: string, headers: Record<string, string> = {}) => ({
  from: TERMINATOR,
  headers: { 'x-forwarded-for': client, 'x-forwarded-proto': 'https', ...headers },
})

await describeProgram('nginx', nginxProgram, () => {
  let gateway: Upstream
  let mcp: Upstream
  let nginx: NginxServer

  beforeAll(async () => {
    gateway = await startUpstream({ answer: answerAsTheGateway })
    mcp = await startUpstream({ name: 'mcp' })
    nginx = await startNginx({ gateway: gateway.url, mcp: mcp.url, uploadMax: '65m' })
  })
  afterAll(async () => {
    await nginx?.close()
    await gateway?.close()
    await mcp?.close()
  })

  const asked = async (path: string, question?: Parameters<typeof ask>[2]) =>
    JSON.parse((await ask(nginx.url, path, question)).body)

  describe('who is asking', () => {
    test.for([
      ['127.0.0.1', 200],
      ['10.0.0.1', 200],
      ['10.255.255.255', 200],
      ['172.16.0.1', 200],
      ['172.31.255.254', 200],
      ['192.168.200.9', 200],
      ['::1', 200],
      ['203.0.113.7', 403],
      ['172.15.255.255', 403],
      ['172.32.0.1', 403],
      ['192.169.0.1', 403],
      ['11.0.0.1', 403],
      ['2001:db8::7', 403],
      // A client that claims a neighbour's address before its own.
      ['10.0.0.1, 203.0.113.7', 403],
    ] as const)('probes and metrics for %s: %i', async ([client, status]) => {
      for (const path of PROBES) expect((await ask(nginx.url, path, by(client))).status, path).toBe(status)
    })

    test('nobody else is believed about the address', async () => {
      const headers = { 'x-forwarded-for': '203.0.113.7' }
      expect((await ask(nginx.url, '/live/', { headers })).status).toBe(200)
      const { headers: passed } = await asked('/library/api/items/', { headers })
      expect(passed).toMatchObject({ 'x-real-ip': '127.0.0.1', 'x-forwarded-for': '127.0.0.1' })
    })

    test('the terminator is, and is put at the end of the chain', async () => {
      const { headers } = await asked('/library/api/items/', by('10.9.9.9, 203.0.113.7'))
      expect(headers).toMatchObject({
        'x-real-ip': '203.0.113.7',
        'x-forwarded-for': `10.9.9.9, 203.0.113.7, ${TERMINATOR}`,
      })
    })

    test('a terminator that adds a line of its own to what its client claims is understood', async () => {
      const lines = { 'x-forwarded-for': ['198.51.100.1', '203.0.113.7'] }
      const { headers } = await asked('/accounts/api/login/', { from: TERMINATOR, headers: lines })
      expect(headers).toMatchObject({
        'x-real-ip': '203.0.113.7',
        'x-forwarded-for': `198.51.100.1, 203.0.113.7, ${TERMINATOR}`,
      })
    })

    test('cookies, and where a page is from, are passed on as they are', async () => {
      const sent = {
        cookie: 'mnemosyne_session=s',
        'x-csrf-token': 'c',
        origin: 'https://memory.example.org',
        'sec-fetch-site': 'same-origin',
      }
      expect((await asked('/accounts/api/session/', { headers: sent })).headers).toMatchObject(sent)
    })

    test.for([
      { from: TERMINATOR, sent: 'https', passed: 'https' },
      { from: TERMINATOR, sent: 'http', passed: 'http' },
      { from: TERMINATOR, sent: 'gopher', passed: 'http' },
      { from: TERMINATOR, passed: 'http' },
      { from: '127.0.0.1', sent: 'https', passed: 'http' },
    ])('X-Forwarded-Proto $sent from $from', async ({ from, sent, passed }) => {
      const { headers } = await asked('/', { from, headers: sent ? { 'x-forwarded-proto': sent } : {} })
      expect(headers['x-forwarded-proto']).toBe(passed)
    })

    test('Host is passed on as it is, with its port', async () => {
      const { headers } = await asked('/', { headers: { host: 'Memory.example.org:8443' } })
      expect(headers.host).toBe('Memory.example.org:8443')
    })

    test('headers that nobody vouches for end here', async () => {
      const forged = { 'x-forwarded-host': 'evil.example', forwarded: 'for=1.2.3.4', 'x-forwarded-port': '1' }
      const { headers } = await asked('/', { headers: forged })
      for (const name of Object.keys(forged)) expect(headers).not.toHaveProperty(name)
    })

    test.for([
      ['abc-123', 'abc-123'],
      ['not a "request" id', expect.stringMatching(/^[0-9a-f]{32}$/)],
      [undefined, expect.stringMatching(/^[0-9a-f]{32}$/)],
    ] as const)('request id %s', async ([sent, expected]) => {
      const answer = await ask(nginx.url, '/', { headers: sent ? { 'x-request-id': sent } : {} })
      const passed = JSON.parse(answer.body).headers['x-request-id']
      expect(passed).toEqual(expected)
      expect(answer.headers['x-request-id']).toEqual([passed])
    })
  })

  describe('where it goes', () => {
    test.for([
      '/',
      '/library/api/items/?q=a%20b',
      '/mcp/',
      '/mcp',
      '/mcp/sse',
      '/profile/api/me/',
      '/mcphealth',
    ])('%s to the gateway, unchanged', async (path) => {
      expect(await asked(path)).toMatchObject({ name: 'gateway', url: path })
    })

    test('/healthz to mcp, without anything that the client sent', async () => {
      const sent = {
        'x-mnemosyne-principal': 'forged',
        'x-mnemosyne-delegation': 'forged',
        authorization: 'Bearer x',
        cookie: 'session=x',
        'content-length': '2',
      }
      const body = [Buffer.from('{}')]
      const answer = await asked('/healthz?a=b', { headers: { ...sent, 'x-request-id': 'probe-1' }, body })
      expect(answer).toMatchObject({ name: 'mcp', method: 'GET', url: '/mcp/health' })
      expect(Object.keys(answer.headers).sort()).toEqual(['host', 'x-request-id'])
      expect(answer.headers['x-request-id']).toBe('probe-1')
      expect((await ask(nginx.url, '/healthz', { method: 'HEAD' })).status).toBe(200)
      expect((await ask(nginx.url, '/healthz', { method: 'POST' })).status).toBe(405)
    })

    // Ways of writing the path that the gateway, too, reads as /live/, or could.
    test.for([
      '/live',
      '//live/',
      '/%6cive/',
      '/live%2f',
      '/live/?x',
      '/x/../live/',
      '/x/%2e%2e/live',
      '/live/#x',
      '/x\\..\\live/',
      '\\live',
      '/library\\..\\metrics',
    ])('a stranger gets no probe by %s', async (path) => {
      const before = gateway.seen.length
      const { status } = await ask(nginx.url, path, by('203.0.113.7'))
      expect([400, 403]).toContain(status)
      expect(gateway.seen.length).toBe(before)
    })
  })

  describe('headers of answers', () => {
    test.for([
      ['/', 200],
      ['/nowhere', 404],
      ['/mcp/', 200],
      ['/library/api/items/', 200],
      ['/nginx_status', 200],
      ['/healthz', 200],
    ] as const)('%s: each security header once', async ([path, status]) => {
      const answer = await ask(nginx.url, path)
      expect(answer.status).toBe(status)
      for (const name of SECURITY) expect(answer.headers[name], name).toHaveLength(1)
      expect(answer.headers).toMatchObject({
        'x-content-type-options': ['nosniff'],
        'x-frame-options': ['SAMEORIGIN'],
        server: ['nginx'],
      })
    })

    test('the policy of a page is that of the gateway', async () => {
      const { headers } = await ask(nginx.url, '/')
      expect(headers['content-security-policy']).toEqual(["script-src 'self'"])
    })

    test('they stand on what nginx answers itself, which is JSON', async () => {
      const { status, headers, body } = await ask(nginx.url, '/metrics', by('203.0.113.7'))
      expect({ status, body: JSON.parse(body) }).toEqual({
        status: 403,
        body: { detail: 'This path is answered only to the own network.' },
      })
      expect(headers).toMatchObject({
        'content-type': ['application/json'],
        'content-security-policy': ["default-src 'none'; frame-ancestors 'self'"],
      })
      for (const name of [...SECURITY, 'x-request-id']) expect(headers[name], name).toHaveLength(1)
    })

    test.for([
      ['/static/page.css', 'public, max-age=3600'],
      ['/static/app-B4x9Kd2q.js', 'public, max-age=31536000, immutable'],
      ['/static/page.css?v=1f2e', 'public, max-age=31536000, immutable'],
      ['/static/missing', 'no-store'],
      ['/', 'no-cache'],
    ] as const)('Cache-Control of %s', async ([path, expected]) => {
      expect((await ask(nginx.url, path)).headers['cache-control']).toEqual([expected])
    })
  })

  describe('bodies', () => {
    const upload = '/library/api/items/upload/'

    test.for([
      ['/library/api/items/', 64 * MEBIBYTE, 200],
      ['/library/api/items/', 64 * MEBIBYTE + 1, 413],
      ['/mcp/', 64 * MEBIBYTE + 1, 413],
      [upload, 64 * MEBIBYTE + 1, 200],
      [upload, 65 * MEBIBYTE + 1, 413],
    ] as const)('%s takes %i bytes: %i', async ([path, size, status]) => {
      const answer = await ask(nginx.url, path, {
        method: 'POST',
        headers: { 'content-length': String(size) },
        body: [Buffer.alloc(size)],
      })
      expect(answer.status).toBe(status)
      if (status === 413) expect(JSON.parse(answer.body).detail).toMatch(/larger than/)
    })

    test('an upload without a length is cut where it gets too large', async () => {
      const body = Array.from({ length: 66 }, () => Buffer.alloc(MEBIBYTE))
      const answer = await ask(nginx.url, upload, { method: 'POST', body })
      expect(answer.status).toBe(413)
    })

    test('an upload reaches the service while it is sent', async () => {
      const arrived = Promise.withResolvers<void>()
      await using service = await startUpstream({
        answer: async (request) => {
          await once(request, 'data')
          arrived.resolve()
          await text(request)
        },
      })
      await using front = await startNginx({ gateway: service.url, mcp: service.url })
      async function* untilArrived() {
        yield Buffer.from('first')
        await arrived.promise
        yield Buffer.from('last')
      }
      for (const path of [upload, '/mcp/']) {
        const answer = await ask(front.url, path, { method: 'POST', body: untilArrived() })
        expect(answer.status, path).toBe(200)
      }
    })

    test.for(['/library/api/jobs/6f1c/events/', '/library/api/jobs/6f1c/events', '/mcp/', '/mcp'])(
      '%s is passed on piece by piece',
      async (path) => {
        const seen = Promise.withResolvers<void>()
        await using service = await startUpstream({
          answer: async (_, response) => {
            response.writeHead(200, { 'content-type': 'text/event-stream' })
            response.write('data: first\n\n')
            await seen.promise
            response.end('data: last\n\n')
          },
        })
        await using front = await startNginx({ gateway: service.url, mcp: service.url })
        const stream = await open(front.url, path)
        const [first] = (await once(stream, 'data')) as [Buffer]
        expect(first.toString()).toBe('data: first\n\n')
        seen.resolve()
        expect(await text(stream)).toBe('data: last\n\n')
      },
    )
  })

  describe('services that are not there', () => {
    test('502 in JSON, with security headers and a hint when to come back', async () => {
      await using service = await startUpstream()
      await using front = await startNginx({ gateway: service.url, mcp: service.url })
      await service.close()
      for (const path of ['/library/api/items/', '/mcp/', '/healthz', '/static/page.css']) {
        const { status, headers, body } = await ask(front.url, path)
        expect({ path, status, body: JSON.parse(body) }).toEqual({
          path,
          status: 502,
          body: { detail: 'The service cannot be reached right now. Try again shortly.' },
        })
        expect(headers['retry-after']).toEqual(['1'])
        for (const name of SECURITY) expect(headers[name], name).toHaveLength(1)
      }
    })

    test('what the gateway says about its services is passed on as it is', async () => {
      const { status, headers, body } = await ask(nginx.url, '/unavailable')
      expect({ status, body, again: headers['retry-after'] }).toEqual({
        status: 503,
        body: 'mine',
        again: ['7'],
      })
    })

    test('nginx starts without a service, and follows a name to another address', async () => {
      await using dns = await startDnsServer()
      await using first = await startUpstream({ name: 'first' })
      const port = Number(new URL(first.url).port)
      await using _second = await startUpstream({ name: 'second', host: '127.0.0.3', port })
      await using front = await startNginx({
        gateway: `http://gateway.test:${port}`,
        mcp: `http://mcp.test:${port}`,
        resolver: dns.address,
      })
      const name = async () => {
        const { status, body } = await ask(front.url, '/')
        return status === 200 ? JSON.parse(body).name : status
      }
      expect(await name()).toBe(502)
      const soon = { timeout: 20_000, interval: 200 }
      dns.answer = '127.0.0.1'
      await vi.waitFor(async () => expect(await name()).toBe('first'), soon)
      dns.answer = '127.0.0.3'
      await vi.waitFor(async () => expect(await name()).toBe('second'), soon)
      dns.answer = undefined
      await vi.waitFor(async () => expect(await name()).toBe(502), soon)
    })
  })

  test('the access log has no probes and no query strings', async () => {
    for (const path of PROBES) await ask(nginx.url, path)
    const headers = {
      'x-request-id': 'logged-1',
      'user-agent': 'secret-agent',
      referer: 'http://x/?q=secret',
    }
    await ask(nginx.url, '/library/api/items/?q=secret', { headers })
    const lines = await vi.waitFor(async () => {
      const lines = await nginx.accessLog()
      expect(lines.some((line) => line.request_id === 'logged-1')).toBe(true)
      return lines
    })
    expect(lines.find((line) => line.request_id === 'logged-1')).toMatchObject({
      component: 'nginx',
      method: 'GET',
      path: '/library/api/items/',
      status: 200,
      upstream_status: '200',
    })
    expect(JSON.stringify(lines)).not.toContain('secret')
    expect(lines.filter((line) => PROBES.includes(line.path as string))).toEqual([])
  })
})

/** With the headers that the gateway sets on what it answers, and reading every body to its end. */
async function answerAsTheGateway(request: IncomingMessage, response: ServerResponse) {
  for await (const _ of request) {
    // Only read.
  }
  response.setHeader('x-content-type-options', 'nosniff')
  response.setHeader('x-frame-options', 'SAMEORIGIN')
  response.setHeader('referrer-policy', 'same-origin')
  response.setHeader('content-security-policy', "script-src 'self'")
  response.setHeader('cache-control', 'no-cache')
  response.setHeader('x-request-id', request.headers['x-request-id'] ?? '')
  if (request.url === '/nowhere' || request.url === '/static/missing') response.statusCode = 404
  if (request.url === '/unavailable') response.writeHead(503, { 'retry-after': '7' }).end('mine')
}
