import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  authInternalContract,
  createClient,
  libraryContract,
  libraryInternalContract,
  PRINCIPAL_HEADER,
  type Principal,
  SERVICE_NAMES,
  servicePrincipal,
} from '@mnemosyne/contracts'
import {
  type AssertionKeys,
  createSigner,
  generateAssertionKeys,
  publicKeys,
  version,
} from '@mnemosyne/platform'
import { badAssertions } from '@mnemosyne/platform/testing'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openSystem, type System } from '../src/system/open-system.ts'
import { readSettings } from '../src/system/settings.ts'

let home: string
let keys: AssertionKeys
let system: System
let library_uid: string

/** With a key that is not used any more beside the one that signs, as in a rotation. */
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'mnemosyne-assertions-'))
  keys = await generateAssertionKeys('now')
  const before = publicKeys(await generateAssertionKeys('before'))
  const env = {
    MNEMOSYNE_MODEL_DIR: '/nonexistent',
    LOGGING_LEVEL: 'silent',
    ASSERTION_KEYS: JSON.stringify({ keys: [...keys.keys, ...before.keys] }),
  }
  system = await openSystem({ settings: readSettings(env, { dataDir: join(home, 'data') }), env, version })
  await system.admin.createUser({
    username: 'eve',
    email: '',
    staff: false,
    superuser: false,
    password: null,
  })
  const eve = createClient(libraryContract, { url: 'http://mnemosyne', fetch: system.localFetch })
  library_uid = (await eve.libraries.create({ name: 'Hers', library_type: 'technical' })).uid
})
afterAll(async () => {
  await system.close()
  await rm(home, { recursive: true })
})

type Believer = Exclude<(typeof SERVICE_NAMES)[number], 'gateway'>
const BELIEVERS = SERVICE_NAMES.filter((name): name is Believer => name !== 'gateway')

const post = (body: unknown): RequestInit => ({
  method: 'POST',
  headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
  body: JSON.stringify(body),
})
const TOOLS = { jsonrpc: '2.0', id: 1, method: 'tools/list', params: {} }
const RESOLVE = { credential: { kind: 'bearer', authorization: 'Bearer x' }, surface: 'rest' }

/** Doors of each service: of typed operations, of those between services, and of routes beside them. */
const DOORS: Record<Believer, [path: string, init: RequestInit][]> = {
  auth: [
    ['/profile/api/tokens/', { method: 'GET' }],
    ['/internal/auth/resolve/', post(RESOLVE)],
  ],
  library: [
    ['/library/api/libraries/', { method: 'GET' }],
    ['/internal/library/global-libraries/', { method: 'GET' }],
  ],
  ingest: [
    ['/library/api/jobs/', { method: 'GET' }],
    ['/library/api/items/upload/', { method: 'POST', body: new FormData() }],
  ],
  search: [['/library/api/search/', post({ query: 'x' })]],
  mcp: [['/mcp/', post(TOOLS)]],
}

function ask(service: Believer, [path, init]: [string, RequestInit], assertion: string | null) {
  const headers = new Headers(init.headers)
  // What a client could send beside it is worth nothing here.
  headers.set('authorization', 'Bearer mnem_x')
  headers.set('cookie', 'mnemosyne_session=x')
  if (assertion !== null) headers.set(PRINCIPAL_HEADER, assertion)
  return system.services[service].fetch(new Request(`http://service${path}`, { ...init, headers }))
}

describe.each(BELIEVERS)('%s', (service) => {
  test('believes what the gateway signs for it', async () => {
    const sign = await createSigner('gateway', keys)
    for (const surface of ['rest', 'mcp'] as const) {
      const assertion = await sign(servicePrincipal(surface), service)
      for (const door of DOORS[service]) {
        const { status } = await ask(service, door, assertion)
        expect(status, door[0]).not.toBe(401)
        expect(status, door[0]).toBeLessThan(500)
      }
    }
  })

  test('refuses every other assertion at every door, and says nothing of why', async () => {
    const bad = await badAssertions(keys, service)
    expect(bad.size).toBeGreaterThan(30)
    const words = new Set<string>()
    for (const [name, assertion] of bad) {
      for (const door of DOORS[service]) {
        const answer = await ask(service, door, assertion)
        expect(answer.status, `${name} at ${door[0]}`).toBe(401)
        const text = await answer.text()
        if (assertion !== null) words.add(text)
      }
    }
    expect([...words]).toEqual([JSON.stringify({ detail: 'The caller could not be verified.' })])
  })
})

const uid = '00000000-0000-4000-8000-00000000000a'
const person = { id: uid, username: 'ada', staff: 'none' as const }
const boss = { ...person, staff: 'delete' as const }

const CALLERS = {
  'a user': { kind: 'user_token', user: person, token_id: uid },
  staff: { kind: 'user_token', user: boss, token_id: uid },
  'staff over MCP': { kind: 'user_token', surface: 'mcp', user: boss, token_id: uid },
  'a team': { kind: 'team', surface: 'mcp', user: person, team_id: uid },
  'a team of staff': { kind: 'team', surface: 'mcp', user: boss, team_id: uid },
  'a session': { kind: 'session', user: person, session_id: uid },
  'a session of staff': { kind: 'session', user: boss, session_id: uid },
  'the command line': { kind: 'local', user: person },
  nobody: { kind: 'anonymous', surface: 'mcp' },
} satisfies Record<string, Partial<Principal>>
type Caller = keyof typeof CALLERS

const STAFF: Caller[] = ['staff', 'a session of staff']

interface Rule {
  input: (about: { library_uid: string; owner: string }) => unknown
  may?: Caller[]
}

/** Whom each operation between services refuses, when it is about what is somebody else's. */
const INTERNAL: { [service in 'auth' | 'library']: Record<string, Rule | 'anybody'> } = {
  auth: {
    resolve: { input: () => RESOLVE },
    recordAudit: { input: () => ({ records: [] }) },
    putOwner: { input: ({ library_uid, owner }) => ({ library_uid, username: owner }), may: STAFF },
    recordHandOver: {
      input: ({ library_uid, owner }) => ({ library_uid, from: owner, to: 'ada', hand_overs: 1 }),
      may: STAFF,
    },
    forgetLibrary: { input: ({ library_uid }) => ({ library_uid }), may: STAFF },
  },
  library: {
    librariesOf: { input: ({ owner }) => ({ owner_username: owner, workspace_ids: ['x'] }) },
    ownedLibraries: { input: ({ owner }) => ({ owner_username: owner }), may: STAFF },
    reassignLibraries: { input: ({ owner }) => ({ from: owner, to: 'ada' }), may: STAFF },
    deleteLibrariesOf: { input: ({ owner }) => ({ owner_username: owner }), may: STAFF },
    globalLibraries: 'anybody',
    principalOwner: 'anybody',
    // Of what is the caller's own.
    ingestTarget: 'anybody',
  },
}
const CONTRACTS = { auth: authInternalContract, library: libraryInternalContract }

describe.each(['auth', 'library'] as const)('what services ask of %s', (service) => {
  test('has all its rules here', () => {
    expect(Object.keys(INTERNAL[service]).sort()).toEqual(Object.keys(CONTRACTS[service]).sort())
  })

  test.each(Object.keys(CALLERS) as Caller[])('is refused to %s', async (caller) => {
    const sign = await createSigner('gateway', keys)
    const assertion = await sign({ ...servicePrincipal('rest'), ...CALLERS[caller] } as Principal, service)
    for (const [operation, rule] of Object.entries(INTERNAL[service])) {
      if (rule === 'anybody') continue
      const { path } = (CONTRACTS[service] as Record<string, { '~orpc': { route: { path?: string } } }>)[
        operation
      ]!['~orpc'].route
      // Those who may are asked about nothing, so that eve keeps what she has.
      const may = rule.may?.includes(caller) ?? false
      const about = may ? { library_uid: randomUUID(), owner: 'nobody' } : { library_uid, owner: 'eve' }
      const { status } = await ask(service, [path!, post(rule.input(about))], assertion)
      if (may) expect([200, 204, 404], operation).toContain(status)
      else expect({ operation, status }).toEqual({ operation, status: 403 })
    }
  })
})
