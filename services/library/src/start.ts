import type { authInternalContract, Client, searchContract } from '@mnemosyne/contracts'
import type { GraphStore } from '@mnemosyne/graph'
import {
  type Bus,
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
import { errorStatus } from './errors.ts'
import { ingestJobs } from './events/ingest-jobs.ts'
import { startGoldenMetrics } from './golden/metrics.ts'
import { type Reconciler, startReconciler } from './reconciler.ts'
import { libraryRouter } from './routes/router.ts'
import { type LibraryTables, libraryMigrations } from './store/tables.ts'

export interface LibraryDeps {
  sql: Sql<LibraryTables>
  graph: GraphStore
  bus: Bus
  /** Calls auth with the delegation that came with the request. */
  auth: Client<typeof authInternalContract>
  /** Calls search so, too. */
  search: Client<typeof searchContract>
  verify: Verifier
  clock: Clock
  /** Random uids. */
  ids: () => string
  log: Logger
  metrics: Metrics
  /** Wait before SQL and the graph are brought into line again after a failure. Default 10,000. */
  reconcileDelayMs?: number
  /** How long one request replays golden queries, in milliseconds. Default 20,000. */
  replayMs?: number
}

/**
 * Migrates SQL, brings the graph into line with it, listens for ingest's events and relays its own. The stores
 * and the bus stay the caller's to close.
 */
export async function startLibrary(deps: LibraryDeps): Promise<Service> {
  const { sql, graph, bus, clock, log, metrics } = deps
  await sql.migrate(libraryMigrations)
  const reconciler = await startReconciler({ sql, graph }, log, deps.reconcileDelayMs)
  const consumer = await bus.subscribe(ingestJobs(sql, log))
  const relay = startRelay({ sql, bus, clock, log, metrics })
  const goldenMetrics = await startGoldenMetrics({ sql, log, metrics })
  const fetch = serviceApp({
    name: 'library',
    log,
    metrics,
    readiness: () => readiness(deps, reconciler),
    verify: deps.verify,
    errorStatus,
    router: libraryRouter({ ...deps, relay, goldenMetrics }, () => reconciler.soon()),
  })
  return {
    name: 'library',
    fetch,
    readiness: () => readiness(deps, reconciler),
    async stop() {
      goldenMetrics.stop()
      await consumer.close()
      await Promise.all([reconciler.stop(), relay.stop()])
    },
  }
}

async function readiness({ sql, graph, bus }: LibraryDeps, reconciler: Reconciler): Promise<Readiness> {
  const [sqlCheck, graphCheck] = await Promise.all([
    probe(() => sql.ping(), "The database can't be reached."),
    probe(() => graph.ping(), "The graph store can't be reached."),
  ])
  const fault = reconciler.fault()
  return readinessOf({
    sql: sqlCheck,
    graph: graphCheck,
    bus:
      bus.state() === 'up'
        ? { status: 'ok' }
        : { status: 'degraded', detail: 'The message bus is down; events wait.' },
    ...(fault !== undefined && { projection: { status: 'degraded', detail: fault } }),
  })
}
