import type { AuditRecord } from '@mnemosyne/contracts'
import { type Actor, type Audited, auditRecord } from '@mnemosyne/platform'
import type { Insertable, Selectable } from 'kysely'
import type { AuthContext, Tx } from './context.ts'
import type { AuthTables } from './schema.ts'

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

/** What is asked of the log. Equality, but `since` (from then on) and `until` (before then), in ISO 8601. */
export interface RecordFilter {
  /** A user's id or name: also what they have done under another name, and what another has done under this one. */
  actor?: string
  action?: string
  target?: string
  team_id?: string
  outcome?: AuditRecord['outcome']
  request_id?: string
  since?: string
  until?: string
}

/** The records that fit, newest first, and how many there are in all. */
export async function listRecords(
  { sql }: Pick<AuthContext, 'sql'>,
  { limit, offset, actor, since, until, ...equal }: RecordFilter & { limit: number; offset: number },
): Promise<{ records: AuditRecord[]; total: number }> {
  let log = sql.read.selectFrom('audit_log')
  for (const column of EQUAL) {
    const value = equal[column]
    if (value !== undefined) log = log.where(column, '=', value)
  }
  if (actor !== undefined) {
    const named = sql.read.selectFrom('user').select('id').where('username', '=', actor)
    log = log.where((where) =>
      where.or([where('actor', '=', actor), where('username', '=', actor), where('actor', 'in', named)]),
    )
  }
  if (since !== undefined) log = log.where('created_at', '>=', comparable(since))
  if (until !== undefined) log = log.where('created_at', '<', comparable(until))
  const newestFirst = log.selectAll().orderBy('created_at', 'desc').orderBy('id', 'desc')
  const [rows, { total }] = await Promise.all([
    newestFirst.limit(limit).offset(offset).execute(),
    log.select((select) => select.fn.countAll<number>().as('total')).executeTakeFirstOrThrow(),
  ])
  return { records: rows.map(recordOf), total }
}

const EQUAL = ['action', 'target', 'team_id', 'outcome', 'request_id'] as const

/** In the form in which times are kept. */
const comparable = (time: string): string => new Date(time).toISOString()

function recordOf({ id, record_id, detail, ...row }: Selectable<AuthTables['audit_log']>): AuditRecord {
  // Rows of before there were record ids have a number only.
  const made = `00000000-0000-4000-8000-${id.toString(16).padStart(12, '0')}`
  return { ...row, id: record_id ?? made, detail: JSON.parse(detail) }
}
