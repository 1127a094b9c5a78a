import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Client, libraryInternalContract } from '@mnemosyne/contracts'
import { DimensionMismatchError, type GraphStore } from '@mnemosyne/graph'
import type { Embedder } from '@mnemosyne/models'
import {
  type BlobStore,
  type Bus,
  bearable,
  type Check,
  type Clock,
  type Logger,
  type Metrics,
  probe,
  type Readiness,
  readinessOf,
  type Service,
  type Sql,
  serviceApp,
  startRelay,
  type Verifier,
} from '@mnemosyne/platform'
import { announceAll } from './accept.ts'
import { dropLeftovers, dropUnclaimedUploads } from './clean-up.ts'
import type { IngestConfig } from './config.ts'
import { errorStatus } from './errors.ts'
import { consumeLibraryEvents } from './events/library-events.ts'
import type { Processor } from './processing/processor.ts'
import { ingestRouter, type Sources } from './routes/router.ts'
import { uploadRoute } from './routes/upload.ts'
import { pendingJobs, releaseJobs } from './store/jobs.ts'
import { type IngestTables, ingestMigrations } from './store/tables.ts'
import { startWorker, type Worker, type WorkerDeps } from './worker/worker.ts'

export interface IngestDeps {
  config: IngestConfig
  sql: Sql<IngestTables>
  graph: GraphStore
  blobs: BlobStore
  sources: Sources
  bus: Bus
  processor: Processor
  /** The embedding model, or null while there is none. */
  embedder: () => Embedder | null
  library: Client<typeof libraryInternalContract>
  verify: Verifier
  clock: Clock
  /** An existing folder of this process's own for files in hand; emptied at start. The processor may read it. */
  workDir: string
  /**
   * True when no other worker can be alive and commands do not outlive the process (embedded): jobs in hand of the
   * process before are taken over at once, and every pending job is announced again.
   */
  soleWorker: boolean
  /** False: answers, but takes no work and sends nothing out. */
  work: boolean
  log: Logger
  metrics: Metrics
}

/** Starts the ingest service: its routes, its worker, its outbox relay and its consumers. */
export async function startIngest(deps: IngestDeps): Promise<Service> {
  const { config, sql, bus, blobs, graph, log, metrics } = deps
  await sql.migrate(ingestMigrations)
  await emptyFolder(deps.workDir)
  const misfit = await prepareIndex(deps)
  if (deps.soleWorker) await sql.transaction((tx) => releaseJobs(tx, 'all'))

  if (deps.work)
    await dropUnclaimedUploads({ sql, blobs, log }, { alone: deps.soleWorker, now: deps.clock() })

  const work: WorkerDeps = {
    ...deps,
    batchSize: config.EMBEDDING_BATCH_SIZE,
    maxFileBytes: config.INGEST_MAX_FILE_BYTES,
    wakeRelay: () => running?.relay.wake(),
  }
  const running = deps.work ? await startWork({ ...work, soleWorker: deps.soleWorker }, config) : undefined

  const doors = { ...work, library: deps.library }
  const readiness = () => readinessOfIngest({ sql, graph, blobs, bus, embedder: deps.embedder }, misfit)
  const fetch = serviceApp({
    name: 'ingest',
    log,
    metrics,
    readiness,
    verify: deps.verify,
    errorStatus,
    router: ingestRouter({ ...doors, abort: (jobId) => running?.worker.abort(jobId) }),
    routes: (app, principalOf) => uploadRoute(app, principalOf, doors),
  })
  return {
    name: 'ingest',
    fetch,
    readiness,
    async stop() {
      await running?.close()
      await emptyFolder(deps.workDir)
    },
  }
}

/**
 * Makes the vector index for the model's dimensions. Says what is wrong when the store holds vectors of another
 * length: they would never be compared, and jobs fail until it is mended.
 */
async function prepareIndex({ embedder, graph, log }: IngestDeps): Promise<string | undefined> {
  const model = embedder()?.model
  if (!model) return undefined
  try {
    await graph.setUpVectors(model.dimensions)
    return undefined
  } catch (error) {
    if (!(error instanceof DimensionMismatchError)) throw error
    log.error(
      { err: error, model: model.name },
      'the embedding model does not fit the vectors that are stored',
    )
    return error.message
  }
}

/** The worker, the outbox relay and the consumer of the library's events. */
async function startWork(deps: WorkerDeps & Pick<IngestDeps, 'soleWorker'>, config: IngestConfig) {
  const { sql, blobs, graph, bus, clock, log, metrics } = deps
  await using starting = new AsyncDisposableStack()
  let stopWhere: Worker['stopWhere'] = () => {}
  const relay = startRelay({ sql, bus, clock, log, metrics })
  starting.defer(() => relay.stop())
  const events = await consumeLibraryEvents({
    ...{ sql, blobs, graph, bus, log },
    stopWhere: (matches) => stopWhere(matches),
  })
  starting.defer(() => events.close())
  const working = { ...deps, wakeRelay: () => relay.wake() }
  const worker = await startWorker(working, {
    takesJobs: config.WORKER_QUEUES.includes('embedding'),
    concurrency: config.WORKER_CONCURRENCY,
    leaseMs: config.INGEST_LEASE_SECONDS * 1000,
    retries: config.INGEST_RETRIES,
    firstRetryMs: config.INGEST_RETRY_FIRST_SECONDS * 1000,
    maxRetryMs: config.INGEST_RETRY_MAX_SECONDS * 1000,
  })
  starting.defer(() => worker.close())
  stopWhere = worker.stopWhere
  if (deps.soleWorker) await announcePending(working)
  const tidying = new AbortController()
  const tidied = dropLeftovers(deps, tidying.signal).catch((err: unknown) =>
    log.error({ err }, 'tidying the blobs failed'),
  )
  starting.defer(async () => {
    tidying.abort()
    await tidied
  })
  const running = starting.move()
  return { relay, worker, close: () => running.disposeAsync() }
}

/** Commands of the process before are gone with it. */
async function announcePending({ sql, clock, wakeRelay }: WorkerDeps): Promise<void> {
  const jobs = await pendingJobs(sql)
  await sql.transaction((tx) => announceAll(tx, jobs, clock))
  wakeRelay()
}

/** The folder itself stays: the processor's children hold permission to it. */
async function emptyFolder(folder: string): Promise<void> {
  for (const name of await readdir(folder)) await rm(join(folder, name), { recursive: true, force: true })
}

async function readinessOfIngest(
  deps: Pick<IngestDeps, 'sql' | 'graph' | 'blobs' | 'bus' | 'embedder'>,
  misfit: string | undefined,
): Promise<Readiness> {
  const [sql, graph, blobs, bus] = await Promise.all([
    probe(() => deps.sql.ping(), "The database can't be reached."),
    probe(() => deps.graph.ping(), "The graph store can't be reached."),
    probe(() => deps.blobs.ping(), "The store of documents can't be used."),
    probe(() => deps.bus.ping(), 'The message bus is down; jobs and events wait.'),
  ])
  const embedding: Check = deps.embedder()
    ? misfit === undefined
      ? { status: 'ok' }
      : { status: 'error', detail: misfit }
    : { status: 'degraded', detail: 'No embedding model: documents are found by text and graph only.' }
  return readinessOf({ sql, graph, blobs, bus: bearable(bus), embedding })
}
