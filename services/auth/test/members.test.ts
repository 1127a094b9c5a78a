import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describePostgres } from '@mnemosyne/platform/testing'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { LIBRARY } from './harness.ts'
import {
  type MembersWorld,
  openBeside,
  openMembersWorld,
  outcome,
  PEOPLE,
  type Person,
  status,
} from './members-world.ts'

const NOWHERE = '00000000-0000-4000-8000-000000000000'
const LIBRARY_NOT_FOUND = '404 Library not found.'

function suite(freshUrl: () => Promise<string>): void {
  let world: MembersWorld
  let url: string
  beforeEach(async () => {
    url = await freshUrl()
    world = await openMembersWorld(url)
  })
  afterEach(() => world.close())

  describe('the list', () => {
    test.each([
      ['olive', 200],
      ['omar', 200],
      ['mia', 200],
      ['rita', '403 Only owners and managers see with whom a library is shared.'],
      ['sam', LIBRARY_NOT_FOUND],
      ['root', LIBRARY_NOT_FOUND],
    ] as const)('is shown to %s: %s', async (who, expected) => {
      const answer = await outcome((await world.members(who)).list({ uid: LIBRARY.a }))
      expect(typeof answer === 'string' ? answer : 200).toBe(expected)
    })

    test('has every role of everybody, by name, page by page, with the total', async () => {
      await world.add('mia', 'reader')
      const members = await world.members('mia')
      const { body, headers } = await members.list({ uid: LIBRARY.a })
      const created_at = '2030-01-01T00:00:00.000Z'
      expect(body).toEqual([
        { username: 'mia', role: 'manager', created_at },
        { username: 'mia', role: 'reader', created_at },
        { username: 'olive', role: 'owner', created_at },
        { username: 'omar', role: 'owner', created_at },
        { username: 'rita', role: 'reader', created_at },
      ])
      expect(headers['x-total-count']).toBe('5')
      const page = await members.list({ uid: LIBRARY.a, limit: 2, offset: 1 })
      expect([page.body, page.headers['x-total-count']]).toEqual([body.slice(1, 3), '5'])
    })
  })

  describe('a library that is not shared with the caller', () => {
    test.each([
      ['GET', 'members/', undefined],
      ['POST', 'members/', { username: 'sam', role: 'owner' }],
      ['DELETE', 'members/olive/owner/', undefined],
      ['DELETE', 'members/sam/reader/', undefined],
      ['PUT', `tokens/${NOWHERE}/`, undefined],
      ['DELETE', `tokens/${NOWHERE}/`, undefined],
    ])('is answered like none: %s %s', async (method, rest, body) => {
      const answers = []
      for (const uid of [LIBRARY.a, NOWHERE, 'NO-UID', '%20'])
        answers.push(await world.raw('sam', method, `/library/api/libraries/${uid}/${rest}`, body))
      expect(answers[0]).toMatchObject({ status: 404, text: '{"detail":"Library not found."}' })
      for (const answer of answers) expect(answer).toEqual(answers[0])
    })

    test('is not shared by staff either, nor with them without their being told', async () => {
      expect(await outcome(world.add('sam', 'reader', 'root'))).toBe(LIBRARY_NOT_FOUND)
      expect(await outcome(world.remove('rita', 'reader', 'root'))).toBe(LIBRARY_NOT_FOUND)
    })
  })

  test.each(['sam', 'root'] as const)('a global library has no members, for %s', async (who) => {
    const members = await world.members(who)
    const refused = "403 A global library is everybody's: it has no members."
    expect(await outcome(members.list({ uid: LIBRARY.g }))).toBe(refused)
    expect(await outcome(members.add({ uid: LIBRARY.g, username: 'sam', role: 'reader' }))).toBe(refused)
    expect(await outcome(members.remove({ uid: LIBRARY.g, username: 'sam', role: 'reader' }))).toBe(refused)
  })

  describe('sharing', () => {
    const MANAGER_GIVES = '403 A manager may let others read this library and no more: ask an owner.'
    const READER_GIVES = '403 Only owners and managers share a library.'
    test.each([
      ['olive', 'owner', 201],
      ['olive', 'manager', 201],
      ['olive', 'reader', 201],
      ['omar', 'owner', 201],
      ['omar', 'reader', 201],
      ['mia', 'owner', MANAGER_GIVES],
      ['mia', 'manager', MANAGER_GIVES],
      ['mia', 'reader', 201],
      ['rita', 'owner', READER_GIVES],
      ['rita', 'reader', READER_GIVES],
      ['sam', 'owner', LIBRARY_NOT_FOUND],
      ['sam', 'reader', LIBRARY_NOT_FOUND],
      ['root', 'reader', LIBRARY_NOT_FOUND],
    ] as const)('%s gives %s: %s', async (who, role, expected) => {
      const before = await world.roles()
      const answer = await outcome(world.add('sam', role, who))
      expect(typeof answer === 'string' ? answer : answer.status).toBe(expected)
      expect(await world.roles()).toEqual(expected === 201 ? [...before, `sam ${role}`] : before)
    })

    test('twice is once, and is told with the time of the first', async () => {
      const first = await world.add('sam', 'reader')
      world.time.now = new Date('2030-02-01T00:00:00.000Z')
      const second = await world.add('sam', 'reader', 'mia')
      const body = { username: 'sam', role: 'reader', created_at: '2030-01-01T00:00:00.000Z' }
      expect(first).toMatchObject({ status: 201, body })
      expect(second).toMatchObject({ status: 200, body })
      const added = await world.audited('membership.added')
      expect(added.filter(({ detail }) => detail.username === 'sam')).toEqual([
        {
          actor: world.ids.olive,
          target: LIBRARY.a,
          outcome: 'done',
          detail: { user_id: world.ids.sam, username: 'sam', role: 'reader' },
        },
      ])
    })

    test('twenty times at once is once', async () => {
      const answers = await Promise.all(Array.from({ length: 20 }, () => world.add('sam', 'reader')))
      expect(answers.map((answer) => answer.status).sort()).toEqual([...Array(19).fill(200), 201])
    })

    test('with nobody and with who is disabled is refused alike', async () => {
      await world.auth.admin.disableUser('sam')
      const share = (username: string) =>
        world.raw('olive', 'POST', `/library/api/libraries/${LIBRARY.a}/members/`, {
          username,
          role: 'reader',
        })
      const refused = await share('sam')
      expect(refused).toMatchObject({
        status: 400,
        text: '{"username":["There is no active user of this name."]}',
      })
      expect(await share('nemo')).toEqual(refused)
      expect((await share('a\0b')).status).toBe(400)
      expect((await share('')).status).toBe(400)
    })

    test('acts at the next request, and of several roles the highest counts', async () => {
      const principal = () => world.auth.admin.localPrincipal('rita', world.call)
      expect(await principal()).toMatchObject({
        resolved_libraries: [LIBRARY.a, LIBRARY.g],
        writable_libraries: [LIBRARY.g],
        owned_libraries: [],
      })
      await world.add('rita', 'manager')
      expect((await principal()).writable_libraries).toEqual([LIBRARY.a, LIBRARY.g])
      await world.add('rita', 'owner')
      expect((await principal()).owned_libraries).toEqual([LIBRARY.a])
      expect(await status(world.add('sam', 'manager', 'rita'))).toBe(200)
      await world.remove('rita', 'owner')
      await world.remove('rita', 'manager')
      expect(await principal()).toMatchObject({
        resolved_libraries: [LIBRARY.a, LIBRARY.g],
        writable_libraries: [LIBRARY.g],
      })
    })
  })

  describe('taking a role away', () => {
    const gone = 'gone'
    const MANAGER_TAKES = '403 A manager may take this library from readers and nobody else: ask an owner.'
    const READER_TAKES = '403 Only owners and managers take a library from others; you may leave it.'
    test.each([
      ['olive', 'omar', 'owner', gone],
      ['olive', 'mia', 'manager', gone],
      ['olive', 'rita', 'reader', gone],
      ['omar', 'mia', 'manager', gone],
      ['omar', 'olive', 'owner', '409 The library is theirs: hand the library over first.'],
      ['olive', 'olive', 'owner', '409 The library is theirs: hand the library over first.'],
      ['omar', 'omar', 'owner', gone],
      ['mia', 'rita', 'reader', gone],
      ['mia', 'omar', 'owner', MANAGER_TAKES],
      ['mia', 'mia', 'manager', gone],
      ['rita', 'rita', 'reader', gone],
      ['rita', 'mia', 'manager', READER_TAKES],
      ['rita', 'sam', 'reader', READER_TAKES],
      ['sam', 'rita', 'reader', LIBRARY_NOT_FOUND],
      ['root', 'rita', 'reader', LIBRARY_NOT_FOUND],
      ['root', 'root', 'reader', LIBRARY_NOT_FOUND],
    ] as const)('%s takes from %s the role %s: %s', async (who, whose, role, expected) => {
      const before = await world.roles()
      const answer = await outcome(world.remove(whose, role, who))
      expect(answer ?? gone).toBe(expected)
      const row = `${whose} ${role}`
      expect(await world.roles()).toEqual(expected === gone ? before.filter((one) => one !== row) : before)
    })

    test.each([
      ['olive', 'sam', 'reader', 200],
      ['olive', 'rita', 'manager', 200],
      ['olive', 'nemo', 'reader', 200],
      ['olive', 'rita', 'emperor', 200],
      ['mia', 'sam', 'reader', 200],
      ['mia', 'nemo', 'reader', 200],
      ['mia', 'mia', 'owner', 200],
      ['mia', 'sam', 'manager', 403],
      ['mia', 'sam', 'emperor', 403],
      ['rita', 'rita', 'owner', 200],
      ['rita', 'nemo', 'reader', 403],
      ['sam', 'sam', 'reader', 404],
    ] as const)('that is not there: %s takes from %s %s: %i', async (who, whose, role, expected) => {
      const before = await world.roles()
      expect(await status(world.remove(whose, role, who))).toBe(expected)
      expect(await world.roles()).toEqual(before)
    })

    test('again is nothing more; who has left sees no library', async () => {
      await world.remove('rita', 'reader', 'rita')
      expect(await outcome(world.remove('rita', 'reader', 'rita'))).toBe(LIBRARY_NOT_FOUND)
      await world.remove('rita', 'reader', 'olive')
      expect(await world.audited('membership.removed')).toEqual([
        {
          actor: world.ids.rita,
          target: LIBRARY.a,
          outcome: 'done',
          detail: { user_id: world.ids.rita, username: 'rita', role: 'reader', tokens: 0 },
        },
      ])
    })

    test('needs the library service only to know whose it is, and changes nothing without it', async () => {
      world.library.before = (operation) => {
        if (operation === 'principal-owner') throw new Error('down')
      }
      const before = await world.roles()
      expect(await status(world.remove('omar', 'owner'))).toBe(503)
      expect(await status(world.add('sam', 'reader'))).toBe(503)
      expect(await world.roles()).toEqual(before)
    })

    test('of a library that is gone is to find none', async () => {
      world.library.owned = []
      for (const who of PEOPLE)
        expect(await outcome(world.remove('mia', 'manager', who))).toBe(LIBRARY_NOT_FOUND)
    })
  })

  describe('an owner', () => {
    const LAST = '409 This is the last owner: hand the library over, or delete it.'

    test('who is the last one stays', async () => {
      await world.remove('omar', 'owner')
      expect(await outcome(world.remove('olive', 'owner', 'olive'))).toBe(LAST)
      // Whatever the library service says of whose it is.
      world.library.owned[0]!.owner_username = 'nobody'
      expect(await outcome(world.remove('olive', 'owner', 'olive'))).toBe(LAST)
    })

    test('stays when every other is disabled', async () => {
      world.library.owned[0]!.owner_username = 'omar'
      await world.auth.admin.disableUser('omar')
      expect(await outcome(world.remove('olive', 'owner', 'olive'))).toBe(LAST)
    })

    test('stays while they are being renamed, if the library is theirs', async () => {
      await world.sql.transaction((tx) =>
        tx
          .insertInto('user_rename')
          .values({
            user_id: world.ids.olive,
            from_username: 'olive',
            to_username: 'oliva',
            created_at: '2030-01-01T00:00:00.000Z',
          })
          .execute(),
      )
      for (const owner_username of ['olive', 'oliva']) {
        world.library.owned[0]!.owner_username = owner_username
        expect(await status(world.remove('olive', 'owner', 'omar'))).toBe(409)
      }
    })

    test('of two who leave at the same moment one stays', async () => {
      world.library.owned[0]!.owner_username = 'nobody'
      for (let round = 0; round < 10; round++) {
        // Two processes on one database; SQLite has one.
        const other = url.startsWith('postgres') ? await openBeside(url, world) : world
        const answers = await Promise.all([
          status(world.remove('olive', 'owner', 'olive')),
          status(other.remove('omar', 'owner', 'omar')),
        ])
        expect(answers.sort()).toEqual([200, 409])
        const owners = (await world.roles()).filter((row) => row.endsWith('owner'))
        expect(owners).toHaveLength(1)
        const left = owners[0]!.split(' ')[0] as Person
        await world.add(left === 'olive' ? 'omar' : 'olive', 'owner', left)
        if (other !== world) await other.close()
      }
    })
  })

  test('rights are those of this moment, not those of the assertion', async () => {
    const members = await world.members('mia')
    await world.remove('mia', 'manager')
    await world.add('mia', 'reader')
    expect(await status(members.list({ uid: LIBRARY.a }))).toBe(403)
    await world.remove('mia', 'reader')
    expect(await status(members.list({ uid: LIBRARY.a }))).toBe(404)
    expect(await status(members.add({ uid: LIBRARY.a, username: 'sam', role: 'reader' }))).toBe(404)
  })

  describe('a membership that goes', () => {
    test('takes the library out of the user’s tokens, and does not bring it back when it comes again', async () => {
      await world.add('rita', 'manager')
      const listed = await world.mint('rita', [LIBRARY.a, LIBRARY.g])
      const all = await world.mint('rita', ['*'])
      const others = await world.mint('mia', [LIBRARY.a])
      await world.remove('rita', 'manager')
      expect(await world.sees(listed.token)).toEqual([LIBRARY.a, LIBRARY.g])
      await world.remove('rita', 'reader')
      expect(await world.sees(listed.token)).toEqual([LIBRARY.g])
      expect(await world.sees(all.token)).toEqual([LIBRARY.g])
      expect(await world.sees(others.token)).toEqual([LIBRARY.a])
      await world.add('rita', 'owner')
      expect(await world.sees(listed.token)).toEqual([LIBRARY.g])
      expect(await world.sees(all.token)).toEqual([LIBRARY.a, LIBRARY.g])
      expect((await world.audited('membership.removed')).map(({ detail }) => detail.tokens)).toEqual([0, 1])
    })

    test('beside a token that is minted with it leaves no library in the token', async () => {
      for (let round = 0; round < 10; round++) {
        await world.add('sam', 'manager')
        const [minted] = await Promise.allSettled([
          world.mint('sam', [LIBRARY.a]),
          world.remove('sam', 'manager'),
        ])
        if (minted.status === 'fulfilled') expect(await world.listed(minted.value.id)).toEqual([])
        else expect(minted.reason).toMatchObject({ code: 'INVALID_FIELD' })
      }
    })
  })
}

describe('members on SQLite', () => {
  let dir: string
  let count = 0
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'mnemosyne-members-'))
  })
  afterAll(() => rm(dir, { recursive: true }))
  suite(async () => `sqlite:${join(dir, `${count++}.db`)}`)
})

await describePostgres('members on PostgreSQL', suite)
