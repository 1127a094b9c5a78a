import { createVerifier, publicKeys } from '@mnemosyne/platform'
import { beforeEach, describe, expect, test } from 'vitest'
import { PUBLIC_PATHS, ROUTES } from '../src/routes.ts'
import { ALICE, openWorld, type World } from './harness.ts'

let world: World
beforeEach(async () => {
  world = await openWorld()
})

const METADATA = 'Bearer resource_metadata="http://gate/.well-known/oauth-protected-resource/mcp"'

describe('a credential is refused', () => {
  test.each([
    [
      'none',
      null,
      '/library/api/items/',
      'Authentication credentials were not provided.',
      'Bearer',
      'missing',
    ],
    [
      'none, on a path that does not exist',
      null,
      '/nowhere',
      'Authentication credentials were not provided.',
      'Bearer',
      'missing',
    ],
    [
      'none, on an internal path',
      null,
      '/internal/auth/resolve/',
      'Authentication credentials were not provided.',
      'Bearer',
      'missing',
    ],
    ['an empty one', '', '/library/api/items/', 'Use Bearer.', 'Bearer', 'wrong_keyword'],
    ['an empty one on MCP', '', '/mcp/', 'Use Bearer.', METADATA, 'wrong_keyword'],
    ['the legacy keyword', 'Token alice', '/library/api/items/', 'Use Bearer.', 'Bearer', 'wrong_keyword'],
    ['an unknown token', 'Bearer x', '/library/api/items/', 'Invalid MCP token.', 'Bearer', 'unknown_token'],
    [
      'an unknown token, on a path that does not exist',
      'Bearer x',
      '/nowhere',
      'Invalid MCP token.',
      'Bearer',
      'unknown_token',
    ],
    ['an unknown token on MCP', 'Bearer x', '/mcp/', 'Invalid MCP token.', METADATA, 'unknown_token'],
    ['an expired token', 'Bearer old', '/profile/api/me/', 'Token has expired.', 'Bearer', 'expired'],
    ['a deactivated token', 'Bearer off', '/mcp', 'Token has been deactivated.', METADATA, 'inactive_token'],
    [
      'one longer than any',
      `Bearer ${'x'.repeat(20_000)}`,
      '/mcp/',
      'Invalid MCP token.',
      METADATA,
      'unknown_token',
    ],
  ])('%s', async (_, authorization, path, detail, challenge, reason) => {
    const answer = await world.call(path, {
      method: 'POST',
      headers: { ...(authorization !== null && { authorization }) },
    })
    expect(answer.status).toBe(401)
    expect(await answer.json()).toEqual({ detail })
    expect(answer.headers.get('www-authenticate')).toBe(challenge)
    expect(world.seen).toEqual([])
    const surface = path.startsWith('/mcp') ? 'mcp' : 'rest'
    const metrics = await world.registry.metrics()
    expect(metrics).toContain(
      `mnemosyne_gateway_auth_failures_total{component="gateway",reason="${reason}",surface="${surface}"} 1`,
    )
    if (surface === 'mcp')
      expect(metrics).toContain(`mcp_auth_failures_total{component="gateway",reason="${reason}"} 1`)
  })

  test('behind TLS, with the metadata at the address that the client used', async () => {
    const answer = await world.as('x', '/mcp/', { headers: { 'x-forwarded-proto': 'https' } })
    expect(answer.headers.get('www-authenticate')).toContain('"https://gate/.well-known/')
  })
})

describe('auth', () => {
  const resolved = { outcome: 'resolved', principal: ALICE }
  test.each<[string, (request: Request) => Promise<Response>]>([
    ['is unreachable', async () => Promise.reject(new Error('ECONNREFUSED'))],
    ['never answers', () => new Promise(() => {})],
    ['fails', async () => Response.json({ detail: 'no database' }, { status: 500 })],
    ['does not trust the gateway', async () => Response.json({ detail: '?' }, { status: 401 })],
    ['answers rubbish', async () => new Response('<html>', { headers: { 'content-type': 'text/html' } })],
    ['answers another shape', async () => Response.json({ outcome: 'resolved' })],
    ['answers nothing', async () => new Response(null, { status: 204 })],
    [
      'resolves for another surface',
      async () => Response.json({ ...resolved, principal: { ...ALICE, surface: 'mcp' } }),
    ],
    [
      'answers half',
      async () => new Response('{"outcome":"resol', { headers: { 'content-type': 'application/json' } }),
    ],
  ])('%s: 503 within two seconds, and nothing is reached', async (_, auth) => {
    const broken = await openWorld({ upstreams: { auth } })
    const started = performance.now()
    const answer = await broken.as('alice', '/library/api/items/')
    expect(performance.now() - started).toBeLessThan(2_000)
    expect(answer.status).toBe(503)
    expect(await answer.json()).toEqual({
      detail: 'Credentials cannot be checked right now. Try again shortly.',
    })
    expect(broken.seen).toEqual([])
  })
})

describe('a resolved credential', () => {
  test('reaches its service as the signed principal, without the credential', async () => {
    const answer = await world.as('alice', '/library/api/search?explain=1', {
      method: 'POST',
      body: '{"query":"q"}',
      headers: { 'content-type': 'application/json', cookie: 'session=1', accept: 'application/json' },
    })
    expect([answer.status, await answer.json()]).toEqual([200, { from: 'search' }])
    const [seen] = world.seen
    expect(seen).toMatchObject({ target: 'search', method: 'POST', body: '{"query":"q"}' })
    expect(`${seen!.url.pathname}${seen!.url.search}`).toBe('/library/api/search?explain=1')
    const verify = await createVerifier('search', publicKeys(world.keys))
    expect(await verify(seen!.headers.get('x-mnemosyne-principal'))).toEqual(ALICE)
    expect(seen!.headers.get('authorization')).toBeNull()
    expect(seen!.headers.get('cookie')).toBeNull()
    expect(seen!.headers.get('accept')).toBe('application/json')
  })

  test.each([
    ['/library/api/items/', 'library', ['auth', 'search']],
    ['/library/api/ingest/', 'ingest', ['library']],
    ['/library/api/search/', 'search', []],
    ['/profile/api/tokens/', 'auth', ['library']],
    ['/mcp/', 'mcp', ['search', 'library']],
  ] as const)('on %s may be presented by %s to %j', async (path, target, others) => {
    await world.as('alice', path)
    const { headers } = world.seen[0]!
    const sent = headers.get('x-mnemosyne-delegation')?.split(',') ?? []
    const delegations = Object.fromEntries(sent.map((part) => part.split('=') as [string, string]))
    expect(Object.keys(delegations)).toEqual(others)
    for (const other of others) {
      const verify = await createVerifier(other, publicKeys(world.keys))
      expect((await verify(delegations[other]!)).user?.username).toBe('alice')
    }
    await expect(
      (await createVerifier(target, publicKeys(world.keys)))(headers.get('x-mnemosyne-principal')),
    ).resolves.toBeTruthy()
  })

  test('on MCP is resolved for MCP', async () => {
    await world.as('alice', '/mcp/')
    expect(world.resolutions).toEqual([
      { credential: { kind: 'bearer', authorization: 'Bearer alice' }, surface: 'mcp' },
    ])
  })

  test('meets 404 where there is nothing, in any disguise', async () => {
    for (const path of [
      '/nowhere',
      '/internal/auth/resolve/',
      '//internal/auth/resolve/',
      '/library/api/../../internal/auth/resolve/',
      '/library/api/..%2f..%2finternal/auth/resolve/',
      '/library/api/%2e%2e/%2e%2e/internal/auth/resolve/',
      '/mcp/..%2finternal/',
      '/%69nternal/auth/resolve/',
      '/accounts/login/',
    ]) {
      const answer = await world.as('alice', path, { method: 'POST', body: '{}' })
      expect([path, answer.status, await answer.json()]).toEqual([path, 404, { detail: 'Not found.' }])
    }
    expect(world.seen).toEqual([])
  })
})

describe('headers', () => {
  test('that only the gateway sets are dropped when a client sends them', async () => {
    await world.as('alice', '/library/api/items/', {
      headers: {
        'x-mnemosyne-principal': 'forged',
        'X-Mnemosyne-Delegation': 'library=forged',
        'x-mnemosyne-anything': 'forged',
        'x-other': 'kept',
      },
    })
    const headers = Object.fromEntries(world.seen[0]!.headers)
    expect(Object.values(headers).join()).not.toContain('forged')
    expect(headers['x-other']).toBe('kept')
  })

  test('that belong to one hop end here', async () => {
    await world.as('alice', '/library/api/items/', {
      headers: {
        te: 'trailers',
        upgrade: 'h2c',
        'proxy-authorization': 'x',
        connection: 'X-Secret-Hop',
        'x-secret-hop': '1',
      },
    })
    const headers = [...world.seen[0]!.headers.keys()]
    for (const name of ['te', 'upgrade', 'proxy-authorization', 'connection', 'x-secret-hop']) {
      expect(headers).not.toContain(name)
    }
  })

  test('carry the request id through, or a new one', async () => {
    const answer = await world.as('alice', '/library/api/items/', { headers: { 'x-request-id': 'r-1' } })
    expect(answer.headers.get('x-request-id')).toBe('r-1')
    expect(world.seen[0]!.headers.get('x-request-id')).toBe('r-1')
    const made = await world.as('alice', '/library/api/items/', { headers: { 'x-request-id': 'bad id\t' } })
    expect(made.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/)
    expect(world.seen[1]!.headers.get('x-request-id')).toBe(made.headers.get('x-request-id'))
  })

  test('make answers of services passive in a browser', async () => {
    const answer = await world.as('alice', '/library/api/items/')
    expect(answer.headers.get('x-content-type-options')).toBe('nosniff')
    expect(answer.headers.get('content-security-policy')).toContain("default-src 'none'")
  })
})

describe('without a credential', () => {
  test('MCP is reached as nobody', async () => {
    await world.call('/mcp/', { method: 'POST', body: '{}', headers: { 'x-mnemosyne-principal': 'forged' } })
    const verify = await createVerifier('mcp', publicKeys(world.keys))
    expect(await verify(world.seen[0]!.headers.get('x-mnemosyne-principal'))).toMatchObject({
      kind: 'anonymous',
      surface: 'mcp',
      user: null,
      resolved_libraries: [],
    })
    expect(world.resolutions).toEqual([])
  })

  test.each(['/mcp/health', '/mcp/health/', '/healthz', '/healthz/'])('%s is mcp’s health', async (path) => {
    expect((await world.call(path)).status).toBe(200)
    expect(world.seen.map(({ target, url }) => [target, url.pathname])).toEqual([['mcp', '/mcp/health']])
  })

  const publicRequests = PUBLIC_PATHS.flatMap(({ path, methods }) =>
    methods.flatMap((method) =>
      (path === '/' ? [path] : [path, `${path}/`]).map((form) => [method, form] as const),
    ),
  )

  test.each(publicRequests.filter(([method]) => method !== 'POST'))(
    '%s %s answers, never by redirect',
    async (method, path) => {
      const { status } = await world.call(path, { method })
      expect(status).toBe(path.startsWith('/.well-known') ? 404 : 200)
      expect(world.resolutions).toEqual([])
    },
  )

  test('of all that writes only a login is let through', () => {
    expect(publicRequests.filter(([method]) => method !== 'GET' && method !== 'HEAD')).toEqual([
      ['POST', '/accounts/api/login'],
      ['POST', '/accounts/api/login/'],
    ])
  })

  test.each([
    ...ROUTES.filter(({ target }) => target !== 'mcp').map(({ prefix }) => ['GET', `${prefix}/`]),
    ['POST', '/'],
    ['POST', '/api/schema/'],
    ['GET', '/static/'],
    ['GET', '/static/../internal/'],
    ['GET', '/metrics/x'],
    ['GET', '/accounts/api/login/'],
    ['PUT', '/accounts/api/login/'],
    ['POST', '/accounts/api/login/x'],
    ['POST', '/accounts/api/logins/'],
    ['POST', '/accounts/api//login/'],
    ['POST', '/accounts/api/login%2f'],
    ['POST', '/accounts/api/logout/'],
    ['GET', '/accounts/api/session/'],
    ['POST', '/live/'],
    ['POST', '/mcp_server/api/teams/'],
    ['OPTIONS', '/library/api/items/'],
  ])('%s %s is 401', async (method, path) => {
    expect((await world.call(path, { method })).status).toBe(401)
    expect(world.seen).toEqual([])
  })
})

describe('a body', () => {
  const streamed = (bytes: number): RequestInit => ({
    body: new Blob([new Uint8Array(bytes)]).stream(),
    ...{ duplex: 'half' },
  })

  test.each([
    ['/library/api/search/', 1_048_576, 1_048_577],
    ['/mcp/', 4_194_304, 4_194_305],
    ['/library/api/items/upload/', 5_000, 5_001],
  ])('to %s may have %d bytes and not %d, said beforehand or not', async (path, fits, over) => {
    const small = await openWorld({ env: { UPLOAD_MAX_BYTES: '5000' } })
    const post = (init: RequestInit) => small.as('alice', path, { method: 'POST', ...init })
    expect((await post(streamed(fits))).status).toBe(200)
    const said = { body: new Uint8Array(fits), headers: { 'content-length': String(fits) } }
    expect((await post(said)).status).toBe(200)
    const refusals = [
      await post(streamed(over)),
      await post({ body: 'x', headers: { 'content-length': String(over) } }),
    ]
    for (const refusal of refusals) {
      expect([refusal.status, await refusal.json()]).toEqual([
        413,
        { detail: `The body is larger than ${fits} bytes.` },
      ])
    }
  })
})

describe('a service that', () => {
  test('can’t be reached is 502 with words', async () => {
    const down = await openWorld({
      upstreams: { library: () => Promise.reject(new Error('ECONNREFUSED 10.0.0.7')) },
    })
    const answer = await down.as('alice', '/library/api/items/')
    expect(answer.status).toBe(502)
    expect(await answer.json()).toEqual({
      detail: 'The library service cannot be reached right now. Try again shortly.',
    })
  })

  test('refuses is quoted as it is', async () => {
    const refusing = await openWorld({
      upstreams: {
        library: async () =>
          Response.json({ name: ['May not be blank.'] }, { status: 400, headers: { 'x-total-count': '0' } }),
      },
    })
    const answer = await refusing.as('alice', '/library/api/items/')
    expect([answer.status, await answer.json()]).toEqual([400, { name: ['May not be blank.'] }])
    expect(answer.headers.get('x-total-count')).toBe('0')
  })
})

describe('a host name', () => {
  test('is any by default', async () =>
    expect((await world.call('/', { headers: { host: 'x.test' } })).status).toBe(200))

  test.each([
    ['example.org', '/', 200],
    ['other.org', '/', 400],
    ['other.org', '/library/api/items/', 400],
    ['other.org', '/live/', 200],
  ])('%s on %s: %d when example.org is allowed', async (host, path, status) => {
    const strict = await openWorld({ env: { ALLOWED_HOSTS: 'example.org' } })
    expect((await strict.call(path, { headers: { host } })).status).toBe(status)
  })
})

describe('readiness', () => {
  const peer =
    (status: string, checks: object = {}) =>
    async () =>
      Response.json({ status, checks })
  test.each([
    ['all are ready', {}, 200, 'ready'],
    [
      'one does with less',
      { search: peer('degraded', { model: { status: 'degraded', detail: 'no model' } }) },
      200,
      'degraded',
    ],
    ['one starts', { library: peer('starting'), search: peer('degraded') }, 503, 'starting'],
    ['one is down', { library: peer('starting'), ingest: peer('down') }, 503, 'down'],
    ['one does not answer', { ingest: () => Promise.reject(new Error('gone')) }, 503, 'down'],
    ['one hangs', { ingest: () => new Promise<Response>(() => {}) }, 503, 'down'],
  ])('when %s', async (_, upstreams, status, word) => {
    const { call } = await openWorld({ upstreams })
    const answer = await call('/ready/')
    expect([answer.status, ((await answer.json()) as { status: string }).status]).toEqual([status, word])
  })

  test('names each dependency', async () => {
    const { call } = await openWorld({
      upstreams: {
        search: peer('degraded', { model: { status: 'degraded', detail: 'no model' } }),
        mcp: peer('ready'),
      },
    })
    expect(await (await call('/ready')).json()).toEqual({
      status: 'degraded',
      checks: {
        'auth.store': { status: 'ok' },
        'library.store': { status: 'ok' },
        'ingest.store': { status: 'ok' },
        'search.model': { status: 'degraded', detail: 'no model' },
        mcp: { status: 'ok' },
      },
    })
  })
})
