import { createHash, randomUUID } from 'node:crypto'
import { Writable } from 'node:stream'
import {
  type AuditRecord,
  authInternalContract,
  createClient,
  type FetchHandler,
  libraryContract,
  PRINCIPAL_HEADER,
  type Principal,
  type SearchAnswer,
  type SearchRequest,
  searchContract,
} from '@mnemosyne/contracts'
import {
  createLog,
  createSigner,
  createVerifier,
  DomainError,
  generateAssertionKeys,
  type Listener,
  listen,
  Metrics,
  publicKeys,
  type Readiness,
  type RequestContext,
  type Service,
  type Signer,
  serviceApp,
  startAuditRecorder,
} from '@mnemosyne/platform'
import { implement } from '@orpc/server'
import { Registry } from 'prom-client'
import { startMcp } from '../src/index.ts'

export const MINE = '11111111-1111-4111-8111-111111111111'
export const THEIRS = '22222222-2222-4222-8222-222222222222'
export const CHUNK = '33333333-3333-4333-8333-333333333333'
export const NEXT_CHUNK = '34343434-3434-4343-8343-343434343434'
export const ITEM = '44444444-4444-4444-8444-444444444444'
export const TOKEN = 'a-token-of-ada'

export const ada: Principal = {
  kind: 'user_token',
  surface: 'mcp',
  user: { id: '55555555-5555-4555-8555-555555555555', username: 'ada', staff: 'none' },
  team_id: null,
  token_id: '66666666-6666-4666-8666-666666666666',
  resolved_libraries: [MINE],
  writable_libraries: [],
  session_id: null,
  address: null,
  owned_libraries: [],
  allowed_tools: [],
}

const library = {
  uid: MINE,
  name: 'Notes',
  library_type: 'technical' as const,
  description: 'What we know.',
  workspace_id: null,
  owner_username: 'ada',
  global: false,
  item_count: 1,
  chunk_count: 1,
  image_count: 0,
  created_at: '2026-01-01T00:00:00.000Z',
  updated_at: '2026-01-01T00:00:00.000Z',
}

/** What the stand-ins answer; a test may change it. */
export interface World {
  /** What search was asked, and under which libraries. */
  asked: { request: SearchRequest; libraries: string[] }[]
  searchFails: Error | null
  embedding: Readiness['checks'][string] & { model?: string | null }
  blobs: Readiness['checks'][string]
}

export interface TestMcp {
  world: World
  service: Service
  registry: Registry
  lines: string[]
  /** What the audit log was told; all of it once it is `told`. */
  audited: AuditRecord[]
  told(): Promise<void>
  /** Where a client calls: a handler in front stands for the gateway and adds the assertion. */
  url: string
  sign: Signer
  close(): Promise<void>
}

/**
 * The MCP service on a socket, behind a handler that, like the gateway, resolves the bearer into an assertion, in
 * front of small handlers that stand for search and library behind their real contracts and verification.
 */
export async function openTestMcp(
  options: { principal?: Principal; requireAuth?: boolean; direct?: boolean; auth?: FetchHandler } = {},
): Promise<TestMcp> {
  const keys = await generateAssertionKeys('k1')
  const sign = await createSigner('gateway', keys)
  const registry = new Registry()
  const lines: string[] = []
  const log = createLog({
    component: 'mcp',
    level: 'debug',
    destination: new Writable({ write: (line, _, done) => done(void lines.push(String(line))) }),
  })
  const world: World = {
    asked: [],
    searchFails: null,
    embedding: { status: 'ok', model: 'bge-small' },
    blobs: { status: 'ok' },
  }
  const common = { log, metrics: new Metrics(registry, 'test'), readiness: async () => ready(world) }
  const search = serviceApp({
    ...common,
    name: 'search',
    verify: await createVerifier('search', publicKeys(keys)),
    errorStatus: { LIBRARY_NOT_FOUND: 404, SEARCH_UNAVAILABLE: 503 },
    router: searchRouter(world),
  })
  const libraryApp = serviceApp({
    ...common,
    name: 'library',
    verify: await createVerifier('library', publicKeys(keys)),
    errorStatus: { CHUNK_NOT_FOUND: 404 },
    router: libraryRouter(),
  })
  const auth = serviceApp({
    ...common,
    name: 'auth',
    verify: await createVerifier('auth', publicKeys(keys)),
    router: authRouter(options.principal ?? ada, (records) => audited.push(...records)),
  })

  const audited: AuditRecord[] = []
  const signOwn = await createSigner('mcp', keys)
  const metrics = new Metrics(registry, 'mcp')
  const audit = startAuditRecorder({
    auth: createClient(authInternalContract, { fetch: auth, audience: 'auth' }),
    ...{ sign: signOwn, clock: () => new Date(), log, metrics, ids: randomUUID },
  })
  const service = await startMcp({
    config: { MCP_REQUIRE_AUTH: options.requireAuth ?? true },
    search: createClient(searchContract, { fetch: search, audience: 'search' }),
    library: createClient(libraryContract, { fetch: libraryApp, audience: 'library' }),
    ...(options.direct && {
      auth: createClient(authInternalContract, { fetch: options.auth ?? auth, audience: 'auth' }),
    }),
    verify: await createVerifier('mcp', publicKeys(keys)),
    sign: signOwn,
    audit,
    readiness: [async () => ready(world)],
    clock: () => new Date(),
    log,
    metrics,
  })
  const front = options.direct ? service.fetch : gatewayFor(service.fetch, sign, options.principal ?? ada)
  const listener: Listener = await listen(front, { host: '127.0.0.1', port: 0 })
  return {
    world,
    service,
    registry,
    lines,
    audited,
    told: () => audit.stop(),
    url: listener.url,
    sign,
    async close() {
      await listener.close(100)
      await service.stop()
      await audit.stop()
    },
  }
}

/** As the gateway: a client's own copy of the internal header is dropped, a good bearer becomes an assertion. */
function gatewayFor(mcp: FetchHandler, sign: Signer, principal: Principal): FetchHandler {
  return async (request) => {
    const headers = new Headers(request.headers)
    headers.delete(PRINCIPAL_HEADER)
    if (headers.get('authorization') === `Bearer ${TOKEN}`) {
      headers.set(PRINCIPAL_HEADER, await sign(principal, 'mcp'))
    }
    headers.delete('authorization')
    return mcp(new Request(request, { headers }))
  }
}

function ready({ embedding, blobs }: World): Readiness {
  return { status: 'ready', checks: { graph: { status: 'ok' }, blobs, embedding } }
}

function searchRouter(world: World) {
  const os = implement(searchContract).$context<RequestContext>()
  return os.router({
    search: os.search.handler(({ input, context }) => {
      const libraries = context.principal.resolved_libraries
      world.asked.push({ request: input, libraries })
      if (world.searchFails) throw world.searchFails
      if (input.library_uid !== undefined && !libraries.includes(input.library_uid)) {
        throw new DomainError('LIBRARY_NOT_FOUND', 'Library not found.')
      }
      return answer(input, libraries.includes(MINE))
    }),
    explain: os.explain.handler((): never => {
      throw new Error('not for these tests')
    }),
  })
}

function answer(input: SearchRequest, visible: boolean): SearchAnswer {
  return {
    query: input.query,
    candidates: visible
      ? [
          {
            chunk_uid: CHUNK,
            item_uid: ITEM,
            item_title: 'Pumps',
            library_uid: MINE,
            library_type: 'technical',
            text_preview: 'Prime the pump before the first start.',
            score: 4.2,
            fused_score: 4.2,
            source: 'vector',
            sources: ['vector', 'fulltext'],
            section_path: ['Starting'],
            page: 3,
            char_start: 0,
            char_end: 38,
            highlights: [[10, 14]],
            duplicate_count: input.fold_duplicates ? 2 : 0,
            joined: input.join_neighbours ? [CHUNK, NEXT_CHUNK] : [CHUNK],
          },
        ]
      : [],
    images: [],
    total_candidates: visible ? 1 : 0,
    search_time_ms: 3,
    reranker_used: false,
    reranker_model: null,
    reranker_skip_reason: 'No re-ranker is configured.',
    search_types_used: input.search_types,
    contexts: visible ? { [MINE]: 'Manuals: follow the order of steps.' } : {},
    timings_ms: { total: 3 },
    exact: true,
    degraded: [],
  }
}

function libraryRouter() {
  const os = implement(libraryContract).$context<RequestContext>()
  const sees = (context: RequestContext) => context.principal.resolved_libraries.includes(MINE)
  const unused = (): never => {
    throw new Error('not for these tests')
  }
  return os.router({
    workspaces: {
      create: os.workspaces.create.handler(unused),
      get: os.workspaces.get.handler(unused),
      delete: os.workspaces.delete.handler(unused),
    },
    libraries: {
      list: os.libraries.list.handler(({ context, input }) => {
        const all = sees(context) ? [library] : []
        return {
          headers: { 'x-total-count': String(all.length) },
          body: all.slice(input.offset, input.offset + input.limit),
        }
      }),
      create: os.libraries.create.handler(unused),
      get: os.libraries.get.handler(unused),
      update: os.libraries.update.handler(unused),
      delete: os.libraries.delete.handler(unused),
    },
    collections: {
      list: os.collections.list.handler(unused),
      create: os.collections.create.handler(unused),
    },
    items: {
      list: os.items.list.handler(({ context }) => ({
        headers: { 'x-total-count': sees(context) ? '1' : '0' },
        body: sees(context) ? [item] : [],
      })),
      get: os.items.get.handler(unused),
      delete: os.items.delete.handler(unused),
      chunks: os.items.chunks.handler(unused),
    },
    chunks: {
      get: os.chunks.get.handler(({ context, input }) => {
        if (input.uid !== CHUNK || !sees(context))
          throw new DomainError('CHUNK_NOT_FOUND', 'Chunk not found.')
        return chunk
      }),
    },
    libraryTypes: {
      list: os.libraryTypes.list.handler(() => [libraryType]),
    },
  })
}

function authRouter(principal: Principal, audited: (records: AuditRecord[]) => void) {
  const { resolve, recordAudit } = authInternalContract
  const os = implement({ resolve, recordAudit }).$context<RequestContext>()
  return os.router({
    recordAudit: os.recordAudit.handler(({ input, context }) => {
      if (context.principal.kind !== 'service') throw new Error('recording is for services')
      audited(input.records)
    }),
    resolve: os.resolve.handler(({ input, context }) => {
      if (context.principal.kind !== 'service') throw new Error('resolution is for services')
      const { credential } = input
      return credential.kind === 'bearer' && credential.authorization === `Bearer ${TOKEN}`
        ? { outcome: 'resolved', principal }
        : { outcome: 'refused', reason: 'unknown_token', detail: 'Invalid MCP token.' }
    }),
  })
}

const item = {
  uid: ITEM,
  title: 'Pumps',
  item_type: 'document',
  file_type: 'text/markdown',
  file_size: 38,
  content_hash: createHash('sha256').update('pumps').digest('hex'),
  source: 'upload',
  source_ref: 'pumps.md',
  library_uid: MINE,
  collection_uid: null,
  embedding_status: 'completed' as const,
  embedding_model: 'bge-small',
  chunk_count: 1,
  image_count: 0,
  metadata: {},
  error: null,
  created_at: '2026-01-01T00:00:00.000Z',
  updated_at: '2026-01-01T00:00:00.000Z',
}

const chunk = {
  chunk_uid: CHUNK,
  item_uid: ITEM,
  chunk_index: 0,
  text: 'Prime the pump before the first start.',
  section_path: ['Starting'],
  page: 3,
  char_start: 0,
  char_end: 38,
  token_count: 9,
  item_title: 'Pumps',
  library_uid: MINE,
  library_type: 'technical' as const,
  before: [],
  after: [],
}

const libraryType = {
  library_type: 'technical' as const,
  description: 'Manuals.',
  chunking_config: {
    strategy: 'heading' as const,
    target_tokens: 200,
    max_tokens: 400,
    min_tokens: 20,
    overlap_tokens: 0,
    keep_whole: [],
  },
  embedding_instruction: '',
  reranker_instruction: '',
  llm_context_prompt: 'Manuals: follow the order of steps.',
  concept_types: ['product'],
  image_meaning: 'diagrams',
}
