import type { AuditRecord } from '@mnemosyne/contracts'
import type { Actor, Logger } from '@mnemosyne/platform'
import { audit } from './audit.ts'
import type { AuthContext, Tx } from './context.ts'

/** What may happen to a team: level and words of its log line, action and outcome of its audit record. */
const HAPPENINGS = {
  created: ['info', 'team_create created', 'team.created', 'done'],
  created_again: ['info', 'team_create idempotent_hit', 'team.created_again', 'done'],
  not_created_another_owner: ['warn', 'team_create owner_conflict', 'team.created', 'refused'],
  not_created_no_key: ['error', 'team_create mint_failed', 'team.created', 'refused'],
  workspaces_updated: ['info', 'team_workspaces_updated', 'team.workspaces_updated', 'done'],
  rotated: ['info', 'team_rotate', 'team.rotated', 'done'],
  created_by_rotation: ['info', 'team_rotate upserted_missing', 'team.created_by_rotation', 'done'],
  not_rotated_another_owner: ['warn', 'team_rotate owner_conflict', 'team.rotated', 'refused'],
  not_rotated_no_key: ['error', 'team_rotate mint_failed', 'team.rotated', 'refused'],
  deleted: ['info', 'team_delete', 'team.deleted', 'done'],
  renamed: ['info', 'team_update renamed', 'team.renamed', 'done'],
  deactivated: ['info', 'team_update deactivated', 'team.deactivated', 'done'],
  reactivated: ['info', 'team_update reactivated', 'team.reactivated', 'done'],
  jwt_minted: ['info', 'team_jwt_minted', 'team.jwt_minted', 'done'],
} as const satisfies Record<
  string,
  ['info' | 'warn' | 'error', line: string, action: string, AuditRecord['outcome']]
>

export interface Happened {
  what: keyof typeof HAPPENINGS
  teamId: string
  /** In the order of the log line, after the team's id. */
  fields: AuditRecord['detail']
}

/** Appends to the audit log what happened, in the transaction of the change. */
export async function recordTrail(
  tx: Tx,
  context: Pick<AuthContext, 'clock' | 'ids'>,
  by: Actor,
  trail: readonly Happened[],
): Promise<void> {
  for (const { what, teamId, fields } of trail) {
    const [, , action, outcome] = HAPPENINGS[what]
    await audit(tx, context, by, { action, target: teamId, outcome, detail: fields })
  }
}

/** Writes the lines of what happened, once it is so. */
export function logTrail(log: Logger, trail: readonly Happened[]): void {
  for (const { what, teamId, fields } of trail) {
    const [level, line] = HAPPENINGS[what]
    const values = Object.entries({ team_id: teamId, ...fields }).map(([name, value]) => `${name}=${value}`)
    log[level](`${line} ${values.join(' ')}`)
  }
}
