import { request } from 'node:http'
import type { Job, Library, UserToken } from '@mnemosyne/contracts'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type SystemInMode, startInMode } from '../mode.ts'
import { openStore } from '../stores.ts'

const NOBODY = '00000000-0000-4000-8000-000000000000'
const SECRET = 'The bittern hides in the reed bed by the third lock.'

let system: SystemInMode
let ben: string
let secret: Job

beforeAll(async () => {
  system = await startInMode()
  ben = await system.addUser('ben')
  await system.createWorkspace('ada')
  const file = { name: 'secret.md', content: `# Bittern\n\n${SECRET}` }
  secret = await system.ended((await system.upload({ workspace_id: 'ada' }, file)).body.job_id)
  await system.createWorkspace('ben', {}, ben)
})
afterAll(() => system?.[Symbol.asyncDispose]())

type Minted = UserToken & { token: string }

async function mint(more: object = {}, token?: string): Promise<Minted> {
  const { status, body, text } = await system.call(
    'POST',
    '/profile/api/tokens/',
    { name: 'test', allowed_libraries: ['*'], ...more },
    { token },
  )
  expect(status, text).toBe(201)
  return body
}

/** The same credential on both surfaces. */
async function onBoth(authorization: string | undefined) {
  const headers: Record<string, string> = authorization === undefined ? {} : { authorization }
  return {
    rest: await system.call('GET', '/profile/api/me/', undefined, { token: null, headers }),
    mcp: await system.mcp('tools/call', { name: 'list_libraries', arguments: {} }, { token: null, headers }),
  }
}

type Answer = Awaited<ReturnType<SystemInMode['call']>>

function expect401(answer: Answer, detail: string | RegExp): void {
  expect(answer.status, answer.text).toBe(401)
  expect(answer.headers.get('www-authenticate')).toMatch(/^Bearer\b/)
  expect(answer.headers.get('content-type')).toContain('application/json')
  expect(answer.body).toEqual({
    detail: typeof detail === 'string' ? detail : expect.stringMatching(detail),
  })
}

async function expect401OnBoth(authorization: string | undefined, detail: string | RegExp): Promise<void> {
  const { rest, mcp } = await onBoth(authorization)
  expect401(rest, detail)
  expect401(mcp, detail)
}

function jwt(payload: object, header: object = { alg: 'HS256', kid: 'first' }): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  return `${part(header)}.${part(payload)}.${Buffer.alloc(32, 7).toString('base64url')}`
}
const TEAM = {
  iss: 'mnemosyne',
  aud: 'mnemosyne',
  sub: `team:${NOBODY}`,
  typ: 'team',
  iat: 1_700_000_000,
  exp: 2_000_000_000,
  jti: NOBODY,
}

describe('a credential', () => {
  test('that is missing', async () => {
    const { rest, mcp } = await onBoth(undefined)
    expect401(rest, /not provided/)
    expect401(mcp, /Authorization: Bearer/)
  })

  test.each([
    ['with the legacy keyword', () => `Token ${system.token}`, /keyword Bearer/],
    [
      'of HTTP Basic',
      () => `Basic ${Buffer.from(`admin:${system.token}`).toString('base64')}`,
      /keyword Bearer/,
    ],
    ['without a keyword', () => system.token, /keyword Bearer/],
    ['that is empty', () => 'Bearer ', 'Invalid MCP token.'],
    ['that nobody has', () => 'Bearer mnem_none', 'Invalid MCP token.'],
    ['with one more character', () => `Bearer ${system.token}x`, 'Invalid MCP token.'],
    ['with one character less', () => `Bearer ${system.token.slice(0, -1)}`, 'Invalid MCP token.'],
    ['twice in one header', () => `Bearer ${system.token}, Bearer ${system.token}`, 'Invalid MCP token.'],
    ['of 20,000 characters', () => `Bearer ${'x'.repeat(20_000)}`, 'Invalid MCP token.'],
    ['with SQL in it', () => "Bearer ' or 1=1 --", 'Invalid MCP token.'],
    [
      'that is a JWT of one turn, by its issuer',
      () => `Bearer ${jwt({ ...TEAM, iss: 'daedalus' })}`,
      'Per-turn JWTs are no longer accepted; mint a team JWT.',
    ],
    [
      'that is a JWT of one turn, by its lack of a type',
      () => `Bearer ${jwt({ ...TEAM, typ: undefined })}`,
      'Per-turn JWTs are no longer accepted; mint a team JWT.',
    ],
  ])('%s', async (_, authorization, detail) => {
    await expect401OnBoth(authorization(), detail)
  })

  test.each([
    ['signed by nobody', jwt(TEAM)],
    ['without an algorithm', jwt(TEAM, { alg: 'none' })],
    ['of three words', 'a.b.c'],
  ])('that is a team JWT, %s', async (_, token) => {
    const { rest, mcp } = await onBoth(`Bearer ${token}`)
    expect401(rest, /MCP only/)
    expect401(mcp, 'Invalid MCP token.')
  })

  test('that is revoked stops at the next request', async () => {
    const minted = await mint()
    expect((await onBoth(`Bearer ${minted.token}`)).rest.status).toBe(200)
    expect((await system.call('POST', `/profile/api/tokens/${minted.id}/revoke/`)).status).toBe(204)
    await expect401OnBoth(`Bearer ${minted.token}`, 'Token has been deactivated.')
  })

  test('that has expired', async () => {
    const minted = await mint({ expires_at: new Date(Date.now() + 1_000).toISOString() })
    const status = async () => (await onBoth(`Bearer ${minted.token}`)).rest.status
    await expect.poll(status, { timeout: 10_000 }).toBe(401)
    await expect401OnBoth(`Bearer ${minted.token}`, 'Token has expired.')
  })

  test('of a disabled user', async () => {
    const token = await system.addUser('cleo')
    expect((await onBoth(`Bearer ${token}`)).mcp.status).toBe(200)
    await setActive('cleo', false)
    await expect401OnBoth(`Bearer ${token}`, 'User account is disabled.')
    await setActive('cleo', true)
    expect((await onBoth(`Bearer ${token}`)).rest.status).toBe(200)
  })

  test("of someone else can't be revoked or seen", async () => {
    const mine = await mint()
    const revoke = (id: string) =>
      system.call('POST', `/profile/api/tokens/${id}/revoke/`, undefined, { token: ben })
    const [theirs, nobodys] = [await revoke(mine.id), await revoke(NOBODY)]
    expect([theirs.status, theirs.text]).toEqual([404, nobodys.text])
    expect((await system.call('GET', '/profile/api/tokens/', undefined, { token: ben })).text).not.toContain(
      mine.id,
    )
    expect((await onBoth(`Bearer ${mine.token}`)).rest.status).toBe(200)
  })

  test('is asked for on every path but the public ones, whether it exists or not', async () => {
    const paths = [
      '/library/api/jobs/',
      '/library/api/nothing/',
      '/nothing/',
      '/admin/api/',
      '/internal/',
      '/control/x',
    ]
    for (const path of paths) {
      expect401(await system.call('GET', path, undefined, { token: null }), /not provided/)
      expect401(await system.call('POST', path, {}, { token: null }), /not provided/)
    }
    for (const path of [
      '/',
      '/live/',
      '/ready/',
      '/metrics',
      '/api/schema/',
      '/api/docs/',
      '/mcp/health',
      '/healthz',
    ]) {
      expect((await system.call('GET', path, undefined, { token: null })).status, path).toBe(200)
    }
    expect(
      (await system.mcp('tools/call', { name: 'get_health', arguments: {} }, { token: null })).status,
    ).toBe(200)
    for (const method of ['tools/list', 'resources/list', 'resources/read']) {
      expect401(await system.mcp(method, {}, { token: null }), /Authorization/)
    }
  })
})

describe('the way in', () => {
  const PRINCIPAL = {
    kind: 'user_token',
    surface: 'rest',
    user: { id: NOBODY, username: 'admin', staff: 'delete' },
    team_id: null,
    token_id: null,
    resolved_libraries: ['*'],
    writable_libraries: ['*'],
    session_id: null,
    address: null,
    owned_libraries: [],
    allowed_tools: [],
  }

  test('takes no principal from a caller', async () => {
    const forgeries = [
      JSON.stringify(PRINCIPAL),
      jwt({ ...PRINCIPAL, aud: 'library', iss: 'gateway', exp: 2_000_000_000 }, { alg: 'none' }),
      jwt({ principal: PRINCIPAL, aud: 'library', iss: 'gateway', exp: 2_000_000_000 }, { alg: 'EdDSA' }),
    ]
    for (const forged of forgeries) {
      const headers = {
        'x-mnemosyne-principal': forged,
        'X-Mnemosyne-Delegation': forged,
        'x-mnemosyne-user': 'admin',
        connection: 'x-mnemosyne-principal',
      }
      const none = { token: null, headers: { ...headers, connection: 'keep-alive' } }
      expect401(await system.call('GET', '/library/api/libraries/', undefined, none), /not provided/)
      expect401(await system.mcp('tools/list', {}, none), /Authorization/)
      const { status, body } = await raw('GET', '/library/api/libraries/', {
        ...headers,
        authorization: `Bearer ${ben}`,
      })
      expect(status).toBe(200)
      expect((JSON.parse(body) as Library[]).map(({ name }) => name)).toEqual(['ben'])
    }
  })

  test.each([
    '/internal/auth/resolve/',
    '//internal/auth/resolve/',
    '/INTERNAL/auth/resolve/',
    '/%69nternal/auth/resolve/',
    '/library/api/../../internal/auth/resolve/',
    '/library/api/%2e%2e/%2e%2e/internal/auth/resolve/',
    '/library/api/..%2f..%2finternal/auth/resolve/',
    '/library/api/..%5c..%5cinternal/auth/resolve/',
    '/library/api/..;/..;/internal/auth/resolve/',
    '/library/api/internal/library/global-libraries/',
    '/library/internal/library/global-libraries/',
    '/profile/api/%2e%2e/%2e%2e/internal/auth/owners/',
    '/mcp/../internal/auth/resolve/',
    '/mcp/%2e%2e/internal/auth/resolve/',
    '/api/schema/../../internal/auth/resolve/',
    '/static/%2e%2e/internal/auth/resolve/',
    '/control/create-user',
    'http://localhost/internal/auth/resolve/',
  ])('%s leads nowhere', async (path) => {
    for (const method of ['GET', 'POST', 'PUT']) {
      const signedIn = await raw(method, path, { authorization: `Bearer ${system.token}` }, '{}')
      expect([400, 404, 405], `${method} ${signedIn.body}`).toContain(signedIn.status)
      const anonymous = await raw(method, path, {}, '{}')
      expect([400, 401, 404, 405], `${method} ${anonymous.body}`).toContain(anonymous.status)
    }
  })

  test('tells nothing of the inside', async () => {
    const { headers } = await system.call('GET', '/library/api/libraries/')
    const names = [...headers.keys()]
    expect(names.filter((name) => name.startsWith('x-mnemosyne-') || name === 'server')).toEqual([])
    expect(names).toContain('x-request-id')
  })
})

describe("someone else's", () => {
  const asBen = (method: string, path: string, body?: unknown) =>
    system.call(method, path, body, { token: ben })

  test('data is on no surface', async () => {
    const { library_uid, item_uid } = secret
    const { body: chunks } = await system.call('GET', `/library/api/items/${item_uid}/chunks/`)
    const [{ chunk_uid }] = chunks as [{ chunk_uid: string }]
    const answers = [
      await asBen('GET', '/library/api/libraries/'),
      await asBen('GET', '/library/api/items/'),
      await asBen('GET', `/library/api/items/?library_uid=${library_uid}`),
      await asBen('GET', '/library/api/collections/'),
      await asBen('GET', `/library/api/collections/?library_uid=${library_uid}`),
      await asBen('GET', '/library/api/jobs/'),
      await asBen('GET', `/library/api/jobs/?library_uid=${library_uid}`),
      await asBen('GET', `/library/api/jobs/${secret.job_id}/events/`),
      await asBen('GET', `/library/api/items/${item_uid}/`),
      await asBen('GET', `/library/api/items/${item_uid}/chunks/`),
      await asBen('GET', `/library/api/chunks/${chunk_uid}/?before=10&after=10`),
      await asBen('POST', '/library/api/search/', { query: SECRET, limit: 100 }),
      await asBen('POST', '/library/api/search/', { query: SECRET, library_uid }),
      await asBen('POST', '/library/api/search/', { query: SECRET, collection_uid: secret.collection_uid }),
    ]
    const tools: [string, object][] = [
      ['search', { query: SECRET }],
      ['search', { query: SECRET, library_uid }],
      ['get_chunk', { chunk_uid }],
      ['list_libraries', {}],
      ['list_items', {}],
      ['list_items', { library_uid }],
    ]
    for (const [name, args] of tools) {
      answers.push(await system.mcp('tools/call', { name, arguments: args }, { token: ben }))
    }
    answers.push(await system.mcp('resources/read', { uri: 'mnemosyne://libraries' }, { token: ben }))
    for (const { text, status } of answers) {
      // What a refusal repeats of the question is no answer.
      const said = text.replaceAll(SECRET, (match, at: number) =>
        /"query":"$/.test(text.slice(0, at)) ? '' : match,
      )
      expect(said).not.toMatch(/bittern|third lock|secret\.md/i)
      expect(status).toBeLessThan(500)
    }
    expect((await system.search('bittern')).candidates[0]?.text_preview).toContain('third lock')
  })

  test('data is changed by nothing', async () => {
    const { library_uid, item_uid, job_id } = secret
    const changes: [string, string, unknown?][] = [
      ['DELETE', `/library/api/items/${item_uid}/`],
      ['DELETE', `/library/api/libraries/${library_uid}/`],
      ['DELETE', '/library/api/workspaces/ada/'],
      ['POST', `/library/api/jobs/${job_id}/cancel/`],
      ['POST', `/library/api/jobs/${job_id}/retry/`],
      ['POST', '/library/api/collections/', { library_uid, name: 'Taken' }],
      ['POST', '/library/api/workspaces/', { workspace_id: 'ada', name: 'Taken', library_type: 'technical' }],
    ]
    for (const [method, path, body] of changes) {
      const { status } = await asBen(method, path, body)
      expect(status, path).toBe(path.includes('workspaces/ada') ? 204 : 404)
    }
    for (const target of [{ library_uid }, { workspace_id: 'ada' }] as Record<string, string>[]) {
      const up = await system.upload(target, { name: 'planted.md', content: '# Planted' }, ben)
      expect(up.status).toBe(404)
    }
    const { body } = await system.call('GET', '/library/api/workspaces/ada/')
    expect(body).toMatchObject({ name: 'ada', item_count: 1 })
  })

  test('library cannot be put into a token', async () => {
    const { status, text } = await asBen('POST', '/profile/api/tokens/', {
      name: 'greedy',
      allowed_libraries: [secret.library_uid],
    })
    const other = await asBen('POST', '/profile/api/tokens/', { name: 'greedy', allowed_libraries: [NOBODY] })
    expect([status, text.replace(secret.library_uid, NOBODY)]).toEqual([400, other.text])
    expect(other.status).toBe(400)
  })

  test('library is not under a token without libraries, or with another tool', async () => {
    const none = await mint({ allowed_libraries: [] })
    const search = { name: 'search', arguments: { query: 'Where is the bittern?' } }
    const empty = await system.mcp('tools/call', search, { token: none.token })
    expect(empty.status).toBe(200)
    expect(empty.text).not.toContain('third lock')
    const tool = await mint({ allowed_tools: ['get_health'] })
    const { body } = await system.mcp('tools/call', search, { token: tool.token })
    expect(body).toMatchObject({ result: { isError: true } })
    const own = await mint()
    expect((await system.mcp('tools/call', search, { token: own.token })).text).toContain('third lock')
  })
})

test('the plaintext of a token is in the answer that mints it and nowhere else', async () => {
  const { token } = await mint({ name: 'shown once' })
  const last = token.slice(-20)
  await onBoth(`Bearer ${token}`)
  await onBoth(`Token ${token}`)
  await system.call('GET', `/library/api/jobs/?token=none`, undefined, { token })
  for (const path of ['/profile/api/tokens/', '/profile/api/me/', '/metrics', '/ready/', '/api/schema/']) {
    const { text } = await system.call('GET', path)
    expect(text, path).not.toContain(last)
    expect(text, path).not.toContain(system.token.slice(-20))
  }
  let kept = 0
  for await (const [name, bytes] of system.kept()) {
    kept += 1
    for (const secret of [last, system.token.slice(-20), ben.slice(-20)]) {
      expect(bytes.includes(secret), name).toBe(false)
    }
  }
  expect(kept).toBeGreaterThan(5)
})

/** What a client library would not send: the path as it is. */
function raw(
  method: string,
  path: string,
  headers: Record<string, string>,
  body?: string,
): Promise<{ status: number; body: string }> {
  const { hostname, port } = new URL(system.url)
  return new Promise((resolve, reject) => {
    const sent = request(
      {
        hostname,
        port,
        method,
        path,
        headers: { 'content-type': 'application/json', ...headers },
        agent: false,
      },
      (response) => {
        const pieces: Buffer[] = []
        response.on('data', (piece: Buffer) => pieces.push(piece))
        response.on('end', () =>
          resolve({ status: response.statusCode!, body: Buffer.concat(pieces).toString() }),
        )
      },
    )
    sent.on('error', reject)
    sent.end(method === 'GET' ? undefined : body)
  })
}

/** There is no command for this yet: as a person with the store in their hands. */
async function setActive(username: string, active: boolean): Promise<void> {
  await using store = await openStore(system.databaseUrl('auth'), 'auth')
  await store.transaction((tx) =>
    tx
      .updateTable('user')
      .set({ is_active: active ? 1 : 0 })
      .where('username', '=', username)
      .execute(),
  )
}
