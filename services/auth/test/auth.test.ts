import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CallError, type Principal, Resolution, servicePrincipal } from '@mnemosyne/contracts'
import { describePostgres } from '@mnemosyne/platform/testing'
import { verify as verifyPassword } from '@node-rs/argon2'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { LIBRARY, openWorld, type World } from './harness.ts'

const NOBODY = '00000000-0000-4000-8000-000000000000'

function suite(freshUrl: () => Promise<string>): void {
  let world: World
  let url: string
  beforeEach(async () => {
    url = await freshUrl()
    world = await openWorld(url)
  })
  afterEach(() => world.close())

  const createUser = (username: string, more: { staff?: boolean; password?: string } = {}) =>
    world.auth.admin.createUser({
      username,
      email: `${username}@example.org`,
      staff: more.staff ?? false,
      superuser: false,
      password: more.password ?? null,
    })
  const createToken = (
    username: string,
    more: { libraries?: string[]; expiresAt?: string; tools?: string[] } = {},
  ) =>
    world.auth.admin.createUserToken(
      {
        username,
        name: 'test',
        expiresAt: more.expiresAt ?? null,
        allowedLibraries: more.libraries ?? [],
        allowedTools: more.tools ?? [],
      },
      world.call,
    )
  const own = async (username: string, ...libraries: string[]) => {
    const client = await world.internal()
    for (const library_uid of libraries) await client.putOwner({ library_uid, username })
  }
  const addReader = (userId: string, library_uid: string) =>
    world.sql.transaction(async (tx) => {
      await tx
        .insertInto('library_membership')
        .values({ user_id: userId, library_uid, role: 'reader', created_at: world.time.now.toISOString() })
        .execute()
    })
  const resolved = async (token: string, surface: 'rest' | 'mcp'): Promise<Principal> => {
    const resolution = await world.resolve(`Bearer ${token}`, surface)
    if (resolution.outcome !== 'resolved') throw new Error(resolution.detail)
    return resolution.principal
  }
  const auditOf = async (action: string) =>
    world.sql.read.selectFrom('audit_log').selectAll().where('action', '=', action).execute()
  /** Everything that the database holds, as text. */
  const everything = async () =>
    JSON.stringify(
      await Promise.all(
        (['user', 'user_token', 'library_membership', 'audit_log', 'outbox'] as const).map((table) =>
          world.sql.read.selectFrom(table).selectAll().execute(),
        ),
      ),
    )

  describe('a token', () => {
    test('resolves to its user, with all that they read on REST', async () => {
      const alice = await createUser('alice')
      await own('alice', LIBRARY.b)
      await addReader(alice.id, LIBRARY.a)
      const { id, token } = await createToken('alice', { tools: ['search'] })
      const resolution = await world.resolve(`bearer ${token}`, 'rest')
      expect(Resolution.parse(resolution)).toEqual({
        outcome: 'resolved',
        principal: {
          kind: 'user_token',
          surface: 'rest',
          user: { id: alice.id, username: 'alice', staff: 'none' },
          team_id: null,
          session_id: null,
          address: null,
          owned_libraries: [LIBRARY.b],
          token_id: id,
          resolved_libraries: [LIBRARY.a, LIBRARY.b, LIBRARY.g],
          writable_libraries: [LIBRARY.b, LIBRARY.g],
          allowed_tools: ['search'],
        },
      })
    })

    test.each([
      ['nothing', [], []],
      ['what it allows, in its order', [LIBRARY.g, LIBRARY.b, LIBRARY.a], [LIBRARY.g, LIBRARY.b, LIBRARY.a]],
      ['everything by *', ['*'], [LIBRARY.a, LIBRARY.b, LIBRARY.g]],
    ])('sees on MCP %s', async (_, libraries, expected) => {
      await createUser('alice')
      await own('alice', LIBRARY.b, LIBRARY.a)
      const { token } = await createToken('alice', { libraries })
      expect(await resolved(token, 'mcp')).toMatchObject({
        resolved_libraries: expected,
        writable_libraries: [],
      })
    })

    test('loses a library with the membership, on the next request', async () => {
      await createUser('alice')
      await own('alice', LIBRARY.a, LIBRARY.b)
      const { token } = await createToken('alice', { libraries: [LIBRARY.a, LIBRARY.b] })
      await world.sql.transaction(async (tx) => {
        await tx.deleteFrom('library_membership').where('library_uid', '=', LIBRARY.a).execute()
      })
      expect((await resolved(token, 'mcp')).resolved_libraries).toEqual([LIBRARY.b])
    })

    test('loses a library that is no longer global, on the next request', async () => {
      await createUser('alice')
      const { token } = await createToken('alice', { libraries: [LIBRARY.g] })
      world.library.global = []
      expect((await resolved(token, 'mcp')).resolved_libraries).toEqual([])
    })

    test('is kept as a hash only', async () => {
      await createUser('alice', { password: 'correct horse' })
      const { token } = await createToken('alice')
      const dump = await everything()
      expect(dump).not.toContain(token)
      expect(dump).not.toContain(token.slice(5))
      expect(dump).not.toContain('correct horse')
    })

    test('is refused from the next request on, in these words', async () => {
      const alice = await createUser('alice')
      const refusal = async (token: string) => {
        const resolution = await world.resolve(`Bearer ${token}`, 'mcp')
        return resolution.outcome === 'refused' ? [resolution.reason, resolution.detail] : 'resolved'
      }
      const revoked = await createToken('alice')
      const expiring = await createToken('alice', { expiresAt: '2030-01-01T01:00:00Z' })
      const good = await createToken('alice')
      expect(await refusal('mnem_unknown')).toEqual(['unknown_token', 'Invalid MCP token.'])
      expect(await refusal('')).toEqual(['unknown_token', 'Invalid MCP token.'])

      expect(await refusal(revoked.token)).toBe('resolved')
      await (await world.as('alice')).revokeToken({ id: revoked.id })
      expect(await refusal(revoked.token)).toEqual(['inactive_token', 'Token has been deactivated.'])

      world.time.now = new Date('2030-01-01T00:59:59.999Z')
      expect(await refusal(expiring.token)).toBe('resolved')
      world.time.now = new Date('2030-01-01T01:00:00.000Z')
      expect(await refusal(expiring.token)).toEqual(['expired', 'Token has expired.'])

      expect(await refusal(good.token)).toBe('resolved')
      await world.auth.admin.disableUser('alice')
      expect(await refusal(good.token)).toEqual(['user_disabled', 'User account is disabled.'])
      await expect
        .poll(() => world.events)
        .toEqual([
          { type: 'user_token.revoked.v1', data: { token_id: revoked.id, user_id: alice.id } },
          { type: 'user.disabled.v1', data: { user_id: alice.id } },
        ])
    })

    test('is not resolved while nobody knows which libraries are global', async () => {
      await createUser('alice')
      const { token } = await createToken('alice', { libraries: ['*'] })
      world.library.global = null
      for (const surface of ['rest', 'mcp'] as const) {
        await expect(world.resolve(`Bearer ${token}`, surface)).rejects.toMatchObject({ status: 503 })
      }
      expect(await world.resolve('Bearer x', 'mcp')).toMatchObject({ outcome: 'refused' })
    })

    test('is not resolved for a caller who is no service', async () => {
      await createUser('alice')
      const { token } = await createToken('alice')
      const client = await world.internal(await world.auth.admin.localPrincipal('alice', world.call))
      await expect(
        client.resolve({ credential: { kind: 'bearer', authorization: `Bearer ${token}` }, surface: 'rest' }),
      ).rejects.toMatchObject({
        status: 403,
      })
    })

    test('shows when it was last used, to the minute, without a write per request', async () => {
      await createUser('alice')
      const { token } = await createToken('alice')
      const client = await world.as('alice')
      const lastUsed = async () => (await client.listTokens({})).body[0]!.last_used_at
      expect(await lastUsed()).toBeNull()
      await resolved(token, 'rest')
      await expect.poll(lastUsed, { timeout: 10_000 }).toBe('2030-01-01T00:00:00.000Z')
      world.time.now = new Date('2030-01-01T00:00:59.000Z')
      await resolved(token, 'rest')
      world.time.now = new Date('2030-01-01T00:01:00.000Z')
      await Promise.all(Array.from({ length: 20 }, () => resolved(token, 'mcp')))
      await world.auth.stop()
      const rows = await world.sql.read.selectFrom('user_token').select('last_used_at').execute()
      expect(rows).toEqual([{ last_used_at: '2030-01-01T00:01:00.000Z' }])
    })
  })

  describe('a profile', () => {
    test('is the caller', async () => {
      const alice = await createUser('alice', { staff: true })
      const preferences = { theme: 'system', time_zone: 'UTC', date_format: 'iso' }
      expect(await (await world.as('alice')).me()).toEqual({ ...alice, preferences })
      expect(alice).toMatchObject({
        username: 'alice',
        email: 'alice@example.org',
        is_active: true,
        is_staff: true,
      })
    })

    test('mints a token, shows it once, and lists it masked', async () => {
      await createUser('alice')
      await own('alice', LIBRARY.a)
      const client = await world.as('alice')
      const minted = await client.mintToken({
        name: ' laptop ',
        expires_at: '2031-01-01T00:00:00Z',
        allowed_libraries: [LIBRARY.a, LIBRARY.g],
      })
      expect(minted.token).toMatch(/^mnem_[\w-]{43}$/)
      const { token, ...masked } = minted
      expect(masked).toMatchObject({
        name: 'laptop',
        hint: expect.stringMatching(/^tok_[0-9a-f]{8}$/),
        is_active: true,
        expires_at: '2031-01-01T00:00:00.000Z',
        allowed_libraries: [LIBRARY.a, LIBRARY.g],
        allowed_tools: [],
      })
      const list = await client.listTokens({})
      expect(list).toMatchObject({ headers: { 'x-total-count': '1' }, body: [masked] })
      expect((await resolved(token, 'mcp')).resolved_libraries).toEqual([LIBRARY.a, LIBRARY.g])
    })

    test('lists newest first, by page, only its own', async () => {
      await createUser('alice')
      await createUser('bob')
      await createToken('bob')
      for (const minute of [1, 2, 3]) {
        world.time.now = new Date(Date.UTC(2030, 0, 1, 0, minute))
        await createToken('alice')
      }
      const client = await world.as('alice')
      const page = await client.listTokens({ limit: 2, offset: 1 })
      expect(page.headers['x-total-count']).toBe('3')
      expect(page.body.map((token) => token.created_at)).toEqual([
        '2030-01-01T00:02:00.000Z',
        '2030-01-01T00:01:00.000Z',
      ])
    })

    const other = '00000000-0000-4000-8000-0000000000ee'
    test.each([
      [
        'a library that somebody else owns',
        { allowed_libraries: [LIBRARY.b] },
        'allowed_libraries',
        LIBRARY.b,
      ],
      [
        'a library that does not exist',
        { allowed_libraries: [LIBRARY.a, other] },
        'allowed_libraries',
        other,
      ],
      [
        'a library that the user only reads',
        { allowed_libraries: [other] },
        'allowed_libraries',
        'owns or manages',
      ],
      ['* beside a uid', { allowed_libraries: ['*', LIBRARY.a] }, 'allowed_libraries', 'not both'],
      ['a time that has passed', { expires_at: '2029-12-31T23:59:59Z' }, 'expires_at', 'in the future'],
      ['no time', { expires_at: 'tomorrow' }, 'expires_at', ''],
      ['a blank name', { name: '  ' }, 'name', 'blank'],
      ['a long name', { name: 'x'.repeat(101) }, 'name', '100'],
    ])('mints none with %s', async (_, input, field, words) => {
      const alice = await createUser('alice')
      await createUser('bob')
      await own('alice', LIBRARY.a)
      await own('bob', LIBRARY.b)
      await addReader(alice.id, other)
      const client = await world.as('alice')
      const refusal = await client.mintToken({ name: 'n', ...input }).catch((error) => error)
      expect(refusal).toBeInstanceOf(CallError)
      expect(refusal.status).toBe(400)
      expect(refusal.fields[field].join()).toContain(words)
      expect((await client.listTokens({})).body).toEqual([])
    })

    test('revokes its own token, again and again, and no other', async () => {
      await createUser('alice')
      await createUser('bob')
      const { id } = await createToken('alice')
      const [alice, bob] = [await world.as('alice'), await world.as('bob')]
      for (const unknown of [id, NOBODY]) {
        await expect(bob.revokeToken({ id: unknown })).rejects.toMatchObject({
          status: 404,
          message: 'Token not found.',
        })
      }
      await alice.revokeToken({ id })
      await alice.revokeToken({ id })
      expect((await alice.listTokens({})).body[0]!.is_active).toBe(false)
      expect(await auditOf('user_token.revoked')).toHaveLength(1)
    })

    test('is nothing for a service', async () => {
      const answer = await world.auth.fetch(
        new Request('http://auth/profile/api/me/', {
          headers: { 'x-mnemosyne-principal': await world.sign(servicePrincipal('rest'), 'auth') },
        }),
      )
      expect(answer.status).toBe(403)
    })
  })

  describe('an owner', () => {
    test('is written once however often it is said', async () => {
      await createUser('alice')
      await own('alice', LIBRARY.a, LIBRARY.a)
      expect(await world.sql.read.selectFrom('library_membership').select('role').execute()).toEqual([
        { role: 'owner' },
      ])
      expect(await auditOf('membership.added')).toHaveLength(1)
    })

    test.each([
      ['themselves', 'alice', 'alice', undefined],
      ['another', 'alice', 'bob', 403],
      ['another, by staff', 'root', 'bob', undefined],
      ['nobody, by staff', 'root', 'nemo', 404],
    ])('may be made of %s', async (_, caller, username, status) => {
      await createUser('alice')
      await createUser('bob')
      await createUser('root', { staff: true })
      const client = await world.internal(await world.auth.admin.localPrincipal(caller, world.call))
      const outcome = await client.putOwner({ library_uid: LIBRARY.a, username }).then(
        () => undefined,
        (error: CallError) => error.status,
      )
      expect(outcome).toBe(status)
    })
  })

  describe('a library that is created', () => {
    test('is its owner’s also when the request that made it broke off', async () => {
      world.library.global = []
      await createUser('alice')
      await world.publishCreation(LIBRARY.a, 'alice')
      await world.publishCreation(LIBRARY.a, 'alice')
      await world.publishCreation(LIBRARY.b, null)
      await world.publishCreation(LIBRARY.b, 'nobody')
      const { token } = await createToken('alice', { libraries: ['*'] })
      expect((await resolved(token, 'mcp')).resolved_libraries).toEqual([LIBRARY.a])
    })
  })

  describe('a library that is deleted', () => {
    test('takes its memberships and its place in tokens along', async () => {
      await createUser('alice')
      await own('alice', LIBRARY.a, LIBRARY.b)
      const both = await createToken('alice', { libraries: [LIBRARY.a, LIBRARY.b] })
      const only = await createToken('alice', { libraries: [LIBRARY.a] })
      const all = await createToken('alice', { libraries: ['*'] })
      await world.publishDeletion(LIBRARY.a)
      await world.publishDeletion(LIBRARY.a)
      // The same uid comes back: nothing of the old rights does.
      world.library.global = [LIBRARY.a]
      expect((await resolved(both.token, 'mcp')).resolved_libraries).toEqual([LIBRARY.b])
      expect((await resolved(only.token, 'mcp')).resolved_libraries).toEqual([])
      expect((await resolved(all.token, 'mcp')).resolved_libraries).toEqual([LIBRARY.a, LIBRARY.b])
      expect(await world.sql.read.selectFrom('library_membership').select('library_uid').execute()).toEqual([
        { library_uid: LIBRARY.b },
      ])
      expect(await auditOf('library.forgotten')).toHaveLength(1)
    })
  })

  describe('the command line', () => {
    test('makes a user with a password, hashed by argon2id', async () => {
      const { id } = await createUser('alice', { password: 'correct horse' })
      const { password_hash } = await world.sql.read
        .selectFrom('user')
        .select('password_hash')
        .where('id', '=', id)
        .executeTakeFirstOrThrow()
      expect(password_hash).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
      expect(await verifyPassword(password_hash!, 'correct horse')).toBe(true)
    })

    const user = { username: 'alice', email: '', staff: false, superuser: false, password: null }
    test.each([
      ['a taken name', user, 'USERNAME_TAKEN', 'There is a user "alice" already.'],
      ['no name', { ...user, username: '' }, 'INVALID_FIELD', 'user name'],
      ['a name with blanks', { ...user, username: 'a b' }, 'INVALID_FIELD', 'user name'],
      ['a long name', { ...user, username: 'x'.repeat(151) }, 'INVALID_FIELD', '150'],
      ['no e-mail', { ...user, username: 'bob', email: 'bob' }, 'INVALID_FIELD', 'e-mail'],
      ['a short password', { ...user, username: 'bob', password: 'short' }, 'INVALID_FIELD', '8 to'],
    ])('makes no user of %s', async (_, input, code, words) => {
      await createUser('alice')
      const refusal = await world.auth.admin.createUser(input).catch((error) => error)
      expect([refusal.code, refusal.message]).toEqual([code, expect.stringContaining(words)])
      expect(await auditOf('user.created')).toHaveLength(1)
    })

    test('makes one user of two at the same moment', async () => {
      const outcomes = await Promise.allSettled([
        createUser('alice'),
        createUser('alice'),
        createUser('alice'),
      ])
      expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected', 'rejected'])
      for (const outcome of outcomes) {
        if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'USERNAME_TAKEN' })
      }
    })

    test('knows the first user', async () => {
      expect(await world.auth.admin.firstUser()).toBeNull()
      const alice = await createUser('alice')
      world.time.now = new Date('2030-01-02T00:00:00Z')
      await createUser('aaron')
      expect(await world.auth.admin.firstUser()).toEqual(alice)
    })

    test('puts into a token what its user reads, and nothing else', async () => {
      const alice = await createUser('alice')
      await addReader(alice.id, LIBRARY.a)
      await createToken('alice', { libraries: [LIBRARY.a, LIBRARY.g] })
      await expect(createToken('alice', { libraries: [LIBRARY.b] })).rejects.toMatchObject({
        code: 'INVALID_FIELD',
      })
      await expect(createToken('nemo')).rejects.toMatchObject({ code: 'USER_NOT_FOUND' })
    })

    test('acts as a user, if they may', async () => {
      await createUser('alice', { staff: true })
      await own('alice', LIBRARY.a)
      expect(await world.auth.admin.localPrincipal('alice', world.call)).toMatchObject({
        kind: 'local',
        surface: 'rest',
        user: { username: 'alice', staff: 'delete' },
        resolved_libraries: [LIBRARY.a, LIBRARY.g],
        writable_libraries: [LIBRARY.a, LIBRARY.g],
      })
      await world.auth.admin.disableUser('alice')
      await expect(world.auth.admin.localPrincipal('alice', world.call)).rejects.toMatchObject({
        code: 'USER_DISABLED',
      })
      await expect(world.auth.admin.localPrincipal('nemo', world.call)).rejects.toMatchObject({
        code: 'USER_NOT_FOUND',
      })
    })

    test('disables a user once', async () => {
      await createUser('alice')
      await world.auth.admin.disableUser('alice')
      await world.auth.admin.disableUser('alice')
      expect(await auditOf('user.disabled')).toHaveLength(1)
      await expect(world.auth.admin.disableUser('nemo')).rejects.toMatchObject({ code: 'USER_NOT_FOUND' })
    })
  })

  describe('a signing key', () => {
    const seed = (kid: string, retireOther = false) => world.auth.admin.seedSigningKey({ kid, retireOther })
    const keys = () =>
      world.sql.read
        .selectFrom('signing_key')
        .select(['kid', 'secret', 'is_current', 'retired_at'])
        .orderBy('kid')
        .execute()

    test('is made once, and made current again', async () => {
      expect(await seed('one')).toEqual({ kid: 'one', created: true, retired: [] })
      const [before] = await keys()
      expect(before).toMatchObject({
        secret: expect.stringMatching(/^[0-9a-f]{64}$/),
        is_current: 1,
        retired_at: null,
      })
      expect(await seed('two')).toMatchObject({ created: true })
      expect(await seed('one')).toEqual({ kid: 'one', created: false, retired: [] })
      expect(await keys()).toMatchObject([{ ...before }, { kid: 'two', is_current: 0, retired_at: null }])
    })

    test('retires the others when asked, for good', async () => {
      await seed('one')
      await seed('two')
      expect(await seed('three', true)).toEqual({ kid: 'three', created: true, retired: ['one', 'two'] })
      expect(await seed('three', true)).toEqual({ kid: 'three', created: false, retired: [] })
      await expect(seed('one')).rejects.toMatchObject({
        code: 'SIGNING_KEY_RETIRED',
        message: expect.stringContaining('retired'),
      })
      expect((await keys()).filter(({ is_current }) => is_current === 1).map(({ kid }) => kid)).toEqual([
        'three',
      ])
    })

    test.each(['', 'a b', 'x'.repeat(65), 'ä'])('is not called %j', async (kid) => {
      await expect(seed(kid)).rejects.toMatchObject({ code: 'INVALID_FIELD' })
    })

    test('never tells its secret', async () => {
      const told = JSON.stringify(await seed('one'))
      const [key] = await keys()
      expect(told).not.toContain(key!.secret)
      expect(JSON.stringify(await auditOf('signing_key.created'))).not.toContain(key!.secret)
    })
  })

  test('every change says who, what and on which request', async () => {
    const alice = await createUser('alice')
    const principal = await world.auth.admin.localPrincipal('alice', world.call)
    await world.auth.fetch(
      new Request('http://auth/profile/api/tokens/', {
        method: 'POST',
        body: '{"name":"n"}',
        headers: {
          'content-type': 'application/json',
          'x-request-id': 'r-7',
          'x-mnemosyne-principal': await world.sign(principal, 'auth'),
          'x-mnemosyne-delegation': `library=${await world.sign(principal, 'library')}`,
        },
      }),
    )
    expect(await world.sql.read.selectFrom('audit_log').selectAll().orderBy('id').execute()).toMatchObject([
      { actor: 'command-line', action: 'user.created', target: alice.id },
      {
        actor: alice.id,
        action: 'user_token.minted',
        request_id: 'r-7',
        created_at: '2030-01-01T00:00:00.000Z',
      },
    ])
  })

  test('is ready with its database, and less so without the bus', async () => {
    expect(await world.auth.readiness()).toEqual({
      status: 'ready',
      checks: { sql: { status: 'ok' }, bus: { status: 'ok' } },
    })
    await world.bus.close()
    expect(await world.auth.readiness()).toMatchObject({ status: 'degraded' })
    await world.sql.close()
    expect(await world.auth.readiness()).toMatchObject({
      status: 'down',
      checks: { sql: { status: 'error' } },
    })
  })
}

describe('auth on SQLite', () => {
  let dir: string
  let count = 0
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'mnemosyne-auth-'))
  })
  afterAll(() => rm(dir, { recursive: true }))
  suite(async () => `sqlite:${join(dir, `${count++}.db`)}`)

  test('finds everything again after a restart', async () => {
    const url = `sqlite:${join(dir, 'restart.db')}`
    const first = await openWorld(url)
    await first.auth.admin.createUser({
      username: 'alice',
      email: '',
      staff: false,
      superuser: false,
      password: null,
    })
    const wanted = {
      username: 'alice',
      name: 'n',
      expiresAt: null,
      allowedLibraries: ['*'],
      allowedTools: [],
    }
    const { token } = await first.auth.admin.createUserToken(wanted, first.call)
    await first.close()
    const second = await openWorld(url)
    expect(await second.resolve(`Bearer ${token}`, 'mcp')).toMatchObject({ outcome: 'resolved' })
    await second.close()
  })
})

await describePostgres('auth on PostgreSQL', suite)
