import type { EventType, ServiceName } from '@mnemosyne/contracts'
import type { Transaction } from 'kysely'
import { cloudEvent } from '../bus/event.ts'
import type { Clock } from '../clock.ts'
import { type OutboxTables, writeOutbox } from '../outbox/outbox.ts'
import { traceHeaders } from '../telemetry.ts'
import { type Actor, type Audited, auditRecord } from './record.ts'

const AUDIT_RECORDED = 'audit.recorded.v1' satisfies EventType

/**
 * Tells the audit log what was done, in the transaction that does it: there is no change without its record, and no
 * record without its change. For services that have an outbox; wake the relay after the commit.
 */
export async function announceAudit<DB extends OutboxTables>(
  tx: Transaction<DB>,
  from: ServiceName,
  context: { clock: Clock; ids: () => string },
  by: Actor,
  what: Audited,
): Promise<void> {
  const data = auditRecord(by, what, context)
  const headers = traceHeaders()
  const body = cloudEvent({
    type: AUDIT_RECORDED,
    source: `/${from}`,
    id: data.id,
    time: context.clock(),
    data,
    traceparent: headers.traceparent,
  })
  const message = { kind: 'event', destination: AUDIT_RECORDED, id: data.id, body, headers } as const
  await writeOutbox(tx, message, context.clock)
}
