import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { startAuth } from '@mnemosyne/auth'
import {
  authInternalContract,
  createClient,
  DELEGATION_HEADER,
  type Delegations,
  encodeDelegations,
  type FetchHandler,
  libraryInternalContract,
  PRINCIPAL_HEADER,
  searchContract,
  servicePrincipal,
  validateMessage,
} from '@mnemosyne/contracts'
import { openEmbeddedGraph } from '@mnemosyne/graph'
import { startLibrary } from '@mnemosyne/library'
import {
  createLog,
  createSigner,
  createVerifier,
  generateAssertionKeys,
  Metrics,
  openInProcessBus,
  openSql,
  publicKeys,
  type Service,
  systemClock,
} from '@mnemosyne/platform'
import { Registry } from 'prom-client'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { temporaryFolder } from './harness.ts'

/** How a question of library's to auth ends, by the last part of its path: `lost`: auth has done it, and nobody hears. */
type Fault = 'away' | 'lost'

/** Library and auth as they are, on stores of their own, and a line between them that may break. */
async function openBoth() {
  const folder = temporaryFolder()
  const closing = new AsyncDisposableStack()
  closing.defer(() => folder[Symbol.dispose]())
  const log = createLog({ component: 'test', level: 'silent' })
  const metricsOf = (name: string) => new Metrics(new Registry(), name)
  const keys = await generateAssertionKeys('k1')
  const sign = await createSigner('gateway', keys)
  const around = (name: 'auth' | 'library') => ({
    clock: systemClock,
    ids: randomUUID,
    log,
    metrics: metricsOf(name),
  })
  const bus = closing.use(
    openInProcessBus({ ...around('library'), validate: validateMessage, drainMs: 1_000 }),
  )
  const sqlOf = (schema: string) =>
    openSql(`sqlite:${join(folder.path, `${schema}.db`)}`, { schema, log, metrics: metricsOf(schema) })
  const [authSql, librarySql] = [closing.use(await sqlOf('auth')), closing.use(await sqlOf('library'))]
  const graph = closing.use(
    await openEmbeddedGraph({ file: join(folder.path, 'graph.db'), ...around('library') }),
  )
  const faults = new Map<string, Fault>()
  const services = {} as { auth: Awaited<ReturnType<typeof startAuth>>; library: Service }
  const line: FetchHandler = async (request) => {
    const fault = faults.get(new URL(request.url).pathname.split('/').filter(Boolean).at(-1) ?? '')
    if (fault === 'away') throw new Error('the line is broken')
    const answer = await services.auth.fetch(request)
    if (fault === 'lost') throw new Error('the line broke')
    return answer
  }
  services.auth = await startAuth({
    ...around('auth'),
    sql: authSql as never,
    bus,
    library: createClient(libraryInternalContract, {
      audience: 'library',
      fetch: (request) => services.library.fetch(request),
    }),
    verify: await createVerifier('auth', publicKeys(keys)),
  })
  closing.defer(() => services.auth.stop())
  services.library = await startLibrary({
    ...around('library'),
    sql: librarySql as never,
    graph,
    bus,
    auth: createClient(authInternalContract, { audience: 'auth', fetch: line }),
    search: createClient(searchContract, { fetch: async () => new Response(null, { status: 503 }) }),
    verify: await createVerifier('library', publicKeys(keys)),
  })
  closing.defer(() => services.library.stop())
  const asService: Delegations = { library: await sign(servicePrincipal('rest'), 'library') }

  return {
    faults,
    async addUser(username: string): Promise<void> {
      const user = { username, email: '', staff: false, superuser: false, password: null }
      await services.auth.admin.createUser(user)
    },
    /** As the gateway passes it on: the caller as they are at this moment. */
    async call(who: string, method: string, path: string, body?: unknown) {
      const principal = await services.auth.admin.localPrincipal(who, { delegations: asService })
      const target = /\/(members|tokens)\//.test(path) ? 'auth' : 'library'
      const other = target === 'auth' ? 'library' : 'auth'
      const response = await services[target].fetch(
        new Request(`http://${target}${path}`, {
          method,
          headers: {
            [PRINCIPAL_HEADER]: await sign(principal, target),
            [DELEGATION_HEADER]: encodeDelegations({ [other]: await sign(principal, other) }),
            ...(body !== undefined && { 'content-type': 'application/json' }),
          },
          body: body === undefined ? undefined : JSON.stringify(body),
        }),
      )
      const text = await response.text()
      return { status: response.status, body: text === '' ? undefined : JSON.parse(text) }
    },
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  }
}

let both: Awaited<ReturnType<typeof openBoth>>
let path: string
beforeEach(async () => {
  both = await openBoth()
  for (const name of ['ada', 'bob', 'eve']) await both.addUser(name)
  const body = { workspace_id: 'w', name: 'Pumps', library_type: 'technical' }
  const made = await both.call('ada', 'POST', '/library/api/workspaces/', body)
  path = `/library/api/libraries/${made.body.library_uid}/`
})
afterEach(() => both[Symbol.asyncDispose]())

const handOver = (from: string, to: string) => both.call(from, 'PATCH', path, { owner_username: to })
const roles = async (as: string) => {
  const { body } = await both.call(as, 'GET', `${path}members/`)
  return body.map(({ username, role }: { username: string; role: string }) => `${username} ${role}`)
}
const workspaceOf = async (who: string) => (await both.call(who, 'GET', '/library/api/workspaces/w/')).status

describe('a library is handed over', () => {
  test('by both services, at once', async () => {
    expect(await handOver('ada', 'bob')).toMatchObject({ status: 200, body: { owner_username: 'bob' } })
    expect(await roles('bob')).toEqual(['ada manager', 'bob owner'])
    expect([await workspaceOf('ada'), await workspaceOf('bob')]).toEqual([404, 200])
    expect((await handOver('ada', 'eve')).status).toBe(403)
    expect((await both.call('bob', 'DELETE', `${path}members/bob/owner/`)).status).toBe(409)
  })

  test.each(['away', 'lost'] as const)(
    'though auth is %s when it is told who was the owner: the event tells it',
    async (fault) => {
      both.faults.set('hand-overs', fault)
      expect((await handOver('ada', 'bob')).status).toBe(200)
      await expect.poll(() => roles('bob')).toEqual(['ada manager', 'bob owner'])
    },
  )

  test('there and back, again and again, though auth is never told but by events', async () => {
    both.faults.set('hand-overs', 'away')
    for (let turn = 0; turn < 5; turn++) {
      expect((await handOver('ada', 'bob')).status).toBe(200)
      expect((await handOver('bob', 'ada')).status).toBe(200)
    }
    // Each may be a manager as well, from between two turns.
    const owners = async () => (await roles('ada')).filter((role: string) => role.endsWith('owner'))
    await expect.poll(owners).toEqual(['ada owner'])
  })

  test.each(['away', 'lost'] as const)('not when auth is %s before; it may be done again', async (fault) => {
    both.faults.set('owners', fault)
    expect((await handOver('ada', 'bob')).status).toBe(503)
    expect(await workspaceOf('ada')).toBe(200)
    both.faults.clear()
    expect((await handOver('ada', 'bob')).status).toBe(200)
    expect(await roles('bob')).toEqual(['ada manager', 'bob owner'])
  })

  test('while an owner leaves it: whoever has it is one of its owners', async () => {
    await both.call('ada', 'POST', `${path}members/`, { username: 'bob', role: 'owner' })
    for (let turn = 0; turn < 10; turn++) {
      const [handed] = await Promise.all([
        handOver('ada', 'bob'),
        both.call('bob', 'DELETE', `${path}members/bob/owner/`),
      ])
      const owner = handed.status === 200 ? 'bob' : 'ada'
      await expect.poll(() => roles(owner)).toContain(`${owner} owner`)
      if (owner === 'bob') expect((await handOver('bob', 'ada')).status).toBe(200)
      await both.call('ada', 'POST', `${path}members/`, { username: 'bob', role: 'owner' })
    }
  })
})

test('a library that is deleted is nowhere at the next request, and later when auth is away', async () => {
  await both.call('ada', 'POST', `${path}members/`, { username: 'eve', role: 'reader' })
  both.faults.set('forgotten-libraries', 'away')
  expect((await both.call('ada', 'DELETE', path)).status).toBe(204)
  expect((await both.call('eve', 'GET', path)).status).toBe(404)
  expect((await both.call('eve', 'GET', `${path}members/`)).status).toBe(404)
})
