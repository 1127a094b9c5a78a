import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PRINCIPAL_HEADER, type Principal, SERVICE_NAMES, servicePrincipal } from '@mnemosyne/contracts'
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

describe('what only services ask of auth', () => {
  const uid = '00000000-0000-4000-8000-00000000000a'
  const person = { id: uid, username: 'ada', staff: 'none' as const }
  const CALLERS: Record<string, Partial<Principal>> = {
    'a user': { kind: 'user_token', user: person, token_id: uid },
    staff: { kind: 'user_token', user: { ...person, staff: 'delete' }, token_id: uid },
    'a team': { kind: 'team', surface: 'mcp', user: person, team_id: uid },
    'a session': { kind: 'session', user: person, session_id: uid },
    'the command line': { kind: 'local', user: person },
    nobody: { kind: 'anonymous', surface: 'mcp' },
  }
  const OPERATIONS: [path: string, init: RequestInit][] = [
    ['/internal/auth/resolve/', post(RESOLVE)],
    ['/internal/auth/audit/', post({ records: [] })],
  ]

  test.each(Object.keys(CALLERS))('is refused to %s', async (name) => {
    const sign = await createSigner('gateway', keys)
    const principal = { ...servicePrincipal('rest'), ...CALLERS[name] }
    const assertion = await sign(principal, 'auth')
    for (const operation of OPERATIONS) {
      const answer = await ask('auth', operation, assertion)
      expect({ path: operation[0], status: answer.status, body: await answer.json() }).toEqual({
        path: operation[0],
        status: 403,
        body: { detail: expect.stringContaining('Only services') },
      })
    }
  })
})
