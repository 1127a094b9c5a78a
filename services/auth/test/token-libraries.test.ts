import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describePostgres } from '@mnemosyne/platform/testing'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { LIBRARY } from './harness.ts'
import { type MembersWorld, openMembersWorld, outcome, type Person, status } from './members-world.ts'

const NOWHERE = '00000000-0000-4000-8000-000000000000'
const TOKEN_NOT_FOUND = '404 Token not found.'

function suite(freshUrl: () => Promise<string>): void {
  let world: MembersWorld
  beforeEach(async () => {
    world = await openMembersWorld(await freshUrl())
  })
  afterEach(() => world.close())

  const allow = async (by: string, token_id: string, uid = LIBRARY.a) =>
    (await world.members(by)).allowInToken({ uid, token_id })
  const disallow = async (by: string, token_id: string, uid = LIBRARY.a) =>
    (await world.members(by)).removeFromToken({ uid, token_id })

  describe('a token', () => {
    test('is shown masked to its user, and to nobody else', async () => {
      const { id, token } = await world.mint('rita', [LIBRARY.a])
      const own = await (await world.as('rita')).getToken({ id })
      expect(own).toMatchObject({ id, allowed_libraries: [LIBRARY.a], hint: expect.stringMatching(/^tok_/) })
      expect(JSON.stringify(own)).not.toContain(token)
      for (const who of ['olive', 'root']) {
        const other = await world.as(who)
        for (const unknown of [id, NOWHERE, 'no-uid']) {
          expect(await outcome(other.getToken({ id: unknown }))).toBe(TOKEN_NOT_FOUND)
          expect(await outcome(other.editToken({ id: unknown, name: 'mine' }))).toBe(TOKEN_NOT_FOUND)
        }
      }
    })

    test('is renamed, given tools and an end, and what is left out stays', async () => {
      const { id, token } = await world.mint('rita', [LIBRARY.a])
      const client = await world.as('rita')
      const before = await client.getToken({ id })
      const change = {
        name: ' phone ',
        expires_at: '2030-01-02T00:00:00Z',
        allowed_tools: ['search', 'search'],
      }
      const after = await client.editToken({ id, ...change })
      const expected = { name: 'phone', expires_at: '2030-01-02T00:00:00.000Z', allowed_tools: ['search'] }
      expect(after).toEqual({ ...before, ...expected })
      expect(await client.editToken({ id })).toEqual(after)
      expect(await client.editToken({ id, expires_at: null })).toEqual({ ...after, expires_at: null })
      expect(await client.editToken({ id, allowed_libraries: [] })).toMatchObject({ allowed_libraries: [] })
      expect(await world.sees(token)).toEqual([])
      const edited = await world.audited('user_token.edited')
      expect(edited.map(({ detail }) => detail.fields)).toEqual([
        'name,expires_at,allowed_tools',
        'expires_at',
        'allowed_libraries',
      ])
    })

    test('that is revoked stays as it is', async () => {
      const { id } = await world.mint('rita', [])
      const client = await world.as('rita')
      await client.revokeToken({ id })
      expect(await outcome(client.editToken({ id, name: 'back' }))).toBe(
        '409 This token is revoked, for good. Mint a new one.',
      )
      expect(await client.getToken({ id })).toMatchObject({ name: 'test', is_active: false })
    })

    test.each([
      ['a blank name', { name: ' ' }, 'name'],
      ['a time that has passed', { expires_at: '2029-01-01T00:00:00Z' }, 'expires_at'],
      ['* beside a uid', { allowed_libraries: ['*', LIBRARY.g] }, 'allowed_libraries'],
    ])('is not given %s', async (_, change, field) => {
      const { id } = await world.mint('rita', [])
      expect(await outcome((await world.as('rita')).editToken({ id, ...change }))).toContain(`400 ${field}`)
    })
  })

  describe('its user', () => {
    test.each([
      ['olive', LIBRARY.a, 200],
      ['omar', LIBRARY.a, 200],
      ['mia', LIBRARY.a, 200],
      ['rita', LIBRARY.a, 400],
      ['sam', LIBRARY.a, 400],
      ['root', LIBRARY.a, 400],
      ['sam', LIBRARY.g, 200],
      ['sam', '*', 200],
      ['olive', NOWHERE, 400],
    ] as const)('%s puts %s into it: %i', async (who, uid, expected) => {
      const { id } = await world.mint(who, [])
      const client = await world.as(who)
      expect(await status(client.editToken({ id, allowed_libraries: [uid] }))).toBe(expected)
      expect(await world.listed(id)).toEqual(expected === 200 ? [uid] : [])
      expect(await status(client.mintToken({ name: 'n', allowed_libraries: [uid] }))).toBe(expected)
    })

    test('a reader, keeps what a manager has put there, however else the list changes', async () => {
      const { id } = await world.mint('rita', [])
      await allow('mia', id)
      const client = await world.as('rita')
      const both = [LIBRARY.g, LIBRARY.a]
      expect(await client.editToken({ id, allowed_libraries: both })).toMatchObject({
        allowed_libraries: both,
      })
      await client.editToken({ id, allowed_libraries: [LIBRARY.g] })
      expect(await status(client.editToken({ id, allowed_libraries: both }))).toBe(400)
    })

    test('keeps nothing that they do not read any more', async () => {
      const { id } = await world.mint('rita', [LIBRARY.a])
      await world.sql.transaction((tx) =>
        tx.deleteFrom('library_membership').where('user_id', '=', world.ids.rita).execute(),
      )
      const client = await world.as('rita')
      expect(await status(client.editToken({ id, allowed_libraries: [LIBRARY.a] }))).toBe(400)
    })

    test('needs the library service for its libraries, and for nothing else', async () => {
      const { id } = await world.mint('rita', [])
      const client = await world.as('rita')
      world.library.global = null
      expect(await status(client.editToken({ id, allowed_libraries: [LIBRARY.g] }))).toBe(503)
      expect(await status(client.editToken({ id, name: 'other' }))).toBe(200)
    })
  })

  describe('an owner or manager', () => {
    const READER = '403 Only owners and managers decide in which tokens a library stands.'
    const STRANGER = '404 Library not found.'
    test.each([
      ['olive', 'rita', 'allowed'],
      ['olive', 'olive', 'allowed'],
      ['olive', 'mia', 'allowed'],
      ['omar', 'rita', 'allowed'],
      ['mia', 'rita', 'allowed'],
      ['mia', 'olive', 'allowed'],
      ['mia', 'sam', TOKEN_NOT_FOUND],
      ['mia', 'root', TOKEN_NOT_FOUND],
      ['rita', 'rita', READER],
      ['rita', 'mia', READER],
      ['sam', 'rita', STRANGER],
      ['sam', 'sam', STRANGER],
      ['root', 'rita', STRANGER],
    ] as const)(
      '%s puts the library into a token of %s, and takes it out: %s',
      async (by, whose, expected) => {
        const { id, token } = await world.mint(whose, [LIBRARY.g])
        expect((await outcome(allow(by, id))) ?? 'allowed').toBe(expected)
        expect(await world.listed(id)).toEqual(expected === 'allowed' ? [LIBRARY.g, LIBRARY.a] : [LIBRARY.g])
        if (expected === 'allowed') expect(await world.sees(token)).toEqual([LIBRARY.g, LIBRARY.a])
        expect((await outcome(disallow(by, id))) ?? 'allowed').toBe(expected)
        expect(await world.listed(id)).toEqual([LIBRARY.g])
      },
    )

    test('finds no token that there is not, is revoked, or is no member’s: all are answered alike', async () => {
      const revoked = await world.mint('rita', [])
      await (await world.as('rita')).revokeToken({ id: revoked.id })
      const strangers = await world.mint('sam', [])
      for (const method of ['PUT', 'DELETE']) {
        const answers = []
        for (const id of [NOWHERE, revoked.id, strangers.id, 'no-uid'])
          answers.push(await world.raw('mia', method, `/library/api/libraries/${LIBRARY.a}/tokens/${id}/`))
        expect(answers[0]).toMatchObject({ status: 404, text: '{"detail":"Token not found."}' })
        for (const answer of answers) expect(answer).toEqual(answers[0])
      }
    })

    test('does it twice, and it is told once', async () => {
      const { id } = await world.mint('rita', [])
      for (const change of [allow, allow, disallow, disallow]) await change('mia', id)
      const about = { actor: world.ids.mia, target: id, outcome: 'done' }
      const detail = { user_id: world.ids.rita, library_uid: LIBRARY.a }
      expect(await world.audited('user_token.library_allowed')).toEqual([{ ...about, detail }])
      expect(await world.audited('user_token.library_removed')).toEqual([{ ...about, detail }])
    })

    test('cannot take it out of a token that allows everything', async () => {
      const { id } = await world.mint('rita', ['*'])
      await allow('mia', id)
      expect(await world.listed(id)).toEqual(['*'])
      expect(await outcome(disallow('mia', id))).toMatch(/^409 .*membership/)
    })

    test('does not lose what others put there at the same moment', async () => {
      const libraries = Array.from(
        { length: 5 },
        (_, index) => `00000000-0000-4000-8000-0000000001${String(index).padStart(2, '0')}`,
      )
      const internal = await world.internal()
      for (const uid of libraries) {
        world.library.owned.push({ uid, owner_username: 'rita', workspace_id: null })
        await internal.putOwner({ library_uid: uid, username: 'rita' })
      }
      const { id } = await world.mint('rita', [])
      await Promise.all(libraries.map((uid) => allow('rita', id, uid)))
      expect((await world.listed(id)).sort()).toEqual(libraries)
    })
  })

  test('a token may be told of by the id that its user sees', async () => {
    const client = await world.as('rita' satisfies Person)
    const { id, token } = await client.mintToken({ name: 'laptop' })
    await allow('mia', id)
    expect(await world.sees(token)).toEqual([LIBRARY.a])
  })
}

describe('libraries in tokens on SQLite', () => {
  let dir: string
  let count = 0
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'mnemosyne-tokens-'))
  })
  afterAll(() => rm(dir, { recursive: true }))
  suite(async () => `sqlite:${join(dir, `${count++}.db`)}`)
})

await describePostgres('libraries in tokens on PostgreSQL', suite)
