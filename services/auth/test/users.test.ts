import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { adminContract, CallError, type Group, type User } from '@mnemosyne/contracts'
import { describePostgres } from '@mnemosyne/platform/testing'
import { verify as verifyPassword } from '@node-rs/argon2'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { LIBRARY, openWorld, type World } from './harness.ts'

const NOBODY = '00000000-0000-4000-8000-000000000000'
const PASSWORD = 'correct horse battery'

/** What an operation comes to: `ok`, or status and detail (or the fields that are at fault). */
const outcome = (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => 'ok',
    (error: unknown) => {
      if (!(error instanceof CallError)) throw error
      const fields = Object.keys(error.fields)
      return fields.length > 0 ? `400 ${fields.join()}` : `${error.status} ${error.message}`
    },
  )
const status = async (call: Promise<unknown>) => (await outcome(call)).split(' ')[0]

function suite(freshUrl: () => Promise<string>): void {
  let world: World
  beforeEach(async () => {
    world = await openWorld(await freshUrl())
    await createUser('root', { superuser: true })
  })
  afterEach(() => world.close())

  const createUser = (
    username: string,
    more: { staff?: boolean; superuser?: boolean; groups?: Group[]; password?: string } = {},
  ): Promise<User> =>
    world.auth.admin.createUser({
      username,
      email: '',
      staff: more.staff ?? false,
      superuser: more.superuser ?? false,
      password: more.password ?? null,
      groups: more.groups,
    })
  const adminAs = (username: string) => world.clientAs(adminContract, username)
  const createToken = (username: string) =>
    world.auth.admin.createUserToken(
      { username, name: 'test', expiresAt: null, allowedLibraries: [], allowedTools: [] },
      world.call,
    )
  const presents = async (token: string) => {
    const resolution = await world.resolve(`Bearer ${token}`, 'rest')
    return resolution.outcome === 'resolved' ? 'resolved' : resolution.detail
  }
  const startSession = (user_id: string) =>
    world.sql.transaction(async (tx) => {
      await tx
        .insertInto('session')
        .values({
          id: crypto.randomUUID(),
          user_id,
          secret_hash: crypto.randomUUID(),
          csrf_token: 'x',
          created_at: '2030-01-01T00:00:00.000Z',
          last_used_at: '2030-01-01T00:00:00.000Z',
          expires_at: '2030-01-01T08:00:00.000Z',
        })
        .execute()
    })
  const sessionsOf = async (userId: string) =>
    (await world.sql.read.selectFrom('session').select('id').where('user_id', '=', userId).execute()).length
  const actions = async () => {
    const rows = await world.sql.read.selectFrom('audit_log').select('action').orderBy('id').execute()
    return rows.map(({ action }) => action)
  }

  describe('who may what', () => {
    test.each<[string, Parameters<typeof createUser>[1], string, string, string]>([
      ['somebody', {}, '403', '403', '403'],
      ['View Only', { groups: ['View Only'] }, 'ok', '403', '403'],
      ['Staff', { groups: ['Staff'] }, 'ok', 'ok', '403'],
      ['SME', { groups: ['SME'] }, 'ok', 'ok', '403'],
      ['Admin', { groups: ['Admin'] }, 'ok', 'ok', 'ok'],
      ['staff without a group', { staff: true }, 'ok', 'ok', 'ok'],
      ['a superuser', { superuser: true }, 'ok', 'ok', 'ok'],
    ])('%s', async (_, more, view, change, remove) => {
      await createUser('caller', more)
      const { id } = await createUser('alice')
      const { id: tokenId } = await createToken('alice')
      const client = await adminAs('caller')
      const looks = [
        () => client.users.list({}),
        () => client.users.get({ id }),
        () => client.groups.list(),
        () => client.tokens.list({}),
      ]
      for (const look of looks) expect(await status(look())).toBe(view)
      const changes = [
        () => client.users.create({ username: 'new' }),
        () => client.users.update({ id, first_name: 'A' }),
        () => client.users.endSessions({ id }),
        () => client.tokens.update({ id: tokenId, name: 'x' }),
        () => client.tokens.revoke({ id: tokenId }),
      ]
      for (const attempt of changes) expect(await status(attempt())).toBe(change)
      expect(await status(client.users.delete({ params: { id }, query: {} }))).toBe(remove)
    })

    test('who may not is told so, whether it exists or not', async () => {
      const { id } = await createUser('alice')
      const client = await adminAs('alice')
      for (const any of [id, NOBODY, 'x'])
        expect(await outcome(client.users.get({ id: any }))).toBe('403 Only staff may do this.')
      const root = await adminAs('root')
      for (const none of [NOBODY, 'x']) {
        expect(await outcome(root.users.get({ id: none }))).toBe('404 There is no such user.')
        expect(await status(root.users.update({ id: none, first_name: 'x' }))).toBe('404')
        expect(await status(root.users.delete({ params: { id: none }, query: {} }))).toBe('404')
        expect(await status(root.users.endSessions({ id: none }))).toBe('404')
        expect(await status(root.tokens.revoke({ id: none }))).toBe('404')
        expect(await status(root.tokens.update({ id: none, name: 'x' }))).toBe('404')
      }
    })

    test.each<[string, Parameters<typeof createUser>[1], string]>([
      ['somebody', {}, 'ok'],
      ['a member of View Only', { groups: ['View Only'] }, '403'],
      ['staff', { staff: true }, '403'],
      ['a superuser', { superuser: true }, '403'],
    ])('staff who are no superusers do nothing to %s but look', async (_, more, expected) => {
      await createUser('boss', { groups: ['Admin'] })
      const { id } = await createUser('target', more)
      const { id: tokenId } = await createToken('target')
      const client = await adminAs('boss')
      expect(await status(client.users.get({ id }))).toBe('ok')
      const attempts = [
        () => client.users.update({ id, email: 'new@example.org' }),
        () => client.users.update({ id, password: PASSWORD }),
        () => client.users.update({ id, is_active: false }),
        () => client.users.update({ id, is_active: true }),
        () => client.users.update({ id, username: 'renamed' }),
        () => client.users.endSessions({ id }),
        () => client.tokens.update({ id: tokenId, name: 'mine' }),
        () => client.tokens.revoke({ id: tokenId }),
        () => client.users.delete({ params: { id }, query: {} }),
      ]
      for (const attempt of attempts) expect(await status(attempt())).toBe(expected)
      if (expected !== '403') return
      expect(await world.auth.admin.listUsers({ q: 'target' })).toHaveLength(1)
      expect(await outcome(client.users.update({ id }))).toMatch(/^403 Only superusers/)
    })

    test.each<[string, { is_staff?: boolean; is_superuser?: boolean; groups?: Group[] }]>([
      ['staff', { is_staff: true }],
      ['a superuser', { is_superuser: true }],
      ['a member of View Only', { groups: ['View Only'] }],
      ['a member of Admin', { groups: ['Admin'] }],
    ])('staff who are no superusers make nobody %s', async (_, more) => {
      const { id: own } = await createUser('boss', { groups: ['Admin'] })
      const { id } = await createUser('alice')
      const client = await adminAs('boss')
      expect(await status(client.users.create({ username: 'new', ...more }))).toBe('403')
      expect(await status(client.users.update({ id, ...more }))).toBe('403')
      expect(await status(client.users.update({ id: own, ...more }))).toBe('403')
      expect(await status((await adminAs('root')).users.update({ id, ...more }))).toBe('ok')
    })

    test('who was a superuser a moment ago is none any more', async () => {
      const { id } = await createUser('second', { superuser: true })
      const { id: target } = await createUser('target', { staff: true })
      const client = await adminAs('second')
      await (await adminAs('root')).users.update({ id, is_superuser: false, is_staff: true })
      expect(await status(client.users.update({ id: target, email: 'x@example.org' }))).toBe('403')
      await (await adminAs('root')).users.update({ id, is_superuser: true, is_active: false })
      expect(await status(client.users.update({ id: target, email: 'x@example.org' }))).toBe('403')
    })

    test('nobody disables, demotes or deletes themselves', async () => {
      const { id } = await createUser('second', { superuser: true })
      const client = await adminAs('second')
      for (const change of [{ is_active: false }, { is_superuser: false }])
        expect(await outcome(client.users.update({ id, ...change }))).toMatch(/^409 .*themselves/)
      const deletion = client.users.delete({ params: { id }, query: { delete_libraries: 'true' } })
      expect(await outcome(deletion)).toMatch(/^409 .*themselves/)
      expect(await client.users.get({ id })).toMatchObject({ is_active: true, is_superuser: true })
      expect(await status(client.users.update({ id, first_name: 'Second' }))).toBe('ok')
    })

    test('the last active superuser stays, also against the command line', async () => {
      const { admin } = world.auth
      await createUser('second', { superuser: true })
      await admin.disableUser('second')
      await expect(admin.disableUser('root')).rejects.toMatchObject({ code: 'LAST_SUPERUSER' })
      await expect(
        admin.deleteUser({ username: 'root', deleteLibraries: true }, world.call),
      ).rejects.toMatchObject({ code: 'LAST_SUPERUSER' })
      await admin.deleteUser({ username: 'second', deleteLibraries: false }, world.call)
      expect((await admin.listUsers()).map(({ username }) => username)).toEqual(['root'])
    })

    test('of two superusers who disable each other at the same moment one stays', async () => {
      const { id: second } = await createUser('second', { superuser: true })
      const first = (await world.auth.admin.listUsers({ q: 'root' }))[0]!.id
      const clients = [await adminAs('root'), await adminAs('second')]
      const outcomes = await Promise.all(
        [second, first].map((id, at) => outcome(clients[at]!.users.update({ id, is_active: false }))),
      )
      expect(outcomes.filter((each) => each === 'ok')).toHaveLength(1)
      const active = await world.auth.admin.listUsers({ is_active: true })
      expect(active).toHaveLength(1)
    })
  })

  describe('a user', () => {
    test('is created whole, and shown without anything secret', async () => {
      const client = await adminAs('root')
      const made = await client.users.create({
        username: 'alice@example.org',
        email: 'alice@example.org',
        first_name: 'Alice',
        last_name: 'Åström',
        password: PASSWORD,
        groups: ['SME', 'View Only'],
      })
      expect(made).toMatchObject({
        username: 'alice@example.org',
        first_name: 'Alice',
        last_name: 'Åström',
        is_staff: true,
        is_superuser: false,
        is_active: true,
        has_password: true,
        groups: ['View Only', 'SME'],
      })
      expect(await client.users.get({ id: made.id })).toEqual(made)
      expect(JSON.stringify(made)).not.toMatch(/argon|hash/)
      const plain = await client.users.create({ username: 'bob' })
      expect(plain).toMatchObject({ has_password: false, is_staff: false, groups: [], email: '' })
    })

    test.each<[string, Record<string, unknown>, string]>([
      ['the same name', { username: 'alice' }, '409'],
      ['a name that differs in case', { username: 'ALICE' }, '409'],
      ['a name that differs in width', { username: 'ａlice' }, '409'],
      ['a name with a blank', { username: 'a b' }, '400'],
      ['a name of dots', { username: '..' }, '400'],
      ['no e-mail address', { username: 'x', email: 'x' }, '400'],
      ['a short password', { username: 'x', password: 'short' }, '400'],
      ['a group that is none', { username: 'x', groups: ['Root'] }, '400'],
      ['a group that contradicts', { username: 'x', groups: ['View Only'], is_staff: true }, '400'],
      ['a NUL in a name', { username: 'x', first_name: 'a\0' }, '400'],
    ])('is not created with %s', async (_, input, expected) => {
      await createUser('alice')
      const client = await adminAs('root')
      expect(await status(client.users.create(input as { username: string }))).toBe(expected)
      expect(await world.auth.admin.listUsers()).toHaveLength(2)
    })

    test('of names that look alike one is made at the same moment', async () => {
      const outcomes = await Promise.all(
        ['bob', 'BOB', 'Bob', 'boB'].map((username) =>
          createUser(username).then(
            () => 'made',
            (error: { code: string }) => error.code,
          ),
        ),
      )
      expect(outcomes.sort()).toEqual(['USERNAME_TAKEN', 'USERNAME_TAKEN', 'USERNAME_TAKEN', 'made'])
    })

    test('is created, and renamed, beside many others at the same moment', async () => {
      const names = Array.from({ length: 40 }, (_, at) => `user-${at}`)
      await Promise.all(names.map((name) => createUser(name)))
      await Promise.all(
        names.map((username) => world.auth.admin.renameUser({ username, to: `x${username}` }, world.call)),
      )
      const listed = await world.auth.admin.listUsers({ q: 'xuser-' })
      expect(listed.map(({ username }) => username)).toEqual(names.map((name) => `x${name}`).sort())
    })

    test('is found by a part of name, address and names, in either case, by page', async () => {
      const client = await adminAs('root')
      await client.users.create({ username: 'anna', email: 'x@harbour.example', first_name: 'Zoë' })
      await client.users.create({ username: 'Berta', last_name: 'Hafen' })
      await client.users.create({ username: 'c_d', email: 'c@example.org' })
      await client.users.create({ username: 'ced' })
      await world.auth.admin.disableUser('ced')
      const names = async (input: Parameters<typeof client.users.list>[0]) => {
        const { headers, body } = await client.users.list(input)
        return [Number(headers['x-total-count']), body.map(({ username }) => username)]
      }
      expect(await names({ q: 'BERT' })).toEqual([1, ['Berta']])
      expect(await names({ q: 'HARBOUR' })).toEqual([1, ['anna']])
      expect(await names({ q: 'hafen' })).toEqual([1, ['Berta']])
      expect(await names({ q: 'zo' })).toEqual([1, ['anna']])
      expect(await names({ q: '_' })).toEqual([1, ['c_d']])
      expect(await names({ q: '%' })).toEqual([0, []])
      expect(await names({ q: '\\' })).toEqual([0, []])
      expect(await outcome(client.users.list({ q: 'a\0' }))).toBe('400 q')
      expect(await outcome(client.tokens.list({ username: 'a\0' }))).toBe('400 username')
      expect(await names({ q: ' ' })).toEqual([5, ['Berta', 'anna', 'c_d', 'ced', 'root']])
      expect(await names({ limit: 2, offset: 1 })).toEqual([5, ['anna', 'c_d']])
      expect(await names({ limit: 2, offset: 9 })).toEqual([5, []])
      expect(await names({ is_active: 'false' })).toEqual([1, ['ced']])
      expect(await names({ is_active: 'true', q: 'c' })).toEqual([1, ['c_d']])
    })

    test('who is disabled is out on the next request, and back when enabled, without old sessions', async () => {
      const { id } = await createUser('alice')
      const { token } = await createToken('alice')
      await startSession(id)
      const client = await adminAs('root')
      expect(await presents(token)).toBe('resolved')
      for (const _ of 'twice') await client.users.update({ id, is_active: false })
      expect(await presents(token)).toBe('User account is disabled.')
      expect(await sessionsOf(id)).toBe(0)
      await expect.poll(() => world.events).toEqual([{ type: 'user.disabled.v1', data: { user_id: id } }])
      for (const _ of 'twice') await client.users.update({ id, is_active: true })
      expect(await presents(token)).toBe('resolved')
      expect(await sessionsOf(id)).toBe(0)
      expect((await actions()).filter((action) => /disabled|enabled/.test(action))).toEqual([
        'user.disabled',
        'user.enabled',
      ])
    })

    test('whose password staff set is signed out everywhere, and so is who loses it', async () => {
      const { id } = await createUser('alice')
      const client = await adminAs('root')
      await startSession(id)
      expect(await client.users.update({ id, password: PASSWORD })).toMatchObject({ has_password: true })
      const { password_hash } = await world.sql.read
        .selectFrom('user')
        .select('password_hash')
        .where('id', '=', id)
        .executeTakeFirstOrThrow()
      expect(await verifyPassword(password_hash!, PASSWORD)).toBe(true)
      expect(await sessionsOf(id)).toBe(0)
      await startSession(id)
      expect(await client.users.update({ id, password: null })).toMatchObject({ has_password: false })
      expect(await sessionsOf(id)).toBe(0)
      await startSession(id)
      await client.users.update({ id, first_name: 'Alice' })
      expect(await sessionsOf(id)).toBe(1)
      await client.users.endSessions({ id })
      expect(await sessionsOf(id)).toBe(0)
    })

    test('is changed as a whole or not at all', async () => {
      const { id } = await createUser('alice')
      await createUser('bob')
      const client = await adminAs('root')
      const before = await client.users.get({ id })
      const change = { first_name: 'A', is_active: false, password: PASSWORD, groups: ['Staff' as const] }
      expect(await status(client.users.update({ id, ...change, username: 'Bob' }))).toBe('409')
      expect(await status(client.users.update({ id, ...change, email: 'no' }))).toBe('400')
      expect(await status(client.users.update({ id, ...change, is_staff: false }))).toBe('400')
      expect(await client.users.get({ id })).toEqual(before)
    })

    test('leaves a trail, in which no secret stands', async () => {
      const client = await adminAs('root')
      const { id } = await client.users.create({ username: 'alice', password: PASSWORD })
      await client.users.update({ id, email: 'a@example.org', first_name: 'A' })
      await client.users.update({ id, email: 'a@example.org' })
      await client.users.update({ id, groups: ['Staff'] })
      await client.users.update({ id, password: `${PASSWORD} 2` })
      const { token } = await createToken('alice')
      await client.users.endSessions({ id })
      const trail = await world.sql.read
        .selectFrom('audit_log')
        .selectAll()
        .where('target', '=', id)
        .orderBy('id')
        .execute()
      expect(trail.map(({ action, detail }) => [action, JSON.parse(detail)])).toEqual([
        ['user.created', { username: 'alice', is_staff: false, is_superuser: false, groups: '' }],
        ['user.changed', { fields: 'email, first_name' }],
        ['user.standing_changed', { is_staff: true, is_superuser: false, groups: 'Staff' }],
        ['user.password_set', { sessions_ended: 0 }],
        ['user.sessions_ended', { sessions_ended: 0 }],
      ])
      expect(new Set(trail.map(({ username }) => username))).toEqual(new Set(['root']))
      const everything = JSON.stringify(
        await Promise.all(
          (['audit_log', 'user', 'outbox'] as const).map((table) =>
            world.sql.read.selectFrom(table).selectAll().execute(),
          ),
        ),
      )
      for (const secret of [PASSWORD, token, token.slice(5)]) expect(everything).not.toContain(secret)
    })
  })

  describe('groups', () => {
    test('are made once, and when they are first needed', async () => {
      const empty = ['View Only', 'Staff', 'SME', 'Admin'].map((name) => ({ name, user_count: 0 }))
      const client = await adminAs('root')
      expect(await client.groups.list()).toEqual(empty)
      expect(await world.auth.admin.createGroups()).toEqual({
        created: ['View Only', 'Staff', 'SME', 'Admin'],
        groups: empty,
      })
      expect(await world.auth.admin.createGroups()).toEqual({ created: [], groups: empty })
      const { id } = await createUser('alice', { groups: ['Staff'] })
      await createUser('bob', { groups: ['Staff', 'Admin'] })
      expect((await client.groups.list()).map(({ user_count }) => user_count)).toEqual([0, 2, 0, 1])
      await client.users.update({ id, groups: ['Admin'] })
      expect((await client.groups.list()).map(({ user_count }) => user_count)).toEqual([0, 1, 0, 2])
      expect((await actions()).filter((action) => action === 'group.created')).toHaveLength(4)
    })

    test('give their rights, and take them, on the next request', async () => {
      const { id } = await createUser('alice')
      const { token } = await createToken('alice')
      const staff = async () => {
        const resolution = await world.resolve(`Bearer ${token}`, 'rest')
        return resolution.outcome === 'resolved' && resolution.principal.user?.staff
      }
      const root = await adminAs('root')
      for (const [groups, level] of [
        [['View Only'], 'view'],
        [['SME'], 'change'],
        [['SME', 'Admin'], 'delete'],
        [[], 'none'],
      ] as const) {
        await root.users.update({ id, groups: [...groups] })
        expect(await staff()).toBe(level)
      }
    })
  })

  describe("somebody's tokens", () => {
    test('are listed masked, with whose they are', async () => {
      await createUser('alice')
      await createUser('bob')
      const { token } = await createToken('alice')
      world.time.now = new Date('2030-01-01T00:01:00Z')
      await createToken('bob')
      const client = await adminAs('root')
      const all = await client.tokens.list({})
      expect(all.body.map(({ username }) => username)).toEqual(['bob', 'alice'])
      expect(all.headers['x-total-count']).toBe('2')
      expect(JSON.stringify(all)).not.toContain(token.slice(5))
      const alices = await client.tokens.list({ username: 'alice' })
      expect([alices.headers['x-total-count'], alices.body.length]).toEqual(['1', 1])
      expect((await client.tokens.list({ username: 'nobody' })).body).toEqual([])
      expect((await client.tokens.list({ limit: 1, offset: 1 })).body[0]!.username).toBe('alice')
    })

    test('are given the libraries that their user reads, and no others', async () => {
      const alice = await createUser('alice')
      const { id } = await createToken('alice')
      await world.sql.transaction(async (tx) => {
        const created_at = world.time.now.toISOString()
        await tx
          .insertInto('library_membership')
          .values({ user_id: alice.id, library_uid: LIBRARY.a, role: 'reader', created_at })
          .execute()
      })
      const client = await adminAs('root')
      const libraries = [LIBRARY.a, LIBRARY.g]
      expect(await client.tokens.update({ id, allowed_libraries: libraries, name: 'agents' })).toMatchObject({
        username: 'alice',
        name: 'agents',
        allowed_libraries: libraries,
      })
      expect(await outcome(client.tokens.update({ id, allowed_libraries: [LIBRARY.b] }))).toBe(
        '400 allowed_libraries',
      )
      world.library.global = null
      expect(await status(client.tokens.update({ id, allowed_libraries: [LIBRARY.a] }))).toBe('503')
      expect(await status(client.tokens.update({ id, allowed_tools: ['search'] }))).toBe('ok')
    })

    test('are revoked, at once and for good', async () => {
      await createUser('alice')
      const { id, token } = await createToken('alice')
      const client = await adminAs('root')
      for (const _ of 'twice') await client.tokens.revoke({ id })
      expect(await presents(token)).toBe('Token has been deactivated.')
      expect(await status(client.tokens.update({ id, name: 'again' }))).toBe('409')
      expect((await actions()).filter((action) => action === 'user_token.revoked')).toHaveLength(1)
    })
  })

  describe('a profile', () => {
    test('is changed in part', async () => {
      await createUser('alice')
      const client = await world.as('alice')
      const before = await client.me()
      const names = await client.updateMe({ first_name: 'Alice', last_name: 'Liddell' })
      expect(names).toMatchObject({ first_name: 'Alice', preferences: before.preferences })
      const changed = await client.updateMe({ preferences: { theme: 'dark', time_zone: 'europe/berlin' } })
      expect(changed).toMatchObject({
        first_name: 'Alice',
        preferences: { theme: 'dark', time_zone: 'Europe/Berlin', date_format: 'iso' },
      })
      expect(await client.me()).toEqual(changed)
      await client.updateMe({ preferences: { theme: 'dark' } })
      expect((await actions()).filter((action) => action === 'user.changed')).toHaveLength(2)
    })

    test.each(['UTC', 'Europe/Berlin', 'America/Argentina/Buenos_Aires', 'Asia/Calcutta', 'Etc/GMT+3'])(
      'knows the time zone %s',
      async (time_zone) => {
        await createUser('alice')
        const { preferences } = await (await world.as('alice')).updateMe({ preferences: { time_zone } })
        expect(preferences.time_zone).toBe(time_zone)
      },
    )

    test.each<[string, Record<string, unknown>, string]>([
      ['no time zone', { preferences: { time_zone: 'Mars/Olympus' } }, '400 preferences.time_zone'],
      ['an offset', { preferences: { time_zone: '+01:00' } }, '400 preferences.time_zone'],
      ['nothing', { preferences: { time_zone: '' } }, '400 preferences.time_zone'],
      ['no theme', { preferences: { theme: 'pink' } }, '400 preferences.theme'],
      ['a long name', { first_name: 'x'.repeat(151) }, '400 first_name'],
    ])('refuses %s', async (_, change, expected) => {
      await createUser('alice')
      expect(await outcome((await world.as('alice')).updateMe(change))).toBe(expected)
    })

    test('is no way to rights', async () => {
      await createUser('alice')
      const client = await world.as('alice')
      const wanted = { is_superuser: true, is_staff: true, groups: ['Admin'], username: 'root2' }
      await client.updateMe({ first_name: 'A', ...wanted } as { first_name: string })
      expect(await client.me()).toMatchObject({
        username: 'alice',
        is_superuser: false,
        is_staff: false,
        groups: [],
      })
    })
  })

  test('owners who lack their membership get it, once', async () => {
    const { admin } = world.auth
    const alice = await createUser('alice')
    await createUser('bob')
    await admin.disableUser('bob')
    world.library.owned = [LIBRARY.a, LIBRARY.b].map((uid, index) => ({
      uid,
      owner_username: index === 0 ? 'alice' : 'bob',
      workspace_id: null,
    }))
    expect(await admin.backfillMemberships(world.call)).toEqual({ libraries: 2, added: 2 })
    expect(await admin.backfillMemberships(world.call)).toEqual({ libraries: 2, added: 0 })
    const { token } = await createToken('alice')
    const resolution = await world.resolve(`Bearer ${token}`, 'rest')
    expect(resolution).toMatchObject({
      principal: { user: { id: alice.id }, owned_libraries: [LIBRARY.a] },
    })
    world.library.global = null
    await expect(admin.backfillMemberships(world.call)).rejects.toMatchObject({ code: 'LIBRARY_UNAVAILABLE' })
  })
}

describe('users on SQLite', () => {
  let folder: string
  let count = 0
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'mnemosyne-users-'))
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))
  suite(async () => `sqlite:${join(folder, `${count++}.db`)}`)
})

await describePostgres('users on PostgreSQL', suite)
