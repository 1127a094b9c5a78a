import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { servicePrincipal } from '@mnemosyne/contracts'
import { describePostgres } from '@mnemosyne/platform/testing'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  ADMIN_TEAMS,
  type Answer,
  OTHER_TEAM,
  openTeamsWorld,
  TEAM,
  TEAMS,
  type TeamsWorld,
} from './teams-world.ts'

const UID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/
const JWT = /^[\w-]+\.[\w-]+\.[\w-]{43}$/
const STALE = 'stale_jti: Invalid MCP token.'
const NO_KEY = 'There is no signing key to mint with. Make one: mnemosyne seed-signing-key --kid NAME'

let world: TeamsWorld

const create = (who: string, id = TEAM, name = 'Research') => world.rest(who, 'POST', TEAMS, { id, name })
const read = (who: string, id = TEAM) => world.rest(who, 'GET', `${TEAMS}${id}/`)
const remove = (who: string, id = TEAM) => world.rest(who, 'DELETE', `${TEAMS}${id}/`)
const rotate = (who: string, id = TEAM) => world.rest(who, 'POST', `${TEAMS}${id}/rotate/`)
const put = (who: string, workspace_ids: unknown, id = TEAM) =>
  world.rest(who, 'PUT', `${TEAMS}${id}/workspaces/`, { workspace_ids })
const edit = (who: string, change: object, id = TEAM) =>
  world.rest(who, 'PATCH', `${ADMIN_TEAMS}${id}/`, change)
const idOf = async (username: string) => {
  const { user } = await world.auth.admin.localPrincipal(username, world.call)
  return user!.id
}
const seen = ({ status, text, headers }: Answer) => ({ status, text, headers })
const linesOf = (start: string) =>
  world.lines.filter(({ msg }) => msg.startsWith(start)).map(({ level, msg }) => `${level} ${msg}`)
const metric = async (name: string) => {
  const text = await (await world.auth.fetch(new Request('http://auth/metrics'))).text()
  return Number(new RegExp(`^${name}\\{.*\\} (\\d+)$`, 'm').exec(text)?.[1])
}
const teamsInStore = () => world.sql.read.selectFrom('team').selectAll().execute()
const changes = () => world.events.filter(({ type }) => type === 'team.changed.v1')

function suite(freshUrl: () => Promise<string>): void {
  let url: string
  beforeEach(async () => {
    url = await freshUrl()
    world = await openTeamsWorld(url)
    await world.seed('k1')
  })
  afterEach(() => world.close())

  describe('POST /', () => {
    test('creates a team and shows its token, once', async () => {
      const made = await create('alice')
      expect(made.status).toBe(201)
      const { jwt, ...team } = made.body
      expect(team).toEqual({
        id: TEAM,
        name: 'Research',
        active: true,
        active_jti: expect.stringMatching(UID),
        workspace_ids: [],
        created_at: '2030-01-01T00:00:00.000Z',
        updated_at: '2030-01-01T00:00:00.000Z',
      })
      expect(jwt).toMatch(JWT)
      expect(await world.present(jwt)).toBe('team of alice')
      expect((await read('alice')).body).toEqual(team)
      const jti = team.active_jti
      expect(linesOf('team_')).toEqual([
        `info team_jwt_minted team_id=${TEAM} kid=k1 jti=${jti}`,
        `info team_create created team_id=${TEAM} name=Research jti=${jti}`,
      ])
      const alice = await idOf('alice')
      expect(await world.audited('team.created')).toEqual([
        { actor: alice, target: TEAM, outcome: 'done', detail: { name: 'Research', jti } },
      ])
      expect(await world.audited('team.jwt_minted')).toMatchObject([{ detail: { kid: 'k1', jti } }])
      await expect.poll(changes).toEqual([{ type: 'team.changed.v1', data: { team_id: TEAM } }])
    })

    test('repeated by its owner changes nothing and mints nothing', async () => {
      const jwt = await world.newTeam()
      await put('alice', ['w'])
      world.time.now = new Date('2030-02-02T00:00:00Z')
      const again = await create('alice', TEAM.toUpperCase(), 'Another name')
      expect(again.status).toBe(200)
      expect(again.body).toEqual((await read('alice')).body)
      expect(again.body).toMatchObject({ name: 'Research', active: true, workspace_ids: ['w'] })
      expect(again.body).not.toHaveProperty('jwt')
      expect(await world.present(jwt)).toBe('team of alice')
      expect(linesOf('team_create idempotent_hit')).toEqual([
        `info team_create idempotent_hit team_id=${TEAM} active=true`,
      ])
    })

    test('repeated for an inactive team undeletes nothing', async () => {
      await world.newTeam()
      await remove('alice')
      const again = await create('alice')
      expect(again.status).toBe(200)
      expect(again.body).toMatchObject({ active: false, active_jti: null })
      expect(again.body).not.toHaveProperty('jwt')
      expect(linesOf('team_create idempotent_hit')).toEqual([
        `info team_create idempotent_hit team_id=${TEAM} active=false`,
      ])
    })

    test('with an id of another owner is refused', async () => {
      const jwt = await world.newTeam()
      const taken = await create('bob')
      expect([taken.status, taken.body]).toEqual([409, { detail: 'Team id is already in use.' }])
      expect(await world.present(jwt)).toBe('team of alice')
      const bob = await idOf('bob')
      expect(linesOf('team_create owner_conflict')).toEqual([
        `warn team_create owner_conflict team_id=${TEAM} caller=${bob}`,
      ])
      expect(await world.audited('team.created')).toMatchObject([
        { outcome: 'done' },
        { actor: bob, target: TEAM, outcome: 'refused', detail: { caller: bob } },
      ])
    })

    test('without a signing key creates nothing; what is there is still answered', async () => {
      await world.newTeam(OTHER_TEAM)
      await world.auth.admin.retireSigningKey('k1')
      const refused = await create('alice')
      expect([refused.status, refused.body]).toEqual([503, { detail: NO_KEY }])
      expect((await teamsInStore()).map(({ id }) => id)).toEqual([OTHER_TEAM])
      expect((await read('alice')).status).toBe(404)
      expect(linesOf('team_create mint_failed')).toEqual([
        `error team_create mint_failed team_id=${TEAM} reason=${NO_KEY}`,
      ])
      expect(await world.audited('team.created')).toMatchObject([{ outcome: 'done' }, { outcome: 'refused' }])
      expect((await create('alice', OTHER_TEAM)).status).toBe(200)
      expect((await create('bob', OTHER_TEAM)).status).toBe(409)
      await world.seed('k2')
      expect((await create('alice')).status).toBe(201)
    })

    test.each([
      ['no id', { name: 'n' }, 'id'],
      ['an id that is no uuid', { id: 'x', name: 'n' }, 'id'],
      ['an id with braces', { id: `{${TEAM}}`, name: 'n' }, 'id'],
      ['an id of NUL', { id: `${TEAM.slice(1)}\0`, name: 'n' }, 'id'],
      ['an id that is a number', { id: 7, name: 'n' }, 'id'],
      ['no name', { id: TEAM }, 'name'],
      ['a blank name', { id: TEAM, name: ' ' }, 'name'],
      ['a long name', { id: TEAM, name: 'x'.repeat(201) }, 'name'],
      ['a name with NUL', { id: TEAM, name: 'a\0b' }, 'name'],
      ['half a character', { id: TEAM, name: '\ud800' }, 'name'],
    ])('refuses %s', async (_, body, field) => {
      const refused = await world.rest('alice', 'POST', TEAMS, body)
      expect([refused.status, Object.keys(refused.body)]).toEqual([400, [field]])
      expect(refused.body[field]).toEqual([expect.any(String)])
      expect(await teamsInStore()).toEqual([])
    })

    test('takes a name of 200 characters, and of any', async () => {
      expect((await create('alice', TEAM, '字'.repeat(200))).body.name).toBe('字'.repeat(200))
      expect((await create('alice', OTHER_TEAM, "  '; drop table team; -- ")).body.name).toBe(
        "'; drop table team; --",
      )
    })
  })

  describe("what is somebody else's is as what is not there", () => {
    const calls: [string, (id: string) => Promise<Answer>][] = [
      ['GET', (id) => read('bob', id)],
      ['DELETE', (id) => remove('bob', id)],
      ['PUT', (id) => put('bob', ['w'], id)],
      ['staff, GET', (id) => read('root', id)],
      ['staff, DELETE', (id) => remove('root', id)],
    ]
    test.each(calls)('%s', async (_, call) => {
      const jwt = await world.newTeam()
      const others = await call(TEAM)
      expect([others.status, others.text]).toEqual([404, '{"detail":"Team not found."}'])
      for (const id of [OTHER_TEAM, 'no-uuid', '%25', "'--", 'x'.repeat(300)]) {
        expect(seen(await call(id)), id).toEqual(seen(others))
      }
      expect(await world.present(jwt)).toBe('team of alice')
      expect((await read('alice')).body).toMatchObject({ active: true, workspace_ids: [] })
    })
  })

  test('an id is found in either case', async () => {
    await world.newTeam('abcdef00-0000-4000-8000-000000000001')
    const upper = 'ABCDEF00-0000-4000-8000-000000000001'
    expect((await read('alice', upper)).status).toBe(200)
    expect((await put('alice', ['w'], upper)).status).toBe(200)
    expect((await rotate('alice', upper)).status).toBe(200)
    expect((await remove('alice', upper)).status).toBe(204)
  })

  describe('DELETE', () => {
    test('ends the token at once, and is repeated without effect', async () => {
      const jwt = await world.newTeam()
      await put('alice', ['w'])
      const gone = await remove('alice')
      expect([gone.status, gone.text]).toEqual([204, ''])
      expect(await world.present(jwt)).toBe('inactive_team: Team JWT references an inactive team.')
      expect((await read('alice')).body).toMatchObject({
        active: false,
        active_jti: null,
        workspace_ids: ['w'],
      })
      expect((await remove('alice')).status).toBe(204)
      expect(linesOf('team_delete')).toEqual([
        `info team_delete team_id=${TEAM} was_active=true`,
        `info team_delete team_id=${TEAM} was_active=false`,
      ])
      await expect.poll(changes).toHaveLength(3)
    })
  })

  describe('PUT workspaces', () => {
    test('replaces the set, and touches only what differs', async () => {
      await world.newTeam()
      const first = await put('alice', ['b', 'a', 'b', ' a '])
      expect([first.status, first.body]).toEqual([200, { workspace_ids: ['a', 'b'] }])
      world.time.now = new Date('2030-01-02T00:00:00Z')
      expect((await put('alice', ['z', 'b', 'Z', 'ä'])).body).toEqual({
        workspace_ids: ['Z', 'b', 'z', 'ä'],
      })
      const rows = await world.sql.read
        .selectFrom('team_workspace_assignment')
        .select(['workspace_id', 'created_at'])
        .orderBy('workspace_id')
        .execute()
      expect(rows.map((row) => `${row.workspace_id} ${row.created_at.slice(0, 10)}`)).toEqual([
        'Z 2030-01-02',
        'b 2030-01-01',
        'z 2030-01-02',
        'ä 2030-01-02',
      ])
      expect((await read('alice')).body.updated_at).toBe('2030-01-02T00:00:00.000Z')
      world.time.now = new Date('2030-01-03T00:00:00Z')
      await put('alice', ['Z', 'b', 'z', 'ä'])
      expect((await read('alice')).body.updated_at).toBe('2030-01-02T00:00:00.000Z')
      expect((await put('alice', [])).body).toEqual({ workspace_ids: [] })
      expect(linesOf('team_workspaces_updated')).toEqual([
        `info team_workspaces_updated team_id=${TEAM} added=2 removed=0 total=2`,
        `info team_workspaces_updated team_id=${TEAM} added=3 removed=1 total=4`,
        `info team_workspaces_updated team_id=${TEAM} added=0 removed=0 total=4`,
        `info team_workspaces_updated team_id=${TEAM} added=0 removed=4 total=0`,
      ])
      expect((await world.audited('team.workspaces_updated'))[1]).toMatchObject({
        detail: { added: 3, removed: 1, total: 4 },
      })
      await expect.poll(changes).toHaveLength(4)
    })

    test('takes ten thousand, each of 64 characters, and the team still resolves', async () => {
      const jwt = await world.newTeam()
      const many = Array.from({ length: 10_000 }, (_, n) => `w${n}`.padEnd(64, 'x')).sort()
      expect((await put('alice', many)).body.workspace_ids).toEqual(many)
      expect((await put('alice', many.slice(1))).body.workspace_ids).toHaveLength(9_999)
      world.library.owned = [many[1]!, many.at(-1)!].map((workspace_id, n) => ({
        uid: `00000000-0000-4000-8000-00000000000${n}`,
        owner_username: 'alice',
        workspace_id,
      }))
      expect(await world.resolution(jwt)).toMatchObject({
        principal: { resolved_libraries: world.library.owned.map(({ uid }) => uid) },
      })
      expect((await put('alice', [...many, 'w', 'v'])).status).toBe(400)
    })

    test.each([
      ['nothing', undefined],
      ['null', null],
      ['one text', 'w'],
      ['a number among them', ['w', 1]],
      ['a blank', ['w', ' ']],
      ['a long one', ['x'.repeat(65)]],
      ['one with NUL', ['a\0']],
    ])('refuses %s', async (_, workspace_ids) => {
      await world.newTeam()
      await put('alice', ['kept'])
      const refused = await put('alice', workspace_ids)
      expect(refused.status).toBe(400)
      expect(Object.keys(refused.body)[0]).toMatch(/^workspace_ids/)
      expect((await read('alice')).body.workspace_ids).toEqual(['kept'])
    })
  })

  describe('POST rotate', () => {
    test('mints anew, and the token before dies at once', async () => {
      const old = await world.newTeam()
      const oldJti = (await read('alice')).body.active_jti
      world.time.now = new Date('2030-01-02T00:00:00Z')
      const rotated = await rotate('alice')
      expect([rotated.status, Object.keys(rotated.body)]).toEqual([200, ['jwt']])
      const { active_jti, updated_at } = (await read('alice')).body
      expect([active_jti === oldJti, updated_at]).toEqual([false, '2030-01-02T00:00:00.000Z'])
      expect(await world.present(old)).toBe(STALE)
      expect(await world.present(rotated.body.jwt)).toBe('team of alice')
      expect(linesOf('team_rotate')).toEqual([`info team_rotate team_id=${TEAM} new_jti=${active_jti}`])
      expect(linesOf('team_jwt_minted').at(-1)).toBe(
        `info team_jwt_minted team_id=${TEAM} kid=k1 jti=${active_jti}`,
      )
      expect(await world.audited('team.rotated')).toMatchObject([{ detail: { new_jti: active_jti } }])
      expect(await metric('mnemosyne_team_rotate_upserts_total')).toBe(0)
    })

    test('makes a team that is missing, and counts that', async () => {
      const rotated = await rotate('alice', TEAM)
      expect(rotated.status).toBe(200)
      expect(await world.present(rotated.body.jwt)).toBe('team of alice')
      expect((await read('alice')).body).toMatchObject({ name: TEAM, active: true, workspace_ids: [] })
      const alice = await idOf('alice')
      expect(linesOf('team_rotate upserted_missing')).toEqual([
        `info team_rotate upserted_missing team_id=${TEAM} owner=${alice}`,
      ])
      expect(await world.audited('team.created_by_rotation')).toMatchObject([
        { actor: alice, target: TEAM, outcome: 'done', detail: { owner: alice } },
      ])
      await rotate('alice')
      expect(await metric('mnemosyne_team_rotate_upserts_total')).toBe(1)
    })

    test("refuses another owner's team", async () => {
      const jwt = await world.newTeam()
      const refused = await rotate('bob')
      expect([refused.status, refused.body]).toEqual([409, { detail: 'Team id is already in use.' }])
      expect(await world.present(jwt)).toBe('team of alice')
      const bob = await idOf('bob')
      expect(linesOf('team_rotate')).toEqual([
        `warn team_rotate owner_conflict team_id=${TEAM} caller=${bob}`,
      ])
      expect(await world.audited('team.rotated')).toMatchObject([{ actor: bob, outcome: 'refused' }])
      await remove('alice')
      expect((await rotate('bob')).body).toEqual({ detail: 'Team id is already in use.' })
    })

    test('refuses an inactive team', async () => {
      await world.newTeam()
      await remove('alice')
      const refused = await rotate('alice')
      expect([refused.status, refused.body]).toEqual([
        409,
        { detail: 'Team is inactive; cannot rotate. Recreate it instead.' },
      ])
      expect((await read('alice')).body).toMatchObject({ active: false, active_jti: null })
    })

    test('without a signing key changes nothing', async () => {
      const jwt = await world.newTeam()
      await world.sql.transaction((tx) =>
        tx
          .updateTable('signing_key')
          .set({ is_current: 0 })
          .execute()
          .then(() => {}),
      )
      const refused = await rotate('alice')
      expect([refused.status, refused.body]).toEqual([503, { detail: NO_KEY }])
      expect(await world.present(jwt)).toBe('team of alice')
      expect((await rotate('alice', OTHER_TEAM)).status).toBe(503)
      expect((await read('alice', OTHER_TEAM)).status).toBe(404)
      expect(linesOf('team_rotate')).toEqual([
        `error team_rotate mint_failed team_id=${TEAM} reason=${NO_KEY}`,
        `error team_rotate mint_failed team_id=${OTHER_TEAM} reason=${NO_KEY}`,
      ])
      expect(await metric('mnemosyne_team_rotate_upserts_total')).toBe(0)
    })

    test('refuses an id that is no uuid', async () => {
      const refused = await rotate('alice', 'no-uuid')
      expect([refused.status, Object.keys(refused.body)]).toEqual([400, ['id']])
      expect(await teamsInStore()).toEqual([])
    })
  })

  test('a list has the caller’s own, newest first, by page', async () => {
    await create('bob', 'ffffffff-0000-4000-8000-000000000000')
    const ids = [1, 2, 3].map((n) => `${n}0000000-0000-4000-8000-000000000000`)
    for (const [n, id] of ids.entries()) {
      world.time.now = new Date(Date.UTC(2030, 0, 1, n))
      await create('alice', id)
    }
    await put('alice', ['w'], ids[1])
    const page = await world.rest('alice', 'GET', `${TEAMS}?limit=2`)
    expect(page.headers['x-total-count']).toBe('3')
    expect(page.body.map((team: { id: string }) => team.id)).toEqual([ids[2], ids[1]])
    expect(page.body[1]).toEqual((await read('alice', ids[1])).body)
    expect((await world.rest('root', 'GET', TEAMS)).body).toEqual([])
  })

  test('only a person has teams, and only over REST', async () => {
    const alice = await world.auth.admin.localPrincipal('alice', world.call)
    for (const nobody of [servicePrincipal('rest'), { ...alice, surface: 'mcp' as const }]) {
      expect((await world.rest(nobody, 'POST', TEAMS, { id: TEAM, name: 'n' })).status).toBe(403)
      expect((await world.rest(nobody, 'GET', TEAMS)).status).toBe(403)
      expect((await world.rest(nobody, 'POST', `${TEAMS}${TEAM}/rotate/`)).status).toBe(403)
    }
    expect(await teamsInStore()).toEqual([])
  })

  describe('staff', () => {
    test('list everybody’s teams, or one owner’s', async () => {
      await world.newTeam()
      await create('bob', OTHER_TEAM)
      const all = await world.rest('root', 'GET', ADMIN_TEAMS)
      expect(all.headers['x-total-count']).toBe('2')
      expect(all.body.map((team: { owner_username: string }) => team.owner_username)).toEqual([
        'alice',
        'bob',
      ])
      const bobs = await world.rest('root', 'GET', `${ADMIN_TEAMS}?owner=bob`)
      expect(bobs.body).toEqual([{ ...(await read('bob', OTHER_TEAM)).body, owner_username: 'bob' }])
      expect(bobs.headers['x-total-count']).toBe('1')
      expect((await world.rest('root', 'GET', `${ADMIN_TEAMS}?owner=nemo`)).body).toEqual([])
    })

    test('rename a team; its token stays good', async () => {
      const jwt = await world.newTeam()
      const renamed = await edit('root', { name: ' Other ' }, TEAM.toUpperCase().toLowerCase())
      expect(renamed.body).toMatchObject({ name: 'Other', active: true, owner_username: 'alice' })
      expect(await world.present(jwt)).toBe('team of alice')
      expect(await world.audited('team.renamed')).toMatchObject([
        { actor: await idOf('root'), target: TEAM, detail: { name: 'Other' } },
      ])
    })

    test('deactivate and reactivate a team; no token before it is rotated', async () => {
      const jwt = await world.newTeam()
      expect((await edit('root', { active: false })).body).toMatchObject({ active: false, active_jti: null })
      expect(await world.present(jwt)).toBe('inactive_team: Team JWT references an inactive team.')
      const active = await edit('root', { active: true })
      expect(active.body).toMatchObject({ active: true, active_jti: null })
      expect(active.body).not.toHaveProperty('jwt')
      expect(await world.present(jwt)).toBe(STALE)
      const fresh = await rotate('alice')
      expect(await world.present(fresh.body.jwt)).toBe('team of alice')
      expect(await world.present(jwt)).toBe(STALE)
      expect(await world.audited('team.reactivated')).toHaveLength(1)
    })

    test('who leave all as it is change nothing', async () => {
      const jwt = await world.newTeam()
      for (const change of [{}, { active: true }, { name: 'Research' }]) {
        expect((await edit('root', change)).status).toBe(200)
      }
      expect(await world.present(jwt)).toBe('team of alice')
      expect(await world.audited('team.renamed')).toEqual([])
      await expect.poll(changes).toHaveLength(1)
    })

    test.each(['alice', 'bob'])('are not %s', async (username) => {
      await world.newTeam()
      for (const refused of [
        await world.rest(username, 'GET', ADMIN_TEAMS),
        await edit(username, { active: false }),
        await edit(username, { active: false }, OTHER_TEAM),
      ]) {
        expect([refused.status, refused.body]).toEqual([403, { detail: 'Only staff may do this.' }])
      }
      expect((await read('alice')).body.active).toBe(true)
    })

    test('who only look may not change', async () => {
      await world.newTeam()
      const root = await world.auth.admin.localPrincipal('root', world.call)
      const looks = { ...root, user: { ...root.user!, staff: 'view' as const } }
      expect((await world.rest(looks, 'GET', ADMIN_TEAMS)).status).toBe(200)
      expect((await world.rest(looks, 'PATCH', `${ADMIN_TEAMS}${TEAM}/`, { name: 'n' })).status).toBe(403)
    })

    test.each([TEAM, 'no-uuid'])('find no team %s', async (id) => {
      const missing = await edit('root', { name: 'n' }, id)
      expect([missing.status, missing.body]).toEqual([404, { detail: 'Team not found.' }])
    })
  })

  test('the command line lists teams and disables one', async () => {
    const jwt = await world.newTeam()
    await create('bob', OTHER_TEAM)
    expect((await world.auth.admin.listTeams()).map(({ id }) => id)).toEqual([TEAM, OTHER_TEAM])
    expect(await world.auth.admin.listTeams({ owner: 'bob' })).toMatchObject([{ id: OTHER_TEAM }])
    expect(await world.auth.admin.disableTeam(TEAM)).toMatchObject({ active: false, owner_username: 'alice' })
    await world.auth.admin.disableTeam(TEAM)
    expect(await world.present(jwt)).toBe('inactive_team: Team JWT references an inactive team.')
    expect(await world.audited('team.deactivated')).toMatchObject([{ actor: 'command-line' }])
    await expect(world.auth.admin.disableTeam('nemo')).rejects.toMatchObject({ code: 'TEAM_NOT_FOUND' })
  })

  describe('at the same moment', () => {
    const statuses = (answers: Answer[]) => answers.map(({ status }) => status).sort()
    const tokensOf = (answers: Answer[]) => answers.flatMap(({ body }) => body?.jwt ?? [])
    const good = async (tokens: string[]) => {
      const found = await Promise.all(tokens.map((jwt) => world.present(jwt)))
      return tokens.filter((_, n) => found[n] === 'team of alice')
    }

    test('of twelve creations one creates', async () => {
      const answers = await Promise.all(Array.from({ length: 12 }, () => create('alice')))
      expect(statuses(answers)).toEqual([...Array(11).fill(200), 201])
      expect(new Set(answers.map(({ body }) => body.active_jti)).size).toBe(1)
      expect(await good(tokensOf(answers))).toHaveLength(1)
    })

    test('of two owners one gets the id', async () => {
      const answers = await Promise.all(['alice', 'bob', 'alice', 'bob'].map((who) => create(who)))
      expect(statuses(answers)).toEqual([200, 201, 409, 409])
      expect(await teamsInStore()).toHaveLength(1)
    })

    test('of twelve rotations one token is good, and the missing team is made once', async () => {
      const answers = await Promise.all(Array.from({ length: 12 }, () => rotate('alice')))
      expect(statuses(answers)).toEqual(Array(12).fill(200))
      expect(await good(tokensOf(answers))).toHaveLength(1)
      expect(await metric('mnemosyne_team_rotate_upserts_total')).toBe(1)
      expect(linesOf('team_rotate upserted_missing')).toHaveLength(1)
    })

    test('of several sets of workspaces one stands whole', async () => {
      await world.newTeam()
      const sets = [['a', 'b', 'c'], ['c', 'd'], ['e'], [], ['a', 'e', 'f']]
      for (let round = 0; round < 5; round++) {
        const answers = await Promise.all(sets.map((set) => put('alice', set)))
        expect(answers.map(({ body }) => body.workspace_ids)).toEqual(sets)
        expect(sets).toContainEqual((await read('alice')).body.workspace_ids)
      }
    })

    test('whatever is done, nobody is told that we failed, and an inactive team has no token', async () => {
      for (let round = 0; round < 5; round++) {
        const id = `3000000${round}-0000-4000-8000-000000000000`
        const answers = await Promise.all([
          create('alice', id),
          rotate('alice', id),
          remove('alice', id),
          put('alice', ['w'], id),
          edit('root', { active: false }, id),
          rotate('alice', id),
          create('bob', id),
          edit('root', { active: true }, id),
        ])
        for (const { status, text } of answers) expect(status, text).toBeLessThan(500)
        const [team] = (await teamsInStore()).filter((row) => row.id === id)
        if (team!.active === 0) expect(team!.active_jti).toBeNull()
        expect((await good(tokensOf(answers))).length).toBe(
          team!.active_jti === null || answers[6]!.status === 201 ? 0 : 1,
        )
      }
    })
  })
}

describe('teams on SQLite', () => {
  let dir: string
  let count = 0
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'mnemosyne-teams-'))
  })
  afterAll(() => rm(dir, { recursive: true }))
  suite(async () => `sqlite:${join(dir, `${count++}.db`)}`)
})

await describePostgres('teams on PostgreSQL', suite)

await describePostgres('teams on two replicas', (freshUrl) => {
  let other: TeamsWorld
  beforeEach(async () => {
    const url = await freshUrl()
    world = await openTeamsWorld(url)
    other = await openTeamsWorld(url)
    await world.seed('k1')
  })
  afterEach(async () => {
    await other.close()
    await world.close()
  })

  const both = (call: (on: TeamsWorld) => Promise<Answer>) =>
    Promise.all(Array.from({ length: 10 }, (_, n) => call(n % 2 === 0 ? world : other)))

  test('one of the creations creates, one of the rotations is good, one set stands', async () => {
    const created = await both((on) => on.rest('alice', 'POST', TEAMS, { id: TEAM, name: 'Research' }))
    expect(created.map(({ status }) => status).sort()).toEqual([...Array(9).fill(200), 201])
    const rotated = await both((on) => on.rest('alice', 'POST', `${TEAMS}${TEAM}/rotate/`))
    expect(rotated.map(({ status }) => status)).toEqual(Array(10).fill(200))
    const missing = await both((on) => on.rest('alice', 'POST', `${TEAMS}${OTHER_TEAM}/rotate/`))
    expect(missing.map(({ status }) => status)).toEqual(Array(10).fill(200))
    for (const tokens of [rotated, missing]) {
      for (const replica of [world, other]) {
        const found = await Promise.all(tokens.map(({ body }) => replica.present(body.jwt)))
        expect(found.filter((one) => one === 'team of alice')).toHaveLength(1)
        expect(found.filter((one) => one === STALE)).toHaveLength(9)
      }
    }
    let n = 0
    const put = await both((on) =>
      on.rest('alice', 'PUT', `${TEAMS}${TEAM}/workspaces/`, { workspace_ids: [`w${n++}`, 'w', `v${n}`] }),
    )
    const { workspace_ids } = (await other.rest('alice', 'GET', `${TEAMS}${TEAM}/`)).body
    expect(put.map(({ body }) => body.workspace_ids)).toContainEqual(workspace_ids)
  })

  test('what one takes back is no good on the other, on the next request', async () => {
    const jwt = await world.newTeam()
    expect(await other.present(jwt)).toBe('team of alice')
    await world.rest('alice', 'POST', `${TEAMS}${TEAM}/rotate/`)
    expect(await other.present(jwt)).toBe(STALE)
  })

  test('seeding the same key on both makes one', async () => {
    await Promise.all([world, other, world, other].map((on) => on.seed('k2')))
    const keys = await other.auth.admin.listSigningKeys()
    expect(keys.map(({ kid, is_current }) => [kid, is_current])).toEqual([
      ['k1', false],
      ['k2', true],
    ])
  })
})
