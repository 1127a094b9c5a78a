import type { User } from '@mnemosyne/contracts'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { Browser } from '../browser.ts'
import { type SystemInMode, startInMode } from '../mode.ts'

const PASSWORD = 'correct horse battery'
const ME = '/profile/api/me/'
const ENDED = { detail: 'Your session has ended. Sign in again.' }

let system: SystemInMode
let gateways: string[]

beforeAll(async () => {
  system = await startInMode({ replicas: { gateway: 2, auth: 2 } })
  gateways = 'cluster' in system ? system.cluster.processes.gateway.map(({ url }) => url) : [system.url]
})
afterAll(() => system?.[Symbol.asyncDispose]())

async function createUser(username: string): Promise<User> {
  const { status, body, text } = await system.call('POST', '/admin/api/users/', {
    username,
    password: PASSWORD,
  })
  expect(status, text).toBe(201)
  return body
}

async function signedIn(username: string): Promise<Browser> {
  const browser = new Browser(gateways)
  // "Try again shortly", says a busy machine.
  await vi.waitUntil(async () => (await browser.signIn(username, PASSWORD)).status === 200, {
    timeout: 20_000,
  })
  return browser
}

/** On every gateway, the more so if they are several. */
async function expectEnded(browser: Browser): Promise<void> {
  for (const _ of gateways) {
    const { status, body, headers } = await browser.call('GET', ME)
    expect([status, body]).toEqual([401, ENDED])
    expect(headers.get('www-authenticate')).toBe('Bearer')
  }
}

test('a person signs in, reads, writes, uploads and signs out', async () => {
  const { id } = await createUser('ada')
  const browser = new Browser(gateways)
  expect((await browser.call('GET', ME)).body).toEqual({
    detail: 'Authentication credentials were not provided.',
  })
  const { status, body, headers } = await browser.signIn('ada', PASSWORD)
  expect([status, body.user.id, headers.get('cache-control')]).toEqual([200, id, 'no-store'])
  expect((await browser.call('GET', ME)).body).toMatchObject({ id, username: 'ada' })
  const session = await browser.call('GET', '/accounts/api/session/')
  expect(session.body).toMatchObject({ user: { id }, csrf_token: browser.csrf })

  const workspace = { workspace_id: 'ada', name: 'ada', library_type: 'technical' }
  const made = await browser.call('POST', '/library/api/workspaces/', workspace)
  expect(made.status, made.text).toBe(201)
  const form = new FormData()
  form.set('workspace_id', 'ada')
  form.set(
    'file',
    new Blob(['# Heron\n\nThe heron stands by the weir.'], { type: 'text/markdown' }),
    'heron.md',
  )
  const uploaded = await browser.call('POST', '/library/api/items/upload/', form)
  expect(uploaded.status, uploaded.text).toBe(202)
  await expect
    .poll(async () => (await browser.call('GET', `/library/api/jobs/${uploaded.body.job_id}/`)).body.status, {
      timeout: 120_000,
    })
    .toBe('completed')
  const found = await browser.call('POST', '/library/api/search/', { query: 'Where is the heron?' })
  expect(found.body.candidates[0].text_preview).toContain('by the weir')

  const before = browser.copy()
  expect((await browser.call('POST', '/accounts/api/logout/')).status).toBe(204)
  expect(browser.cookie).toBeUndefined()
  await expectEnded(before)
}, 150_000)

describe('a session', () => {
  let browser: Browser
  beforeAll(async () => {
    await createUser('ben')
    browser = await signedIn('ben')
  })
  const create = (headers: Record<string, string>) =>
    browser.call('POST', '/library/api/libraries/', { name: 'Planted', library_type: 'technical' }, headers)

  test.each([
    ['without its CSRF token', { 'x-csrf-token': '' }, 'CSRF token missing or incorrect.'],
    ['with another', { 'x-csrf-token': 'x'.repeat(43) }, 'CSRF token missing or incorrect.'],
    ['from another origin', { origin: 'https://evil.test' }, /page of another site/],
    ['from another site', { 'sec-fetch-site': 'cross-site' }, /page of another site/],
  ])('changes nothing %s', async (_, headers, detail) => {
    const { status, body } = await create(headers)
    expect([status, body]).toEqual([
      403,
      { detail: typeof detail === 'string' ? detail : expect.stringMatching(detail) },
    ])
    expect((await browser.call('GET', '/library/api/libraries/')).body).toEqual([])
  })

  test('counts for nothing on MCP, and beside a bearer', async () => {
    const call = { jsonrpc: '2.0', id: 1, method: 'tools/list', params: {} }
    const accept = { accept: 'application/json, text/event-stream' }
    expect((await browser.call('POST', '/mcp/', call, accept)).status).toBe(401)
    expect((await browser.call('GET', ME, undefined, { authorization: 'Bearer mnem_x' })).status).toBe(401)
    const asAdmin = await browser.call('GET', ME, undefined, { authorization: `Bearer ${system.token}` })
    expect(asAdmin.body).toMatchObject({ username: 'admin' })
  })

  test('ends when its browser signs in again, and another begins', async () => {
    const before = browser.copy()
    expect((await browser.signIn('ben', PASSWORD)).status).toBe(200)
    await expectEnded(before)
    expect((await browser.call('GET', ME)).body).toMatchObject({ username: 'ben' })
  })

  test('that is planted is not the one that somebody gets by signing in', async () => {
    const planted = browser.copy()
    const victim = browser.copy()
    await createUser('victim')
    expect((await victim.signIn('victim', PASSWORD)).status).toBe(200)
    expect(victim.cookie).not.toBe(planted.cookie)
    await expectEnded(planted)
    browser = await signedIn('ben')
  })

  test('ends with all others by logout everywhere', async () => {
    const elsewhere = await signedIn('ben')
    const here = browser.copy()
    expect((await browser.call('POST', '/accounts/api/logout-everywhere/')).status).toBe(204)
    for (const old of [here, elsewhere]) await expectEnded(old)
  })
})

test('a change of the password ends every session, and goes on in a new one', async () => {
  await createUser('cleo')
  const [browser, elsewhere] = [await signedIn('cleo'), await signedIn('cleo')]
  const before = browser.copy()
  const change = (current_password: string) =>
    browser.call('POST', '/profile/api/password/', { current_password, new_password: 'another password' })
  expect((await change('wrong')).body).toEqual({ current_password: ['This is not your password.'] })
  expect((await browser.call('GET', ME)).status).toBe(200)
  expect((await change(PASSWORD)).status).toBe(204)
  for (const old of [before, elsewhere]) await expectEnded(old)
  const session = await browser.call('GET', '/accounts/api/session/')
  expect(session.status).toBe(200)
  browser.csrf = session.body.csrf_token
  expect((await browser.call('POST', '/accounts/api/logout/')).status).toBe(204)
  expect((await new Browser(gateways).signIn('cleo', PASSWORD)).status).toBe(401)
  expect((await new Browser(gateways).signIn('cleo', 'another password')).status).toBe(200)
})

test('a disabled user is out at once, everywhere, and stays out', async () => {
  const { id } = await createUser('dan')
  const browser = await signedIn('dan')
  const setActive = (is_active: boolean) => system.call('PATCH', `/admin/api/users/${id}/`, { is_active })
  expect((await setActive(false)).status).toBe(200)
  await expectEnded(browser)
  const refused = await new Browser(gateways).signIn('dan', PASSWORD)
  expect([refused.status, refused.body]).toEqual([401, { detail: 'The user name or password is not right.' }])
  expect((await setActive(true)).status).toBe(200)
  await expectEnded(browser)
  await signedIn('dan')
})

describe('guesses', () => {
  test('are five, whoever answers them; then nobody gets in from there for an hour', async () => {
    await createUser('eve')
    await createUser('finn')
    const browser = new Browser(gateways)
    const answers = await Promise.all(
      Array.from({ length: 30 }, (_, guess) =>
        browser.signIn('eve', guess === 29 ? PASSWORD : `guess ${guess}`),
      ),
    )
    for (let tries = 0; answers.at(-1)!.status !== 429 && tries < 20; tries++) {
      answers.push(await browser.signIn('eve', 'wrong'))
    }
    // On a busy machine the gateway gives up (503) what auth has looked at all the same.
    expect(answers.filter(({ status }) => status === 401).length).toBeLessThanOrEqual(5)
    expect(answers.filter(({ status }) => status === 200)).toEqual([])
    for (const _ of gateways) {
      const { status, body, headers } = await browser.signIn('eve', PASSWORD)
      expect([status, body]).toEqual([429, { detail: 'Too many failed logins. Try again in 60 minutes.' }])
      expect(Number(headers.get('retry-after'))).toBeGreaterThan(3_500)
    }
    await signedIn('finn')
  })

  test('are answered alike for names that nobody has', async () => {
    const known = await new Browser(gateways).signIn('finn', 'wrong')
    const unknown = await new Browser(gateways).signIn('nobody', 'wrong')
    expect([known.status, known.text]).toEqual([unknown.status, unknown.text])
    const shape = ({ headers }: typeof known) => [...headers.keys()].sort()
    expect(shape(known)).toEqual(shape(unknown))
  })

  test('from the page of another site are not looked at', async () => {
    const from = { origin: 'https://evil.test' }
    const given = { username: 'finn', password: PASSWORD }
    expect((await new Browser(gateways).call('POST', '/accounts/api/login/', given, from)).status).toBe(403)
  })
})

test('neither passwords nor cookies are kept anywhere', async () => {
  const browser = await signedIn('finn')
  await browser.signIn('finn', 'a mistyped passphrase')
  await browser.call('GET', ME)
  let kept = 0
  for await (const [name, bytes] of system.kept()) {
    kept += 1
    for (const secret of [browser.cookie!, PASSWORD, 'mistyped passphrase']) {
      expect(bytes.includes(secret), name).toBe(false)
    }
  }
  expect(kept).toBeGreaterThan(5)
})
