import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { adminContract, authInternalContract } from '@mnemosyne/contracts'
import { describePostgres } from '@mnemosyne/platform/testing'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { LIBRARY } from './harness.ts'
import { type MembersWorld, openMembersWorld, outcome, type Person, status } from './members-world.ts'

type Step = [from: string, to: string, hand_overs: number]

function suite(freshUrl: () => Promise<string>): void {
  let world: MembersWorld
  beforeEach(async () => {
    world = await openMembersWorld(await freshUrl())
  })
  afterEach(() => world.close())

  const internalAs = (username: Person) => world.clientAs(authInternalContract, username)
  const owners = async () => (await world.roles()).filter((row) => !/^(mia|rita) /.test(row))
  const handOver = ([from, to, hand_overs]: Step) => ({ library_uid: LIBRARY.a, from, to, hand_overs })

  /** As the library service does it, on behalf of who is `from`. */
  async function nameNewOwner([from, to, hand_overs]: Step, by = from): Promise<void> {
    const client = await internalAs(by as Person)
    await client.putOwner({ library_uid: LIBRARY.a, username: to, hand_overs })
  }
  async function record(step: Step, by = step[0]): Promise<void> {
    await (await internalAs(by as Person)).recordHandOver(handOver(step))
  }
  const hear = (step: Step) => world.publish('library.handed_over.v1', handOver(step))

  const FIRST: Step = ['olive', 'sam', 1]

  describe('who may name an owner', () => {
    test.each([
      ['olive', 'sam', 200],
      ['omar', 'sam', 200],
      ['omar', 'omar', 200],
      ['root', 'sam', 200],
      ['mia', 'sam', 403],
      ['rita', 'sam', 403],
      ['sam', 'rita', 403],
      // The library service says so when somebody makes a library.
      ['sam', 'sam', 200],
      ['olive', 'nemo', 404],
    ] as const)('%s names %s: %i', async (by, username, expected) => {
      const client = await internalAs(by)
      expect(await status(client.putOwner({ library_uid: LIBRARY.a, username, hand_overs: 1 }))).toBe(
        expected,
      )
    })

    test('not who was an owner when they were asked for', async () => {
      const client = await internalAs('omar')
      await world.remove('omar', 'owner')
      const named = client.putOwner({ library_uid: LIBRARY.a, username: 'sam', hand_overs: 1 })
      expect(await outcome(named)).toBe('403 Only its owners and staff make somebody else an owner.')
    })

    test('and nobody who is disabled becomes one', async () => {
      await world.auth.admin.disableUser('sam')
      expect(await status(nameNewOwner(FIRST))).toBe(409)
    })
  })

  describe('a library that is handed over', () => {
    test('leaves the former owner a manager, once, however often it is said', async () => {
      await nameNewOwner(FIRST)
      await record(FIRST)
      await record(FIRST)
      await hear(FIRST)
      await hear(FIRST)
      expect(await owners()).toEqual(['olive manager', 'omar owner', 'sam owner'])
      const olive = { user_id: world.ids.olive, username: 'olive' }
      const audited = await world.audited('membership.removed')
      expect(audited.map(({ actor, detail }) => [actor, detail])).toEqual([
        [world.ids.olive, { ...olive, role: 'owner' }],
      ])
      const added = await world.audited('membership.added')
      expect(
        added.filter(({ detail }) => detail.role === 'manager').map(({ detail }) => detail),
      ).toContainEqual({
        ...olive,
        role: 'manager',
      })
    })

    test('by another owner leaves them what they are', async () => {
      await nameNewOwner(FIRST, 'omar')
      await record(FIRST, 'omar')
      expect(await owners()).toEqual(['olive manager', 'omar owner', 'sam owner'])
    })

    test('to whom it belongs changes nothing', async () => {
      await record(['olive', 'olive', 1])
      expect(await owners()).toEqual(['olive owner', 'omar owner'])
    })

    test('is told by no manager, reader or stranger', async () => {
      for (const by of ['mia', 'rita', 'sam'] as const) expect(await status(record(FIRST, by))).toBe(403)
      expect(await owners()).toEqual(['olive owner', 'omar owner'])
    })

    test('keeps its place in tokens of the former owner, who still reads it', async () => {
      const { token } = await world.mint('olive', [LIBRARY.a])
      await nameNewOwner(FIRST)
      await record(FIRST)
      expect(await world.sees(token)).toEqual([LIBRARY.a])
    })

    test('gives nothing back that the new owner has taken since', async () => {
      await nameNewOwner(FIRST)
      await record(FIRST)
      world.library.owned[0]!.owner_username = 'sam'
      await world.remove('olive', 'manager', 'sam')
      await hear(FIRST)
      await world.publishCreation(LIBRARY.a, 'olive')
      expect(await owners()).toEqual(['omar owner', 'sam owner'])
      await world.add('olive', 'owner', 'sam')
      await hear(FIRST)
      await world.publishCreation(LIBRARY.a, 'olive')
      expect(await owners()).toEqual(['olive owner', 'omar owner', 'sam owner'])
    })
  })

  describe('when the request breaks off', () => {
    test('before auth has heard who was the owner, the event says it', async () => {
      await nameNewOwner(FIRST)
      await hear(FIRST)
      expect(await owners()).toEqual(['olive manager', 'omar owner', 'sam owner'])
    })

    test('and auth knows no new owner (of one who is deleted), the event makes one', async () => {
      await hear(FIRST)
      expect(await owners()).toEqual(['olive manager', 'omar owner', 'sam owner'])
    })

    test('and the new owner is not there any more, the event is not put off for ever', async () => {
      await hear(['olive', 'nemo', 1])
      expect(await owners()).toEqual(['olive manager', 'omar owner'])
      await world.auth.admin.disableUser('sam')
      await hear(['omar', 'sam', 2])
      expect(await owners()).toEqual(['olive manager', 'omar manager'])
    })
  })

  describe('events that come late', () => {
    const BACK: Step = ['sam', 'olive', 2]

    test.each([
      ['in order', [FIRST, BACK]],
      ['the other way round', [BACK, FIRST]],
      ['twice', [FIRST, BACK, FIRST, BACK, FIRST]],
    ] as const)('leave a library that was handed over and back as it is: %s', async (_, steps) => {
      // The first was cut short: nothing but its new owner is known.
      await nameNewOwner(FIRST)
      await nameNewOwner(BACK)
      await record(BACK)
      for (const step of steps) await hear([...step])
      expect(await owners()).toEqual(['olive owner', 'omar owner', 'sam manager'])
    })

    test.each([[[0, 1, 2]], [[2, 1, 0]], [[1, 0, 2]], [[2, 0, 1]]])(
      'leave only the last of many an owner, in the order %s',
      async (order) => {
        const steps: Step[] = [
          ['olive', 'sam', 1],
          ['sam', 'rita', 2],
          ['rita', 'root', 3],
        ]
        for (const step of steps) await nameNewOwner(step)
        for (const index of order) await hear(steps[index]!)
        const roles = await world.roles()
        expect(roles).toEqual([
          'mia manager',
          'olive manager',
          'omar owner',
          'rita manager',
          'rita reader',
          'root owner',
          'sam manager',
        ])
      },
    )

    /** Some time after what is heard late. */
    async function renameLater(username: Person, to: string): Promise<void> {
      const heardLate = world.time.now
      world.time.now = new Date(heardLate.getTime() + 60_000)
      const admin = await world.clientAs(adminContract, 'root')
      await admin.users.update({ id: world.ids[username], username: to })
      world.time.now = heardLate
    }

    test('mean who had the name, when they are called otherwise by now', async () => {
      await nameNewOwner(FIRST)
      await renameLater('olive', 'oliva')
      await hear(FIRST)
      expect(await owners()).toEqual(['oliva manager', 'omar owner', 'sam owner'])
    })

    test('mean nobody who has got the name since', async () => {
      await nameNewOwner(FIRST)
      await renameLater('olive', 'oliva')
      await renameLater('omar', 'olive')
      await hear(FIRST)
      expect(await owners()).toEqual(['oliva owner', 'olive owner', 'sam owner'])
    })
  })

  describe('a library that is deleted', () => {
    test('is forgotten at the word of its owner, so that no token names it at the next request', async () => {
      const { token } = await world.mint('rita', [LIBRARY.a, LIBRARY.g])
      const client = await internalAs('olive')
      await client.forgetLibrary({ library_uid: LIBRARY.a })
      expect(await world.sees(token)).toEqual([LIBRARY.g])
      expect(await world.roles()).toEqual([])
      await client.forgetLibrary({ library_uid: LIBRARY.a })
      expect(await world.audited('library.forgotten')).toHaveLength(1)
    })

    test.each([
      ['omar', 200],
      ['root', 200],
      ['mia', 403],
      ['rita', 403],
      ['sam', 403],
    ] as const)('%s may say so: %i', async (by, expected) => {
      const client = await internalAs(by)
      expect(await status(client.forgetLibrary({ library_uid: LIBRARY.a }))).toBe(expected)
      expect((await world.roles()).length === 0).toBe(expected === 200)
    })
  })
}

describe('handing over on SQLite', () => {
  let dir: string
  let count = 0
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'mnemosyne-hand-over-'))
  })
  afterAll(() => rm(dir, { recursive: true }))
  suite(async () => `sqlite:${join(dir, `${count++}.db`)}`)
})

await describePostgres('handing over on PostgreSQL', suite)
