import type { CompiledQuery, DatabaseConnection, Driver, QueryResult, TransactionSettings } from 'kysely'
import { SqlMisuseError } from './port.ts'
import { type DatabasePlace, statementSpan } from './statement-span.ts'

export interface GuardOptions {
  place: DatabasePlace
  access: 'read' | 'write'
  /** Throws when this moment is no time to take a connection. */
  beforeAcquire: () => void
  /** What a driver's error means. */
  explain: (error: unknown) => unknown
}

/** SQLite's bound; PostgreSQL's is twice that, and pg does not check it. */
const MAX_PARAMETERS = 32_766
const READS = new Set(['SelectQueryNode', 'RawNode'])

/**
 * A Kysely driver around a dialect's own that makes the two behave alike where they would differ: what may be
 * bound, what follows a failed statement, and what a handle that only reads may do.
 */
export class GuardedDriver implements Driver {
  readonly #inner: Driver
  readonly #options: GuardOptions

  constructor(inner: Driver, options: GuardOptions) {
    this.#inner = inner
    this.#options = options
  }

  async init(): Promise<void> {
    await this.#inner.init()
  }

  async acquireConnection(): Promise<Lease> {
    this.#options.beforeAcquire()
    try {
      return new Lease(await this.#inner.acquireConnection(), this.#options)
    } catch (error) {
      throw this.#options.explain(error)
    }
  }

  async beginTransaction(lease: DatabaseConnection, settings: TransactionSettings): Promise<void> {
    if (this.#options.access === 'read')
      throw new SqlMisuseError('`read` has no transactions: use sql.transaction(…).')
    await this.#explained(this.#inner.beginTransaction((lease as Lease).connection, settings))
    ;(lease as Lease).inTransaction = true
  }

  async commitTransaction(lease: DatabaseConnection): Promise<void> {
    // PostgreSQL would answer this COMMIT with a ROLLBACK; SQLite would commit the statements that succeeded.
    if ((lease as Lease).failed) throw new SqlMisuseError(FAILED)
    await this.#explained(this.#inner.commitTransaction((lease as Lease).connection))
  }

  async rollbackTransaction(lease: DatabaseConnection): Promise<void> {
    await this.#explained(this.#inner.rollbackTransaction((lease as Lease).connection))
  }

  async releaseConnection(lease: DatabaseConnection): Promise<void> {
    await this.#inner.releaseConnection((lease as Lease).connection)
  }

  async destroy(): Promise<void> {
    await this.#inner.destroy()
  }

  async #explained(work: Promise<void>): Promise<void> {
    try {
      await work
    } catch (error) {
      throw this.#options.explain(error)
    }
  }
}

const FAILED =
  'An earlier statement of this transaction failed, so it can only be rolled back. Let the error pass, or avoid it with ON CONFLICT.'

class Lease implements DatabaseConnection {
  readonly connection: DatabaseConnection
  inTransaction = false
  failed = false
  readonly #options: GuardOptions

  constructor(connection: DatabaseConnection, options: GuardOptions) {
    this.connection = connection
    this.#options = options
  }

  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    this.#check(query)
    return statementSpan(query, this.#options.place, async () => {
      try {
        return await this.connection.executeQuery<R>(query)
      } catch (error) {
        this.failed = this.inTransaction
        throw this.#options.explain(error)
      }
    })
  }

  streamQuery<R>(): AsyncIterableIterator<QueryResult<R>> {
    throw new SqlMisuseError('Streaming is not supported: page by a key instead.')
  }

  #check({ query, parameters }: CompiledQuery): void {
    if (this.failed) throw new SqlMisuseError(FAILED)
    if (this.#options.access === 'read' && !READS.has(query.kind)) {
      throw new SqlMisuseError('`read` does not write: use sql.transaction(…).')
    }
    if (parameters.length > MAX_PARAMETERS) {
      throw new SqlMisuseError(`${parameters.length} parameters in one statement: write in smaller batches.`)
    }
    for (const value of parameters) checkParameter(value)
  }
}

function checkParameter(value: unknown): void {
  if (typeof value === 'string') {
    if (value.includes('\0'))
      throw new SqlMisuseError('Text with a NUL character cannot be stored: remove it first.')
    return
  }
  if (typeof value === 'number' || typeof value === 'bigint' || value === null || value instanceof Uint8Array)
    return
  throw new SqlMisuseError(
    `A ${value instanceof Object ? value.constructor.name : typeof value} cannot be bound: ` +
      'booleans are 0 and 1, times and JSON are text, nothing is null.',
  )
}
