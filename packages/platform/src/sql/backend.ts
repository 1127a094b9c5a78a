import type { Dialect, Driver, Transaction } from 'kysely'
import type { ColumnTypes, SqlDialect } from './port.ts'

/** What SQLite and PostgreSQL each bring; the rest is written once, in `open.ts` and `driver.ts`. */
export interface Backend
  extends Pick<Dialect, 'createQueryCompiler' | 'createAdapter' | 'createIntrospector'> {
  dialect: SqlDialect
  types: ColumnTypes
  readDriver: Driver
  writeDriver: Driver
  /** For transactions whose commit need not wait for the disk. Takes turns, or shares the pool, with `writeDriver`. */
  relaxedDriver: Driver
  /** For transactions that read one state and hold nobody up. */
  snapshotDriver: Driver
  /** A driver's error in the port's words, or the error itself. */
  explain(error: unknown): unknown
  /** Whether the transaction failed only because of others that ran at the same time. */
  retryable(error: unknown): boolean
  /** Keeps other processes from migrating until the transaction ends. */
  lockMigrations(tx: Transaction<unknown>): Promise<void>
  pool(): { open: number; idle: number; waiting: number }
  close(): Promise<void>
}
