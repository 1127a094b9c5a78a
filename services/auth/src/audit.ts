import type { AuditRecord } from '@mnemosyne/contracts'
import { type Actor, type Audited, auditRecord } from '@mnemosyne/platform'
import type { Insertable, Selectable } from 'kysely'
import type { AuthContext, Tx } from './context.ts'
import type { AuthTables } from './schema.ts'

export { type Actor, actorOf, COMMAND_LINE, serviceActor } from '@mnemosyne/platform'

/** Appends to the audit log, in the transaction of the change. */
export async function audit(
  tx: Tx,
  context: Pick<AuthContext, 'clock' | 'ids'>,
  by: Actor,
  what: Audited,
): Promise<void> {
  await append(tx, [auditRecord(by, what, context)])
}

/** Appends what others have recorded; a record that is there is passed over. */
export async function append(tx: Tx, records: readonly AuditRecord[]): Promise<void> {
  if (records.length === 0) return
  await tx
    .insertInto('audit_log')
    .values(records.map(rowOf))
    .onConflict((conflict) => conflict.column('record_id').doNothing())
    .execute()
}

function rowOf({ id, detail, ...record }: AuditRecord): Insertable<AuthTables['audit_log']> {
  return { ...record, record_id: id, detail: JSON.stringify(detail) }
}

export function recordOf({
  id,
  record_id,
  detail,
  ...row
}: Selectable<AuthTables['audit_log']>): AuditRecord {
  // Rows of before there were record ids have a number only.
  const made = `00000000-0000-4000-8000-${id.toString(16).padStart(12, '0')}`
  return { ...row, id: record_id ?? made, detail: JSON.parse(detail) }
}
