import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { adminContract, servicePrincipal } from '@mnemosyne/contracts'
import { describePostgres } from '@mnemosyne/platform/testing'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { LIBRARY } from './harness.ts'
import { openSessionsWorld, PASSWORD, type SessionsWorld } from './sessions-world.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const ENDED = 'bad_session: Your session has ended. Sign in again.'

function suite(freshUrl: () => Promise<string>): void {
  let world: SessionsWorld
  let url: string
  beforeEach(async () => {
    url = await freshUrl()
    world = await openSessionsWorld(url)
  })
  afterEach(() => world.close())

  const rows = () => world.sql.read.selectFrom('session').selectAll().execute()

  describe('a session', () => {
    test('resolves to its user, with all that they read and own', async () => {
      const client = await world.internal()
      await client.putOwner({ library_uid: LIBRARY.a, username: 'ada', hand_overs: 0 })
      const { cookie } = await world.session()
      const [row] = await rows()
      expect(await world.presents(cookie)).toEqual({
        outcome: 'resolved',
        principal: {
          kind: 'session',
          surface: 'rest',
          user: { id: world.ada.id, username: 'ada', staff: 'none' },
          team_id: null,
          token_id: null,
          session_id: row!.id,
          address: null,
          resolved_libraries: [LIBRARY.a, LIBRARY.g],
          writable_libraries: [LIBRARY.a, LIBRARY.g],
          owned_libraries: [LIBRARY.a],
          allowed_tools: [],
        },
      })
    })

    test.each([
      ['nothing', ''],
      ['another value', 'x'.repeat(43)],
      ['SQL', "' or 1=1 --"],
      ['as much as may be sent', 'x'.repeat(512)],
    ])('is not %s', async (_, cookie) => {
      await world.session()
      expect(await world.whose(cookie)).toBe(ENDED)
    })

    test('is not its row: neither id nor hash nor CSRF token lets anybody in', async () => {
      const { cookie, csrf_token } = await world.session()
      const [row] = await rows()
      for (const value of [row!.id, row!.secret_hash, csrf_token, cookie.slice(0, -1), `${cookie}x`]) {
        expect(await world.whose(value)).toBe(ENDED)
      }
    })

    test('is good on REST only', async () => {
      const { cookie } = await world.session()
      expect(await world.whose(cookie, { surface: 'mcp' })).toBe(ENDED)
    })

    test('changes something with its own CSRF token only', async () => {
      const [mine, other] = [await world.session(), await world.session()]
      const write = (csrf: string | null) => world.whose(mine.cookie, { safe: false, csrf })
      const refused = 'csrf: CSRF token missing or incorrect.'
      expect(await write(mine.csrf_token)).toBe('ada')
      for (const csrf of [null, '', 'x', other.csrf_token, mine.csrf_token.toLowerCase(), mine.cookie]) {
        expect(await write(csrf), String(csrf)).toBe(refused)
      }
    })

    test('that has ended is told as such, whatever the CSRF token', async () => {
      expect(await world.whose('x'.repeat(43), { safe: false })).toBe(ENDED)
    })

    test('is not resolved while library is down', async () => {
      const { cookie } = await world.session()
      world.library.global = null
      await expect(world.presents(cookie)).rejects.toMatchObject({ status: 503 })
    })
  })

  describe('eight hours after its last use', () => {
    test('it ends', async () => {
      const { cookie, expires_at } = await world.session()
      expect(expires_at).toBe('2030-01-01T08:00:00.000Z')
      world.pass(8 * HOUR - 1)
      expect(await world.whose(cookie)).toBe('ada')
    })

    test('and not later', async () => {
      const { cookie } = await world.session()
      world.pass(8 * HOUR)
      expect(await world.whose(cookie)).toBe(ENDED)
    })

    test('it ends, and every use puts that off', async () => {
      const { cookie } = await world.session()
      for (let use = 1; use <= 4; use++) {
        world.pass(7 * HOUR)
        expect(await world.whose(cookie)).toBe('ada')
        const expected = new Date(world.time.now.getTime() + 8 * HOUR).toISOString()
        await expect.poll(async () => (await rows())[0]!.expires_at, { timeout: 10_000 }).toBe(expected)
      }
      world.pass(8 * HOUR)
      expect(await world.whose(cookie)).toBe(ENDED)
    })

    test('uses within a minute are not written down one by one', async () => {
      const { cookie } = await world.session()
      world.pass(MINUTE - 1)
      await world.whose(cookie)
      world.pass(30_000)
      await world.whose(cookie)
      const expected = new Date(world.time.now.getTime()).toISOString()
      await expect.poll(async () => (await rows())[0]!.last_used_at, { timeout: 10_000 }).toBe(expected)
    })

    test('what is refused is no use', async () => {
      const { cookie } = await world.session()
      world.pass(HOUR)
      await world.whose(cookie, { safe: false })
      await world.auth.stop()
      expect((await rows())[0]!.last_used_at).toBe('2030-01-01T00:00:00.000Z')
    })

    test('one that is used and ended does not come back', async () => {
      const { cookie } = await world.session()
      world.pass(HOUR)
      const caller = await world.caller(cookie)
      await world.rest(caller, 'POST', '/accounts/api/logout/')
      await world.auth.stop()
      expect(await rows()).toEqual([])
    })

    test('its row is removed', async () => {
      await world.session()
      const later = await openSessionsWorld(url, new Date(world.time.now.getTime() + 8 * HOUR))
      await expect.poll(rows).toEqual([])
      await later.close()
    })
  })

  describe('a login', () => {
    test('begins another session each time', async () => {
      const [first, second] = [await world.session(), await world.session()]
      expect(first.cookie).not.toBe(second.cookie)
      expect(first.csrf_token).not.toBe(second.csrf_token)
      for (const { cookie } of [first, second]) expect(await world.whose(cookie)).toBe('ada')
    })

    test('ends the session that the browser came with, whose ever it was', async () => {
      await world.createUser('bob', PASSWORD)
      const planted = await world.session('bob')
      const { cookie, status } = await world.signIn('ada', PASSWORD, {
        principal: await world.caller(planted.cookie),
      })
      expect(status).toBe(200)
      expect(await world.whose(planted.cookie)).toBe(ENDED)
      expect(await world.whose(cookie!)).toBe('ada')
      expect((await world.audited('session.started')).at(-1)).toMatchObject({
        username: 'ada',
        actor: world.ada.id,
      })
    })

    test('that fails ends nothing', async () => {
      const { cookie } = await world.session()
      await world.signIn('ada', 'wrong', { principal: await world.caller(cookie) })
      expect(await world.whose(cookie)).toBe('ada')
    })
  })

  describe('the session in use', () => {
    const inUse = async (cookie: string) =>
      world.rest(await world.caller(cookie), 'GET', '/accounts/api/session/')

    test('is told, with its CSRF token and its end', async () => {
      const { cookie, ...session } = await world.session()
      expect(await inUse(cookie)).toMatchObject({ status: 200, body: session })
      world.pass(HOUR)
      expect((await inUse(cookie)).body.expires_at).toBe('2030-01-01T09:00:00.000Z')
    })

    test.each(['GET /accounts/api/session/', 'POST /accounts/api/logout/'])(
      '%s is not there for a token',
      async (request) => {
        const [method, path] = request.split(' ') as [string, string]
        const person = await world.auth.admin.localPrincipal('ada', world.call)
        const answer = await world.rest(person, method, path)
        expect([answer.status, answer.body]).toEqual([404, { detail: 'There is no session in use.' }])
      },
    )

    test('ends by logout, and the others do not', async () => {
      const [here, elsewhere] = [await world.session(), await world.session()]
      const caller = await world.caller(here.cookie)
      const answer = await world.rest(caller, 'POST', '/accounts/api/logout/')
      expect([answer.status, answer.headers.getSetCookie()]).toEqual([
        204,
        ['mnemosyne_session=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax'],
      ])
      expect(await world.whose(here.cookie)).toBe(ENDED)
      expect(await world.whose(elsewhere.cookie)).toBe('ada')
      expect((await world.rest(caller, 'POST', '/accounts/api/logout/')).status).toBe(204)
      expect(await world.audited('session.ended')).toEqual([
        expect.objectContaining({ actor: world.ada.id, target: caller.session_id, outcome: 'done' }),
      ])
    })

    test('ends with all others of its user by logout everywhere', async () => {
      await world.createUser('bob', PASSWORD)
      const bob = await world.session('bob')
      const [here, elsewhere] = [await world.session(), await world.session()]
      const caller = await world.caller(here.cookie)
      const answer = await world.rest(caller, 'POST', '/accounts/api/logout-everywhere/')
      expect([answer.status, answer.headers.getSetCookie()[0]]).toEqual([
        204,
        expect.stringContaining('Max-Age=0'),
      ])
      for (const { cookie } of [here, elsewhere]) expect(await world.whose(cookie)).toBe(ENDED)
      expect(await world.whose(bob.cookie)).toBe('bob')
      expect(await world.audited('user.logged_out_everywhere')).toEqual([
        expect.objectContaining({ target: world.ada.id, detail: { sessions_ended: 2 } }),
      ])
    })

    test.each(['GET session', 'POST logout', 'POST logout-everywhere'])(
      '%s is refused on MCP and to services',
      async (request) => {
        const [method, name] = request.split(' ') as [string, string]
        const { cookie } = await world.session()
        const onMcp = { ...(await world.caller(cookie)), surface: 'mcp' as const }
        for (const caller of [onMcp, servicePrincipal('rest')]) {
          expect((await world.rest(caller, method, `/accounts/api/${name}/`)).status).toBe(403)
        }
      },
    )
  })

  describe('a disabled user', () => {
    test('has no session any more, also when they are enabled again', async () => {
      const { cookie } = await world.session()
      await world.auth.admin.disableUser('ada')
      expect(await world.whose(cookie)).toBe(ENDED)
      expect(await rows()).toEqual([])
      await world.createUser('root', null)
      await world.sql.transaction((tx) => tx.updateTable('user').set({ is_active: 1 }).execute())
      expect(await world.whose(cookie)).toBe(ENDED)
    })

    test('is refused at once by whatever is left', async () => {
      const { cookie } = await world.session()
      await world.sql.transaction((tx) => tx.updateTable('user').set({ is_active: 0 }).execute())
      expect(await world.whose(cookie)).toBe('user_disabled: User account is disabled.')
    })
  })

  test('staff end all sessions of somebody', async () => {
    await world.auth.admin.createUser({
      username: 'root',
      email: '',
      staff: true,
      superuser: true,
      password: null,
    })
    const { cookie } = await world.session()
    const admin = await world.clientAs(adminContract, 'root')
    await admin.users.endSessions({ id: world.ada.id })
    expect(await world.whose(cookie)).toBe(ENDED)
  })
}

describe('sessions on SQLite', () => {
  let dir: string
  let count = 0
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'mnemosyne-sessions-'))
  })
  afterAll(() => rm(dir, { recursive: true }))
  suite(async () => `sqlite:${join(dir, `${count++}.db`)}`)
})

await describePostgres('sessions on PostgreSQL', suite)
