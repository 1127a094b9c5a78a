import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { servicePrincipal } from '@mnemosyne/contracts'
import { describePostgres } from '@mnemosyne/platform/testing'
import { hash } from '@node-rs/argon2'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Answer, HOME, openSessionsWorld, PASSWORD, type SessionsWorld } from './sessions-world.ts'

const REFUSED = { detail: 'The user name or password is not right.' }
const MINUTE = 60_000
const HOUR = 60 * MINUTE

let world: SessionsWorld
let url: string

/** How many guesses were checked, with as many more as it takes until no more are: some had no turn on a busy machine. */
async function checkedUntilLocked(replicas: SessionsWorld[], answers: Answer[]): Promise<number> {
  const all = [...answers]
  while (all.at(-1)!.status !== 429) {
    all.push(await replicas[all.length % replicas.length]!.signIn('ada', 'wrong'))
  }
  return all.filter(({ status }) => status === 401).length
}

function suite(freshUrl: () => Promise<string>): void {
  beforeEach(async () => {
    url = await freshUrl()
    world = await openSessionsWorld(url)
  })
  afterEach(() => world.close())

  const hashOfAda = async () =>
    (
      await world.sql.read
        .selectFrom('user')
        .selectAll()
        .where('id', '=', world.ada.id)
        .executeTakeFirstOrThrow()
    ).password_hash!
  const keep = (password_hash: string) =>
    world.sql.transaction((tx) =>
      tx.updateTable('user').set({ password_hash }).where('id', '=', world.ada.id).execute(),
    )
  const fail = async (times: number, username = 'ada', address = HOME) => {
    for (let time = 0; time < times; time++) {
      const { status } = await world.signIn(username, 'wrong', { address })
      expect([time, status]).toEqual([time, 401])
    }
  }
  /** All that lasts, as text. */
  const everything = async () => {
    const tables = ['session', 'audit_log', 'outbox', 'user', 'login_failure'] as const
    const rows = tables.map((table) => world.sql.read.selectFrom(table).selectAll().execute())
    return JSON.stringify([await Promise.all(rows), world.lines])
  }
  const failures = () => world.sql.read.selectFrom('login_failure').selectAll().execute()

  describe('a login', () => {
    test('answers who it is, with a session in a cookie', async () => {
      const { status, body, headers } = await world.signIn('ada', PASSWORD)
      expect(status).toBe(200)
      expect(body).toEqual({
        user: expect.objectContaining({ id: world.ada.id, username: 'ada', has_password: true }),
        csrf_token: expect.stringMatching(/^[\w-]{43}$/),
        expires_at: '2030-01-01T08:00:00.000Z',
      })
      expect(headers.getSetCookie()).toEqual([
        expect.stringMatching(/^mnemosyne_session=[\w-]{43}; Path=\/; HttpOnly; SameSite=Lax$/),
      ])
    })

    test('is recorded with its address, not with its secret', async () => {
      const { body, cookie } = await world.signIn('ada', PASSWORD)
      const [session] = await world.sql.read.selectFrom('session').selectAll().execute()
      expect(await world.audited('session.started')).toEqual([
        {
          actor: world.ada.id,
          username: 'ada',
          target: session!.id,
          outcome: 'done',
          request_id: expect.any(String),
          detail: { address: HOME },
        },
      ])
      const kept = await everything()
      expect(kept).not.toContain(cookie)
      expect(kept).not.toContain(PASSWORD)
      expect(kept).toContain(body.csrf_token)
    })

    test.each([
      ['a wrong password', 'ada', 'not the one', 'wrong_password'],
      ['a password in another case', 'ada', PASSWORD.toUpperCase(), 'wrong_password'],
      ['a user name that nobody has', 'eve', PASSWORD, 'unknown_user'],
      ['a user name in another case', 'ADA', PASSWORD, 'unknown_user'],
      ['a user name with a space', ' ada', PASSWORD, 'unknown_user'],
      ['SQL', "' or 1=1 --", PASSWORD, 'unknown_user'],
      ['a user without a password', 'tom', PASSWORD, 'no_password'],
      ['a disabled user', 'bob', PASSWORD, 'user_disabled'],
    ])('with %s is the same refusal', async (_, username, password, reason) => {
      await world.createUser('tom', null)
      await world.createUser('bob', PASSWORD)
      await world.auth.admin.disableUser('bob')
      const { status, body, headers } = await world.signIn(username, password)
      expect({ status, body }).toEqual({ status: 401, body: REFUSED })
      expect(headers.getSetCookie()).toEqual([])
      expect([...headers.keys()].sort()).toEqual(['content-type', 'x-request-id'])
      expect(await world.sql.read.selectFrom('session').selectAll().execute()).toEqual([])
      const expected = {
        actor: 'anonymous',
        username,
        outcome: 'refused',
        detail: { address: HOME, reason, locks: false },
      }
      // What nobody is called may be somebody's password.
      const records = reason === 'unknown_user' ? [] : [expect.objectContaining(expected)]
      expect(await world.audited('session.started')).toEqual(records)
      expect((await everything()).includes(username)).toBe(reason !== 'unknown_user')
    })

    test('costs no less when there is nobody of that name, or no password', async () => {
      await world.createUser('tom', null)
      // Of the processor, in microseconds: it does not depend on what else the machine does.
      const costOf = async (username: string, address: string) => {
        const before = process.cpuUsage()
        await world.signIn(username, 'wrong', { address })
        const { user, system } = process.cpuUsage(before)
        return user + system
      }
      const costs = { ada: Infinity, nobody: Infinity, tom: Infinity }
      for (let time = 0; time < 5; time++) {
        for (const username of ['ada', 'nobody', 'tom'] as const) {
          costs[username] = Math.min(costs[username], await costOf(username, `10.0.0.${time}`))
        }
      }
      // The check is by far the most of a login: without one it would cost less than a fifth.
      expect(costs.nobody).toBeGreaterThan(costs.ada / 2)
      expect(costs.tom).toBeGreaterThan(costs.ada / 2)
    })

    test.each([
      ['no password', { username: 'ada' }, 'password'],
      ['an empty password', { username: 'ada', password: '' }, 'password'],
      ['an endless password', { username: 'ada', password: 'x'.repeat(1_025) }, 'password'],
      ['no user name', { password: 'x' }, 'username'],
      ['a user name with NUL', { username: 'a\0', password: 'x' }, 'username'],
      ['half a character', { username: 'a\ud800', password: 'x' }, 'username'],
      ['a number', { username: 7, password: 'x' }, 'username'],
    ])('with %s is a fault of the field', async (_, given, field) => {
      const nobody = { ...servicePrincipal('rest'), kind: 'anonymous' as const }
      const { status, body } = await world.rest(nobody, 'POST', '/accounts/api/login/', given)
      expect([status, Object.keys(body)]).toEqual([400, [field]])
      expect(await failures()).toEqual([])
    })

    test('hashes the password anew when the parameters have changed', async () => {
      const weak = await hash(PASSWORD, { memoryCost: 8_192, timeCost: 1, parallelism: 1 })
      await keep(weak)
      expect((await world.signIn('ada', 'wrong')).status).toBe(401)
      expect(await hashOfAda()).toBe(weak)
      expect((await world.signIn('ada', PASSWORD)).status).toBe(200)
      const strong = await hashOfAda()
      expect(strong).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
      expect((await world.signIn('ada', PASSWORD)).status).toBe(200)
      expect(await hashOfAda()).toBe(strong)
    })

    test('is not possible on MCP, or for services to forward there', async () => {
      const principal = { ...servicePrincipal('mcp'), kind: 'anonymous' as const }
      expect((await world.signIn('ada', PASSWORD, { principal })).status).toBe(403)
    })
  })

  describe('five failures', () => {
    test('lock the pair of address and user name for an hour, also for the right password', async () => {
      await fail(5)
      for (const password of ['wrong', PASSWORD]) {
        const { status, body, headers } = await world.signIn('ada', password)
        expect({ status, body }).toEqual({
          status: 429,
          body: { detail: 'Too many failed logins. Try again in 60 minutes.' },
        })
        expect(headers.get('retry-after')).toBe('3600')
      }
      world.pass(HOUR - 30_000)
      const late = await world.signIn('ada', PASSWORD)
      expect([late.status, late.headers.get('retry-after'), late.body.detail]).toEqual([
        429,
        '30',
        'Too many failed logins. Try again in a minute.',
      ])
      world.pass(30_000)
      expect((await world.signIn('ada', PASSWORD)).status).toBe(200)
    })

    test('of a name that nobody has lock in the same way', async () => {
      await fail(5, 'eve')
      const { status, body } = await world.signIn('eve', PASSWORD)
      expect([status, body.detail]).toEqual([429, 'Too many failed logins. Try again in 60 minutes.'])
    })

    test('lock nobody out from elsewhere, and no other name', async () => {
      await world.createUser('bob', PASSWORD)
      await fail(5)
      expect((await world.signIn('ada', PASSWORD, { address: '192.0.2.2' })).status).toBe(200)
      expect((await world.signIn('bob', PASSWORD)).status).toBe(200)
      expect((await world.signIn('ada', PASSWORD)).status).toBe(429)
    })

    test.each([
      ['2001:db8:1:2::1', '2001:db8:1:2:ffff::9', 429],
      ['2001:db8:1:2::1', '2001:db8:1:3::1', 200],
      ['::ffff:192.0.2.9', '192.0.2.9', 429],
      ['192.0.2.9', '192.0.2.10', 200],
      [null, null, 429],
    ])('from %s count for %s: %i', async (from, to, status) => {
      for (let time = 0; time < 5; time++) await world.signIn('ada', 'wrong', { address: from })
      expect((await world.signIn('ada', PASSWORD, { address: to })).status).toBe(status)
    })

    test('are one too many: success in between begins anew', async () => {
      await fail(4)
      expect((await world.signIn('ada', PASSWORD)).status).toBe(200)
      expect(await failures()).toEqual([])
      await fail(5)
      expect((await world.signIn('ada', PASSWORD)).status).toBe(429)
    })

    test('of before an hour are forgotten', async () => {
      await fail(4)
      world.pass(HOUR)
      await fail(4)
      expect((await world.signIn('ada', PASSWORD)).status).toBe(200)
    })

    test('are counted anew after a lock', async () => {
      await fail(5)
      world.pass(HOUR)
      await fail(4)
      expect((await world.signIn('ada', PASSWORD)).status).toBe(200)
    })

    test('the last of which is recorded as what locks; what is locked is not recorded', async () => {
      await fail(5)
      for (let time = 0; time < 3; time++) await world.signIn('ada', 'wrong')
      const records = await world.audited('session.started')
      expect(records.map(({ detail }) => (detail as { locks: boolean }).locks)).toEqual([
        false,
        false,
        false,
        false,
        true,
      ])
      expect(records[4]).toMatchObject({ username: 'ada', target: world.ada.id, outcome: 'refused' })
    })

    test('are kept no longer than they count', async () => {
      await fail(5, 'eve')
      await fail(2)
      const later = await openSessionsWorld(url)
      await later.close()
      expect(await failures()).toHaveLength(2)
      const muchLater = await openSessionsWorld(url, new Date(world.time.now.getTime() + HOUR))
      await expect.poll(failures).toEqual([])
      await muchLater.close()
    })

    test('may fall in one moment: of 50 guesses no more than five are checked', async () => {
      const answers = await Promise.all(
        Array.from({ length: 50 }, (_, guess) =>
          world.signIn('ada', guess === 49 ? PASSWORD : `guess ${guess}`),
        ),
      )
      expect(answers.filter(({ status }) => status === 200)).toEqual([])
      expect(await checkedUntilLocked([world], answers)).toBe(5)
      expect((await world.signIn('ada', PASSWORD)).status).toBe(429)
    })
  })

  test('a flood is told to come back, and fails nobody', async () => {
    const one = (n: number) => world.signIn(`nobody ${n}`, 'wrong', { address: `10.0.${n >> 8}.${n & 255}` })
    const flood = Array.from({ length: 120 }, (_, n) => one(n))
    const answers = await Promise.all(flood)
    const busy = answers.filter(({ status }) => status === 503)
    expect(busy.length).toBeGreaterThan(0)
    expect(answers.filter(({ status }) => status === 401)).toHaveLength(120 - busy.length)
    expect(busy[0]!.headers.get('retry-after')).toBe('2')
    expect(busy[0]!.body.detail).toMatch(/Try again shortly/)
    expect(await failures()).toHaveLength(120 - busy.length)
    expect((await world.signIn('ada', PASSWORD)).status).toBe(200)
  })

  test('logins are counted by what came of them', async () => {
    await world.signIn('ada', PASSWORD)
    await fail(5)
    await world.signIn('ada', PASSWORD)
    const metrics = await (await world.auth.fetch(new Request('http://auth/metrics'))).text()
    for (const [outcome, count] of [
      ['done', 1],
      ['refused', 5],
      ['locked', 1],
      ['busy', 0],
    ]) {
      expect(metrics).toContain(`mnemosyne_auth_logins_total{component="auth",outcome="${outcome}"} ${count}`)
    }
  })

  describe('a change of the password', () => {
    const change = async (cookie: string, current_password: string, new_password = 'a new password') =>
      world.rest(await world.caller(cookie), 'POST', '/profile/api/password/', {
        current_password,
        new_password,
      })

    test('ends every session, and gives the caller another one', async () => {
      const [here, elsewhere] = [await world.session(), await world.session()]
      const { status, cookie, headers } = await change(here.cookie, PASSWORD)
      expect(status).toBe(204)
      expect(headers.getSetCookie()).toHaveLength(1)
      expect(cookie).not.toBe(here.cookie)
      expect(await world.whose(cookie!)).toBe('ada')
      for (const { cookie } of [here, elsewhere]) expect(await world.whose(cookie)).toMatch(/^bad_session/)
      expect((await world.signIn('ada', PASSWORD)).status).toBe(401)
      expect((await world.signIn('ada', 'a new password')).status).toBe(200)
      expect(await world.audited('user.password_changed')).toEqual([
        expect.objectContaining({
          actor: world.ada.id,
          target: world.ada.id,
          outcome: 'done',
          detail: { sessions_ended: 2 },
        }),
      ])
    })

    test('by token ends them too, and begins none', async () => {
      const { cookie } = await world.session()
      const caller = { ...(await world.caller(cookie)), kind: 'user_token' as const, session_id: null }
      const given = { current_password: PASSWORD, new_password: 'a new password' }
      const answer = await world.rest(caller, 'POST', '/profile/api/password/', given)
      expect([answer.status, answer.headers.getSetCookie()]).toEqual([204, []])
      expect(await world.whose(cookie)).toMatch(/^bad_session/)
    })

    test('with a wrong current password changes nothing, and counts as a failed login', async () => {
      const { cookie } = await world.session()
      for (let time = 0; time < 5; time++) {
        const { status, body } = await change(cookie, 'wrong')
        expect({ status, body }).toEqual({
          status: 400,
          body: { current_password: ['This is not your password.'] },
        })
      }
      expect((await change(cookie, PASSWORD)).status).toBe(429)
      expect((await world.signIn('ada', PASSWORD)).status).toBe(429)
      expect(await world.whose(cookie)).toBe('ada')
      const records = await world.audited('user.password_changed')
      expect(records).toHaveLength(5)
      expect(records[4]).toMatchObject({
        actor: world.ada.id,
        outcome: 'refused',
        detail: { address: HOME, reason: 'wrong_password', locks: true },
      })
    })

    test.each(['short', 'x'.repeat(1_025)])('to %j is refused', async (wanted) => {
      const { cookie } = await world.session()
      const { status, body } = await change(cookie, PASSWORD, wanted)
      expect([status, Object.keys(body)]).toEqual([400, ['new_password']])
      expect(await failures()).toEqual([])
    })

    test('is not possible without one', async () => {
      await world.createUser('tom', null)
      const tom = { ...(await world.auth.admin.localPrincipal('tom', world.call)), address: HOME }
      const given = { current_password: 'anything', new_password: 'a new password' }
      const { status, body } = await world.rest(tom, 'POST', '/profile/api/password/', given)
      expect([status, Object.keys(body)]).toEqual([400, ['current_password']])
    })
  })
}

describe('login on SQLite', () => {
  let dir: string
  let count = 0
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'mnemosyne-login-'))
  })
  afterAll(() => rm(dir, { recursive: true }))
  suite(async () => `sqlite:${join(dir, `${count++}.db`)}`)
})

await describePostgres('login on PostgreSQL', (freshUrl) => {
  suite(freshUrl)

  describe('two replicas', () => {
    let other: SessionsWorld
    beforeEach(async () => {
      other = await openSessionsWorld(url)
    })
    afterEach(() => other.close())

    test('agree on what is locked', async () => {
      for (const replica of [world, other, world, other, world]) {
        expect((await replica.signIn('ada', 'wrong')).status).toBe(401)
      }
      for (const replica of [world, other]) expect((await replica.signIn('ada', PASSWORD)).status).toBe(429)
    })

    test('check no more than five of 50 guesses in one moment', async () => {
      const answers = await Promise.all(
        Array.from({ length: 50 }, (_, guess) =>
          (guess % 2 ? world : other).signIn('ada', guess > 47 ? PASSWORD : `guess ${guess}`),
        ),
      )
      expect(answers.filter(({ status }) => status === 200)).toEqual([])
      expect(await checkedUntilLocked([world, other], answers)).toBe(5)
      for (const replica of [world, other]) expect((await replica.signIn('ada', PASSWORD)).status).toBe(429)
    })

    test('know each other’s sessions, and that they have ended', async () => {
      const { cookie } = await world.session()
      expect(await other.whose(cookie)).toBe('ada')
      await other.rest(await other.caller(cookie), 'POST', '/accounts/api/logout/')
      expect(await world.whose(cookie)).toMatch(/^bad_session/)
    })
  })
})
