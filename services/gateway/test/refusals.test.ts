import type { AuditRecord } from '@mnemosyne/contracts'
import { PEER_HEADER } from '@mnemosyne/platform'
import { describe, expect, test } from 'vitest'
import { ALICE, openWorld, type World } from './harness.ts'

const LIBRARY = '00000000-0000-4000-8000-00000000000a'
const JWT = `${'a'.repeat(20)}.${'b'.repeat(20)}.${'c'.repeat(43)}`

type Told = Pick<AuditRecord, 'actor' | 'action' | 'target' | 'outcome' | 'detail' | 'count'>

/** What the audit log was told, in the order of the requests. */
async function told({ audit, audited }: World): Promise<Told[]> {
  await audit.stop()
  return audited.map(({ actor, action, target, outcome, detail, count }) => ({
    ...{ actor, action, target, outcome, detail, count },
  }))
}

const answering = (status: number) => async () => Response.json({ detail: 'no' }, { status })

const ofAlice = (target: string, status: number): Told => ({
  actor: ALICE.user!.id,
  action: 'request.refused',
  target,
  outcome: 'refused',
  detail: { status },
  count: 1,
})
const ofNobody = (surface: string, reason: string): Told => ({
  actor: 'anonymous',
  action: 'credential.refused',
  target: surface,
  outcome: 'refused',
  detail: { reason, address: null },
  count: 1,
})

describe('the audit log is told', () => {
  test.each([401, 403, 404, 409, 429])('of an answer of %i, with who asked', async (status) => {
    const world = await openWorld({ upstreams: { library: answering(status) } })
    const answer = await world.as('alice', `/library/api/libraries/${LIBRARY}/`, { method: 'DELETE' })
    expect(answer.status).toBe(status)
    expect(await told(world)).toEqual([ofAlice(`DELETE /library/api/libraries/${LIBRARY}/`, status)])
    expect(world.audited[0]).toMatchObject({
      username: 'alice',
      token_id: 't1',
      request_id: answer.headers.get('x-request-id'),
    })
  })

  test.each([200, 201, 204, 400, 413, 500, 502, 503])('of no answer of %i', async (status) => {
    const library = async () => new Response(null, { status })
    const world = await openWorld({ upstreams: { library } })
    await world.as('alice', '/library/api/libraries/')
    expect(await told(world)).toEqual([])
  })

  test.each<[string, string, string | null, string, Record<string, string>]>([
    ['an unknown token', 'unknown_token', 'nobody', '/library/api/libraries/', {}],
    ['an expired one', 'expired', 'old', '/library/api/libraries/', {}],
    ['none', 'missing', null, '/library/api/libraries/', {}],
    ['none, where there is nothing', 'missing', null, '/wp-login.php?user=admin', {}],
    ['a session that is over', 'bad_session', null, '/profile/api/me/', { cookie: 'mnemosyne_session=x' }],
  ])('of a credential that is refused: %s', async (_, reason, bearer, path, headers) => {
    const world = await openWorld()
    await world.as(bearer, path, { headers })
    expect(await told(world)).toEqual([ofNobody('rest', reason)])
  })

  test('of a bad bearer on MCP; of what the MCP service answers it tells itself', async () => {
    const world = await openWorld({ upstreams: { mcp: answering(401) } })
    await world.as('nobody', '/mcp/', { method: 'POST' })
    await world.as('alice', '/mcp/', { method: 'POST' })
    await world.as(null, '/mcp/', { method: 'POST' })
    expect(await told(world)).toEqual([ofNobody('mcp', 'unknown_token')])
  })

  test('of a login that fails or is locked, with the address, and of one from another site', async () => {
    let status = 401
    const auth = async () =>
      Response.json({ detail: status === 401 ? 'Wrong user name or password.' : 'Wait.' }, { status })
    const world = await openWorld({ upstreams: { auth } })
    const body = JSON.stringify({ username: 'alice', password: 'secret-password' })
    const headers = { 'content-type': 'application/json', [PEER_HEADER]: '192.0.2.7' }
    const login = (more = {}) =>
      world.call('/accounts/api/login/', { method: 'POST', body, headers: { ...headers, ...more } })
    const answers = [await login()]
    status = 429
    answers.push(
      await login(),
      await login({ 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' }),
    )
    const shown = (await told(world)).map(({ action, target, detail }) => [action, target, detail])
    const target = 'POST /accounts/api/login/'
    expect(answers.map((answer) => answer.status).slice(1)).toEqual([429, 403])
    expect(shown).toContainEqual(['request.refused', target, { status: 429, address: '192.0.2.7' }])
    expect(shown).toContainEqual([
      'credential.refused',
      'rest',
      { reason: 'cross_site', address: '192.0.2.7' },
    ])
    expect(JSON.stringify(world.audited)).not.toMatch(/secret-password/)
  })
})

describe('a row holds', () => {
  test.each<[string, string, string]>([
    ['no query', '/library/api/items/?q=my+secret+question', 'GET /library/api/items/'],
    ['no token', '/library/api/items/mnem_secretsecretsecret/', 'GET /library/api/items/*/'],
    [
      'no token, however it is written',
      '/library/api/items/%6dnem_secretsecret/',
      'GET /library/api/items/*/',
    ],
    ['no team token', `/library/api/items/${JWT}/`, 'GET /library/api/items/*/'],
    ['no session', `/library/api/items/${'Zx9_'.repeat(10)}secret/`, 'GET /library/api/items/*/'],
    [
      'no path without bounds',
      `/library/api/items/${'x/'.repeat(300)}/`.replace('//', '/'),
      'GET /library/api/*',
    ],
    ['no path that nobody serves', '/my/secret/question/', 'GET /*'],
    ['no path that is read in two ways', '/library//api/secret', 'GET /*'],
  ])('%s', async (_, path, target) => {
    const world = await openWorld({ upstreams: { library: answering(404) } })
    expect((await world.as('alice', path)).status).toBe(404)
    expect(await told(world)).toEqual([ofAlice(target, 404)])
    expect(JSON.stringify(world.audited)).not.toContain('secret')
  })

  test('no method that somebody has made up', async () => {
    const world = await openWorld({ upstreams: { library: answering(404) } })
    await world.as('alice', '/library/api/items/', { method: 'MYSECRET' })
    expect(await told(world)).toEqual([ofAlice('_OTHER /library/api/items/', 404)])
  })
})

describe('a flood', () => {
  test('of requests without a credential, to any paths, is one row and its number', async () => {
    const world = await openWorld()
    await Promise.all(Array.from({ length: 500 }, (_, n) => world.call(`/${n}/index.php?x=${n}`)))
    const rows = await told(world)
    expect(rows.length).toBeLessThan(3)
    expect(rows.reduce((sum, { count }) => sum + count, 0)).toBe(500)
  })

  test('from ever new addresses is bounded all the same', async () => {
    const world = await openWorld()
    for (let n = 0; n < 300; n++) {
      const headers = { [PEER_HEADER]: `10.0.${n >> 8}.${n & 255}`, authorization: 'Bearer guess' }
      await world.call('/library/api/items/', { headers })
    }
    const rows = await told(world)
    expect(rows.length).toBeLessThan(30)
    expect(rows.reduce((sum, { count }) => sum + count, 0)).toBe(300)
    expect(rows).toContainEqual(expect.objectContaining({ detail: { reason: 'unknown_token' } }))
  })

  test('by somebody who is known leaves the prefix, the status and the number', async () => {
    const world = await openWorld({ upstreams: { library: answering(404) } })
    for (let n = 0; n < 300; n++) await world.as('alice', `/library/api/items/${n}/`)
    const rows = await told(world)
    expect(rows.length).toBeLessThan(210)
    expect(rows.reduce((sum, { count }) => sum + count, 0)).toBe(300)
    expect(rows.map(({ target }) => target)).toContain('GET /library/api/*')
  })
})
