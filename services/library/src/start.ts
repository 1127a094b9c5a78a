import type { authInternalContract, Client } from '@mnemosyne/contracts'
import type { GraphStore } from '@mnemosyne/graph'
import {
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
import { errorStatus } from './errors.ts'
import { ingestJobs } from './events/ingest-jobs.ts'
import { type Reconciler, startReconciler } from './reconciler.ts'
import { libraryRouter } from './routes/router.ts'
import { type LibraryTables, libraryMigrations } from './store/tables.ts'

export interface LibraryDeps {
  sql: Sql<LibraryTables>
  graph: GraphStore
  bus: Bus
  /** Calls auth with the delegation that came with the request. */
  auth: Client<typeof authInternalContract>
  verify: Verifier
  clock: Clock
  /** Random uids. */
  ids: () => string
  log: Logger
  metrics: Metrics
  /** Wait before SQL and the graph are brought into line again after a failure. Default 10,000. */
  reconcileDelayMs?: number
}

/**
 * Migrates SQL, brings the graph into line with it, listens for ingest's events and relays its own. The stores
 * and the bus stay the caller's to close.
 */
export async function startLibrary(deps: LibraryDeps): Promise<Service> {
  const { sql, graph, bus, clock, log, metrics } = deps
  await sql.migrate(libraryMigrations)
  const reconciler = await startReconciler({ sql, graph }, log, deps.reconcileDelayMs)
  const consumer = await bus.subscribe(ingestJobs(sql))
  const relay = startRelay({ sql, bus, clock, log, metrics })
  const readiness = () => readinessOf(deps, reconciler)
  const fetch = serviceApp({
    name: 'library',
    log,
    metrics,
    readiness,
    verify: deps.verify,
    errorStatus,
    router: libraryRouter({ ...deps, relay }, () => reconciler.soon()),
  })
  return {
    name: 'library',
    fetch,
    readiness,
    async stop() {
      await consumer.close()
      await Promise.all([reconciler.stop(), relay.stop()])
    },
  }
}

async function readinessOf({ sql, graph, bus }: LibraryDeps, reconciler: Reconciler): Promise<Readiness> {
  const [sqlCheck, graphCheck] = await Promise.all([
    check(sql.ping(), "The database can't be reached."),
    check(graph.ping(), "The graph store can't be reached."),
  ])
  const checks: Record<string, Check> = {
    sql: sqlCheck,
    graph: graphCheck,
    bus:
      bus.state() === 'up'
        ? { status: 'ok' }
        : { status: 'error', detail: "The message bus can't be reached." },
  }
  const fault = reconciler.fault()
  if (fault !== undefined) checks.projection = { status: 'degraded', detail: fault }
  return { status: statusOf(Object.values(checks)), checks }
}

function statusOf(checks: Check[]): Readiness['status'] {
  if (checks.some(({ status }) => status === 'error')) return 'down'
  return checks.some(({ status }) => status === 'degraded') ? 'degraded' : 'ready'
}

const PROBE_MS = 2_000

async function check(probe: Promise<void>, detail: string): Promise<Check> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, refuse) => {
    timer = setTimeout(() => refuse(new Error('no answer in time')), PROBE_MS)
  })
  try {
    await Promise.race([probe, late])
    return { status: 'ok' }
  } catch {
    return { status: 'error', detail }
  } finally {
    clearTimeout(timer)
  }
}
