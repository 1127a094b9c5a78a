import { createHash, randomUUID } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import {
  createClient,
  DELEGATION_HEADER,
  encodeDelegations,
  type Job,
  libraryInternalContract,
  PRINCIPAL_HEADER,
  type Principal,
} from '@mnemosyne/contracts'
import { type GraphStore, openEmbeddedGraph } from '@mnemosyne/graph'
import {
  type BlobStore,
  type Bus,
  type BusMessage,
  cloudEvent,
  createLog,
  createSigner,
  createVerifier,
  DomainError,
  eventMessage,
  generateAssertionKeys,
  type Logger,
  Metrics,
  openFolderBlobs,
  openFolderSource,
  openInProcessBus,
  openRabbitBus,
  openSql,
  type RequestContext,
  type Service,
  type Sql,
  serviceApp,
  systemClock,
} from '@mnemosyne/platform'
import { implement } from '@orpc/server'
import { Registry } from 'prom-client'
import { expect } from 'vitest'
import { type IngestConfig, ingestConfig } from '../src/config.ts'
import { openProcessor } from '../src/processing/open-processor.ts'
import type { Processor } from '../src/processing/processor.ts'
import { type IngestDeps, startIngest } from '../src/service.ts'
import type { IngestTables, JobRow } from '../src/store/tables.ts'
import { DEFAULT_CHUNKING } from './default-chunking.ts'
import { Ports } from './ports.ts'
import { TestEmbedder } from './test-embedder.ts'

export const log = createLog({ component: 'ingest', level: 'silent' })
const metricsOf = () => new Metrics(new Registry(), 'ingest')

export interface Answer {
  status: number
  // biome-ignore lint/suspicious/noExplicitAny: whatever the service answered
  body: any
}

/** An ingest service that runs, on its own bus unless it was given one. */
export interface Instance {
  service: Service
  ports: Ports
  bus: Bus
  stop(): Promise<void>
}

export interface StartOptions {
  bus?: Bus
  ports?: Ports
  soleWorker?: boolean
  work?: boolean
  clock?: () => Date
  config?: Partial<IngestConfig>
  log?: Logger
}

/** Folder and parser processes of a test file: those take a moment to start, so that its worlds share them. */
export class Ground implements AsyncDisposable {
  readonly dir: string
  readonly processor: Processor

  private constructor(dir: string, processor: Processor) {
    this.dir = dir
    this.processor = processor
  }

  static async open(): Promise<Ground> {
    const dir = await mkdtemp(join(tmpdir(), 'mnemosyne-ingest-'))
    const limits = {
      timeoutMs: 60_000,
      maxRssBytes: 2 ** 31,
      maxOutputBytes: 2 ** 24,
      maxInputBytes: 2 ** 24,
      maxPages: 100,
    }
    return new Ground(dir, openProcessor({ size: 2, limits, inputDirs: [dir], log, metrics: metricsOf() }))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.processor.close()
    await rm(this.dir, { recursive: true, force: true })
  }
}

interface Stores {
  sql: Sql<IngestTables>
  graph: GraphStore
  blobs: BlobStore
}

/** Stores with two libraries, a stand-in for the library service, and as many ingest services as are started. */
export class World implements AsyncDisposable {
  readonly dir: string
  readonly sql: Sql<IngestTables>
  readonly graph: GraphStore
  readonly blobs: BlobStore
  readonly libraries = [randomUUID(), randomUUID()] as const
  /** Those that the caller reads, and into which they ingest. */
  scope: readonly string[] = this.libraries
  readonly events: BusMessage[] = []
  /** The model that jobs find; null for none. */
  embedder: TestEmbedder | null = new TestEmbedder()
  libraryIsAway = false
  /** Whose requests they are. */
  caller: NonNullable<Principal['user']> = { id: randomUUID(), username: 'ada', staff: 'none' }
  readonly #instances: Instance[] = []
  readonly #buses: Bus[] = []
  readonly #ground: Ground
  readonly #keys: Awaited<ReturnType<typeof generateAssertionKeys>>
  readonly #amqpUrl: string | undefined

  private constructor(
    ground: Ground,
    dir: string,
    stores: Stores,
    keys: Awaited<ReturnType<typeof generateAssertionKeys>>,
    amqpUrl: string | undefined,
  ) {
    this.#ground = ground
    this.dir = dir
    this.sql = stores.sql
    this.graph = stores.graph
    this.blobs = stores.blobs
    this.#keys = keys
    this.#amqpUrl = amqpUrl
  }

  static async open(
    ground: Ground,
    { sqlUrl, amqpUrl }: { sqlUrl?: string; amqpUrl?: string } = {},
  ): Promise<World> {
    const dir = await mkdtemp(join(ground.dir, 'world-'))
    await mkdir(join(dir, 'daedalus'))
    const metrics = metricsOf()
    const stores = {
      sql: await openSql<IngestTables>(sqlUrl ?? `sqlite:${join(dir, 'ingest.db')}`, {
        schema: 'ingest',
        log,
        metrics,
      }),
      graph: await openEmbeddedGraph({ file: join(dir, 'graph.db'), log, metrics, clock: systemClock }),
      blobs: await openFolderBlobs(join(dir, 'blobs')),
    }
    const world = new World(ground, dir, stores, await generateAssertionKeys('k1'), amqpUrl)
    for (const uid of world.libraries) await world.putLibrary(uid)
    return world
  }

  async openBus(): Promise<Bus> {
    const bus = this.#amqpUrl
      ? await openRabbitBus({ url: this.#amqpUrl, log, metrics: metricsOf(), clock: systemClock })
      : openInProcessBus({ log, metrics: metricsOf(), clock: systemClock, drainMs: 1_000 })
    this.#buses.push(bus)
    await bus.subscribe({
      queue: `test.events-${this.#buses.length}`,
      topics: ['ingest.#'],
      handle: async (message) => void this.events.push(message),
    })
    return bus
  }

  async start(options: StartOptions = {}): Promise<Instance> {
    const { ports = new Ports(), soleWorker = true, work = true, clock = systemClock } = options
    const bus = options.bus ?? (await this.openBus())
    const workDir = await mkdtemp(join(this.dir, 'work-'))
    const service = await startIngest({
      config: {
        ...ingestConfig.parse({}),
        EMBEDDING_BATCH_SIZE: 2,
        INGEST_RETRY_FIRST_SECONDS: 0.02,
        INGEST_RETRY_MAX_SECONDS: 0.05,
        INGEST_LEASE_SECONDS: 0.4,
        ...options.config,
      },
      sql: ports.wrap('sql', this.sql, ['transaction']),
      graph: ports.wrap('graph', this.graph),
      blobs: ports.wrap('blobs', this.blobs, ['put', 'open', 'read', 'head', 'delete', 'deletePrefix']),
      sources: {
        daedalus: ports.wrap('source', await openFolderSource(join(this.dir, 'daedalus')), ['open']),
      },
      bus,
      processor: ports.wrap('processor', this.#ground.processor, ['process']),
      embedder: () => this.embedder && ports.wrap('embedder', this.embedder, ['embedPassages']),
      library: await this.#libraryClient(),
      verify: await createVerifier('ingest', this.#keys),
      clock,
      workDir,
      soleWorker,
      work,
      log: options.log ?? log,
      metrics: metricsOf(),
    } satisfies IngestDeps)
    const instance: Instance = { service, ports, bus, stop: () => service.stop() }
    this.#instances.push(instance)
    return instance
  }

  async putLibrary(uid: string): Promise<void> {
    const now = systemClock().toISOString()
    await this.graph.putLibrary({
      uid,
      name: 'Manuals',
      library_type: 'technical',
      description: '',
      workspace_id: null,
      owner_username: 'ada',
      chunking_config: { ...DEFAULT_CHUNKING.technical },
      embedding_instruction: 'a manual',
      reranker_instruction: '',
      llm_context_prompt: '',
      created_at: now,
      updated_at: now,
    })
  }

  /** Puts a file into Daedalus's folder and gives the body of the request to take it in. */
  async file(text: string, change: Record<string, unknown> = {}): Promise<Record<string, unknown>> {
    const content_hash = createHash('sha256').update(text).digest('hex')
    const s3_key = `files/${content_hash}.md`
    const path = join(this.dir, 'daedalus', s3_key)
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, text)
    return {
      s3_key,
      title: 'Pump manual',
      library_uid: this.libraries[0],
      file_type: 'text/markdown',
      file_size: Buffer.byteLength(text),
      content_hash,
      source: 'daedalus',
      source_ref: 'pump',
      ...change,
    }
  }

  /** A request to an instance (the first one that lives) as the gateway passes it on. */
  async call(method: string, path: string, body?: unknown): Promise<Answer> {
    const response = await this.respond(method, path, {
      body: body === undefined ? undefined : JSON.stringify(body),
      headers: body === undefined ? {} : { 'content-type': 'application/json' },
    })
    const text = await response.text()
    return { status: response.status, body: text === '' ? undefined : JSON.parse(text) }
  }

  async respond(method: string, path: string, init: RequestInit = {}): Promise<Response> {
    const instance = this.#instances.findLast(({ ports }) => !ports.dead)!
    const sign = await createSigner('gateway', this.#keys)
    const principal: Principal = {
      kind: 'user_token',
      surface: 'rest',
      user: this.caller,
      team_id: null,
      token_id: null,
      resolved_libraries: [...this.scope],
      writable_libraries: [...this.scope],
      session_id: null,
      address: null,
      owned_libraries: [],
      allowed_tools: [],
    }
    return instance.service.fetch(
      new Request(`http://ingest${path}`, {
        ...init,
        method,
        headers: {
          ...(init.headers as Record<string, string>),
          [PRINCIPAL_HEADER]: await sign(principal, 'ingest'),
          [DELEGATION_HEADER]: encodeDelegations({ library: await sign(principal, 'library') }),
        },
      }),
    )
  }

  /** Takes a text in: the answer's job. */
  async ingest(text: string, change: Record<string, unknown> = {}): Promise<Job> {
    const { status, body } = await this.call('POST', '/library/api/ingest/', await this.file(text, change))
    expect([200, 202], JSON.stringify(body)).toContain(status)
    return body
  }

  async upload(text: string, fields: Record<string, string> = {}): Promise<Answer> {
    const form = new FormData()
    for (const [name, value] of Object.entries({ library_uid: this.libraries[0], ...fields }))
      form.set(name, value)
    form.set('file', new Blob([text], { type: 'text/markdown' }), 'note.md')
    // As bytes: undici's stream of a form does not bear that its reader stops in the middle.
    const encoded = new Response(form)
    const headers = { 'content-type': encoded.headers.get('content-type')! }
    const body = await encoded.bytes()
    const response = await this.respond('POST', '/library/api/items/upload/', { body, headers })
    return { status: response.status, body: await response.json() }
  }

  async job(jobId: string): Promise<Job> {
    return (await this.call('GET', `/library/api/jobs/${jobId}/`)).body
  }

  /** The job once it has ended. */
  async ended(jobId: string): Promise<Job> {
    await expect
      .poll(async () => (await this.job(jobId)).status, { timeout: 20_000, interval: 20 })
      .toMatch(/completed|failed/)
    return this.job(jobId)
  }

  async completed(text: string, change: Record<string, unknown> = {}): Promise<Job> {
    const job = await this.ended((await this.ingest(text, change)).job_id)
    expect(job).toMatchObject({ status: 'completed', error: null, progress: 100 })
    return job
  }

  rows(): Promise<JobRow[]> {
    return this.sql.read.selectFrom('job').selectAll().orderBy('created_at').execute()
  }

  async blobKeys(): Promise<string[]> {
    const keys: string[] = []
    for await (const key of this.blobs.list('')) keys.push(key)
    return keys
  }

  async chunks(itemUid: string) {
    const { chunks } = await this.graph.listChunks({ libraries: 'all' }, itemUid, { limit: 100, offset: 0 })
    return chunks
  }

  /** The library service deletes, then tells. */
  async deleteItem(itemUid: string): Promise<void> {
    await this.graph.deleteItem(itemUid)
    await this.tell('item.deleted.v1', { item_uid: itemUid, library_uid: this.libraries[0] })
  }

  async deleteLibrary(uid: string): Promise<void> {
    await this.graph.deleteLibrary(uid)
    await this.tell('library.deleted.v1', { library_uid: uid, workspace_id: null })
  }

  async tell(type: string, data: unknown): Promise<void> {
    const { bus } = this.#instances.findLast(({ ports }) => !ports.dead)!
    const event = cloudEvent({ type, source: '/library', id: randomUUID(), time: systemClock(), data })
    await bus.publish(eventMessage(event))
  }

  async #libraryClient() {
    const os = implement({
      globalLibraries: libraryInternalContract.globalLibraries,
      ingestTarget: libraryInternalContract.ingestTarget,
    }).$context<RequestContext>()
    const fetch = serviceApp({
      name: 'library',
      log,
      metrics: metricsOf(),
      readiness: async () => ({ status: 'ready', checks: {} }),
      verify: await createVerifier('library', this.#keys),
      errorStatus: { NOT_FOUND: 404, DOWN: 503 },
      router: os.router({
        globalLibraries: os.globalLibraries.handler(() => []),
        ingestTarget: os.ingestTarget.handler(({ input, context }) => {
          if (this.libraryIsAway)
            throw new DomainError('DOWN', 'The database of library is away at 10.0.0.1.')
          const uid = context.principal.writable_libraries.find((one) => one === input.library_uid)
          if (!uid) throw new DomainError('NOT_FOUND', 'Library not found.')
          return { library_uid: uid, collection_uid: input.collection_uid ?? null }
        }),
      }),
    })
    return createClient(libraryInternalContract, { fetch, audience: 'library' })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { ports, stop } of this.#instances) if (!ports.dead) await stop()
    await Promise.all(this.#buses.map((bus) => bus.close()))
    await this.graph.close()
    await this.sql.close()
  }
}

/** Markdown with a section for each word given; each is a chunk of its own, and the same word gives the same one. */
export function manual(...words: string[]): string {
  return words.map((word) => `## The ${word}\n\n${sentences(word)}\n`).join('\n')
}

function sentences(word: string): string {
  return Array.from(
    { length: 8 },
    (_, n) => `Look at the ${word} in step ${n + 1}, then turn it by ${(n * 7) % 90} degrees.`,
  ).join(' ')
}
