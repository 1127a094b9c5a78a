import { AsyncLocalStorage } from 'node:async_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Driver, Kysely, sql, type Transaction } from 'kysely'
import { type Clock, systemClock } from '../clock.ts'
import type { Logger } from '../log.ts'
import { type Metrics, span } from '../telemetry.ts'
import type { Backend } from './backend.ts'
import { GuardedDriver } from './driver.ts'
import { runMigrations } from './migrate.ts'
import { type Migration, type Sql, SqlMisuseError, SqlOpenError, type TransactionOptions } from './port.ts'
import { isPostgresUniqueViolation, openPostgres } from './postgres.ts'
import { isSqliteUniqueViolation, openSqlite } from './sqlite.ts'
import { type DatabasePlace, placeOf } from './statement-span.ts'

export interface SqlOptions {
  /** The service's name: PostgreSQL's schema, created when missing; SQLite has a file per service instead. */
  schema: string
  log: Logger
  metrics: Metrics
  clock?: Clock
  /** PostgreSQL: most connections at once. Default 10. */
  poolSize?: number
  /** PostgreSQL: longest a statement may take, in milliseconds. Default 30,000. */
  statementTimeoutMs?: number
}

const ATTEMPTS = 5
const SLOW_MS = 5_000

/**
 * Opens `sqlite:FILE`, `sqlite::memory:` (tests) or `postgres://…`.
 * Throws `SqlOpenError`, or `SqlUnavailableError` when the server can't be reached.
 */
export async function openSql<DB>(url: string, options: SqlOptions): Promise<Sql<DB>> {
  if (!/^[a-z_][a-z0-9_]{0,62}$/.test(options.schema)) {
    throw new SqlOpenError(
      `${JSON.stringify(options.schema)} is no name for a schema: lower-case letters, digits and _.`,
    )
  }
  const backend = await openBackend(url, options)
  return new KyselySql<DB>(backend, placeOf(backend.dialect, url, options.schema), options)
}

/** Whether a unique index or a primary key refused the statement. */
export function isUniqueViolation(error: unknown): boolean {
  return isSqliteUniqueViolation(error) || isPostgresUniqueViolation(error)
}

async function openBackend(url: string, options: SqlOptions): Promise<Backend> {
  const file = /^sqlite:(.+)$/.exec(url)?.[1]
  if (file) return openSqlite(file)
  if (/^postgres(ql)?:\/\//.test(url) && URL.canParse(url)) {
    const { schema, log, poolSize = 10, statementTimeoutMs = 30_000 } = options
    return openPostgres(url, { schema, log, poolSize, statementTimeoutMs })
  }
  // Never quoted: it may hold a password.
  throw new SqlOpenError(
    'The database URL has to be sqlite:FILE or postgres://USER:PASSWORD@HOST:PORT/DATABASE. ' +
      'Characters such as @ : / ? # % in the password have to be percent-encoded.',
  )
}

class KyselySql<DB> implements Sql<DB> {
  readonly dialect
  readonly read: Kysely<DB>
  readonly #write: Kysely<DB>
  readonly #relaxed: Kysely<DB>
  readonly #snapshot: Kysely<DB>
  readonly #backend: Backend
  readonly #options: SqlOptions
  readonly #place: DatabasePlace
  /** The open transaction that the present code runs in. */
  readonly #scope = new AsyncLocalStorage<{ open: boolean }>()
  readonly #observe: ReturnType<typeof observers>

  constructor(backend: Backend, place: DatabasePlace, options: SqlOptions) {
    this.dialect = backend.dialect
    this.#backend = backend
    this.#options = options
    this.#place = place
    this.read = this.#kysely(backend.readDriver, 'read')
    this.#write = this.#kysely(backend.writeDriver, 'write')
    this.#relaxed = this.#kysely(backend.relaxedDriver, 'write')
    this.#snapshot = this.#kysely(backend.snapshotDriver, 'write')
    this.#observe = observers(backend, options.metrics)
  }

  async transaction<T>(
    work: (tx: Transaction<DB>) => Promise<T>,
    options: TransactionOptions = {},
  ): Promise<T> {
    this.#refuseInside('transaction')
    return span('sql.transaction', this.#place, async () => {
      for (let attempt = 1; ; attempt++) {
        try {
          return await this.#attempt(work, options)
        } catch (error) {
          if (attempt === ATTEMPTS || !this.#backend.retryable(error)) throw error
          await sleep(Math.random() * 20 * 2 ** attempt)
        }
      }
    })
  }

  async snapshot<T>(work: (db: Transaction<DB>) => Promise<T>): Promise<T> {
    this.#refuseInside('snapshot')
    return span('sql.snapshot', this.#place, async () => {
      const scope = { open: true }
      try {
        return await this.#snapshot
          .transaction()
          .setIsolationLevel('repeatable read')
          .setAccessMode('read only')
          .execute((db) => this.#scope.run(scope, () => work(db)))
      } finally {
        scope.open = false
      }
    })
  }

  async migrate(migrations: readonly Migration[]): Promise<string[]> {
    const { schema, clock = systemClock } = this.#options
    return this.transaction(async (tx) => {
      const plain = tx as unknown as Transaction<unknown>
      await this.#backend.lockMigrations(plain)
      return runMigrations(plain, this.#backend.types, migrations, { schema, clock })
    })
  }

  async ping(): Promise<void> {
    await sql`select 1`.execute(this.read)
  }

  close(): Promise<void> {
    this.#observe.end()
    return this.#backend.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #attempt<T>(work: (tx: Transaction<DB>) => Promise<T>, options: TransactionOptions): Promise<T> {
    const scope = { open: true }
    const started = performance.now()
    let outcome = 'rolled_back'
    try {
      const { isolation = 'read committed', durable = true } = options
      const result = await (durable ? this.#write : this.#relaxed)
        .transaction()
        .setIsolationLevel(isolation)
        .execute((tx) => this.#scope.run(scope, () => work(tx)))
      outcome = 'committed'
      return result
    } finally {
      scope.open = false
      const tookMs = performance.now() - started
      this.#observe.transaction(outcome, tookMs)
      if (tookMs > SLOW_MS)
        this.#options.log.warn({ duration_ms: Math.round(tookMs) }, 'a transaction took long, or waited long')
    }
  }

  #kysely(driver: Driver, access: 'read' | 'write'): Kysely<DB> {
    const { explain, createAdapter, createIntrospector, createQueryCompiler } = this.#backend
    const beforeAcquire = () => this.#refuseInside(access === 'read' ? 'read' : 'transaction')
    const guarded = new GuardedDriver(driver, { place: this.#place, access, beforeAcquire, explain })
    return new Kysely<DB>({
      dialect: { createDriver: () => guarded, createAdapter, createIntrospector, createQueryCompiler },
    })
  }

  /** In SQLite it would wait for itself for ever; in PostgreSQL it would see another state, or starve the pool. */
  #refuseInside(what: string): void {
    if (this.#scope.getStore()?.open) {
      throw new SqlMisuseError(
        `sql.${what} was used inside an open transaction: pass the transaction down instead.`,
      )
    }
  }
}

function observers(backend: Backend, metrics: Metrics) {
  const seconds = metrics.histogram(
    'mnemosyne_sql_transaction_seconds',
    'Time from asking for a transaction to its end, by outcome.',
    ['outcome'],
  )
  const end = metrics.reading(
    'mnemosyne_sql_pool_connections',
    'Connections that are open and idle, and callers that wait for one.',
    ['state'],
    () => Object.entries(backend.pool()).map(([state, count]) => [count, { state }]),
  )
  return {
    transaction: (outcome: string, tookMs: number) => seconds(tookMs / 1000, { outcome }),
    end,
  }
}
