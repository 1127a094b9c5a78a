import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type CompiledQuery,
  type DatabaseConnection,
  type Driver,
  type QueryResult,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
  sql,
} from 'kysely'
import type { Backend } from './backend.ts'
import { type ColumnTypes, SqlFullError, SqlMisuseError, SqlOpenError, SqlUnavailableError } from './port.ts'

/** Milliseconds. */
const BUSY_TIMEOUT = 5_000
const CACHED_STATEMENTS = 200
const BUSY = 5
const IOERR = 10
const FULL = 13

const types: ColumnTypes = {
  dialect: 'sqlite',
  identity: sql`integer primary key autoincrement`,
  bigint: sql`integer`,
  double: sql`real`,
  blob: sql`blob`,
  text: sql`text`,
}

/** `file` may be `:memory:`; reads and transactions then share the one connection there is, in turns. */
export function openSqlite(file: string): Backend {
  const writer = connect(file, false)
  const reader = file === ':memory:' ? writer : connect(file, true)
  let closing: Promise<void> | undefined
  return {
    dialect: 'sqlite',
    types,
    readDriver: new SqliteDriver(reader, { exclusive: reader === writer }),
    writeDriver: new SqliteDriver(writer, { exclusive: true }),
    relaxedDriver: new SqliteDriver(writer, { exclusive: true, durable: false }),
    snapshotDriver:
      file === ':memory:' ? new SqliteDriver(writer, { exclusive: true }) : new SnapshotDriver(file),
    createQueryCompiler: () => new SqliteQueryCompiler(),
    createAdapter: () => new SqliteAdapter(),
    createIntrospector: (db) => new SqliteIntrospector(db),
    explain,
    retryable: () => false,
    lockMigrations: async () => {},
    pool: () => ({ open: 1, idle: writer.busy ? 0 : 1, waiting: writer.waiting }),
    close() {
      closing ??= (async () => {
        // The writer last: only it may fold the write-ahead log back into the file.
        if (reader !== writer) await reader.close()
        await writer.close()
      })()
      return closing
    },
  }
}

export function isSqliteUniqueViolation(error: unknown): boolean {
  const UNIQUE = 2067
  const PRIMARY_KEY = 1555
  return [UNIQUE, PRIMARY_KEY].includes(errcode(error) ?? 0)
}

function connect(file: string, readOnly: boolean): SqliteConnection {
  try {
    const db = new DatabaseSync(file, { readOnly, timeout: BUSY_TIMEOUT })
    try {
      if (!readOnly) db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON')
      db.prepare('SELECT count(*) FROM sqlite_schema').get()
      // From here on `begin` waits for other processes; SQLite's own wait would hold up the event loop.
      if (!readOnly) db.exec('PRAGMA busy_timeout = 0')
      return new SqliteConnection(db)
    } catch (error) {
      db.close()
      throw error
    }
  } catch (cause) {
    const explained = explain(cause)
    if (explained !== cause) throw explained
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new SqlOpenError(
      `The database ${file} cannot be opened: ${reason}. Check that its folder exists and can be written to.`,
      { cause },
    )
  }
}

class SqliteConnection implements DatabaseConnection {
  readonly #db: DatabaseSync
  readonly #statements = new Map<string, { statement: StatementSync; returnsRows: boolean }>()
  readonly #queue: (() => void)[] = []
  #closed = false
  #durable = true
  busy = false

  constructor(db: DatabaseSync) {
    this.#db = db
  }

  get waiting(): number {
    return this.#queue.length
  }

  /** Waits until nobody else holds the connection. */
  async take(): Promise<void> {
    if (this.#closed) throw closed()
    if (this.busy) await new Promise<void>((resolve) => this.#queue.push(resolve))
    this.busy = true
  }

  give(): void {
    const next = this.#queue.shift()
    // `busy` stays set for the next in line, so that nobody slips in before it wakes.
    if (next) next()
    else this.busy = false
  }

  async begin({ durable }: { durable: boolean }): Promise<void> {
    this.#setDurable(durable)
    const deadline = performance.now() + BUSY_TIMEOUT
    for (;;) {
      try {
        this.#open().exec('BEGIN IMMEDIATE')
        return
      } catch (error) {
        if (primaryCode(error) !== BUSY || performance.now() > deadline) throw error
        await sleep(2 + Math.random() * 8)
      }
    }
  }

  /** What is read from here on is as it is now: a deferred transaction settles on a state with its first read. */
  beginSnapshot(): void {
    this.#open().exec('BEGIN; SELECT count(*) FROM sqlite_schema')
  }

  /** In WAL mode only FULL makes a commit survive a power cut; it brings all commits before it to the disk as well. */
  #setDurable(durable: boolean): void {
    if (durable === this.#durable) return
    this.#open().exec(`PRAGMA synchronous = ${durable ? 'FULL' : 'NORMAL'}`)
    this.#durable = durable
  }

  commit(): void {
    this.#open().exec('COMMIT')
  }

  rollback(): void {
    // SQLite itself has rolled back after some errors (disk full).
    if (this.#open().isTransaction) this.#db.exec('ROLLBACK')
  }

  async executeQuery<R>({ sql, parameters }: CompiledQuery): Promise<QueryResult<R>> {
    const { statement, returnsRows } = this.#prepare(sql)
    if (returnsRows) return { rows: statement.all(...(parameters as SQLInputValue[])) as R[] }
    const { changes, lastInsertRowid } = statement.run(...(parameters as SQLInputValue[]))
    return { rows: [], numAffectedRows: BigInt(changes), insertId: BigInt(lastInsertRowid) }
  }

  streamQuery<R>(): AsyncIterableIterator<QueryResult<R>> {
    throw new SqlMisuseError('Streaming is not supported.')
  }

  async close(): Promise<void> {
    await this.take()
    this.#closed = true
    this.#statements.clear()
    this.#db.close()
    this.give()
  }

  #prepare(text: string) {
    const known = this.#statements.get(text)
    if (known) return known
    const statement = this.#open().prepare(text)
    const entry = { statement, returnsRows: statement.columns().length > 0 }
    const [oldest] = this.#statements.keys()
    if (this.#statements.size >= CACHED_STATEMENTS && oldest !== undefined) this.#statements.delete(oldest)
    this.#statements.set(text, entry)
    return entry
  }

  #open(): DatabaseSync {
    if (this.#closed) throw closed()
    return this.#db
  }
}

class SqliteDriver implements Driver {
  readonly #connection: SqliteConnection
  readonly #exclusive: boolean
  readonly #durable: boolean

  constructor(connection: SqliteConnection, options: { exclusive: boolean; durable?: boolean }) {
    this.#connection = connection
    this.#exclusive = options.exclusive
    this.#durable = options.durable ?? true
  }

  async init(): Promise<void> {}

  async acquireConnection(): Promise<DatabaseConnection> {
    if (this.#exclusive) await this.#connection.take()
    return this.#connection
  }

  async releaseConnection(): Promise<void> {
    if (this.#exclusive) this.#connection.give()
  }

  async beginTransaction(): Promise<void> {
    await this.#connection.begin({ durable: this.#durable })
  }

  async commitTransaction(): Promise<void> {
    this.#connection.commit()
  }

  async rollbackTransaction(): Promise<void> {
    this.#connection.rollback()
  }

  async destroy(): Promise<void> {}
}

/** Each snapshot has a connection of its own, which reads beside the writer and writes nothing. */
class SnapshotDriver implements Driver {
  readonly #file: string

  constructor(file: string) {
    this.#file = file
  }

  async init(): Promise<void> {}

  async acquireConnection(): Promise<SqliteConnection> {
    return connect(this.#file, true)
  }

  async releaseConnection(connection: SqliteConnection): Promise<void> {
    await connection.close()
  }

  async beginTransaction(connection: SqliteConnection): Promise<void> {
    connection.beginSnapshot()
  }

  async commitTransaction(connection: SqliteConnection): Promise<void> {
    connection.commit()
  }

  async rollbackTransaction(connection: SqliteConnection): Promise<void> {
    connection.rollback()
  }

  async destroy(): Promise<void> {}
}

const closed = () => new SqlMisuseError('The database is closed.')

const errcode = (error: unknown): number | undefined =>
  error instanceof Error && 'errcode' in error && typeof error.errcode === 'number'
    ? error.errcode
    : undefined

/** The low byte: https://sqlite.org/rescode.html */
const primaryCode = (error: unknown): number => (errcode(error) ?? 0) & 0xff

function explain(error: unknown): unknown {
  switch (primaryCode(error)) {
    case BUSY:
      return new SqlUnavailableError('The database is locked by another process.', { cause: error })
    case IOERR:
      return new SqlUnavailableError("The database's disk cannot be read or written.", { cause: error })
    case FULL:
      return new SqlFullError('No space is left for the database. Free some space, then try again.', {
        cause: error,
      })
    default:
      return error
  }
}
