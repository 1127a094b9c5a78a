import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describePostgres } from '@mnemosyne/platform/testing'
import { SignJWT } from 'jose'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { compact, decode, openSpecimen, secretOf, signed } from './forgery.ts'
import { LIBRARY } from './harness.ts'
import { OTHER_TEAM, openTeamsWorld, SIGNING_KEYS, TEAM, TEAMS, type TeamsWorld } from './teams-world.ts'

const TEN_YEARS = 315_360_000
const SIGNATURE = 'bad_signature: Invalid MCP token.'
const KID = 'unknown_kid: Invalid MCP token.'
const CLAIMS = 'bad_claims: Invalid MCP token.'
const STALE = 'stale_jti: Invalid MCP token.'

let world: TeamsWorld
let jwt: string
let secret: Buffer
let header: Record<string, unknown>
let claims: Record<string, unknown>

const seconds = () => world.time.now.getTime() / 1000
const forge = (change: object = {}, head: object = {}) =>
  compact({ header: { ...header, ...head }, claims: { ...claims, ...change }, key: secret })
const put = (workspace_ids: string[]) =>
  world.rest('alice', 'PUT', `${TEAMS}${TEAM}/workspaces/`, { workspace_ids })
const librariesSeen = async (token = jwt) => {
  const found = await world.resolution(token)
  return found.outcome === 'resolved' ? found.principal.resolved_libraries : found
}

function suite(freshUrl: () => Promise<string>): void {
  beforeEach(async () => {
    world = await openTeamsWorld(await freshUrl())
    ;({ jwt, secret, header, claims } = await openSpecimen(world))
  })
  afterEach(() => world.close())

  describe('a token', () => {
    test('says what was agreed, and nothing else', async () => {
      const team = (await world.rest('alice', 'GET', `${TEAMS}${TEAM}/`)).body
      expect(header).toEqual({ alg: 'HS256', kid: 'k1' })
      expect(claims).toEqual({
        iss: 'mnemosyne',
        aud: 'mnemosyne',
        sub: `team:${TEAM}`,
        typ: 'team',
        iat: seconds(),
        exp: seconds() + TEN_YEARS,
        jti: team.active_jti,
      })
      expect(signed(jwt.split('.').slice(0, 2).join('.'), secret)).toBe(jwt)
      expect(secret).toHaveLength(32)
    })

    test('is its team on MCP, for which its owner acts', async () => {
      const { user } = await world.auth.admin.localPrincipal('alice', world.call)
      expect(await world.resolution(jwt)).toEqual({
        outcome: 'resolved',
        principal: {
          kind: 'team',
          surface: 'mcp',
          user: { id: user!.id, username: 'alice', staff: 'none' },
          team_id: TEAM,
          token_id: null,
          session_id: null,
          address: null,
          resolved_libraries: [],
          writable_libraries: [],
          owned_libraries: [],
          allowed_tools: [],
        },
      })
    })

    test('has no rights of its owner beside reading, also of staff', async () => {
      const made = await world.rest('root', 'POST', TEAMS, { id: OTHER_TEAM, name: 'n' })
      expect(await world.resolution(made.body.jwt)).toMatchObject({
        principal: { user: { username: 'root', staff: 'none' } },
      })
    })

    test('is nothing on REST', async () => {
      expect(await world.resolve(`Bearer ${jwt}`, 'rest')).toEqual({
        outcome: 'refused',
        reason: 'team_on_rest',
        detail: 'Team tokens are accepted on MCP only.',
      })
    })

    test('is good again and again, also by whoever signs with the key as we do', async () => {
      for (let use = 0; use < 3; use++) expect(await world.present(jwt)).toBe('team of alice')
      const own = await new SignJWT(claims).setProtectedHeader({ ...header, alg: 'HS256' }).sign(secret)
      expect(await world.present(own)).toBe('team of alice')
      expect(await world.present(forge())).toBe('team of alice')
    })
  })

  describe('a team reads', () => {
    const library = (uid: string, workspace_id: string, owner_username = 'alice') => ({
      uid,
      workspace_id,
      owner_username,
    })

    test('the libraries of its workspaces that are its owner’s, as they are at this moment', async () => {
      world.library.owned = [library(LIBRARY.b, 'wb'), library(LIBRARY.a, 'wa'), library(LIBRARY.g, 'wx')]
      await put(['wb', 'wa', 'w-later'])
      expect(await librariesSeen()).toEqual([LIBRARY.a, LIBRARY.b])
      await put(['wb'])
      expect(await librariesSeen()).toEqual([LIBRARY.b])
      world.library.owned[0]!.owner_username = 'bob'
      expect(await librariesSeen()).toEqual([])
      await put(['w-later'])
      const later = '00000000-0000-4000-8000-0000000000cc'
      world.library.owned.push(library(later, 'w-later'))
      expect(await librariesSeen()).toEqual([later])
      world.library.owned = []
      expect(await librariesSeen()).toEqual([])
    })

    test('nothing of another’s workspace, which it may name, nor of global libraries', async () => {
      world.library.owned = [library(LIBRARY.b, 'of-bob', 'bob')]
      const named = await put(['of-bob', 'of-nobody'])
      expect([named.status, named.body]).toEqual([200, { workspace_ids: ['of-bob', 'of-nobody'] }])
      expect(await librariesSeen()).toEqual([])
    })

    test('nothing, for which nobody is asked, without a workspace', async () => {
      const asked: string[] = []
      world.library.before = (operation) => void asked.push(operation)
      expect(await librariesSeen()).toEqual([])
      expect(asked).toEqual([])
      await put(['w'])
      asked.length = 0
      expect(await librariesSeen()).toEqual([])
      expect(asked).toEqual(['libraries-of'])
    })

    test('nothing while nobody knows what: there is no answer', async () => {
      await put(['w'])
      world.library.global = null
      await expect(world.resolution(jwt)).rejects.toMatchObject({ status: 503 })
      expect(await world.present(forge({ jti: OTHER_TEAM }))).toBe(STALE)
    })
  })

  describe('what stands in the database decides, on the next request', () => {
    test('the team', async () => {
      expect(await world.present(forge({ sub: `team:${OTHER_TEAM}` }))).toBe(
        'unknown_team: Invalid MCP token.',
      )
      const fresh = await world.rest('alice', 'POST', `${TEAMS}${TEAM}/rotate/`)
      expect(await world.present(jwt)).toBe(STALE)
      await world.rest('alice', 'DELETE', `${TEAMS}${TEAM}/`)
      expect(await world.present(fresh.body.jwt)).toBe('inactive_team: Team JWT references an inactive team.')
    })

    test('its owner', async () => {
      await world.auth.admin.disableUser('alice')
      expect(await world.present(jwt)).toBe('owner_disabled: Team owner is disabled.')
    })

    test('its identifier, to the last character', async () => {
      const jti = claims.jti as string
      for (const other of ['', jti.slice(0, -1), `${jti}0`, jti.toUpperCase(), `${jti} `, '\0', 'null']) {
        expect(await world.present(forge({ jti: other })), JSON.stringify(other)).toBe(STALE)
      }
    })

    test('a team that is active without a token has none', async () => {
      await world.auth.admin.disableTeam(TEAM)
      await world.rest('root', 'PATCH', `/admin/api/teams/${TEAM}/`, { active: true })
      for (const jti of ['', 'null', claims.jti]) expect(await world.present(forge({ jti }))).toBe(STALE)
      expect(await world.present(forge({ jti: null }))).toBe(CLAIMS)
    })
  })

  describe('signing keys', () => {
    test('overlap: the old one’s tokens are good beside the new one’s, until it is retired', async () => {
      await world.seed('k2')
      const made = await world.rest('bob', 'POST', TEAMS, { id: OTHER_TEAM, name: 'n' })
      expect(decode(made.body.jwt, 0)).toEqual({ alg: 'HS256', kid: 'k2' })
      expect(await world.present(jwt)).toBe('team of alice')
      expect(await world.present(made.body.jwt)).toBe('team of bob')
      const crossed = compact({ header: { ...header, kid: 'k2' }, claims, key: secret })
      expect(await world.present(crossed)).toBe(SIGNATURE)
      await world.auth.admin.retireSigningKey('k1')
      expect(await world.present(jwt)).toBe(KID)
      expect(await world.present(made.body.jwt)).toBe('team of bob')
      const fresh = await world.rest('alice', 'POST', `${TEAMS}${TEAM}/rotate/`)
      expect(await world.present(fresh.body.jwt)).toBe('team of alice')
    })

    test('are retired with the seeding of another, when asked', async () => {
      await world.seed('k2', true)
      expect(await world.present(jwt)).toBe(KID)
    })

    test('sign and verify nothing without a secret, as after a restore of a backup that has none', async () => {
      await world.sql.transaction((tx) => tx.updateTable('signing_key').set({ secret: '' }).execute())
      expect(await world.present(jwt)).toBe(KID)
      expect(await world.present(compact({ header, claims, key: '' }))).toBe(KID)
      expect((await world.rest('alice', 'POST', `${TEAMS}${TEAM}/rotate/`)).status).toBe(503)
    })

    test('are listed without their secrets, seeded and retired for good by staff', async () => {
      world.time.now = new Date('2030-01-02T00:00:00Z')
      const seeded = await world.rest('root', 'POST', SIGNING_KEYS, { kid: 'k2' })
      expect([seeded.status, seeded.body]).toEqual([
        200,
        { kid: 'k2', is_current: true, created_at: '2030-01-02T00:00:00.000Z', retired_at: null },
      ])
      const retire = (kid: string) => world.rest('root', 'POST', `${SIGNING_KEYS}${kid}/retire/`)
      world.time.now = new Date('2030-01-03T00:00:00Z')
      const retired = await retire('k2')
      expect([retired.status, retired.body]).toEqual([
        200,
        { ...seeded.body, is_current: false, retired_at: '2030-01-03T00:00:00.000Z' },
      ])
      world.time.now = new Date('2030-01-04T00:00:00Z')
      expect((await retire('k2')).body).toEqual(retired.body)
      const list = await world.rest('root', 'GET', SIGNING_KEYS)
      expect(list.body).toEqual([
        { kid: 'k1', is_current: false, created_at: '2030-01-01T00:00:00.000Z', retired_at: null },
        retired.body,
      ])
      expect(await world.auth.admin.listSigningKeys()).toEqual(list.body)
      for (const kid of ['k1', 'k2']) {
        expect(list.text + seeded.text + retired.text).not.toContain(
          (await secretOf(world, kid)).toString('hex'),
        )
      }
      expect(await world.audited('signing_key.retired')).toMatchObject([{ target: 'k2' }])
      const again = await world.rest('root', 'POST', SIGNING_KEYS, { kid: 'k2' })
      expect([again.status, again.body.detail]).toEqual([409, expect.stringContaining('retired')])
    })

    test('when the one that signs is retired, nothing is minted until another is seeded', async () => {
      await world.auth.admin.retireSigningKey('k1')
      expect((await world.rest('alice', 'POST', `${TEAMS}${TEAM}/rotate/`)).status).toBe(503)
      expect((await world.rest('alice', 'POST', TEAMS, { id: OTHER_TEAM, name: 'n' })).status).toBe(503)
      await world.seed('k2')
      expect((await world.rest('alice', 'POST', `${TEAMS}${TEAM}/rotate/`)).status).toBe(200)
    })

    test.each([
      ['POST', '', { kid: 'a b' }, 400, { kid: ['A kid has 1 to 64 letters, digits and . _ - characters.'] }],
      ['POST', '', {}, 400, { kid: [expect.any(String)] }],
      ['POST', 'nope/retire/', undefined, 404, { detail: 'Signing key not found.' }],
      ['POST', 'a%20b/retire/', undefined, 404, { detail: 'Signing key not found.' }],
    ])('%s %s %j', async (method, path, body, status, expected) => {
      const answer = await world.rest('root', method, SIGNING_KEYS + path, body)
      expect([answer.status, answer.body]).toEqual([status, expected])
    })

    test('are not for others, and not retired by those who may only change', async () => {
      const root = await world.auth.admin.localPrincipal('root', world.call)
      const changes = { ...root, user: { ...root.user!, staff: 'change' as const } }
      for (const refused of [
        await world.rest('alice', 'GET', SIGNING_KEYS),
        await world.rest('alice', 'POST', SIGNING_KEYS, { kid: 'k2' }),
        await world.rest('alice', 'POST', `${SIGNING_KEYS}k1/retire/`),
        await world.rest('alice', 'POST', `${SIGNING_KEYS}nope/retire/`),
        await world.rest(changes, 'POST', `${SIGNING_KEYS}k1/retire/`),
        await world.rest(changes, 'POST', SIGNING_KEYS, { kid: 'k2', retire_other: true }),
      ]) {
        expect([refused.status, refused.body]).toEqual([403, { detail: 'Only staff may do this.' }])
      }
      expect((await world.rest(changes, 'POST', SIGNING_KEYS, { kid: 'k2' })).status).toBe(200)
      expect(await world.present(jwt)).toBe('team of alice')
    })

    test('and tokens stand in no log, audit record or event', async () => {
      const fresh = await world.rest('alice', 'POST', `${TEAMS}${TEAM}/rotate/`)
      await world.present(fresh.body.jwt)
      const [audit, outbox] = await Promise.all([
        world.sql.read.selectFrom('audit_log').selectAll().execute(),
        world.sql.read.selectFrom('outbox').selectAll().execute(),
      ])
      const told = JSON.stringify([world.lines, audit, outbox, world.events])
      for (const hidden of [secret.toString('hex'), jwt.split('.')[2]!, fresh.body.jwt.split('.')[2]]) {
        expect(told).not.toContain(hidden)
      }
    })
  })
}

describe('team tokens on SQLite', () => {
  let dir: string
  let count = 0
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'mnemosyne-team-tokens-'))
  })
  afterAll(() => rm(dir, { recursive: true }))
  suite(async () => `sqlite:${join(dir, `${count++}.db`)}`)
})

await describePostgres('team tokens on PostgreSQL', suite)
