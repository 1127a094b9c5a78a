import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { adminContract, CallError, type User } from '@mnemosyne/contracts'
import { describePostgres } from '@mnemosyne/platform/testing'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { LIBRARY, openWorld, type World } from './harness.ts'

const TEAM = '10000000-0000-4000-8000-000000000001'
const STRAY = '00000000-0000-4000-8000-0000000000aa'

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
  let url: string
  let alice: User
  beforeEach(async () => {
    url = await freshUrl()
    world = await openWorld(url)
    await createUser('root', { superuser: true })
    alice = await createUser('alice')
    world.library.owned = [
      { uid: LIBRARY.a, owner_username: 'alice', workspace_id: 'w' },
      { uid: LIBRARY.b, owner_username: 'alice', workspace_id: null },
    ]
    await world.auth.admin.backfillMemberships(world.call)
  })
  afterEach(() => world.close())

  const createUser = (username: string, { superuser = false } = {}): Promise<User> =>
    world.auth.admin.createUser({ username, email: '', staff: false, superuser, password: null }, world.call)
  const admin = () => world.clientAs(adminContract, 'root')
  const rename = async (id: string, username: string) => (await admin()).users.update({ id, username })
  const remove = async (id: string, query: { hand_over_to?: string; delete_libraries?: string } = {}) =>
    (await admin()).users.delete({ params: { id }, query })
  const nameOf = async (id: string) => (await (await admin()).users.get({ id })).username
  const createToken = (username: string, allowedLibraries: string[]) =>
    world.auth.admin.createUserToken(
      { username, name: 'test', expiresAt: null, allowedLibraries, allowedTools: [] },
      world.call,
    )
  const resolved = async (token: string, surface: 'rest' | 'mcp' = 'rest') => {
    const resolution = await world.resolve(`Bearer ${token}`, surface)
    return resolution.outcome === 'resolved' ? resolution.principal : resolution.detail
  }
  const owners = () => Object.fromEntries(world.library.owned.map((row) => [row.uid, row.owner_username]))
  const memberships = async (userId: string) => {
    const rows = await world.sql.read
      .selectFrom('library_membership')
      .select(['library_uid', 'role'])
      .where('user_id', '=', userId)
      .orderBy('library_uid')
      .execute()
    return rows.map(({ library_uid, role }) => `${library_uid} ${role}`)
  }
  const auditOf = async (action: string) =>
    world.sql.read.selectFrom('audit_log').selectAll().where('action', '=', action).execute()
  const putTeam = (owner_id: string, active: 0 | 1, id = TEAM) =>
    world.sql.transaction(async (tx) => {
      const at = world.time.now.toISOString()
      const row = { id, name: 'Crew', owner_id, active, active_jti: null, created_at: at, updated_at: at }
      await tx.insertInto('team').values(row).execute()
      await tx
        .insertInto('team_workspace_assignment')
        .values({ team_id: id, workspace_id: 'w', created_at: at })
        .execute()
    })
  const restart = async () => {
    const { library, time } = world
    await world.close()
    world = await openWorld(url)
    Object.assign(world.library, { owned: library.owned })
    world.time.now = time.now
  }
  const later = (seconds: number) => {
    world.time.now = new Date(world.time.now.getTime() + seconds * 1_000)
  }
  /** Library fails in this operation from now on, before or after it has had its effect. */
  const breakAt = (when: 'before' | 'after', operation: string) => {
    world.library[when] = (called) => {
      if (called === operation) throw new Error('down')
    }
  }
  const mend = () => Object.assign(world.library, { before: () => {}, after: () => {} })
  /** Requests come in; what was left undone is finished on the side. */
  const eventually = (state: () => Promise<unknown>, expected: unknown) =>
    expect
      .poll(
        async () => {
          later(20)
          await world.resolve('Bearer none', 'rest')
          return state()
        },
        { timeout: 10_000 },
      )
      .toEqual(expected)

  describe('renaming', () => {
    test('takes along tokens, memberships, teams and libraries', async () => {
      await putTeam(alice.id, 1)
      const { token } = await createToken('alice', [LIBRARY.a])
      expect(await rename(alice.id, 'alicia')).toMatchObject({ id: alice.id, username: 'alicia' })
      expect(await resolved(token)).toMatchObject({
        user: { id: alice.id, username: 'alicia' },
        owned_libraries: [LIBRARY.a, LIBRARY.b],
      })
      expect(await resolved(token, 'mcp')).toMatchObject({ resolved_libraries: [LIBRARY.a] })
      expect(owners()).toEqual({ [LIBRARY.a]: 'alicia', [LIBRARY.b]: 'alicia' })
      expect(await world.auth.admin.listTeams({ owner: 'alicia' })).toHaveLength(1)
      expect(await auditOf('user.renamed')).toMatchObject([
        { target: alice.id, username: 'root', detail: JSON.stringify({ from: 'alice', to: 'alicia' }) },
      ])
      const heiress = await createUser('alice')
      expect(await memberships(heiress.id)).toEqual([])
      expect(owners()).toEqual({ [LIBRARY.a]: 'alicia', [LIBRARY.b]: 'alicia' })
    })

    test('to the same name is nothing, to another spelling of it is one', async () => {
      expect(await rename(alice.id, 'alice')).toMatchObject({ username: 'alice' })
      expect(await auditOf('user.rename_begun')).toEqual([])
      expect(await rename(alice.id, 'Alice')).toMatchObject({ username: 'Alice' })
      expect(owners()).toEqual({ [LIBRARY.a]: 'Alice', [LIBRARY.b]: 'Alice' })
      expect(await rename(alice.id, 'alice')).toMatchObject({ username: 'alice' })
      expect(owners()).toEqual({ [LIBRARY.a]: 'alice', [LIBRARY.b]: 'alice' })
    })

    test.each(['bob', 'BOB', 'a b', ''])('to %j is refused', async (name) => {
      await createUser('bob')
      expect(await status(rename(alice.id, name))).toMatch(/^4/)
      expect(owners()).toEqual({ [LIBRARY.a]: 'alice', [LIBRARY.b]: 'alice' })
    })

    test.each(['before', 'after'] as const)(
      'that is cut off %s the library service has followed is finished when somebody calls',
      async (when) => {
        const { token } = await createToken('alice', ['*'])
        breakAt(when, 'reassignments')
        expect(await outcome(rename(alice.id, 'alicia'))).toMatch(/^503 .*"alice" is called "alicia" as soon/)
        expect(await resolved(token)).toMatchObject({
          user: { username: 'alice' },
          owned_libraries: [LIBRARY.a, LIBRARY.b],
        })
        mend()
        await eventually(() => nameOf(alice.id), 'alicia')
        expect(owners()).toEqual({ [LIBRARY.a]: 'alicia', [LIBRARY.b]: 'alicia' })
        expect(await resolved(token)).toMatchObject({ owned_libraries: [LIBRARY.a, LIBRARY.b] })
        expect(await auditOf('user.renamed')).toHaveLength(1)
      },
    )

    test('that is cut off is finished after a restart', async () => {
      breakAt('after', 'reassignments')
      expect(await status(rename(alice.id, 'alicia'))).toBe('503')
      await restart()
      expect(await nameOf(alice.id)).toBe('alice')
      await eventually(() => nameOf(alice.id), 'alicia')
      expect(owners()).toEqual({ [LIBRARY.a]: 'alicia', [LIBRARY.b]: 'alicia' })
    })

    test('that is cut off is finished by asking again, and by the command line', async () => {
      breakAt('before', 'reassignments')
      expect(await status(rename(alice.id, 'alicia'))).toBe('503')
      expect(await outcome(rename(alice.id, 'alina'))).toMatch(/^409 .*being renamed to "alicia"/)
      mend()
      expect(await rename(alice.id, 'alicia')).toMatchObject({ username: 'alicia' })
      breakAt('before', 'reassignments')
      await expect(
        world.auth.admin.renameUser({ username: 'alicia', to: 'alina' }, world.call),
      ).rejects.toMatchObject({ code: 'RENAME_NOT_FOLLOWED' })
      mend()
      await world.auth.admin.finishUnfinished(world.call)
      expect(await nameOf(alice.id)).toBe('alina')
      expect(owners()).toEqual({ [LIBRARY.a]: 'alina', [LIBRARY.b]: 'alina' })
    })

    test('keeps both names from everybody else until it is done', async () => {
      const bob = await createUser('bob')
      breakAt('after', 'reassignments')
      expect(await status(rename(alice.id, 'alicia'))).toBe('503')
      for (const name of ['alice', 'alicia', 'ALICIA']) {
        await expect(createUser(name)).rejects.toMatchObject({ code: 'USERNAME_TAKEN' })
        expect(await status(rename(bob.id, name))).toBe('409')
      }
      mend()
      await eventually(() => nameOf(alice.id), 'alicia')
      await expect(createUser('Alicia')).rejects.toMatchObject({ code: 'USERNAME_TAKEN' })
      expect(await rename(bob.id, 'alice')).toMatchObject({ username: 'alice' })
      expect(await memberships(bob.id)).toEqual([])
      expect(owners()).toEqual({ [LIBRARY.a]: 'alicia', [LIBRARY.b]: 'alicia' })
    })

    test('lets two change their names, and each keeps what is theirs', async () => {
      const bob = await createUser('bob')
      world.library.owned.push({ uid: STRAY, owner_username: 'bob', workspace_id: null })
      await world.auth.admin.backfillMemberships(world.call)
      await rename(alice.id, 'tmp')
      await rename(bob.id, 'alice')
      await rename(alice.id, 'bob')
      expect(owners()).toEqual({ [LIBRARY.a]: 'bob', [LIBRARY.b]: 'bob', [STRAY]: 'alice' })
      expect(await memberships(bob.id)).toEqual([`${STRAY} owner`])
      expect(await memberships(alice.id)).toEqual([`${LIBRARY.a} owner`, `${LIBRARY.b} owner`])
    })

    test.each(['alone', 'twice at the same moment'])('is done once, %s', async (how) => {
      const calls = how === 'alone' ? 1 : 2
      const outcomes = await Promise.all(
        Array.from({ length: calls }, () => status(rename(alice.id, 'alicia'))),
      )
      expect(outcomes).toContain('ok')
      await eventually(() => nameOf(alice.id), 'alicia')
      expect(await auditOf('user.renamed')).toHaveLength(1)
    })

    test('of one to two names at the same moment ends with one of them', async () => {
      await Promise.all([status(rename(alice.id, 'alicia')), status(rename(alice.id, 'alina'))])
      await world.auth.admin.finishUnfinished(world.call)
      const name = await nameOf(alice.id)
      expect(['alicia', 'alina']).toContain(name)
      expect(owners()).toEqual({ [LIBRARY.a]: name, [LIBRARY.b]: name })
    })

    test('brings after what came into being under the old name meanwhile', async () => {
      await rename(alice.id, 'alicia')
      // By a request that was resolved before.
      world.library.owned.push({ uid: STRAY, owner_username: 'alice', workspace_id: null })
      later(130)
      await eventually(async () => owners()[STRAY], 'alicia')
      await eventually(
        () => memberships(alice.id),
        [`${LIBRARY.a} owner`, `${LIBRARY.b} owner`, `${STRAY} owner`],
      )
    })

    test.each([
      ['is created', (name: string) => createUser(name)],
      ['is renamed', async (name: string) => rename((await createUser('bob')).id, name)],
    ])('leaves nothing to who %s into the old name', async (_, take) => {
      await rename(alice.id, 'alicia')
      world.library.owned.push({ uid: STRAY, owner_username: 'alice', workspace_id: null })
      world.library.global = null
      await take('alice').then(
        () => expect.unreachable(),
        (error: { code?: string; status?: number }) => expect(error.code ?? error.status).toBeTruthy(),
      )
      world.library.global = []
      const taker = await take('alice').catch(() => rename2('bob', 'alice'))
      expect(taker.username).toBe('alice')
      expect(owners()[STRAY]).toBe('alicia')
      expect(await memberships(taker.id)).toEqual([])
      later(600)
      await world.auth.admin.finishUnfinished(world.call)
      world.library.owned.push({ uid: LIBRARY.g, owner_username: 'alice', workspace_id: null })
      await world.auth.admin.finishUnfinished(world.call)
      expect(owners()[LIBRARY.g]).toBe('alice')
    })
    test('a library that is made in the moment of a rename is its maker’s, whoever has the name by then', async () => {
      const maker = await world.internal(await world.auth.admin.localPrincipal('alice', world.call))
      await rename(alice.id, 'alicia')
      const next = await createUser('alice')
      await maker.putOwner({ library_uid: STRAY, username: 'alice' })
      expect(await memberships(alice.id)).toContain(`${STRAY} owner`)
      expect(await memberships(next.id)).toEqual([])
    })

    const rename2 = async (from: string, to: string) => {
      const [user] = await world.auth.admin.listUsers({ q: from })
      return rename(user!.id, to)
    }

    test('nobody takes a name while what stands under it is being moved', async () => {
      await rename(alice.id, 'alicia')
      const moving = Promise.withResolvers<void>()
      const goOn = Promise.withResolvers<void>()
      world.library.before = async (operation) => {
        if (operation !== 'reassignments') return
        moving.resolve()
        await goOn.promise
      }
      later(130)
      const settling = world.auth.admin.finishUnfinished(world.call)
      await moving.promise
      await expect(createUser('alice')).rejects.toMatchObject({ code: 'USERNAME_BUSY' })
      goOn.resolve()
      await settling
      expect(await createUser('alice')).toMatchObject({ username: 'alice' })
    })

    test('a claim of a process that died holds for seconds only', async () => {
      await world.sql.transaction(async (tx) => {
        const until = new Date(world.time.now.getTime() + 10_000).toISOString()
        await tx.insertInto('username_claim').values({ username: 'alice', claim_id: 'x', until }).execute()
      })
      expect(await status(rename(alice.id, 'alicia'))).toBe('503')
      expect(await status(remove(alice.id, { delete_libraries: 'true' }))).toBe('503')
      later(11)
      expect(await rename(alice.id, 'alicia')).toMatchObject({ username: 'alicia' })
    })
  })

  describe('deleting', () => {
    test.each<[string, { hand_over_to?: string; delete_libraries?: string }, RegExp]>([
      ['without a word on their libraries', {}, /^409 "alice" owns 2 libraries\. Say what becomes of them/],
      ['with two words on them', { hand_over_to: 'bob', delete_libraries: 'true' }, /^400 hand_over_to/],
      ['handing over to nobody', { hand_over_to: 'nobody' }, /^400 hand_over_to/],
      ['handing over to themselves', { hand_over_to: 'alice' }, /^400 hand_over_to/],
      ['handing over to who is disabled', { hand_over_to: 'carol' }, /^400 hand_over_to/],
      ['with a decision that is none', { delete_libraries: 'perhaps' }, /^400 query\.delete_libraries/],
    ])('somebody %s is refused, and changes nothing', async (_, query, expected) => {
      await createUser('bob')
      await createUser('carol')
      await world.auth.admin.disableUser('carol')
      expect(await outcome(remove(alice.id, query))).toMatch(expected)
      expect(await (await admin()).users.get({ id: alice.id })).toMatchObject({ is_active: true })
      expect(owners()).toEqual({ [LIBRARY.a]: 'alice', [LIBRARY.b]: 'alice' })
    })

    test('the owner of an active team is refused; inactive ones go along', async () => {
      world.library.owned = []
      await putTeam(alice.id, 1)
      expect(await outcome(remove(alice.id))).toMatch(/^409 .*1 active team/)
      expect(await (await admin()).users.get({ id: alice.id })).toMatchObject({ is_active: true })
      await world.auth.admin.disableTeam(TEAM)
      expect(await outcome(remove(alice.id))).toBe('ok')
      expect(await world.auth.admin.listTeams()).toEqual([])
      const left = await world.sql.read.selectFrom('team_workspace_assignment').selectAll().execute()
      expect(left).toEqual([])
    })

    test('hands libraries over, with all rights, and leaves nothing behind but the trail', async () => {
      const bob = await createUser('bob')
      const { token, id: tokenId } = await createToken('alice', ['*'])
      expect(await outcome(remove(alice.id, { hand_over_to: 'bob' }))).toBe('ok')
      expect(owners()).toEqual({ [LIBRARY.a]: 'bob', [LIBRARY.b]: 'bob' })
      expect(await memberships(bob.id)).toEqual([`${LIBRARY.a} owner`, `${LIBRARY.b} owner`])
      expect(await memberships(alice.id)).toEqual([])
      expect(await resolved(token)).toBe('Invalid MCP token.')
      expect(await status((await admin()).users.get({ id: alice.id }))).toBe('404')
      expect(await status((await admin()).tokens.revoke({ id: tokenId }))).toBe('404')
      expect(await status(remove(alice.id))).toBe('404')
      const [deleted] = await auditOf('user.deleted')
      expect(deleted).toMatchObject({ target: alice.id, username: 'root' })
      expect(JSON.parse(deleted!.detail)).toEqual({
        username: 'alice',
        libraries: 2,
        handed_over_to: 'bob',
      })
      await expect
        .poll(() => world.events.map(({ type, data }) => [type, data]))
        .toEqual([['user.disabled.v1', { user_id: alice.id }]])
    })

    test('deletes libraries', async () => {
      expect(await outcome(remove(alice.id, { delete_libraries: 'true' }))).toBe('ok')
      expect(owners()).toEqual({})
      expect((await world.auth.admin.listUsers()).map(({ username }) => username)).toEqual(['root'])
    })

    test('needs no word when there are none', async () => {
      const { id } = await createUser('bob')
      expect(await outcome(remove(id))).toBe('ok')
      expect(owners()).toEqual({ [LIBRARY.a]: 'alice', [LIBRARY.b]: 'alice' })
    })

    test.each<['before' | 'after', string, { hand_over_to?: string; delete_libraries?: string }]>([
      ['before', 'owned-libraries', { hand_over_to: 'bob' }],
      ['after', 'owned-libraries', { hand_over_to: 'bob' }],
      ['before', 'reassignments', { hand_over_to: 'bob' }],
      ['after', 'reassignments', { hand_over_to: 'bob' }],
      ['before', 'deletions', { delete_libraries: 'true' }],
      ['after', 'deletions', { delete_libraries: 'true' }],
    ])('that breaks off %s %s is gone on with when asked for again', async (when, operation, query) => {
      const bob = await createUser('bob')
      const { token } = await createToken('alice', ['*'])
      breakAt(when, operation)
      expect(await status(remove(alice.id, query))).toBe('503')
      expect(await resolved(token)).toBe('User account is disabled.')
      // Whatever has become of them: nobody but the two has any right to them.
      await expect(createUser('alice')).rejects.toMatchObject({ code: 'USERNAME_TAKEN' })
      await restart()
      expect(await outcome(remove(alice.id, query))).toBe('ok')
      const handedOver = query.hand_over_to !== undefined
      expect(owners()).toEqual(handedOver ? { [LIBRARY.a]: 'bob', [LIBRARY.b]: 'bob' } : {})
      expect(await memberships(bob.id)).toEqual(
        handedOver ? [`${LIBRARY.a} owner`, `${LIBRARY.b} owner`] : [],
      )
      expect(await auditOf('user.deleted')).toHaveLength(1)
    })

    test('who breaks off may be decided upon anew, or enabled again', async () => {
      await createUser('bob')
      breakAt('before', 'deletions')
      expect(await status(remove(alice.id, { delete_libraries: 'true' }))).toBe('503')
      mend()
      await (await admin()).users.update({ id: alice.id, is_active: true })
      expect(await outcome(remove(alice.id, { hand_over_to: 'bob' }))).toBe('ok')
      expect(owners()).toEqual({ [LIBRARY.a]: 'bob', [LIBRARY.b]: 'bob' })
    })

    test('while a rename is under way finishes that first', async () => {
      const bob = await createUser('bob')
      breakAt('after', 'reassignments')
      expect(await status(rename(alice.id, 'alicia'))).toBe('503')
      expect(await status(remove(alice.id, { hand_over_to: 'bob' }))).toBe('503')
      mend()
      expect(await outcome(remove(alice.id, { hand_over_to: 'bob' }))).toBe('ok')
      expect(owners()).toEqual({ [LIBRARY.a]: 'bob', [LIBRARY.b]: 'bob' })
      expect(await memberships(bob.id)).toHaveLength(2)
      for (const name of ['alice', 'alicia'])
        expect(await memberships((await createUser(name)).id)).toEqual([])
    })

    test('of one by two at the same moment is done once', async () => {
      const outcomes = await Promise.all(
        [1, 2, 3].map(() => status(remove(alice.id, { delete_libraries: 'true' }))),
      )
      expect(outcomes.filter((each) => each === 'ok').length).toBeGreaterThanOrEqual(1)
      expect(outcomes.every((each) => ['ok', '404', '409'].includes(each ?? ''))).toBe(true)
      expect(await auditOf('user.deleted')).toHaveLength(1)
      expect(owners()).toEqual({})
    })

    test.each<[string, { hand_over_to?: string; delete_libraries?: string }, string | undefined]>([
      ['handed over', { hand_over_to: 'bob' }, 'bob'],
      ['deleted', { delete_libraries: 'true' }, undefined],
    ])(
      'somebody of the same name owns nothing of the former, whose libraries were %s',
      async (_, query, heir) => {
        const bob = await createUser('bob')
        const { token } = await createToken('alice', ['*'])
        await remove(alice.id, query)
        // Made by a request that was resolved before, and came to its end only now.
        world.library.owned.push({ uid: STRAY, owner_username: 'alice', workspace_id: 'w' })
        const next = await createUser('alice')
        expect(next.id).not.toBe(alice.id)
        expect(await memberships(next.id)).toEqual([])
        expect(owners()[STRAY]).toBe(heir)
        expect(Object.values(owners())).not.toContain('alice')
        expect(await resolved(token)).toBe('Invalid MCP token.')
        const { token: fresh } = await createToken('alice', ['*'])
        expect(await resolved(fresh)).toMatchObject({ user: { id: next.id }, owned_libraries: [] })
        if (heir) expect(await memberships(bob.id)).toContain(`${STRAY} owner`)
      },
    )

    test('a library that is made in the moment of a deletion is nobody’s, whoever has the name by then', async () => {
      const maker = await world.internal(await world.auth.admin.localPrincipal('alice', world.call))
      await remove(alice.id, { delete_libraries: 'true' })
      const next = await createUser('alice')
      expect(await status(maker.putOwner({ library_uid: STRAY, username: 'alice' }))).toBe('404')
      expect(await memberships(next.id)).toEqual([])
    })

    test('what a former owner leaves late is the heir’s heir’s', async () => {
      const bob = await createUser('bob')
      const carol = await createUser('carol')
      await remove(alice.id, { hand_over_to: 'bob' })
      await remove(bob.id, { hand_over_to: 'carol' })
      world.library.owned.push({ uid: STRAY, owner_username: 'alice', workspace_id: null })
      later(130)
      await world.auth.admin.finishUnfinished(world.call)
      expect(owners()).toEqual({ [LIBRARY.a]: 'carol', [LIBRARY.b]: 'carol', [STRAY]: 'carol' })
      expect(await memberships(carol.id)).toHaveLength(3)
    })
  })
}

describe('names and deletions on SQLite', () => {
  let folder: string
  let count = 0
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'mnemosyne-names-'))
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))
  suite(async () => `sqlite:${join(folder, `${count++}.db`)}`)
})

await describePostgres('names and deletions on PostgreSQL', suite)
