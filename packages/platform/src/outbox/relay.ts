import type { Bus } from '../bus/port.ts'
import type { Clock } from '../clock.ts'
import type { Logger } from '../log.ts'
import type { Sql } from '../sql/port.ts'
import type { Metrics } from '../telemetry.ts'
import type { OutboxTables } from './outbox.ts'

export interface RelayOptions<DB extends OutboxTables> {
  sql: Sql<DB>
  bus: Pick<Bus, 'publish'>
  clock: Clock
  log: Logger
  metrics: Metrics
  /** Between looks at the table when nobody wakes it. Default 1,000. */
  intervalMs?: number
}

export interface Relay {
  /** Look now; call it after the commit of a transaction that wrote to the outbox. */
  wake(): void
  /** Takes no more, waits a few seconds for what is on its way, hands the rest back. Idempotent. */
  stop(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * Publishes the rows of the outbox in order of id and deletes each after its confirmation. A message is never
 * lost and may go out twice (a crash between the two, a confirmation that got lost); order holds while the bus
 * is up and one relay runs. Several relays may run: a row is claimed with a lease.
 */
export function startRelay<DB extends OutboxTables>(options: RelayOptions<DB>): Relay {
  throw new Error('not implemented')
}
