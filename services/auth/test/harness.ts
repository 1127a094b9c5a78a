import { randomUUID } from 'node:crypto'
import {
  authContract,
  authInternalContract,
  type Client,
  createClient,
  DELEGATION_HEADER,
  type Delegations,
  type EventData,
  type EventType,
  encodeDelegations,
  libraryInternalContract,
  PRINCIPAL_HEADER,
  type Principal,
  type Surface,
  servicePrincipal,
} from '@mnemosyne/contracts'
import {
  type Bus,
  type BusMessage,
  cloudEvent,
  createLog,
  createSigner,
  createVerifier,
  eventMessage,
  generateAssertionKeys,
  Metrics,
  openInProcessBus,
  openSql,
  publicKeys,
  type Service,
  type Signer,
  type Sql,
} from '@mnemosyne/platform'
import { Registry } from 'prom-client'
import { type AuthAdmin, type AuthTables, startAuth } from '../src/index.ts'

export const LIBRARY = {
  a: '00000000-0000-4000-8000-00000000000a',
  b: '00000000-0000-4000-8000-00000000000b',
  g: '00000000-0000-4000-8000-0000000000ff',
}

type AnyContract = Parameters<typeof createClient>[0]

/** What the library service knows and answers. */
export interface LibraryStandIn {
  /** Null: it is down. */
  global: string[] | null
  /** The libraries that are somebody's. */
  owned: { uid: string; owner_username: string; workspace_id: string | null }[]
  /** Called before and after each internal operation, by the last part of its path; throwing is to be down. */
  before: (operation: string) => void | Promise<void>
  after: (operation: string) => void | Promise<void>
}

export interface World {
  auth: Service & { admin: AuthAdmin }
  sql: Sql<AuthTables>
  bus: Bus
  /** Events that auth published, by type. */
  events: { type: string; data: unknown }[]
  /** Lines that auth logged, at info and above. */
  lines: { level: string; msg: string }[]
  library: LibraryStandIn
  /** To move the time on. */
  time: { now: Date }
  sign: Signer
  call: { delegations: Delegations }
  resolve(authorization: string, surface: Surface): ReturnType<Client<typeof authInternalContract>['resolve']>
  internal(as?: Principal): Promise<Client<typeof authInternalContract>>
  /** The public operations as a user on REST. */
  as(username: string): Promise<Client<typeof authContract>>
  /** Those of any contract of auth. */
  clientAs<C extends AnyContract>(contract: C, username: string): Promise<Client<C>>
  /** An event of the library service. */
  publish<T extends EventType>(type: T, data: EventData<T>): Promise<void>
  publishDeletion(libraryUid: string): Promise<void>
  publishCreation(libraryUid: string, ownerUsername: string | null): Promise<void>
  close(): Promise<void>
}

/** Auth over a real database, a bus of the process, and a library service that says what is global. */
export async function openWorld(url: string, now = new Date('2030-01-01T00:00:00.000Z')): Promise<World> {
  const keys = await generateAssertionKeys('k1')
  const sign = await createSigner('gateway', keys)
  const time = { now }
  const clock = () => time.now
  const lines: World['lines'] = []
  const log = createLog({
    component: 'auth',
    level: 'info',
    destination: { write: (line) => void lines.push(JSON.parse(line)) },
  })
  const metrics = new Metrics(new Registry(), 'auth')
  const sql = await openSql<AuthTables>(url, { schema: 'auth', log, metrics })
  const bus = openInProcessBus({ log, metrics, clock })
  const publish = (type: EventType, data: unknown) =>
    bus.publish(
      eventMessage(cloudEvent({ type, source: '/library', id: randomUUID(), time: time.now, data })),
    )
  const events: World['events'] = []
  await bus.subscribe({
    queue: 'test.events',
    topics: ['user.#', 'user_token.#', 'team.#'],
    handle: async (message: BusMessage) => {
      const { type, data } = message.body as World['events'][number]
      events.push({ type, data })
    },
  })
  const library: LibraryStandIn = { global: [LIBRARY.g], owned: [], before: () => {}, after: () => {} }
  const verifyForLibrary = await createVerifier('library', publicKeys(keys))
  const auth = await startAuth({
    sql,
    bus,
    library: createClient(libraryInternalContract, {
      audience: 'library',
      fetch: async (request) => {
        await verifyForLibrary(request.headers.get(PRINCIPAL_HEADER))
        return answerAsLibrary(library, request)
      },
    }),
    verify: await createVerifier('auth', publicKeys(keys)),
    clock,
    ids: randomUUID,
    log,
    metrics,
  })
  /** A client that presents `principal`, with the right to call library on its behalf. */
  const clientOf = async <C extends AnyContract>(contract: C, principal: Principal) => {
    const [own, delegated] = await Promise.all([sign(principal, 'auth'), sign(principal, 'library')])
    return createClient(contract, {
      fetch: auth.fetch,
      headers: () => ({
        [PRINCIPAL_HEADER]: own,
        [DELEGATION_HEADER]: encodeDelegations({ library: delegated }),
      }),
    })
  }
  const call = { delegations: { library: await sign(servicePrincipal('rest'), 'library') } }
  const internal: World['internal'] = (as = servicePrincipal('rest')) => clientOf(authInternalContract, as)
  return {
    auth,
    sql,
    bus,
    events,
    lines,
    library,
    time,
    sign,
    call,
    internal,
    resolve: async (authorization, surface) =>
      (await internal()).resolve({ credential: { kind: 'bearer', authorization }, surface }),
    clientAs: async (contract, username) =>
      clientOf(contract, await auth.admin.localPrincipal(username, call)),
    as: async (username) => clientOf(authContract, await auth.admin.localPrincipal(username, call)),
    publish,
    publishDeletion: (library_uid) => publish('library.deleted.v1', { library_uid, workspace_id: null }),
    publishCreation: (library_uid, owner_username) =>
      publish('library.created.v1', { library_uid, owner_username }),
    async close() {
      await auth.stop()
      await bus.close()
      await sql.close()
    },
  }
}

/** Operations that change something answer with the uids that they changed, as the library service does. */
async function answerAsLibrary(library: LibraryStandIn, request: Request): Promise<Response> {
  const operation = new URL(request.url).pathname.split('/').filter(Boolean).at(-1) ?? ''
  const down = () => Response.json({ detail: 'no database' }, { status: 503 })
  if (!library.global) return down()
  const input = request.method === 'GET' ? {} : ((await request.json()) as Record<string, string>)
  try {
    await library.before(operation)
    const operate = LIBRARY_OPERATIONS[operation]
    const answer = operate ? operate(library, input) : library.global
    await library.after(operation)
    return Response.json(answer)
  } catch {
    return down()
  }
}

type Input = Record<string, string | readonly string[]>
const uidsOf = (rows: LibraryStandIn['owned']) => rows.map(({ uid }) => uid).sort()

const LIBRARY_OPERATIONS: Record<string, (library: LibraryStandIn, input: Input) => unknown> = {
  'global-libraries': ({ global }) => global ?? [],
  'libraries-of': ({ owned }, { owner_username, workspace_ids = [] }) =>
    uidsOf(
      owned.filter(
        (row) =>
          row.owner_username === owner_username &&
          row.workspace_id !== null &&
          workspace_ids.includes(row.workspace_id),
      ),
    ),
  'principal-owner': ({ owned, global }, { library_uid }) => {
    if (global?.includes(library_uid as string)) return { owner_username: null }
    const found = owned.find(({ uid }) => uid === library_uid)
    return found ? { owner_username: found.owner_username } : null
  },
  'owned-libraries': ({ owned }, { owner_username }) =>
    uidsOf(owned.filter((row) => row.owner_username === owner_username)),
  reassignments: ({ owned }, { from, to }) => {
    const changed = owned.filter((row) => row.owner_username === from)
    for (const row of changed) row.owner_username = to as string
    return uidsOf(changed)
  },
  deletions: (library, { owner_username }) => {
    const gone = library.owned.filter((row) => row.owner_username === owner_username)
    library.owned = library.owned.filter((row) => row.owner_username !== owner_username)
    return uidsOf(gone)
  },
}
