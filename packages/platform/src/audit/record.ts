import { type AuditRecord, type Principal, Uid } from '@mnemosyne/contracts'
import type { Clock } from '../clock.ts'

/**
 * On whose behalf something is done: of a team, its owner. `actor` is a user's id, or `anonymous`, `command-line`,
 * `service`.
 */
export type Actor = Pick<AuditRecord, 'actor' | 'username' | 'team_id' | 'token_id' | 'request_id'>

/** What stands in the audit log of something done. `outcome` is `done` and `detail` empty unless they are given. */
export type Audited = Pick<AuditRecord, 'action' | 'target'> &
  Partial<Pick<AuditRecord, 'outcome' | 'detail'>>

export const COMMAND_LINE: Actor = {
  actor: 'command-line',
  username: null,
  team_id: null,
  token_id: null,
  request_id: '',
}

/** What a service does by itself, on account of an event. */
export const serviceActor = (requestId: string): Actor => ({
  ...COMMAND_LINE,
  actor: 'service',
  request_id: requestId,
})

/** Who acts in a request. */
export function actorOf({ principal, requestId }: { principal: Principal; requestId: string }): Actor {
  const { user, kind, team_id, token_id } = principal
  return {
    actor: user?.id ?? kind,
    username: user?.username ?? null,
    team_id,
    token_id,
    request_id: requestId,
  }
}

/** Few names are longer, but uids; secrets are. */
const NAME_MAX = 32

/** What a caller named, as it may stand in a record: `*` where it could be a secret that was put into the wrong place. */
export function withoutSecret(text: string): string {
  if (Uid.safeParse(text).success) return text
  return text.length > NAME_MAX || /^(mnem_|sk-|eyJ)/.test(text) ? '*' : text
}

/** A record with an id and time of its own: handed in twice, it is kept once. */
export function auditRecord(
  by: Actor,
  { action, target, outcome = 'done', detail = {} }: Audited,
  { clock, ids }: { clock: Clock; ids: () => string },
): AuditRecord {
  return { id: ids(), ...by, action, target, outcome, count: 1, detail, created_at: clock().toISOString() }
}
