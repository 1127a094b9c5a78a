import type { Generated, Transaction } from 'kysely'
import type { Clock } from '../clock.ts'
import type { Migration } from '../sql/port.ts'

interface OutboxRow {
  id: Generated<number>
  message_id: string
  kind: 'event' | 'command'
  destination: string
  body: string
  headers: string
  created_at: string
  due_at: string
  attempts: number
}

/** What a service's `DB` type has to extend. */
export interface OutboxTables {
  outbox: OutboxRow
}

export interface OutboxMessage {
  kind: 'event' | 'command'
  /** An event's type (its routing key), or a command's queue. */
  destination: string
  /** The bus message's id, by which consumers know a repeated delivery; an event's CloudEvents id. Default random. */
  id?: string
  /** Any JSON; for an event the CloudEvents envelope. */
  body: unknown
  /** Default: the trace context of the active span. */
  headers?: Record<string, string>
  /** ISO 8601 UTC. The relay holds the message back until then. */
  deliverAfter?: string
}

/** Include in the service's list of migrations. */
export const outboxMigration: Migration = {
  name: 'outbox-0001',
  async up() {
    throw new Error('not implemented')
  },
}

/**
 * Writes a message into the same transaction as the change it announces; the relay publishes it after the
 * commit. Wake the relay then, or it waits for its next poll.
 */
export async function writeOutbox<DB extends OutboxTables>(
  tx: Transaction<DB>,
  message: OutboxMessage,
  clock: Clock,
): Promise<void> {
  throw new Error('not implemented')
}
