import type { AuditRecord, Principal } from '@mnemosyne/contracts'
import type { Insertable, Selectable } from 'kysely'
import type { AuthContext, Tx } from './context.ts'
import type { AuthTables } from './schema.ts'

/** On whose behalf something is done: of a team, its owner. */
export interface Actor {
  /** A user's id, or `anonymous`, `command-line`, `service`. */
  actor: string
  username: string | null
  teamId: string | null
  tokenId: string | null
  requestId: string
}

export const COMMAND_LINE: Actor = {
  actor: 'command-line',
  username: null,
  teamId: null,
  tokenId: null,
  requestId: '',
}

/** What a service does by itself, on account of an event. */
export const serviceActor = (requestId: string): Actor => ({ ...COMMAND_LINE, actor: 'service', requestId })

export function actorOf({ principal, requestId }: { principal: Principal; requestId: string }): Actor {
  const { user, kind, team_id, token_id } = principal
  return {
    actor: user?.id ?? kind,
    username: user?.username ?? null,
    teamId: team_id,
    tokenId: token_id,
    requestId,
  }
}

export interface Audited {
  action: string
  target: string
  outcome?: AuditRecord['outcome']
  detail?: AuditRecord['detail']
}

/** Appends to the audit log, in the transaction of the change. */
export async function audit(
  tx: Tx,
  { clock, ids }: Pick<AuthContext, 'clock' | 'ids'>,
  { actor, username, teamId, tokenId, requestId }: Actor,
  { action, target, outcome = 'done', detail = {} }: Audited,
): Promise<void> {
  await append(tx, [
    {
      id: ids(),
      actor,
      username,
      team_id: teamId,
      token_id: tokenId,
      action,
      target,
      outcome,
      count: 1,
      detail,
      request_id: requestId,
      created_at: clock().toISOString(),
    },
  ])
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
