import { randomUUID } from 'node:crypto'
import type { MembershipRole } from '@mnemosyne/contracts'
import { expect } from 'vitest'
import type { ModelLibrary, ModelTeam } from './model.ts'
import type { World } from './world.ts'

/** Draws one of some things. */
export type Draw = <T>(from: readonly T[]) => T

interface Step {
  weight: number
  /** Does it to the product and to the model, and says what. Undefined: there was nothing to do it to. */
  run(world: World, draw: Draw): Promise<string | undefined>
}

const ROLES: readonly MembershipRole[] = ['owner', 'manager', 'reader']
const WORKSPACES = Array.from({ length: 8 }, (_, n) => `w${n}`)
const MOST = { libraries: 10, tokens: 14, sessions: 10, teams: 5, jwtsOfATeam: 4 }

const users = ({ model }: World) => [...model.users.keys()]
const libraries = ({ model }: World) => [...model.libraries.values()]

/** Whether there is room for one more: of those that are dead for good the oldest is no more asked. */
function hasRoom<T>(kept: T[], most: number, isDead: (one: T) => boolean): boolean {
  if (kept.length < most) return true
  const dead = kept.findIndex(isDead)
  if (dead >= 0) kept.splice(dead, 1)
  return dead >= 0
}

interface Answer {
  status: number
  text: string
  body: unknown
}

function expectStatus(answer: Answer, status: number, what: string): void {
  expect(answer.status, `${what}: ${answer.text}`).toBe(status)
}

/** 401 for somebody who is disabled, whatever they ask for. */
const unless = (world: World, user: string, status: number) => (world.model.isActive(user) ? status : 401)

async function createWorkspace(world: World, draw: Draw): Promise<string> {
  const { model } = world
  const user = draw(users(world))
  const workspace_id = draw(WORKSPACES)
  const known = libraries(world).find(({ workspaceId }) => workspaceId === workspace_id)
  if (!known && model.libraries.size >= MOST.libraries) return ''
  const what = `${user} creates workspace ${workspace_id}`
  const answer = await world.as(user, 'POST', '/library/api/workspaces/', {
    workspace_id,
    name: workspace_id,
    library_type: 'technical',
  })
  expectStatus(answer, unless(world, user, known ? (known.owner === user ? 200 : 404) : 201), what)
  if (answer.status === 201) {
    model.addLibrary((answer.body as { library_uid: string }).library_uid, workspace_id, user)
  }
  return what
}

async function deleteWorkspace(world: World, draw: Draw): Promise<string> {
  const user = draw(users(world))
  const workspace_id = draw(WORKSPACES)
  const what = `${user} deletes workspace ${workspace_id}`
  const answer = await world.as(user, 'DELETE', `/library/api/workspaces/${workspace_id}/`)
  expectStatus(answer, unless(world, user, 204), what)
  const known = libraries(world).find(({ workspaceId }) => workspaceId === workspace_id)
  if (answer.status === 204 && known?.owner === user) world.model.removeLibrary(known.uid)
  return what
}

async function deleteLibrary(world: World, draw: Draw): Promise<string | undefined> {
  const [user, library] = drawn(world, draw)
  if (!library) return undefined
  const what = `${user} deletes library ${library.workspaceId}`
  const role = world.model.roleOf(library, user)
  const answer = await world.as(user, 'DELETE', `/library/api/libraries/${library.uid}/`)
  const expected = role === 'owner' ? 204 : role ? 403 : 404
  expectStatus(answer, unless(world, user, expected), what)
  if (answer.status === 204) world.model.removeLibrary(library.uid)
  return what
}

async function grant(world: World, draw: Draw): Promise<string | undefined> {
  const { model } = world
  const [actor, library] = drawn(world, draw)
  if (!library) return undefined
  const username = draw(users(world))
  const role = draw(ROLES)
  const what = `${actor} makes ${username} ${role} of ${library.workspaceId}`
  const own = model.roleOf(library, actor)
  const may = own === 'owner' || (own === 'manager' && role === 'reader')
  const there = library.roles.get(username)?.has(role)
  const answer = await world.as(actor, 'POST', `/library/api/libraries/${library.uid}/members/`, {
    username,
    role,
  })
  const granted = model.isActive(username) ? (there ? 200 : 201) : 400
  expectStatus(answer, unless(world, actor, !own ? 404 : may ? granted : 403), what)
  if (answer.status === 201) model.grant(library, username, role)
  return what
}

async function ungrant(world: World, draw: Draw): Promise<string | undefined> {
  const { model } = world
  const [actor, library] = drawn(world, draw)
  if (!library) return undefined
  const username = draw([...library.roles.keys(), ...users(world)])
  const role = draw(ROLES)
  const what = `${actor} takes ${role} of ${library.workspaceId} from ${username}`
  const own = model.roleOf(library, actor)
  const may = own === 'owner' || actor === username || (own === 'manager' && role === 'reader')
  const there = library.roles.get(username)?.has(role) ?? false
  const needed =
    there && role === 'owner' && (library.owner === username || model.owners(library).length === 1)
  const answer = await world.as(
    actor,
    'DELETE',
    `/library/api/libraries/${library.uid}/members/${username}/${role}/`,
  )
  expectStatus(answer, unless(world, actor, !own ? 404 : !may ? 403 : needed ? 409 : 204), what)
  if (answer.status === 204) model.ungrant(library, username, role)
  return what
}

async function handOver(world: World, draw: Draw): Promise<string | undefined> {
  const { model } = world
  const [actor, library] = drawn(world, draw)
  if (!library) return undefined
  const to = draw(users(world))
  const what = `${actor} hands ${library.workspaceId} over to ${to}`
  const own = model.roleOf(library, actor)
  const answer = await world.as(actor, 'PATCH', `/library/api/libraries/${library.uid}/`, {
    owner_username: to,
  })
  // To whose it is already it changes nothing, and nobody asks whether they are active.
  const allowed = to === library.owner || model.isActive(to) ? 200 : 400
  expectStatus(answer, unless(world, actor, !own ? 404 : own === 'owner' ? allowed : 403), what)
  if (answer.status === 200) model.handOver(library, to)
  return what
}

async function mintToken(world: World, draw: Draw): Promise<string | undefined> {
  const { model } = world
  if (!hasRoom(model.tokens, MOST.tokens, ({ active }) => !active)) return undefined
  const user = draw(users(world))
  const wanted = libraries(world).filter(() => draw([true, false, false]))
  const may = wanted.every((library) => ['owner', 'manager'].includes(model.roleOf(library, user) ?? ''))
  const what = `${user} mints a token for ${wanted.map(({ workspaceId }) => workspaceId).join(', ') || 'nothing'}`
  const allowed_libraries = wanted.map(({ uid }) => uid)
  const answer = await world.as(user, 'POST', '/profile/api/tokens/', { name: 'drawn', allowed_libraries })
  expectStatus(answer, unless(world, user, may ? 201 : 400), what)
  if (answer.status === 201) {
    const { id, token } = answer.body as { id: string; token: string }
    model.tokens.push({ id, secret: token, user, active: true, allowed: new Set(allowed_libraries) })
  }
  return what
}

/** Those that users act with are left alone. */
const spareTokens = ({ model }: World) => model.tokens.filter(({ allowed }) => allowed !== '*')

async function editToken(world: World, draw: Draw): Promise<string | undefined> {
  const { model } = world
  const token = draw([undefined, ...spareTokens(world)])
  if (!token || token.allowed === '*') return undefined
  const { allowed } = token
  const wanted = libraries(world).filter(() => draw([true, false]))
  const may = wanted.every(
    (library) =>
      allowed.has(library.uid) || ['owner', 'manager'].includes(model.roleOf(library, token.user) ?? ''),
  )
  const what = `${token.user} edits token ${token.id}`
  const allowed_libraries = wanted.map(({ uid }) => uid)
  const answer = await world.as(token.user, 'PATCH', `/profile/api/tokens/${token.id}/`, {
    allowed_libraries,
  })
  expectStatus(answer, unless(world, token.user, token.active ? (may ? 200 : 400) : 409), what)
  if (answer.status === 200) token.allowed = new Set(allowed_libraries)
  return what
}

async function revokeToken(world: World, draw: Draw): Promise<string | undefined> {
  const token = draw([undefined, ...spareTokens(world)])
  if (!token) return undefined
  const user = draw([token.user, token.user, ...users(world)])
  const what = `${user} revokes token ${token.id} of ${token.user}`
  const answer = await world.as(user, 'POST', `/profile/api/tokens/${token.id}/revoke/`)
  expectStatus(answer, unless(world, user, user === token.user ? 204 : 404), what)
  if (answer.status === 204) token.active = false
  return what
}

async function setActive(world: World, draw: Draw): Promise<string> {
  const { model } = world
  const user = model.users.get(draw(users(world)))!
  const is_active = !user.active
  const what = `${user.name} is ${is_active ? 'enabled' : 'disabled'}`
  const answer = await world.asAdmin('PATCH', `/admin/api/users/${user.id}/`, { is_active })
  expectStatus(answer, 200, what)
  user.active = is_active
  if (!is_active) for (const session of model.sessions) if (session.user === user.name) session.active = false
  return what
}

async function enableAll(world: World): Promise<string> {
  for (const user of world.model.users.values()) {
    if (user.active) continue
    expectStatus(
      await world.asAdmin('PATCH', `/admin/api/users/${user.id}/`, { is_active: true }),
      200,
      'enable',
    )
    user.active = true
  }
  return 'all are enabled'
}

async function login(world: World, draw: Draw): Promise<string | undefined> {
  if (!hasRoom(world.model.sessions, MOST.sessions, ({ active }) => !active)) return undefined
  const user = draw(users(world).filter((name) => world.model.isActive(name)))
  if (user === undefined) return undefined
  await world.login(user)
  return `${user} logs in`
}

async function logout(world: World, draw: Draw): Promise<string | undefined> {
  const { model } = world
  const session = draw([undefined, ...model.sessions])
  if (!session) return undefined
  const everywhere = draw([true, false, false])
  const what = `${session.user} logs out${everywhere ? ' everywhere' : ''}`
  const good = model.session(session) !== 'refused'
  const path = everywhere ? '/accounts/api/logout-everywhere/' : '/accounts/api/logout/'
  expectStatus(await world.bySession(session, 'POST', path), good ? 204 : 401, what)
  if (!good) return what
  for (const other of model.sessions)
    if (other === session || (everywhere && other.user === session.user)) other.active = false
  return what
}

async function createTeam(world: World, draw: Draw): Promise<string | undefined> {
  const { model } = world
  if (!hasRoom(model.teams, MOST.teams, ({ active }) => !active)) return undefined
  const owner = draw(users(world))
  const id = randomUUID()
  const what = `${owner} creates team ${id}`
  const answer = await world.as(owner, 'POST', '/mcp_server/api/teams/', { id, name: id })
  expectStatus(answer, unless(world, owner, 201), what)
  if (answer.status === 201) {
    const { jwt } = answer.body as { jwt: string }
    const jwts = [{ jwt, kid: model.kid, current: true }]
    model.teams.push({ id, owner, active: true, workspaces: new Set(), jwts })
  }
  return what
}

/** Whether `user` may at all, and else what is answered. */
function teamStatus(world: World, team: ModelTeam, user: string, status: number, foreign = 404): number {
  return unless(world, user, team.owner === user ? status : foreign)
}

async function attach(world: World, draw: Draw): Promise<string | undefined> {
  const [user, team] = drawnTeam(world, draw)
  if (!team) return undefined
  const workspace_ids = WORKSPACES.filter(() => draw([true, false]))
  const what = `${user} attaches team ${team.id} to ${workspace_ids.join(', ') || 'nothing'}`
  const path = `/mcp_server/api/teams/${team.id}/workspaces/`
  const answer = await world.as(user, 'PUT', path, { workspace_ids })
  expectStatus(answer, teamStatus(world, team, user, 200), what)
  if (answer.status === 200) team.workspaces = new Set(workspace_ids)
  return what
}

async function rotate(world: World, draw: Draw): Promise<string | undefined> {
  const [user, team] = drawnTeam(world, draw)
  if (!team) return undefined
  const what = `${user} rotates team ${team.id}`
  const answer = await world.as(user, 'POST', `/mcp_server/api/teams/${team.id}/rotate/`)
  expectStatus(answer, teamStatus(world, team, user, team.active ? 200 : 409, 409), what)
  if (answer.status === 200) {
    for (const minted of team.jwts) minted.current = false
    const { jwt } = answer.body as { jwt: string }
    hasRoom(team.jwts, MOST.jwtsOfATeam, ({ current }) => !current)
    team.jwts.push({ jwt, kid: world.model.kid, current: true })
  }
  return what
}

async function deleteTeam(world: World, draw: Draw): Promise<string | undefined> {
  const [user, team] = drawnTeam(world, draw)
  if (!team) return undefined
  const what = `${user} deletes team ${team.id}`
  const answer = await world.as(user, 'DELETE', `/mcp_server/api/teams/${team.id}/`)
  expectStatus(answer, teamStatus(world, team, user, 204), what)
  if (answer.status === 204) {
    team.active = false
    for (const minted of team.jwts) minted.current = false
  }
  return what
}

async function reactivateTeam(world: World, draw: Draw): Promise<string | undefined> {
  const team = draw([undefined, ...world.model.teams])
  if (!team) return undefined
  const what = `staff reactivate team ${team.id}`
  expectStatus(await world.asAdmin('PATCH', `/admin/api/teams/${team.id}/`, { active: true }), 200, what)
  team.active = true
  return what
}

async function changeKey(world: World, draw: Draw): Promise<string> {
  const { model } = world
  const old = model.kid
  const kid = `k${randomUUID().slice(0, 8)}`
  expectStatus(await world.asAdmin('POST', '/admin/api/signing-keys/', { kid }), 200, `key ${kid}`)
  model.kid = kid
  if (draw([true, false])) return `key ${kid} signs beside ${old}`
  expectStatus(await world.asAdmin('POST', `/admin/api/signing-keys/${old}/retire/`), 200, `retire ${old}`)
  model.retiredKids.add(old)
  return `key ${kid} signs, ${old} is retired`
}

function drawn(world: World, draw: Draw): [string, ModelLibrary | undefined] {
  const library = draw([undefined, ...libraries(world), ...libraries(world)])
  // Mostly somebody who has to do with it.
  const user = draw([...users(world), ...(library?.roles.keys() ?? []), ...(library ? [library.owner] : [])])
  return [user, library]
}

function drawnTeam(world: World, draw: Draw): [string, ModelTeam | undefined] {
  const team = draw([undefined, ...world.model.teams, ...world.model.teams])
  return [draw([...users(world), ...(team ? [team.owner, team.owner, team.owner] : [])]), team]
}

export const STEPS: readonly Step[] = [
  { weight: 5, run: createWorkspace },
  { weight: 1, run: deleteWorkspace },
  { weight: 1, run: deleteLibrary },
  { weight: 8, run: grant },
  { weight: 8, run: ungrant },
  { weight: 3, run: handOver },
  { weight: 3, run: mintToken },
  { weight: 4, run: editToken },
  { weight: 2, run: revokeToken },
  { weight: 3, run: setActive },
  { weight: 2, run: enableAll },
  { weight: 2, run: login },
  { weight: 2, run: logout },
  { weight: 2, run: createTeam },
  { weight: 8, run: attach },
  { weight: 3, run: rotate },
  { weight: 1, run: deleteTeam },
  { weight: 2, run: reactivateTeam },
  { weight: 1, run: changeKey },
]
