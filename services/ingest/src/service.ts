import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Client, libraryInternalContract } from '@mnemosyne/contracts'
import type { GraphStore } from '@mnemosyne/graph'
import type { Embedder } from '@mnemosyne/models'
import {
  type BlobStore,
  type Bus,
  type Check,
  type Clock,
  type Logger,
  type Metrics,
  type Readiness,
  type Service,
  type Sql,
  serviceApp,
  startRelay,
  type Verifier,
} from '@mnemosyne/platform'
import { announce } from './accept.ts'
import { dropLeftovers, dropUnclaimedUploads } from './clean-up.ts'
import type { IngestConfig } from './config.ts'
import { errorStatus } from './errors.ts'
import { consumeLibraryEvents } from './events/library-events.ts'
import type { Processor } from './processing/processor.ts'
import { ingestRouter, type Sources } from './routes/router.ts'
import { uploadRoute } from './routes/upload.ts'
import { abandonedJobs, releaseAll } from './store/jobs.ts'
import { type IngestTables, ingestMigrations } from './store/tables.ts'
import { announceAll, startWorker, type Worker, type WorkerDeps } from './worker/worker.ts'

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
   * True when no other worker can be alive and commands do not outlive the process (embedded): leases of the
   * process before end at once, and every pending job is announced again.
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
  if (deps.soleWorker) await releaseAll(sql)
  if (deps.soleWorker && deps.work) await dropUnclaimedUploads({ sql, blobs, log })

  const work: WorkerDeps = {
    ...deps,
    batchSize: config.EMBEDDING_BATCH_SIZE,
    maxFileBytes: config.INGEST_MAX_FILE_BYTES,
    wakeRelay: () => running?.relay.wake(),
  }
  const running = deps.work ? await startWork({ ...work, soleWorker: deps.soleWorker }, config) : undefined

  const doors = { ...work, library: deps.library }
  const readiness = () => readinessOf({ sql, graph, blobs, bus, embedder: deps.embedder })
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

/** The worker, the outbox relay and the consumer of the library's events. */
async function startWork(deps: WorkerDeps & Pick<IngestDeps, 'soleWorker'>, config: IngestConfig) {
  const { sql, blobs, bus, clock, log, metrics } = deps
  let stopWhere: Worker['stopWhere'] = () => {}
  // Before the relay: in one process an event reaches only those who listen.
  const events = await consumeLibraryEvents({ sql, blobs, bus, stopWhere: (matches) => stopWhere(matches) })
  const relay = startRelay({ sql, bus, clock, log, metrics })
  const working = { ...deps, wakeRelay: () => relay.wake() }
  const worker = await startWorker(working, {
    concurrency: config.WORKER_CONCURRENCY,
    leaseMs: config.INGEST_LEASE_SECONDS * 1000,
    retries: config.INGEST_RETRIES,
    firstRetryMs: config.INGEST_RETRY_FIRST_SECONDS * 1000,
    maxRetryMs: config.INGEST_RETRY_MAX_SECONDS * 1000,
  })
  stopWhere = worker.stopWhere
  const now = clock().toISOString()
  await announceAll(working, await abandonedJobs(sql, now, { pendingToo: deps.soleWorker }))
  await embedWaiting(working)
  const tidying = new AbortController()
  const tidied = (deps.soleWorker ? dropLeftovers(deps, tidying.signal) : Promise.resolve()).catch(
    (err: unknown) => log.error({ err }, 'tidying the blobs failed'),
  )
  return {
    relay,
    worker,
    async close() {
      tidying.abort()
      await tidied
      await worker.close()
      await events.close()
      await relay.stop()
    },
  }
}

/** Items that were taken in while there was no model are taken through again, to be given their vectors. */
async function embedWaiting(deps: WorkerDeps): Promise<void> {
  if (!deps.embedder()) return
  const rows = await deps.sql.transaction(async (tx) => {
    const waiting = await tx
      .updateTable('job')
      .set({ status: 'pending', stage: 'queued', progress: 0, completed_at: null })
      .where('status', '=', 'completed')
      .where('stage', '=', 'completed')
      .where('current', '=', 1)
      .where('chunks_created', '>', 0)
      .where('embedding_model', 'is', null)
      .returning('job_id')
      .execute()
    // In the same transaction: a pending job that nobody is told of would wait for ever.
    for (const { job_id } of waiting) await announce(tx, job_id, deps.clock)
    return waiting
  })
  if (rows.length === 0) return
  deps.log.info({ jobs: rows.length }, 'embedding what was taken in without a model')
  deps.wakeRelay()
}

/** The folder itself stays: the processor's children hold permission to it. */
async function emptyFolder(folder: string): Promise<void> {
  for (const name of await readdir(folder)) await rm(join(folder, name), { recursive: true, force: true })
}

async function readinessOf(
  deps: Pick<IngestDeps, 'sql' | 'graph' | 'blobs' | 'bus' | 'embedder'>,
): Promise<Readiness> {
  const [sql, graph, blobs, bus] = await Promise.all([
    check(() => deps.sql.ping()),
    check(() => deps.graph.ping()),
    check(() => deps.blobs.ping()),
    check(() => deps.bus.ping()),
  ])
  const embedding: Check = deps.embedder()
    ? { status: 'ok' }
    : { status: 'degraded', detail: 'No embedding model: documents are found by text and graph only.' }
  const checks = { sql, graph, blobs, bus, embedding }
  const all = Object.values(checks)
  const status = all.some((one) => one.status === 'error')
    ? 'down'
    : all.some((one) => one.status === 'degraded')
      ? 'degraded'
      : 'ready'
  return { status, checks }
}

async function check(ask: () => Promise<void>): Promise<Check> {
  try {
    await ask()
    return { status: 'ok' }
  } catch (error) {
    return { status: 'error', detail: error instanceof Error ? error.message : 'does not answer' }
  }
}
