import { z } from 'zod'
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
  'item.deleted.v1': z.object({ item_uid: Uid, library_uid: Uid }),
  'ingest.job.accepted.v1': Job,
  'ingest.job.completed.v1': Job,
  'ingest.job.failed.v1': Job,
  'user.disabled.v1': z.object({ user_id: Uid }),
  'user_token.revoked.v1': z.object({ token_id: Uid, user_id: Uid }),
} as const

export type EventType = keyof typeof EVENTS
export type EventData<T extends EventType> = z.infer<(typeof EVENTS)[T]>

/** Work queues and what a message on each carries: only the id of the row that is the truth. */
export const COMMANDS = {
  'ingest.embedding': z.object({ job_id: Uid }),
} as const

export type CommandQueue = keyof typeof COMMANDS
export type CommandData<Q extends CommandQueue> = z.infer<(typeof COMMANDS)[Q]>
