import type { Clock } from '../clock.ts'
import type { Logger } from '../log.ts'
import type { Metrics } from '../telemetry.ts'
import type { Sql } from './port.ts'

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

/**
 * Opens `sqlite:FILE`, `sqlite::memory:` (tests) or `postgres://…`.
 * Throws `SqlOpenError`, or `SqlUnavailableError` when the server can't be reached.
 */
export async function openSql<DB>(url: string, options: SqlOptions): Promise<Sql<DB>> {
  throw new Error('not implemented')
}

/** Whether a unique index or a primary key refused the statement. */
export function isUniqueViolation(error: unknown): boolean {
  throw new Error('not implemented')
}
