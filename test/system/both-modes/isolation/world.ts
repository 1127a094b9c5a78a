import { randomUUID } from 'node:crypto'
import { CSRF_HEADER, type MembershipRole, type Team, type User } from '@mnemosyne/contracts'
import { startEmbeddingServer } from '@mnemosyne/models/testing'
import { vi } from 'vitest'
import { type SystemInMode, startInMode } from '../../mode.ts'
import { TraceReceiver } from '../../trace-receiver.ts'
import { clientOf, expectStatus } from './clients.ts'
import { type Holding, makeLibrary, makeWorkspace, malformedHolding, missingHolding } from './holdings.ts'
import { bearer, makePerson, mint, PASSWORD, type Person } from './people.ts'

/** How a person stands to a library. */
export type LibraryRelation =
  | 'own'
  | 'co-owner'
  | 'manager'
  | 'reader'
  | 'global'
  | 'foreign'
  | 'missing'
  | 'deleted'
  | 'malformed'

/** The ways in which somebody else's library is shared with a person. */
export const SHARED = {
  'co-owner': 'owner',
  manager: 'manager',
  reader: 'reader',
} as const satisfies Partial<Record<LibraryRelation, MembershipRole>>

/** The key by which team tokens are signed. */
export const KID = 'isolation'

/** Whom the callers of the matrix are. The first, of whom a system is born, may do everything. */
export const CAST = ['admin', 'ada', 'vera', 'carl', 'dora'] as const
export type CastName = (typeof CAST)[number]

/** Everybody and everything that is asked about; nothing in it changes but by a fault. */
export interface World extends AsyncDisposable {
  system: SystemInMode
  traces: TraceReceiver
  people: Record<CastName, Person>
  /** Who owns what is shared, and what is not. */
  kim: Person
  /** Whom libraries are shared with, and handed over to. */
  zoe: Person
  holdings: Record<CastName, Record<LibraryRelation, Holding>>
  credentials: Awaited<ReturnType<typeof makeCredentials>>
  /** Ids by the name of whose they are. */
  tokens: Record<string, { own: string; revoked: string }>
  teams: Record<string, { own: string; inactive: string }>
  /** Of those who only stand there. */
  accounts: { person: string; staff: string; superuser: string }
}

export async function makeWorld(): Promise<World> {
  await using opening = new AsyncDisposableStack()
  const model = opening.use(await startEmbeddingServer({ dimensions: 64 }))
  const traces = opening.use(await TraceReceiver.start())
  const system = opening.use(
    await startInMode({
      env: {
        EMBEDDING_BASE_URL: model.url,
        EMBEDDING_MODEL: 'hashed',
        EMBEDDING_DIMENSIONS: '64',
        OTEL_EXPORTER_OTLP_ENDPOINT: traces.url,
        LOGGING_LEVEL: 'warn',
      },
    }),
  )
  const first = (await clientOf(system).call('GET', '/profile/api/me/')).body as User
  const admin: Person = {
    ...{ name: first.username, id: first.id, level: 'super', token: system.token, cookie: '', csrf: '' },
  }
  expectStatus(await clientOf(system).call('POST', '/admin/api/signing-keys/', { kid: KID }), 200)
  const [ada, vera, carl, dora, kim, zoe] = await Promise.all([
    makePerson(system, 'ada', 'none'),
    makePerson(system, 'vera', 'view', ['View Only']),
    makePerson(system, 'carl', 'change', ['Staff']),
    makePerson(system, 'dora', 'delete', ['Admin']),
    makePerson(system, 'kim', 'none'),
    makePerson(system, 'zoe', 'none'),
  ])
  const people = { admin, ada, vera, carl, dora }
  const holdings = await makeHoldings(system, people, kim)
  const credentials = await makeCredentials(system, people.ada, kim, holdings.ada)
  const everybody = [...Object.values(people), kim, zoe]
  const [tokens, teams, person, staff, superuser] = await Promise.all([
    ofEach(everybody, (one) => standingTokens(system, one)),
    ofEach(everybody, (one) => standingTeams(system, one)),
    ...['person', 'staff', 'superuser'].map((kind) => makeAccount(system, kind)),
  ])
  const accounts = { person: person!, staff: staff!, superuser: superuser! }
  const closing = opening.move()
  return {
    ...{ system, traces, people, kim, zoe, holdings, credentials, tokens, teams, accounts },
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  }
}

async function ofEach<T>(people: Person[], make: (person: Person) => Promise<T>): Promise<Record<string, T>> {
  return Object.fromEntries(
    await Promise.all(people.map(async (one) => [one.name, await make(one)] as const)),
  )
}

async function standingTokens(system: SystemInMode, person: Person) {
  const [own, revoked] = await Promise.all([
    mint(system, bearer(person.token), {}),
    mint(system, bearer(person.token), {}),
  ])
  const path = `/profile/api/tokens/${revoked.id}/revoke/`
  expectStatus(await clientOf(system, person).call('POST', path), 204)
  return { own: own.id, revoked: revoked.id }
}

async function standingTeams(system: SystemInMode, person: Person) {
  const [own, inactive] = await Promise.all([makeTeam(system, person), makeTeam(system, person)])
  expectStatus(await clientOf(system, person).call('DELETE', `/mcp_server/api/teams/${inactive.id}/`), 204)
  return { own: own.id, inactive: inactive.id }
}

/** An account that nobody uses: of a person, of staff, or of a superuser. */
export async function makeAccount(system: SystemInMode, kind: string): Promise<string> {
  const rights = { staff: { is_staff: true }, superuser: { is_superuser: true } }[kind] ?? {}
  const request = { username: `${kind}-${randomUUID()}`, password: PASSWORD, ...rights }
  return (expectStatus(await clientOf(system).call('POST', '/admin/api/users/', request), 201) as User).id
}

async function makeHoldings(system: SystemInMode, people: Record<CastName, Person>, kim: Person) {
  const [foreign, global] = await Promise.all([
    makeWorkspace(system, kim, 'kim-unshared'),
    makeLibrary(system, people.admin, 'Of everybody', { global: true }),
  ])
  const each = await Promise.all(
    CAST.map(async (name) => {
      const person = people[name]
      const [own, deleted, ...shared] = await Promise.all([
        makeWorkspace(system, person, `${name}-own`),
        makeDeleted(system, person, `${name}-deleted`),
        ...Object.entries(SHARED).map(([relation, role]) =>
          share(system, kim, makeWorkspace(system, kim, `${name}-${relation}`), person, role),
        ),
      ])
      const [coOwned, managed, read] = shared as [Holding, Holding, Holding]
      const relations: Record<LibraryRelation, Holding> = {
        ...{ own, 'co-owner': coOwned, manager: managed, reader: read, global, foreign, deleted },
        missing: missingHolding(foreign),
        malformed: malformedHolding(foreign),
      }
      return [name, relations] as const
    }),
  )
  return Object.fromEntries(each) as Record<CastName, Record<LibraryRelation, Holding>>
}

async function makeDeleted(system: SystemInMode, person: Person, id: string): Promise<Holding> {
  const holding = await makeWorkspace(system, person, id)
  const path = `/library/api/libraries/${holding.library_uid}/`
  expectStatus(await clientOf(system, person).call('DELETE', path), 204)
  return holding
}

/** Shares a library, when it is there. */
export async function share<T extends Pick<Holding, 'library_uid'>>(
  system: SystemInMode,
  owner: Person,
  made: Promise<T> | T,
  { name }: Person,
  role: MembershipRole,
): Promise<T> {
  const holding = await made
  const path = `/library/api/libraries/${holding.library_uid}/members/`
  expectStatus(await clientOf(system, owner).call('POST', path, { username: name, role }), 201, 200)
  return holding
}

/** Tokens of every kind, good and bad; the bad ones were good when they were made. */
async function makeCredentials(
  system: SystemInMode,
  ada: Person,
  kim: Person,
  of: Record<LibraryRelation, Holding>,
) {
  const session = { cookie: ada.cookie, [CSRF_HEADER]: ada.csrf }
  const ofAda = (what: object) => mint(system, session, what)
  const [empty, one, revoked, health, expired, dan] = await Promise.all([
    ofAda({ allowed_libraries: [] }),
    ofAda({ allowed_libraries: [of.own.library_uid] }),
    ofAda({ allowed_libraries: ['*'] }),
    ofAda({ allowed_libraries: ['*'], allowed_tools: ['get_health'] }),
    ofAda({ allowed_libraries: ['*'], expires_at: new Date(Date.now() + 1_500).toISOString() }),
    makePerson(system, 'dan', 'none'),
  ])
  expectStatus(
    await clientOf(system).call('POST', `/profile/api/tokens/${revoked.id}/revoke/`, undefined, {
      token: null,
      headers: session,
    }),
    204,
  )
  const [teams, lent, lapsed] = await Promise.all([
    makeTeams(system, ada, kim, dan, of),
    lend(system, ada, kim, of.reader),
    lapse(system, ada, kim),
  ])
  expectStatus(await clientOf(system).call('PATCH', `/admin/api/users/${dan.id}/`, { is_active: false }), 200)
  await hasExpired(system, expired.token)
  return { empty, one, revoked, health, expired, dan, teams, lent, lapsed }
}

/** A token into which the owner of a library puts it, for somebody who reads it. */
async function lend(system: SystemInMode, reader: Person, owner: Person, { library_uid }: Holding) {
  const token = await mint(system, bearer(reader.token), { allowed_libraries: [] })
  const path = `/library/api/libraries/${library_uid}/tokens/${token.id}/`
  expectStatus(await clientOf(system, owner).call('PUT', path), 204)
  return token
}

/** A token of a library that was shared with its user, and is no longer. */
async function lapse(system: SystemInMode, user: Person, owner: Person) {
  const library = await makeLibrary(system, owner, 'Shared no longer')
  await share(system, owner, library, user, 'manager')
  const token = await mint(system, bearer(user.token), { allowed_libraries: [library.library_uid] })
  const path = `/library/api/libraries/${library.library_uid}/members/${user.name}/manager/`
  expectStatus(await clientOf(system, owner).call('DELETE', path), 204)
  return token
}

async function makeTeams(
  system: SystemInMode,
  ada: Person,
  kim: Person,
  dan: Person,
  of: Record<LibraryRelation, Holding>,
) {
  const [attached, detached, inactive, rotated, borrowing, coOwning, other, disabled] = await Promise.all([
    makeTeam(system, ada, [of.own.workspace_id]),
    makeTeam(system, ada, [of.own.workspace_id]),
    makeTeam(system, ada, [of.own.workspace_id]),
    makeTeam(system, ada, [of.own.workspace_id]),
    makeTeam(system, ada, [of.foreign.workspace_id]),
    makeTeam(system, ada, [of['co-owner'].workspace_id, of.manager.workspace_id, of.reader.workspace_id]),
    makeTeam(system, kim, [of.foreign.workspace_id]),
    makeTeam(system, dan, [of.own.workspace_id]),
  ])
  const client = clientOf(system, ada)
  const at = ({ id }: { id: string }) => `/mcp_server/api/teams/${id}/`
  expectStatus(await client.call('PUT', `${at(detached)}workspaces/`, { workspace_ids: [] }), 200)
  expectStatus(await client.call('DELETE', at(inactive)), 204)
  const anew = expectStatus(await client.call('POST', `${at(rotated)}rotate/`), 200) as { jwt: string }
  return {
    ...{ attached, detached, inactive, borrowing, coOwning, other, disabled },
    stale: rotated,
    rotated: { ...rotated, jwt: anew.jwt },
  }
}

export async function makeTeam(
  system: SystemInMode,
  owner: Person,
  workspace_ids: string[] = [],
): Promise<{ id: string; jwt: string }> {
  const client = clientOf(system, owner)
  const id = randomUUID()
  const made = await client.call('POST', '/mcp_server/api/teams/', { id, name: `Team of ${owner.name}` })
  const { jwt } = expectStatus(made, 201) as Team & { jwt: string }
  const path = `/mcp_server/api/teams/${id}/workspaces/`
  expectStatus(await client.call('PUT', path, { workspace_ids }), 200)
  return { id, jwt }
}

async function hasExpired(system: SystemInMode, token: string): Promise<void> {
  const refused = async () =>
    expectStatus(await clientOf(system).call('GET', '/profile/api/me/', undefined, { token }), 401)
  await vi.waitFor(refused, { timeout: 20_000, interval: 100 })
}
