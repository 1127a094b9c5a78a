import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  authInternalContract,
  createClient,
  DELEGATION_HEADER,
  type Degraded,
  encodeDelegations,
  type FetchHandler,
  PRINCIPAL_HEADER,
  type Principal,
  type SearchAnswer,
  type StaffLevel,
  type Surface,
  searchContract,
  servicePrincipal,
} from '@mnemosyne/contracts'
import { type GraphStore, GraphUnavailableError, openEmbeddedGraph, queryTerms } from '@mnemosyne/graph'
import {
  type Bus,
  type BusMessage,
  type Clock,
  createSigner,
  createVerifier,
  DomainError,
  generateAssertionKeys,
  Metrics,
  openInProcessBus,
  type RequestContext,
  type Service,
  type Signer,
  type Sql,
  serviceApp,
  systemClock,
} from '@mnemosyne/platform'
import { implement } from '@orpc/server'
import { Registry } from 'prom-client'
import { startLibrary } from '../src/index.ts'
import type { LibraryTables } from '../src/store/tables.ts'
import { log, openLibrarySql } from './stores.ts'

export type Role = 'owner' | 'manager' | 'reader'

/** Someone who calls, with the libraries that auth would resolve for them. */
export interface Person {
  username: string
  /** True: may do everything that staff may. */
  staff?: boolean | StaffLevel
  /** Nobody at all: a service that asks on its own account. */
  service?: boolean
}

const staffLevelOf = (staff: Person['staff']): StaffLevel =>
  typeof staff === 'string' ? staff : staff ? 'delete' : 'none'

const AUTH_OPERATIONS = ['putOwner', 'recordHandOver', 'forgetLibrary'] as const
/** What the library service asks of auth. */
export type AuthOperation = (typeof AUTH_OPERATIONS)[number]
const isAuthOperation = (part: string | symbol): part is AuthOperation =>
  (AUTH_OPERATIONS as readonly (string | symbol)[]).includes(part)

export interface Answer {
  status: number
  text: string
  // biome-ignore lint/suspicious/noExplicitAny: whatever the service answered
  body: any
  headers: Headers
}

export interface CallOptions {
  body?: unknown
  signal?: AbortSignal
  surface?: Surface
  /** False: without the assertion that the library service presents to auth. */
  delegate?: boolean
}

/** A library service on an embedded graph and the bus of the process, with a stand-in for auth. */
export class World implements AsyncDisposable {
  readonly dir: string
  readonly sql: Sql<LibraryTables>
  readonly graph: GraphStore
  readonly bus: Bus
  readonly events: BusMessage[] = []
  /** `username library_uid` → role */
  readonly members = new Map<string, Role>()
  /** Users whom auth does not know, or who are disabled. */
  readonly absent = new Map<string, 'unknown' | 'disabled'>()
  /** What auth was asked, in order. */
  readonly asked: { operation: AuthOperation; input: Record<string, unknown> }[] = []
  readonly authFaults = new Set<AuthOperation>()
  /** Asked before each search: an answer in its place, or what it waits for. */
  beforeSearch: (query: string) => Promise<Response | undefined> = async () => undefined
  /** Parts without which search answers. */
  readonly searchDegraded: Degraded[] = []
  readonly metrics: Metrics
  readonly #graphFaults = new Set<keyof GraphStore>()
  service!: Service
  readonly #sign: Signer
  readonly #start: () => Promise<Service>

  private constructor(
    dir: string,
    stores: { sql: Sql<LibraryTables>; graph: GraphStore; bus: Bus; metrics: Metrics },
    sign: Signer,
    start: (world: World) => Promise<Service>,
  ) {
    this.dir = dir
    this.sql = stores.sql
    this.graph = stores.graph
    this.bus = stores.bus
    this.metrics = stores.metrics
    this.#sign = sign
    this.#start = () => start(this)
  }

  static async open(
    sqlUrl?: string,
    { clock = systemClock, replayMs }: { clock?: Clock; replayMs?: number } = {},
  ): Promise<World> {
    const dir = await mkdtemp(join(tmpdir(), 'mnemosyne-library-'))
    const metrics = new Metrics(new Registry(), 'library')
    const keys = await generateAssertionKeys('k1')
    const verify = await createVerifier('library', keys)
    const verifyAuth = await createVerifier('auth', keys)
    const verifySearch = await createVerifier('search', keys)
    const sql = await openLibrarySql(sqlUrl ?? `sqlite:${join(dir, 'library.db')}`)
    const graph = await openEmbeddedGraph({ file: join(dir, 'graph.db'), log, metrics, clock: systemClock })
    const bus = openInProcessBus({ log, metrics, clock: systemClock })
    const world = new World(dir, { sql, graph, bus, metrics }, await createSigner('gateway', keys), (self) =>
      startLibrary({
        sql,
        graph: faulty(graph, self.#graphFaults),
        bus,
        auth: createClient(authInternalContract, { fetch: authStandIn(self, verifyAuth), audience: 'auth' }),
        search: createClient(searchContract, {
          fetch: searchStandIn(self, verifySearch),
          audience: 'search',
        }),
        verify,
        clock,
        ids: randomUUID,
        log,
        metrics,
        reconcileDelayMs: 100,
        replayMs,
      }),
    )
    await bus.subscribe({
      queue: 'test.events',
      topics: ['#'],
      handle: async (message) => void world.events.push(message),
    })
    await world.start()
    return world
  }

  async start(): Promise<void> {
    this.service = await this.#start()
  }

  /** Runs `work` while one operation of the graph, or auth, fails. */
  async without<T>(part: keyof GraphStore | 'auth' | AuthOperation, work: () => Promise<T>): Promise<T> {
    if (part === 'auth') for (const operation of AUTH_OPERATIONS) this.authFaults.add(operation)
    else if (isAuthOperation(part)) this.authFaults.add(part)
    else this.#graphFaults.add(part)
    try {
      return await work()
    } finally {
      this.authFaults.clear()
      this.#graphFaults.clear()
    }
  }

  async restart(): Promise<void> {
    await this.service.stop()
    await this.start()
  }

  /** A request as the gateway passes it on. */
  async call(who: Person, method: string, path: string, options: CallOptions = {}): Promise<Answer> {
    return this.callAs(await this.principal(who, options.surface ?? 'rest'), method, path, options)
  }

  /** With what was true of the caller some time ago. */
  async callAs(
    principal: Principal,
    method: string,
    path: string,
    { body, delegate = true, signal }: CallOptions = {},
  ): Promise<Answer> {
    const response = await this.service.fetch(
      new Request(`http://library${path}`, {
        method,
        headers: {
          [PRINCIPAL_HEADER]: await this.#sign(principal, 'library'),
          ...(delegate && {
            [DELEGATION_HEADER]: encodeDelegations({
              auth: await this.#sign(principal, 'auth'),
              search: await this.#sign(principal, 'search'),
            }),
          }),
          ...(body !== undefined && { 'content-type': 'application/json' }),
        },
        body: body === undefined ? undefined : JSON.stringify(body),
        signal,
      }),
    )
    const text = await response.text()
    return {
      status: response.status,
      text,
      body: text === '' ? undefined : JSON.parse(text),
      headers: response.headers,
    }
  }

  async principal(
    { username, staff = false, service = false }: Person,
    surface: Surface,
  ): Promise<Principal> {
    if (service) return servicePrincipal(surface)
    const globals = await this.sql.read
      .selectFrom('library')
      .select('uid')
      .where('owner_username', 'is', null)
      .execute()
    const mine = [...this.members].flatMap(([key, role]) => {
      const [member, uid] = key.split(' ') as [string, string]
      return member === username ? [{ uid, role }] : []
    })
    const everybodys = globals.map(({ uid }) => uid)
    return {
      kind: 'user_token',
      surface,
      user: { id: randomUUID(), username, staff: staffLevelOf(staff) },
      team_id: null,
      token_id: null,
      resolved_libraries: [...mine.map(({ uid }) => uid), ...everybodys],
      writable_libraries: [
        ...mine.filter(({ role }) => role !== 'reader').map(({ uid }) => uid),
        ...everybodys,
      ],
      session_id: null,
      address: null,
      owned_libraries: mine.filter(({ role }) => role === 'owner').map(({ uid }) => uid),
      allowed_tools: [],
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.service.stop()
    await this.bus.close()
    await this.graph.close()
    await this.sql.close()
    await rm(this.dir, { recursive: true, force: true })
  }
}

/** The real store, of which chosen operations are unavailable for a while: for the service, not for the test. */
function faulty(graph: GraphStore, faults: Set<keyof GraphStore>): GraphStore {
  return new Proxy(graph, {
    get(target, name: keyof GraphStore) {
      const operation = target[name] as (...args: unknown[]) => Promise<unknown>
      return async (...args: unknown[]) => {
        if (faults.has(name)) throw new GraphUnavailableError('the store is away for a test')
        return operation.apply(target, args)
      }
    },
  })
}

/** Answers as auth does, by what the world says of users and members. */
function authStandIn(world: World, verify: (assertion: string | null) => Promise<Principal>) {
  const { putOwner, recordHandOver, forgetLibrary } = authInternalContract
  const os = implement({ putOwner, recordHandOver, forgetLibrary }).$context<RequestContext>()
  const hear = (operation: AuthOperation, input: Record<string, unknown>) => {
    if (world.authFaults.has(operation)) throw new DomainError('DOWN', 'The database of auth is away.')
    world.asked.push({ operation, input })
  }
  const mayGive = ({ user }: Principal, uid: string, self: string) => {
    if (user?.username === self || world.members.get(`${user?.username} ${uid}`) === 'owner') return
    throw new DomainError('NOT_YOU', 'Not yours.')
  }
  return serviceApp({
    name: 'auth',
    log,
    metrics: new Metrics(new Registry(), 'auth'),
    readiness: async () => ({ status: 'ready', checks: {} }),
    verify,
    errorStatus: { DOWN: 503, NOT_YOU: 403, USER_NOT_FOUND: 404, USER_DISABLED: 409 },
    router: os.router({
      putOwner: os.putOwner.handler(({ input, context }) => {
        hear('putOwner', input)
        mayGive(context.principal, input.library_uid, input.username)
        const absence = world.absent.get(input.username)
        if (absence === 'unknown') throw new DomainError('USER_NOT_FOUND', 'There is no such user.')
        if (absence === 'disabled') throw new DomainError('USER_DISABLED', 'The account is disabled.')
        world.members.set(`${input.username} ${input.library_uid}`, 'owner')
      }),
      recordHandOver: os.recordHandOver.handler(({ input, context }) => {
        hear('recordHandOver', input)
        mayGive(context.principal, input.library_uid, input.from)
        world.members.set(`${input.from} ${input.library_uid}`, 'manager')
      }),
      forgetLibrary: os.forgetLibrary.handler(({ input }) => {
        hear('forgetLibrary', input)
        for (const key of world.members.keys())
          if (key.endsWith(` ${input.library_uid}`)) world.members.delete(key)
      }),
    }),
  })
}

/** Answers as search does, by full text alone, from the graph that the service has. */
function searchStandIn(world: World, verify: (assertion: string | null) => Promise<Principal>): FetchHandler {
  const os = implement({ search: searchContract.search }).$context<RequestContext>()
  const app = serviceApp({
    name: 'search',
    log,
    metrics: new Metrics(new Registry(), 'search'),
    readiness: async () => ({ status: 'ready', checks: {} }),
    verify,
    errorStatus: { LIBRARY_NOT_FOUND: 404 },
    router: os.router({
      search: os.search.handler(async ({ input, context }): Promise<SearchAnswer> => {
        const libraries = context.principal.resolved_libraries.filter((uid) => uid === input.library_uid)
        if (libraries.length === 0) throw new DomainError('LIBRARY_NOT_FOUND', 'Library not found.')
        const scope = { libraries }
        const hits = await world.graph.fullTextCandidates(scope, queryTerms(input.query), input.limit!)
        const chunks = await world.graph.chunkDetails(
          scope,
          hits.map(({ chunk_uid }) => chunk_uid),
        )
        return {
          query: input.query,
          candidates: chunks.map((chunk) => ({
            ...chunk,
            library_type: chunk.library_type as SearchAnswer['candidates'][number]['library_type'],
            text_preview: chunk.text,
            score: 1,
            source: 'fulltext',
            sources: ['fulltext'],
            fused_score: 1,
            highlights: [],
            duplicate_count: 0,
            joined: [chunk.chunk_uid],
          })),
          images: [],
          total_candidates: hits.length,
          search_time_ms: 1,
          reranker_used: false,
          reranker_model: null,
          reranker_skip_reason: null,
          search_types_used: ['fulltext'],
          contexts: {},
          timings_ms: {},
          exact: true,
          degraded: world.searchDegraded,
        }
      }),
    }),
  })
  return async (request) => {
    const { query } = (await request.clone().json()) as { query: string }
    const instead = await world.beforeSearch(query)
    request.signal.throwIfAborted()
    return instead ?? app(request)
  }
}
