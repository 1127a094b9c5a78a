import type { Kysely, RawBuilder, Transaction } from 'kysely'
import { DomainError } from '../errors.ts'

export type SqlDialect = 'sqlite' | 'postgres'

/**
 * A service's relational store. SQL is written once, through Kysely, for SQLite and PostgreSQL. What to keep to:
 * - ids, JSON and times are text (times ISO 8601 UTC, from the caller's clock), booleans are integers 0 and 1;
 * - integers (`bigint`, `count(*)`, `sum`) come back as numbers and throw beyond 2^53;
 * - blobs go in and come out as `Uint8Array` that owns its memory (so a `Float32Array` may be laid over it);
 * - text holds no NUL character (PostgreSQL has none; here both refuse it);
 * - at most 32,766 parameters in a statement;
 * - no `read` or `transaction` inside an open transaction, not even indirectly: pass `tx` down.
 */
export interface Sql<DB> {
  readonly dialect: SqlDialect
  /**
   * Queries outside a transaction, each on its own. Refuses to write (`SqlMisuseError`), so that every change
   * is made in a transaction, and refuses to be used inside one.
   */
  readonly read: Kysely<DB>
  /**
   * Runs `work` in one transaction: committed when its promise resolves, rolled back when it rejects.
   * SQLite: `BEGIN IMMEDIATE`, one at a time. PostgreSQL: on a connection of the pool; a serialization failure
   * or deadlock runs `work` again on a fresh transaction (up to five times), so `work` has no effects outside
   * the database. Keep it short and wait for nothing but `tx`.
   */
  transaction<T>(work: (tx: Transaction<DB>) => Promise<T>, options?: TransactionOptions): Promise<T>
  /**
   * Runs `work` on one state of the whole schema, which later commits do not change and which holds nobody up.
   * It reads only, page by page by a key; on PostgreSQL a minute between two statements ends it.
   */
  snapshot<T>(work: (db: Transaction<DB>) => Promise<T>): Promise<T>
  /**
   * Runs those of `migrations` that were not run yet, in order, in one transaction, under a lock that other
   * processes wait for. Returns the names of those run now. Throws `NewerSchemaError`.
   */
  migrate(migrations: readonly Migration[]): Promise<string[]>
  /** Throws `SqlUnavailableError` when the database does not answer. */
  ping(): Promise<void>
  /** Waits for transactions in hand, then closes every connection. Idempotent. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

export interface TransactionOptions {
  /**
   * PostgreSQL's isolation; SQLite is always serializable. Default `read committed`, in which a statement sees
   * what others have committed meanwhile: decide by conditional UPDATEs and unique indexes, or ask for more.
   */
  isolation?: 'read committed' | 'serializable'
  /**
   * False: a power cut may take the change back, though never in part, and never while a later durable one stays;
   * the end of the process does not. Saves the wait for the disk where the change can be made again: leases,
   * progress, caches. Default true.
   */
  durable?: boolean
}

export interface Migration {
  /** Unique and for ever, `library-0001-items`. Released migrations are never edited, only followed by new ones. */
  name: string
  /** `db.schema` or `sql` text; writes through `db.withTables<…>()`. */
  up(db: Transaction<unknown>, types: ColumnTypes): Promise<void>
}

/** The few types that differ. Each fits `addColumn('id', types.identity)` and `` sql`id ${types.identity}` ``. */
export interface ColumnTypes {
  dialect: SqlDialect
  /** Ascending integer primary key, never used again; the whole column definition. */
  identity: RawBuilder<unknown>
  /** 64-bit integer. */
  bigint: RawBuilder<unknown>
  /** 64-bit float. */
  double: RawBuilder<unknown>
  blob: RawBuilder<unknown>
  /** Text that compares and sorts by code point in both (PostgreSQL's `text` sorts by the database's locale). */
  text: RawBuilder<unknown>
}

/** The handle was used in a way that would wait for itself or lose a change: a fault in the program. */
export class SqlMisuseError extends Error {
  override readonly name = 'SqlMisuseError'
  readonly code = 'SQL_MISUSE'
}

/** The database can't be reached, or the connection broke; a transaction in hand may or may not be committed. */
export class SqlUnavailableError extends DomainError {
  constructor(message: string, options?: ErrorOptions) {
    super('SQL_UNAVAILABLE', message, options)
    this.name = 'SqlUnavailableError'
  }
}

/** The database's disk is full. */
export class SqlFullError extends DomainError {
  constructor(message: string, options?: ErrorOptions) {
    super('SQL_FULL', message, options)
    this.name = 'SqlFullError'
  }
}

/** The URL, the file or the server can't be used as it is; says what to mend, never the password. */
export class SqlOpenError extends DomainError {
  constructor(message: string, options?: ErrorOptions) {
    super('SQL_OPEN', message, options)
    this.name = 'SqlOpenError'
  }
}

/** The database holds migrations that this program does not know. */
export class NewerSchemaError extends DomainError {
  readonly unknown: string[]
  constructor(schema: string, unknown: string[]) {
    super(
      'SQL_NEWER_SCHEMA',
      `The database of ${schema} was written by a newer version (it has ${unknown.join(', ')}). ` +
        "Upgrade Mnemosyne, or use the data folder's backup.",
    )
    this.name = 'NewerSchemaError'
    this.unknown = unknown
  }
}

/** Begins the names of what stands among a schema's migrations while a backup is brought back into it. */
export const UNFINISHED_RESTORE = 'restore-unfinished-'

/** Only a part of a backup is in the database. */
export class UnfinishedRestoreError extends DomainError {
  constructor(schema: string) {
    super(
      'SQL_UNFINISHED_RESTORE',
      `A backup has been brought back into the database of ${schema} only in part. ` +
        'Run "mnemosyne restore" with the same backup again: it goes on where it was.',
    )
    this.name = 'UnfinishedRestoreError'
  }
}
