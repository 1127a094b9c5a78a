import { z } from 'zod'
import { AuditRecord } from './audit.ts'
import { Uid } from './common.ts'
import { Job } from './ingest.ts'

/**
 * Events by versioned type: what stands in a CloudEvent's `data`. A consumer ignores fields that it does not
 * know, and a field is never renamed or dropped within a version.
 */
export const EVENTS = {
  'library.created.v1': z.object({ library_uid: Uid, owner_username: z.string().nullable() }),
  'library.updated.v1': z.object({ library_uid: Uid }),
  'library.deleted.v1': z.object({ library_uid: Uid, workspace_id: z.string().nullable() }),
  /** `hand_overs`: how often the library has been handed over, with this time. */
  'library.handed_over.v1': z.object({
    library_uid: Uid,
    from: z.string(),
    to: z.string(),
    hand_overs: z.number().int(),
  }),
  'item.deleted.v1': z.object({ item_uid: Uid, library_uid: Uid }),
  'ingest.job.accepted.v1': Job,
  'ingest.job.completed.v1': Job,
  'ingest.job.failed.v1': Job,
  'user.disabled.v1': z.object({ user_id: Uid }),
  'user_token.revoked.v1': z.object({ token_id: Uid, user_id: Uid }),
  'team.changed.v1': z.object({ team_id: Uid }),
  'audit.recorded.v1': AuditRecord,
} as const

export type EventType = keyof typeof EVENTS
export type EventData<T extends EventType> = z.infer<(typeof EVENTS)[T]>

/** Work queues and what a message on each carries: only the id of the row that is the truth. */
export const COMMANDS = {
  'ingest.embedding': z.object({ job_id: Uid }),
} as const

export type CommandQueue = keyof typeof COMMANDS
export type CommandData<Q extends CommandQueue> = z.infer<(typeof COMMANDS)[Q]>

/**
 * The durable queues of those who hear events, and what each hears. Declared by everybody who speaks to the broker:
 * an event that is sent before its hearers have ever started has to wait for them.
 */
export const SUBSCRIPTIONS = {
  'auth.library-events': ['library.created.v1', 'library.deleted.v1', 'library.handed_over.v1'],
  'auth.audit-events': ['audit.recorded.v1'],
  'ingest.library-events': ['library.deleted.v1', 'item.deleted.v1'],
  'library.ingest-events': ['ingest.job.accepted.v1', 'ingest.job.completed.v1', 'ingest.job.failed.v1'],
} as const satisfies Record<string, readonly EventType[]>

/**
 * Throws when a message's data is not what its contract says; asked at both ends of the bus. What has no contract
 * here passes: its hearer decides.
 */
export function validateMessage(message: {
  kind: 'event' | 'command'
  destination: string
  body: unknown
}): void {
  if (message.kind === 'command') {
    COMMANDS[message.destination as CommandQueue]?.parse(message.body)
    return
  }
  EVENTS[message.destination as EventType]?.parse((message.body as { data: unknown }).data)
}
