import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { GraphFullError, GraphUnavailableError, NewerSchemaError } from '../errors.ts'
import { MIGRATIONS } from './schema.ts'

export type SqlValue = null | number | string | Uint8Array
export type Row = Record<string, SqlValue>

const BUSY_TIMEOUT_MS = 10_000
/** A connection's own page cache; behind it stands the operating system's. */
const CACHE_KB = 16_384
const FULL = 13
const INTERRUPTING_CODES = new Map([
  [5, 'is locked by another process'],
  [6, 'is locked by another process'],
  [8, 'is read-only'],
  [10, 'could not be read or written'],
  [11, 'is damaged'],
  [14, 'could not be opened'],
  [26, 'is not a graph store'],
])

/** One connection with its prepared statements. Errors of the file come out as GraphError. */
export class Database {
  readonly #connection: DatabaseSync
  readonly #statements = new Map<string, StatementSync>()
  readonly #file: string

  constructor(file: string, options: { readOnly: boolean }) {
    this.#file = file
    this.#connection = this.#guarded(() => new DatabaseSync(file, { readOnly: options.readOnly }))
    this.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}; PRAGMA cache_size = -${CACHE_KB}`)
  }

  exec(sql: string): void {
    this.#guarded(() => this.#connection.exec(sql))
  }

  /** All rows. Lists are passed as JSON text to `json_each`. */
  all<T = Row>(sql: string, ...values: SqlValue[]): T[] {
    return this.#guarded(() => this.#prepared(sql).all(...values)) as T[]
  }

  get<T = Row>(sql: string, ...values: SqlValue[]): T | undefined {
    return this.#guarded(() => this.#prepared(sql).get(...values)) as T | undefined
  }

  /** @returns the number of changed rows and the rowid of the last one inserted. */
  run(sql: string, ...values: SqlValue[]): { changes: number; id: number } {
    const result = this.#guarded(() => this.#prepared(sql).run(...values))
    return { changes: Number(result.changes), id: Number(result.lastInsertRowid) }
  }

  /** Runs `work` in one write transaction; a throw rolls it back. */
  write<T>(work: () => T): T {
    return this.#transaction('BEGIN IMMEDIATE', work)
  }

  /** Runs `work` on one snapshot of the store. */
  snapshot<T>(work: () => T): T {
    return this.#transaction('BEGIN', work)
  }

  /**
   * Another number whenever another connection has changed the store since the last snapshot. To be asked inside a
   * snapshot; on a connection that does not write.
   */
  version(): number {
    return this.get<{ data_version: number }>('PRAGMA data_version')!.data_version
  }

  close(): void {
    this.#statements.clear()
    this.#connection.close()
  }

  #transaction<T>(begin: string, work: () => T): T {
    this.run(begin)
    try {
      const result = work()
      this.run('COMMIT')
      return result
    } catch (error) {
      if (this.#connection.isTransaction) this.exec('ROLLBACK')
      throw error
    }
  }

  #prepared(sql: string): StatementSync {
    let statement = this.#statements.get(sql)
    if (!statement) {
      statement = this.#connection.prepare(sql)
      this.#statements.set(sql, statement)
    }
    return statement
  }

  #guarded<T>(work: () => T): T {
    try {
      return work()
    } catch (error) {
      throw this.#graphError(error)
    }
  }

  #graphError(error: unknown): unknown {
    if (!(error instanceof Error) || !('errcode' in error) || typeof error.errcode !== 'number') return error
    const code = error.errcode & 0xff
    if (code === FULL) return new GraphFullError({ cause: error })
    const reason = INTERRUPTING_CODES.get(code)
    if (reason === undefined) return error
    return new GraphUnavailableError(`The graph store ${this.#file} ${reason} (${error.message}).`, {
      cause: error,
    })
  }
}

export interface StoreLimits {
  /** Largest size of the file in bytes; beyond it writes fail with GraphFullError. */
  maxBytes?: number
}

/**
 * Opens the file for writing and brings its schema up to date.
 * @throws NewerSchemaError when a newer version of the program wrote it.
 */
export function openForWriting(file: string, limits: StoreLimits): Database {
  const db = new Database(file, { readOnly: false })
  try {
    refuseNewer(db)
    db.exec(
      'PRAGMA page_size = 8192; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON; ' +
        'PRAGMA journal_size_limit = 67108864',
    )
    migrate(db)
    if (limits.maxBytes !== undefined) {
      const { page_size } = db.get<{ page_size: number }>('PRAGMA page_size')!
      db.exec(`PRAGMA max_page_count = ${Math.max(1, Math.floor(limits.maxBytes / page_size))}`)
    }
    return db
  } catch (error) {
    db.close()
    throw error
  }
}

function schemaVersion(db: Database): number {
  return db.get<{ user_version: number }>('PRAGMA user_version')!.user_version
}

function refuseNewer(db: Database): void {
  const found = schemaVersion(db)
  if (found > MIGRATIONS.length) throw new NewerSchemaError(found, MIGRATIONS.length)
}

function migrate(db: Database): void {
  db.write(() => {
    for (let version = schemaVersion(db); version < MIGRATIONS.length; version++) {
      db.exec(MIGRATIONS[version]!)
      db.exec(`PRAGMA user_version = ${version + 1}`)
    }
  })
}
