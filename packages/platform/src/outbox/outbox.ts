import { randomUUID } from 'node:crypto'
import type { Generated, Transaction } from 'kysely'
import type { Clock } from '../clock.ts'
import type { Migration } from '../sql/port.ts'
import { traceHeaders } from '../telemetry.ts'

export interface OutboxRow {
  id: Generated<number>
  message_id: string
  kind: 'event' | 'command'
  destination: string
  /** JSON. */
  body: string
  /** JSON. */
  headers: string
  created_at: string
  /** Not to be sent before. A relay that sends it moves this on, as its lease. */
  due_at: string
  /** Failed attempts. */
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
  async up(db, { identity, text }) {
    await db.schema
      .createTable('outbox')
      .addColumn('id', identity)
      .addColumn('message_id', text, (column) => column.notNull())
      .addColumn('kind', text, (column) => column.notNull())
      .addColumn('destination', text, (column) => column.notNull())
      .addColumn('body', text, (column) => column.notNull())
      .addColumn('headers', text, (column) => column.notNull())
      .addColumn('created_at', text, (column) => column.notNull())
      .addColumn('due_at', text, (column) => column.notNull())
      .addColumn('attempts', 'integer', (column) => column.notNull())
      .execute()
    await db.schema.createIndex('outbox_due').on('outbox').columns(['due_at', 'id']).execute()
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
  const now = clock().toISOString()
  await (tx as unknown as Transaction<OutboxTables>)
    .insertInto('outbox')
    .values({
      message_id: message.id ?? randomUUID(),
      kind: message.kind,
      destination: message.destination,
      body: JSON.stringify(message.body),
      headers: JSON.stringify(message.headers ?? traceHeaders()),
      created_at: now,
      due_at: message.deliverAfter ? new Date(message.deliverAfter).toISOString() : now,
      attempts: 0,
    })
    .execute()
}
