import type { FetchHandler } from '@mnemosyne/contracts'
import { createVerifier, publicKeys } from '@mnemosyne/platform'
import { beforeEach, describe, expect, test, vi } from 'vitest'
import { ALICE, openWorld, SESSION, SET_COOKIE, SIGNED_IN, type World } from './harness.ts'

const READ = '/library/api/items/'
const LOGIN = '/accounts/api/login/'
const COOKIE = `mnemosyne_session=${SESSION.cookie}`
const CROSS_SITE = {
  detail:
    'This request comes from a page of another site. If that is one of yours, name it in CSRF_TRUSTED_ORIGINS.',
}

let world: World
beforeEach(async () => {
  world = await openWorld()
})

const ask = (path: string, headers: Record<string, string> = {}, method = 'GET', body?: string) =>
  world.call(path, { method, headers, body })
/** A write by session, as our own page sends it. */
const write = (more: Record<string, string> = {}, at = world) =>
  at.call('/library/api/search/', {
    method: 'POST',
    body: '{}',
    headers: { cookie: COOKIE, 'x-csrf-token': SESSION.csrf, 'content-type': 'application/json', ...more },
  })
const signIn = (headers: Record<string, string> = {}, at = world) =>
  at.call(LOGIN, {
    method: 'POST',
    body: JSON.stringify({ username: 'alice', password: 'x' }),
    headers: { 'content-type': 'application/json', ...headers },
  })
const principalOf = async (at = world, target: 'auth' | 'library' | 'search' | 'mcp' = 'auth') => {
  const verify = await createVerifier(target, publicKeys(at.keys))
  return verify(at.seen[0]!.headers.get('x-mnemosyne-principal'))
}
const failures = async (reason: string) =>
  (await world.registry.metrics()).includes(
    `mnemosyne_gateway_auth_failures_total{component="gateway",reason="${reason}",surface="rest"} 1`,
  )

describe('a session', () => {
  test('is read from its cookie, among others', async () => {
    const answer = await ask(READ, { cookie: `a=b; ${COOKIE}; c="d"`, 'x-csrf-token': 'any' })
    expect(answer.status).toBe(200)
    expect(world.resolutions).toEqual([
      {
        credential: { kind: 'session', session: SESSION.cookie, csrf_token: 'any', safe: true },
        surface: 'rest',
      },
    ])
    expect(await principalOf(world, 'library')).toEqual({
      ...ALICE,
      kind: 'session',
      token_id: null,
      session_id: SESSION.id,
    })
    expect(world.seen[0]!.headers.get('cookie')).toBeNull()
  })

  test.each([
    ['GET', true],
    ['HEAD', true],
    ['OPTIONS', true],
    ['POST', false],
    ['PUT', false],
    ['PATCH', false],
    ['DELETE', false],
    ['PROPFIND', false],
  ])('%s is safe: %s', async (method, safe) => {
    await ask(READ, { cookie: COOKIE }, method)
    expect(world.resolutions[0]!.credential).toMatchObject({ safe, csrf_token: null })
  })

  test('writes with its CSRF token', async () => {
    expect((await write()).status).toBe(200)
    expect(world.seen).toHaveLength(1)
  })

  test.each([
    ['another', 'x'],
    ['an empty', ''],
    ['an endless', 'x'.repeat(513)],
  ])('does not write with %s one', async (_, csrf) => {
    const answer = await write({ 'x-csrf-token': csrf })
    expect([answer.status, await answer.json()]).toEqual([
      403,
      { detail: 'CSRF token missing or incorrect.' },
    ])
    expect(answer.headers.has('www-authenticate')).toBe(false)
    expect(world.seen).toEqual([])
    expect(await failures('csrf')).toBe(true)
  })

  test.each([
    ['an unknown one', 'mnemosyne_session=other', 'Sign in again.'],
    ['an empty one', 'mnemosyne_session=', 'Sign in again.'],
    ['an endless one', `mnemosyne_session=${'x'.repeat(513)}`, 'Your session has ended. Sign in again.'],
    [
      'two of them',
      `mnemosyne_session=planted; ${COOKIE}`,
      "Two different session cookies were sent. Clear this site's cookies, then sign in again.",
    ],
  ])('is refused: %s', async (_, cookie, detail) => {
    const answer = await ask(READ, { cookie })
    expect([answer.status, await answer.json()]).toEqual([401, { detail }])
    expect(answer.headers.get('www-authenticate')).toBe('Bearer')
    expect(world.seen).toEqual([])
    expect(await failures('bad_session')).toBe(true)
  })

  test('sent twice is one', async () => {
    expect((await ask(READ, { cookie: `${COOKIE}; ${COOKIE}` })).status).toBe(200)
  })

  test.each(['session=alices-session', 'xmnemosyne_session=alices-session', 'mnemosyne_session', ''])(
    'is not %j',
    async (cookie) => {
      const answer = await ask(READ, { cookie })
      expect([answer.status, await answer.json()]).toEqual([
        401,
        { detail: 'Authentication credentials were not provided.' },
      ])
    },
  )

  test('counts for nothing beside a bearer, good or bad', async () => {
    expect((await ask(READ, { cookie: COOKIE, authorization: 'Bearer x' })).status).toBe(401)
    expect((await ask(READ, { cookie: COOKIE, authorization: '' })).status).toBe(401)
    expect(
      (await ask(READ, { cookie: 'mnemosyne_session=other', authorization: 'Bearer alice' })).status,
    ).toBe(200)
    expect(world.resolutions.map(({ credential }) => credential.kind)).toEqual(['bearer', 'bearer', 'bearer'])
    expect((await principalOf(world, 'library')).kind).toBe('user_token')
  })

  test('counts for nothing on MCP', async () => {
    await ask('/mcp/', { cookie: COOKIE, 'x-csrf-token': SESSION.csrf }, 'POST', '{}')
    expect(world.resolutions).toEqual([])
    expect((await principalOf(world, 'mcp')).kind).toBe('anonymous')
  })

  test('does not keep what it reads in caches', async () => {
    expect((await ask(READ, { cookie: COOKIE })).headers.get('cache-control')).toBe('no-store')
    expect((await world.as('alice', READ)).headers.has('cache-control')).toBe(false)
    const own = { 'cache-control': 'private, max-age=60' }
    const cached = await openWorld({
      upstreams: { library: async () => Response.json({}, { headers: own }) },
    })
    const answer = await cached.call(READ, { headers: { cookie: COOKIE } })
    expect(answer.headers.get('cache-control')).toBe(own['cache-control'])
  })

  test('is let in only when auth answers', async () => {
    const down = await openWorld({ upstreams: { auth: () => Promise.reject(new Error('gone')) } })
    const answer = await down.call(READ, { headers: { cookie: COOKIE } })
    expect(answer.status).toBe(503)
    expect(down.seen).toEqual([])
  })
})

describe('a page of another site', () => {
  const https = { 'x-forwarded-proto': 'https', host: 'memory.example.org' }
  const cases: [what: string, headers: Record<string, string>, accepted: boolean][] = [
    ['no origin', {}, true],
    ['our own', { origin: 'http://gate' }, true],
    ['our own, says the browser', { origin: 'http://gate', 'sec-fetch-site': 'same-origin' }, true],
    ['our own by https', { ...https, origin: 'https://memory.example.org' }, true],
    [
      'our own on the usual port',
      { ...https, host: 'memory.example.org:443', origin: 'https://memory.example.org' },
      true,
    ],
    [
      'our own on a port',
      { host: 'Memory.example.org:8443', origin: 'http://memory.example.org:8443' },
      true,
    ],
    ['our own typed in by hand', { 'sec-fetch-site': 'none' }, true],
    ['our own without TLS', { ...https, origin: 'http://memory.example.org' }, false],
    ['our own with TLS that nobody saw', { origin: 'https://gate' }, false],
    ['another port', { origin: 'http://gate:8080' }, false],
    ['another host', { origin: 'http://evil.test' }, false],
    ['a look-alike', { origin: 'http://gate.evil.test' }, false],
    ['a subdomain', { origin: 'http://x.gate' }, false],
    ['a sandboxed page', { origin: 'null' }, false],
    ['rubbish', { origin: 'gate' }, false],
    ['a path', { origin: 'http://gate/' }, false],
    ['a cross-site request without origin', { 'sec-fetch-site': 'cross-site' }, false],
    [
      'a cross-site request that claims to be ours',
      { origin: 'http://gate', 'sec-fetch-site': 'cross-site' },
      false,
    ],
    ['a neighbour of ours', { origin: 'http://other.gate', 'sec-fetch-site': 'same-site' }, false],
    ['a host header that is none', { host: 'a b', origin: 'http://gate' }, false],
  ]

  test.each(cases)('%s, writing by session', async (_, headers, accepted) => {
    const answer = await write(headers)
    expect(answer.status).toBe(accepted ? 200 : 403)
    if (accepted) return
    expect(await answer.json()).toEqual(CROSS_SITE)
    expect([world.seen, world.resolutions]).toEqual([[], []])
    expect(await failures('cross_site')).toBe(true)
  })

  test.each(cases)('%s, signing in', async (_, headers, accepted) => {
    const answer = await signIn(headers)
    expect(answer.status).toBe(accepted ? 200 : 403)
    if (!accepted) expect([await answer.json(), world.seen]).toEqual([CROSS_SITE, []])
  })

  test('may read by a link, and call with a bearer', async () => {
    const from = { origin: 'http://evil.test', 'sec-fetch-site': 'cross-site' }
    expect((await ask(READ, { ...from, cookie: COOKIE })).status).toBe(200)
    expect((await ask(READ, { ...from, authorization: 'Bearer alice' }, 'POST', '{}')).status).toBe(200)
  })

  test.each([
    ['https://app.example.org', true],
    ['https://x.other.test', true],
    ['https://a.b.other.test', true],
    ['https://other.test', false],
    ['https://xother.test', false],
    ['http://x.other.test', false],
    ['https://app.example.org:444', false],
    ['http://app.example.org', false],
  ])('%s is trusted: %s', async (origin, trusted) => {
    const env = { CSRF_TRUSTED_ORIGINS: 'https://App.example.org, https://*.other.test' }
    const trusting = await openWorld({ env })
    expect((await write({ origin }, trusting)).status).toBe(trusted ? 200 : 403)
    expect((await signIn({ origin }, trusting)).status).toBe(trusted ? 200 : 403)
  })

  test.each(['app.example.org', 'https://', 'https://app.example.org/', '*', 'https://*', 'ftp://x.test'])(
    '%s is no origin to trust',
    async (origin) => {
      await expect(openWorld({ env: { CSRF_TRUSTED_ORIGINS: origin } })).rejects.toThrow(/must be origins/)
    },
  )
})

describe('a login', () => {
  test('goes to auth for nobody, and its answer comes back', async () => {
    const answer = await signIn()
    expect([answer.status, await answer.json()]).toEqual([200, SIGNED_IN])
    expect(answer.headers.getSetCookie()).toEqual([SET_COOKIE])
    expect(answer.headers.get('cache-control')).toBe('no-store')
    expect(world.resolutions).toEqual([])
    expect(world.seen[0]).toMatchObject({
      target: 'auth',
      method: 'POST',
      body: '{"username":"alice","password":"x"}',
    })
    expect(await principalOf()).toMatchObject({
      kind: 'anonymous',
      surface: 'rest',
      user: null,
      session_id: null,
    })
  })

  test('ignores bearers', async () => {
    expect((await signIn({ authorization: 'Bearer x' })).status).toBe(200)
    expect(world.resolutions).toEqual([])
    expect(world.seen[0]!.headers.get('authorization')).toBeNull()
  })

  test('goes for the session that the browser has, without its CSRF token', async () => {
    expect((await signIn({ cookie: COOKIE })).status).toBe(200)
    expect(await principalOf()).toMatchObject({ kind: 'session', session_id: SESSION.id })
  })

  test.each([
    `mnemosyne_session=other`,
    `mnemosyne_session=${'x'.repeat(600)}`,
    `${COOKIE}; mnemosyne_session=b`,
  ])('goes for nobody with the cookie %s', async (cookie) => {
    expect((await signIn({ cookie })).status).toBe(200)
    expect(await principalOf()).toMatchObject({ kind: 'anonymous', session_id: null })
  })

  test.each([
    ['by https', 'https', `${SET_COOKIE}; Secure`],
    ['by http', 'http', SET_COOKIE],
  ])('%s sets a cookie for it', async (_, proto, cookie) => {
    const answer = await signIn({ 'x-forwarded-proto': proto })
    expect(answer.headers.getSetCookie()).toEqual([cookie])
  })

  test('every cookie of an answer by https is secure', async () => {
    const auth: FetchHandler = async () => {
      const headers = new Headers()
      headers.append('set-cookie', 'a=1; Path=/')
      headers.append('set-cookie', 'b=2; Path=/')
      return new Response('{}', { headers })
    }
    const setting = await openWorld({ upstreams: { library: auth } })
    const answer = await setting.as('alice', READ, { headers: { 'x-forwarded-proto': 'https' } })
    expect(answer.headers.getSetCookie()).toEqual(['a=1; Path=/; Secure', 'b=2; Path=/; Secure'])
  })

  test('may be as long as names and passwords get, and not longer', async () => {
    const post = (bytes: number) => ({ method: 'POST', body: 'x'.repeat(bytes) })
    expect((await world.call(LOGIN, post(16_384))).status).toBe(200)
    expect((await world.call(LOGIN, post(16_385))).status).toBe(413)
  })

  const json = (status: number, body: unknown, headers: Record<string, string> = {}) =>
    Response.json(body, { status, headers })

  test.each<[string, () => Response, number, unknown]>([
    [
      'refuses',
      () => json(401, { detail: 'The user name or password is not right.' }),
      401,
      { detail: 'The user name or password is not right.' },
    ],
    ['finds a fault', () => json(400, { username: ['Is required.'] }), 400, { username: ['Is required.'] }],
    [
      'is locked',
      () => json(429, { detail: 'Later.' }, { 'retry-after': '3600' }),
      429,
      { detail: 'Later.' },
    ],
    ['is busy', () => json(503, { detail: 'Busy.' }, { 'retry-after': '2' }), 503, { detail: 'Busy.' }],
  ])('is answered as auth says when it %s', async (_, answered, status, body) => {
    const { call } = await openWorld({ upstreams: { auth: async () => answered() } })
    const answer = await call(LOGIN, { method: 'POST', body: '{}' })
    expect([answer.status, await answer.json()]).toEqual([status, body])
    expect(answer.headers.get('retry-after')).toBe(answered().headers.get('retry-after'))
    expect(answer.headers.get('www-authenticate')).toBe(status === 401 ? 'Bearer' : null)
  })

  test.each<[string, FetchHandler]>([
    ['is unreachable', () => Promise.reject(new Error('ECONNREFUSED'))],
    ['never answers', () => new Promise(() => {})],
    ['begins an answer and never ends it', async () => new Response(new ReadableStream(), { status: 200 })],
    ['fails', async () => json(500, { detail: 'no database' })],
    ['does not trust the gateway', async () => json(401, { detail: 'The caller could not be verified.' })],
    ['knows no logins', async () => json(404, { detail: 'Not found.' })],
    ['sends somebody away', async () => new Response(null, { status: 302, headers: { location: '/' } })],
    ['answers rubbish', async () => new Response('<html>', { headers: { 'content-type': 'text/html' } })],
    ['answers nothing', async () => new Response(null, { status: 204 })],
    ['answers half', async () => new Response('{"user":')],
    ['answers another shape', async () => json(200, { ok: true }, { 'set-cookie': SET_COOKIE })],
    ['sets no cookie', async () => json(200, SIGNED_IN)],
    ['sets another cookie', async () => json(200, SIGNED_IN, { 'set-cookie': 'x=1' })],
  ])('when auth %s is 503 within two seconds', async (_, auth) => {
    for (const cookie of [undefined, COOKIE]) {
      const broken = await openWorld({ upstreams: { auth } })
      const started = performance.now()
      const answer = await signIn(cookie ? { cookie } : {}, broken)
      expect(performance.now() - started).toBeLessThan(2_000)
      expect([answer.status, await answer.json()]).toEqual([
        503,
        { detail: 'Credentials cannot be checked right now. Try again shortly.' },
      ])
      expect(answer.headers.get('retry-after')).toBe('1')
      expect(answer.headers.getSetCookie()).toEqual([])
    }
  })

  test('that is slow after a slow look at the session is 503 within two seconds all the same', async () => {
    const begun = performance.now()
    const auth: FetchHandler = async (request) => {
      if (!request.url.includes('/internal/')) return new Promise(() => {})
      await vi.waitUntil(() => performance.now() - begun > 1_000)
      return json(200, { outcome: 'refused', reason: 'bad_session', detail: 'x' })
    }
    const broken = await openWorld({ upstreams: { auth } })
    const started = performance.now()
    expect((await signIn({ cookie: COOKIE }, broken)).status).toBe(503)
    expect(performance.now() - started).toBeLessThan(2_000)
  })
})
