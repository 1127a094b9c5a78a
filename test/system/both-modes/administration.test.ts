import { randomUUID } from 'node:crypto'
import type { Library, SearchAnswer, SigningKey, Team, User, UserToken } from '@mnemosyne/contracts'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { type SystemInMode, startInMode } from '../mode.ts'
import { openStore } from '../stores.ts'

const WORDS = 'The cooper keeps his adze beside the steaming vat.'

// Each command is a process, and on servers it opens all stores.
vi.setConfig({ testTimeout: 240_000 })

let system: SystemInMode
/** All that the command line has printed, but for tokens that it minted. */
let printed = ''
beforeAll(async () => {
  system = await startInMode()
})
afterAll(() => system?.[Symbol.asyncDispose]())

/** Runs a command; what it answers is one JSON document, whatever becomes of it. */
async function run<T>(args: string[], options: { code?: number; input?: string } = {}): Promise<T> {
  const { code, stdout, stderr } = await system.command(args, options)
  expect(stdout).toMatch(/^\{.*\}\n$/)
  expect(code, stdout + stderr).toBe(options.code ?? 0)
  printed += stdout + stderr
  return JSON.parse(stdout) as T
}

/** Why a command was refused. */
async function refused(...args: string[]): Promise<string> {
  const { error } = await run<{ error: { code: string; detail: string } }>(args, { code: 1 })
  return `${error.code}: ${error.detail}`
}

const userOf = async (username: string) =>
  (await run<{ users: User[] }>(['list-users', '--q', username])).users.find(
    (user) => user.username === username,
  )

const me = (token: string) => system.call('GET', '/profile/api/me/', undefined, { token })

/** A person with a library of one document. */
async function librarian(username: string): Promise<{ token: string; library: Library }> {
  const token = await system.addUser(username)
  await system.createWorkspace(username, {}, token)
  const file = { name: 'cooper.md', content: `# Cooper\n\n${WORDS}` }
  const upload = await system.upload({ workspace_id: username }, file, token)
  expect(upload.status, upload.text).toBe(202)
  const { job_id } = upload.body as { job_id: string }
  await expect.poll(async () => (await jobAs(token, job_id)).status, { timeout: 60_000 }).toBe('completed')
  const [library] = await librariesOf(token)
  return { token, library: library! }
}

const jobAs = async (token: string, id: string): Promise<{ status: string }> =>
  (await system.call('GET', `/library/api/jobs/${id}/`, undefined, { token })).body

const librariesOf = async (token: string): Promise<Library[]> =>
  (await system.call('GET', '/library/api/libraries/', undefined, { token })).body

const finds = async (token: string): Promise<number> => {
  const { candidates }: SearchAnswer = await system.search('where is the adze?', {}, token)
  return candidates.filter(({ text_preview }) => text_preview.includes('adze')).length
}

describe('users', () => {
  test('are made with groups, listed, and found', async () => {
    const made = await run<User>(['create-user', 'sme', '--no-password', '--groups', 'SME,View Only'])
    expect(made).toMatchObject({ username: 'sme', is_staff: true, groups: ['View Only', 'SME'] })
    expect(await userOf('sme')).toEqual(made)
    const { groups } = await run<{ groups: { name: string; user_count: number }[] }>(['create-sso-groups'])
    expect(await run(['create-sso-groups'])).toEqual({ created: [], groups })
    expect(groups.map(({ name, user_count }) => [name, user_count])).toEqual([
      ['View Only', 1],
      ['Staff', 0],
      ['SME', 1],
      ['Admin', 0],
    ])
    expect(await refused('create-user', 'SME', '--no-password')).toMatch(/^USERNAME_TAKEN/)
  })

  test('are out as soon as they are disabled, and in again when enabled', async () => {
    const token = await system.addUser('gone')
    expect((await me(token)).status).toBe(200)
    for (const _ of 'twice')
      expect(await run(['disable-user', 'gone'])).toMatchObject({ username: 'gone', is_active: false })
    expect((await me(token)).body).toEqual({ detail: 'User account is disabled.' })
    expect(await run(['enable-user', 'gone'])).toMatchObject({ is_active: true })
    expect((await me(token)).status).toBe(200)
  })

  test('are given a password on standard input, and it is taken from them', async () => {
    await system.addUser('typist')
    const password = 'vat and adze 4711'
    expect(
      await run(['set-password', 'typist', '--password-stdin'], { input: `${password}\n` }),
    ).toMatchObject({
      has_password: true,
    })
    const login = (secret: string) =>
      system.call('POST', '/accounts/api/login/', { username: 'typist', password: secret }, { token: null })
    expect((await login(password)).status).toBe(200)
    expect((await login(`${password}!`)).status).toBe(401)
    expect(await run(['set-password', 'typist', '--no-password'])).toMatchObject({ has_password: false })
    expect((await login(password)).status).toBe(401)
    expect(printed + system.log()).not.toContain(password)
    expect(await run(['set-password', 'typist'], { code: 2 })).toMatchObject({ error: { code: 'USAGE' } })
  })

  test('are renamed, and everything stays theirs', async () => {
    const { token, library } = await librarian('carol')
    expect(await run(['rename-user', 'carol', 'caroline'])).toMatchObject({ username: 'caroline' })
    expect((await me(token)).body).toMatchObject({ username: 'caroline' })
    expect(await librariesOf(token)).toMatchObject([{ uid: library.uid, owner_username: 'caroline' }])
    expect(await finds(token)).toBe(1)
    const rename = { name: 'Cooperage' }
    const path = `/library/api/libraries/${library.uid}/`
    expect((await system.call('PATCH', path, rename, { token })).status).toBe(200)
    const namesake = await system.addUser('carol')
    expect(await librariesOf(namesake)).toEqual([])
    expect(await finds(namesake)).toBe(0)
    expect((await system.call('GET', path, undefined, { token: namesake })).status).toBe(404)
    expect(await refused('rename-user', 'carol', 'Caroline')).toMatch(/^USERNAME_TAKEN/)
    expect(await refused('rename-user', 'nobody', 'somebody')).toMatch(/^USER_NOT_FOUND/)
  })

  test('are deleted, and their libraries handed over', async () => {
    const { token, library } = await librarian('dora')
    const heir = await system.addUser('heir')
    expect(await refused('delete-user', 'dora')).toMatch(/^OWNS_LIBRARIES: "dora" owns 1 library/)
    expect((await me(token)).status).toBe(200)
    expect(await refused('delete-user', 'dora', '--hand-over-to', 'nobody')).toMatch(/nobody/)
    expect(await run(['delete-user', 'dora', '--hand-over-to', 'heir'])).toEqual({
      username: 'dora',
      deleted: true,
      handed_over_to: 'heir',
    })
    expect((await me(token)).status).toBe(401)
    expect(await librariesOf(heir)).toMatchObject([{ uid: library.uid, owner_username: 'heir' }])
    expect(await finds(heir)).toBe(1)
    expect(await refused('delete-user', 'dora')).toMatch(/^USER_NOT_FOUND/)
    const namesake = await system.addUser('dora')
    expect([await librariesOf(namesake), await finds(namesake)]).toEqual([[], 0])
    // Not even later, when all that was on its way has arrived.
    await expect.poll(async () => (await membersOf(heir, library.uid)).join()).toBe('heir owner')
  })

  test('are deleted with their libraries', async () => {
    const { token, library } = await librarian('emil')
    const both = ['delete-user', 'emil', '--delete-libraries', '--hand-over-to', 'heir']
    expect(await run(both, { code: 2 })).toMatchObject({ error: { code: 'USAGE' } })
    expect(await run(['delete-user', 'emil', '--delete-libraries'])).toMatchObject({ deleted: true })
    expect((await me(token)).status).toBe(401)
    const answer = await system.call('GET', `/library/api/libraries/${library.uid}/`)
    expect(answer.status).toBe(404)
    const namesake = await system.addUser('emil')
    await system.createWorkspace('emil', {}, namesake)
    expect(await finds(namesake)).toBe(0)
  })

  test('never lose the last superuser', async () => {
    const first = (await run<{ users: User[] }>(['list-users'])).users.find(
      ({ is_superuser }) => is_superuser,
    )!
    expect(await refused('disable-user', first.username)).toMatch(/^LAST_SUPERUSER/)
    expect(await refused('delete-user', first.username, '--delete-libraries')).toMatch(/^LAST_SUPERUSER/)
  })
})

const membersOf = async (token: string, uid: string): Promise<string[]> => {
  const { body } = await system.call('GET', `/library/api/libraries/${uid}/members/`, undefined, { token })
  return (body as { username: string; role: string }[]).map(({ username, role }) => `${username} ${role}`)
}

test('owners who lack their membership get it', async () => {
  const { token, library } = await librarian('frida')
  await using store = await openStore(system.databaseUrl('auth'), 'auth')
  await store.transaction(async (tx) => {
    await tx.deleteFrom('library_membership').where('library_uid', '=', library.uid).execute()
  })
  expect(await librariesOf(token)).toEqual([])
  expect(await run(['backfill-memberships'])).toMatchObject({ added: 1 })
  expect(await run(['backfill-memberships'])).toMatchObject({ added: 0 })
  expect(await librariesOf(token)).toMatchObject([{ uid: library.uid }])
  expect(await finds(token)).toBe(1)
})

test('tokens are listed masked, and revoked', async () => {
  const token = await system.addUser('greta')
  const list = (...args: string[]) =>
    run<{ tokens: (UserToken & { username: string })[] }>(['list-user-tokens', ...args])
  const { tokens } = await list('--user', 'greta')
  expect(tokens).toMatchObject([{ username: 'greta', is_active: true, allowed_libraries: ['*'] }])
  expect((await list()).tokens.map(({ username }) => username)).toContain('greta')
  expect(await refused('list-user-tokens', '--user', 'nobody')).toMatch(/^USER_NOT_FOUND/)
  for (const _ of 'twice')
    expect(await run(['revoke-user-token', tokens[0]!.id])).toEqual({ id: tokens[0]!.id, revoked: true })
  expect((await me(token)).body).toEqual({ detail: 'Token has been deactivated.' })
  expect((await list('--user', 'greta')).tokens).toMatchObject([{ is_active: false }])
  for (const none of [randomUUID(), 'x'])
    expect(await refused('revoke-user-token', none)).toMatch(/^TOKEN_NOT_FOUND/)
  expect(printed).not.toContain(token.slice(5))
})

test('signing keys and teams: whatever is retired or disabled lets nobody in', async () => {
  const token = await system.addUser('hanna')
  await run(['seed-signing-key', '--kid', 'one'])
  const newTeam = async () => {
    const answer = await system.call(
      'POST',
      '/mcp_server/api/teams/',
      { id: randomUUID(), name: 'Coopers' },
      { token },
    )
    expect(answer.status, answer.text).toBe(201)
    return answer.body as Team & { jwt: string }
  }
  const admitted = async ({ jwt }: { jwt: string }) =>
    (await system.mcp('tools/list', {}, { token: jwt })).status
  const [signedByOne, team] = [await newTeam(), await newTeam()]
  expect(await run(['list-teams', '--owner', 'hanna'])).toMatchObject({
    teams: [{ owner_username: 'hanna' }, { owner_username: 'hanna' }],
  })
  expect(await admitted(team)).toBe(200)
  for (const _ of 'twice')
    expect(await run(['disable-team', team.id])).toMatchObject({ id: team.id, active: false })
  expect(await admitted(team)).toBe(401)
  expect(await refused('disable-team', randomUUID())).toMatch(/^TEAM_NOT_FOUND/)

  expect(await admitted(signedByOne)).toBe(200)
  await run(['seed-signing-key', '--kid', 'two'])
  expect(await admitted(signedByOne)).toBe(200)
  const signedByTwo = await newTeam()
  expect(await run(['retire-signing-key', '--kid', 'one'])).toMatchObject({ kid: 'one', is_current: false })
  expect([await admitted(signedByOne), await admitted(signedByTwo)]).toEqual([401, 200])
  expect(await refused('retire-signing-key', '--kid', 'none')).toMatch(/^SIGNING_KEY_NOT_FOUND/)
  const { keys } = await run<{ keys: SigningKey[] }>(['list-signing-keys'])
  expect(keys.find(({ kid }) => kid === 'one')?.retired_at).toMatch(/^20/)
  expect(keys.find(({ kid }) => kid === 'two')).toMatchObject({ is_current: true, retired_at: null })

  await run(['delete-user', 'hanna', '--delete-libraries'], { code: 1 })
  for (const { id } of [signedByOne, signedByTwo]) await run(['disable-team', id])
  await run(['delete-user', 'hanna'])
  expect(await admitted(signedByTwo)).toBe(401)
})

test('no secret was printed', async () => {
  await using store = await openStore(system.databaseUrl('auth'), 'auth')
  const keys = (await store.read.selectFrom('signing_key').select('secret').execute()) as { secret: string }[]
  expect(keys.length).toBeGreaterThan(0)
  for (const { secret } of keys) expect(printed + system.log()).not.toContain(secret)
  expect(printed).not.toMatch(/argon2|password_hash|token_hash|"secret"/)
})
