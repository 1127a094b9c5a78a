import { randomBytes, randomUUID } from 'node:crypto'
import type { Job } from '@mnemosyne/contracts'
import { expect, vi } from 'vitest'
import type { SystemInMode } from '../../mode.ts'
import type { Asked, Recorder } from './asking.ts'
import type { Secrets } from './ledger.ts'

/** Characters that JSON, URLs, forms and shells write in another way. */
const password = (secrets: Secrets, name: string) =>
  secrets.add(`the password ${name}`, `Pä$$ "w0rd" \\ & 50%/+= ${name} ${randomBytes(6).toString('hex')}`)
const wrongToken = (secrets: Secrets) =>
  secrets.add('an unknown token', `mnem_${randomBytes(32).toString('base64url')}`)

export interface Run {
  system: SystemInMode
  rest: Recorder
  secrets: Secrets
  /** What commands printed, but for secrets that they are to show. */
  printed: string[]
}

/** Everything that has to do with secrets, well done and badly. Returns the tokens that are still good. */
export async function everything(run: Run): Promise<{ token: string; jwt: string }> {
  const keeper = await users(run)
  await badLogins(run, keeper.username)
  const token = await session(run, keeper)
  await tokens(run, token)
  const jwt = await teams(run, token)
  await documents(run, token, jwt)
  return { token, jwt }
}

async function command(
  { system, printed }: Run,
  args: string[],
  input?: string,
  shows?: true,
): Promise<string> {
  const { code, stdout, stderr } = await system.command(args, { input })
  printed.push(stderr)
  if (!shows) printed.push(stdout)
  expect([0, 1, 2], `${args[0]}: ${stdout}${stderr}`).toContain(code)
  return stdout
}

interface Person {
  username: string
  password: string
}

async function users(run: Run): Promise<Person> {
  const { rest, secrets } = run
  const first = password(secrets, 'of the command line')
  await command(run, ['create-user', 'petra', '--password-stdin'], first)
  await command(
    run,
    ['create-user', 'petra', '--password-stdin'],
    password(secrets, 'of a name that is taken'),
  )
  await command(
    run,
    ['set-password', 'petra', '--password-stdin'],
    password(secrets, 'set by the command line'),
  )
  await command(run, ['set-password', 'nobody', '--password-stdin'], password(secrets, 'set for nobody'))
  const given = password(secrets, 'that staff gave')
  const made = await rest.ask('POST', '/admin/api/users/', { body: { username: 'keeper', password: given } })
  expect(made.status, made.text).toBe(201)
  const again = { username: 'keeper', password: password(secrets, 'that staff gave again') }
  expect((await rest.ask('POST', '/admin/api/users/', { body: again })).status).toBe(409)
  const short = { username: 'short', password: secrets.add('a password that is too short', 'sHo7t;') }
  expect((await rest.ask('POST', '/admin/api/users/', { body: short })).status).toBe(400)
  const body = { password: password(secrets, 'that staff changed') }
  const path = `/admin/api/users/${made.body.id}/`
  expect((await rest.ask('PATCH', path, { body })).status).toBe(200)
  expect((await rest.ask('PATCH', path, { body: { password: [body.password] } })).status).toBe(400)
  await rest.ask('GET', '/admin/api/users/')
  return { username: 'keeper', password: body.password }
}

const LOGIN = '/accounts/api/login/'

async function badLogins({ system, rest, secrets }: Run, username: string): Promise<void> {
  const origin = { origin: system.url }
  const login = (body: unknown, headers: Record<string, string> = origin) =>
    rest.ask('POST', LOGIN, { token: null, headers, body })
  const wrong = password(secrets, 'that is wrong')
  expect((await login({ username, password: wrong })).status).toBe(401)
  expect((await login({ username: 'nobody', password: wrong })).status).toBe(401)
  expect((await login({ username, password: wrong }, { origin: 'https://evil.example' })).status).toBe(403)
  expect((await login(`{"username": "${username}", "password": ${JSON.stringify(wrong)}`)).status).toBe(400)
  expect((await login({ username, password: { is: wrong } })).status).toBe(400)
  expect((await login({ username, [wrong]: wrong })).status).toBe(400)
  expect((await login({ username, password: wrong.repeat(40) })).status).toBe(400)
  expect((await login(new URLSearchParams({ username, password: wrong }).toString())).status).toBe(400)
  for (let n = 0; n < 6; n++) await login({ username: 'petra', password: password(secrets, `of guess ${n}`) })
  expect((await login({ username: 'petra', password: wrong })).status).toBe(429)
  // In the wrong field.
  expect((await login({ username: password(secrets, 'as a name'), password: wrong })).status).toBe(401)
}

/** Signs in and out again, and mints a token meanwhile. */
async function session({ system, rest, secrets }: Run, { username, password: old }: Person): Promise<string> {
  const origin = { origin: system.url }
  const signIn = async (body: Person) => {
    const answer = await rest.ask('POST', LOGIN, { token: null, headers: origin, body, shows: true })
    expect(answer.status, answer.text).toBe(200)
    return cookiesOf(answer, secrets)
  }
  const first = await signIn({ username, password: old })
  const as = ({ cookie, csrf }: Cookies) => ({
    token: null,
    headers: { ...origin, cookie, 'x-csrf-token': csrf },
  })
  expect((await rest.ask('GET', '/profile/api/me/', as(first))).status).toBe(200)
  const forged = {
    ...first,
    csrf: secrets.add('a CSRF token of another site', randomBytes(32).toString('base64url')),
  }
  expect(
    (await rest.ask('POST', '/profile/api/tokens/', { ...as(forged), body: { name: 'x' } })).status,
  ).toBe(403)
  const unknown = {
    ...first,
    cookie: `mnemosyne_session=${secrets.add('an unknown session', randomBytes(32).toString('base64url'))}`,
  }
  expect((await rest.ask('GET', '/profile/api/me/', as(unknown))).status).toBe(401)

  const next = password(secrets, 'that they chose')
  const change = (current_password: string) =>
    rest.ask('POST', '/profile/api/password/', {
      ...as(first),
      body: { current_password, new_password: next },
      shows: true,
    })
  const refused = await change(password(secrets, 'that is not the current one'))
  rest.answers.push(refused.text)
  expect(refused.status).toBeGreaterThanOrEqual(400)
  const changed = await change(old)
  expect(changed.status, changed.text).toBe(204)
  const second = await signIn({ username, password: next })
  const body = { name: 'of a session', allowed_libraries: ['*'] }
  const minted = await rest.ask('POST', '/profile/api/tokens/', { ...as(second), body, shows: true })
  expect(minted.status, minted.text).toBe(201)
  await rest.ask('POST', '/accounts/api/logout/', as(second))
  expect((await rest.ask('GET', '/profile/api/me/', as(second))).status).toBe(401)
  return secrets.add('a token', minted.body.token)
}

interface Cookies {
  cookie: string
  csrf: string
}

function cookiesOf(answer: Asked, secrets: Secrets): Cookies {
  const cookie = answer.headers.getSetCookie()[0]!.split(';')[0]!
  secrets.add('a session', cookie.slice(cookie.indexOf('=') + 1))
  return { cookie, csrf: secrets.add('a CSRF token', answer.body.csrf_token) }
}

async function tokens(run: Run, token: string): Promise<void> {
  const { rest, secrets } = run
  const shown = JSON.parse(
    await command(run, ['create-user-token', '--user', 'petra', '--name', 'cli'], undefined, true),
  ) as { token: string }
  secrets.add('a token of the command line', shown.token)
  await command(run, ['list-user-tokens', '--user', 'petra'])
  const minted = await rest.ask('POST', '/profile/api/tokens/', {
    token,
    body: { name: 'lost' },
    shows: true,
  })
  const revoked = secrets.add('a revoked token', minted.body.token)
  await rest.ask('POST', `/profile/api/tokens/${minted.body.id}/revoke/`, { token })
  await rest.ask('GET', '/profile/api/tokens/', { token })
  await rest.ask('GET', '/admin/api/tokens/')
  const unknown = wrongToken(secrets)
  const items = '/library/api/items/'
  const basic = Buffer.from(`keeper:${password(secrets, 'by HTTP Basic')}`).toString('base64')
  for (const headers of [
    { authorization: `Bearer ${revoked}` },
    { authorization: `Bearer ${unknown}` },
    { authorization: `bearer  ${unknown} ` },
    { authorization: `Token ${token}` },
    { authorization: token },
    { authorization: `Basic ${basic}` },
    { cookie: `mnemosyne_session=${token}` },
    { 'x-mnemosyne-principal': secrets.add('an assertion of ours', assertionLike()) },
  ] as Record<string, string>[]) {
    expect((await rest.ask('GET', items, { token: null, headers })).status).toBe(401)
    expect((await rest.ask('POST', '/mcp/', { token: null, headers, body: { method: 'x' } })).status).toBe(
      401,
    )
  }
  // Where they do not belong.
  await rest.ask('GET', `${items}?token=${token}&access_token=${unknown}`, { token })
  await rest.ask('GET', `/library/api/items/${token}/`, { token })
  await rest.ask('GET', `/nowhere/${unknown}`, { token })
  await rest.ask('POST', '/profile/api/tokens/', { token, body: { name: 5, token: unknown } })
  await rest.ask('POST', '/library/api/libraries/', { token, body: { name: '', library_type: unknown } })
  await rest.ask('GET', items, { token, headers: { 'x-request-id': 'of-the-run', 'x-api-key': unknown } })
}

/** Of the shape of an assertion, signed by nobody. */
function assertionLike(): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const header = part({ alg: 'EdDSA', kid: 'k', typ: 'principal+jwt' })
  return `${header}.${part({ iss: 'gateway', nonce: randomUUID() })}.${randomBytes(64).toString('base64url')}`
}

async function teams(run: Run, token: string): Promise<string> {
  const { rest, secrets } = run
  await command(run, ['seed-signing-key', '--kid', 'older'])
  const seeded = await rest.ask('POST', '/admin/api/signing-keys/', { body: { kid: 'newer' } })
  expect(seeded.status, seeded.text).toBe(200)
  const id = randomUUID()
  const made = await rest.ask('POST', '/mcp_server/api/teams/', {
    token,
    body: { id, name: 'Crew' },
    shows: true,
  })
  expect(made.status, made.text).toBe(201)
  const old = secrets.add('a token of a team that was rotated', made.body.jwt)
  await rest.ask('POST', '/mcp_server/api/teams/', { token, body: { id, name: 'Crew' } })
  const rotated = await rest.ask('POST', `/mcp_server/api/teams/${id}/rotate/`, { token, shows: true })
  const jwt = secrets.add('a token of a team', rotated.body.jwt)
  const workspaces = { workspace_ids: ['crew'] }
  await rest.ask('PUT', `/mcp_server/api/teams/${id}/workspaces/`, { token, body: workspaces })
  await rest.ask('GET', `/mcp_server/api/teams/${id}/`, { token })
  const changed = secrets.add('a token of a team that was changed', `${jwt.slice(0, -8)}AAAAAAAA`)
  for (const bad of [old, changed])
    expect((await rest.mcp('tools/list', {}, { token: bad })).status).toBe(401)
  expect((await rest.ask('GET', '/library/api/items/', { token: jwt })).status).toBe(401)
  const gone = randomUUID()
  const shortLived = { id: gone, name: 'Gone' }
  const brief = await rest.ask('POST', '/mcp_server/api/teams/', { token, body: shortLived, shows: true })
  secrets.add('a token of a team that is gone', brief.body.jwt)
  await rest.ask('DELETE', `/mcp_server/api/teams/${gone}/`, { token })
  await rest.mcp('tools/list', {}, { token: brief.body.jwt })
  await rest.ask('POST', '/admin/api/signing-keys/older/retire/')
  await rest.ask('GET', '/admin/api/signing-keys/')
  await command(run, ['list-signing-keys'])
  return jwt
}

async function documents({ rest }: Run, token: string, jwt: string): Promise<void> {
  const body = { workspace_id: 'crew', name: 'Crew', library_type: 'technical' }
  const made = await rest.ask('POST', '/library/api/workspaces/', { token, body })
  expect(made.status, made.text).toBe(201)
  const form = new FormData()
  form.set('workspace_id', 'crew')
  form.set('file', new Blob(['# Bell\n\nThe bell is struck in fog.\n'], { type: 'text/markdown' }), 'bell.md')
  const {
    status,
    body: job,
    text,
  } = await rest.ask('POST', '/library/api/items/upload/', { token, body: form })
  expect(status, text).toBe(202)
  const state = () => rest.ask('GET', `/library/api/jobs/${job.job_id}/`, { token })
  await vi.waitFor(async () => expect(((await state()).body as Job).status).toBe('completed'), 120_000)
  const found = await rest.ask('POST', '/library/api/search/', {
    token,
    body: { query: 'What is struck in fog?' },
  })
  expect(found.text).toContain('struck in fog')
  const search = { name: 'search', arguments: { query: 'What is struck in fog?' } }
  for (const credential of [token, jwt]) {
    expect((await rest.mcp('tools/call', search, { token: credential })).text).toContain('struck in fog')
  }
}
