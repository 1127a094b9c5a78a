import { oc } from '@orpc/contract'
import { z } from 'zod'
import { FreeText, IsoTime, listOf, Page, Uid } from './common.ts'

/**
 * What somebody did, or was refused. `actor` is a user's id (of a team: its owner), or `anonymous`, `command-line`,
 * `service`. Neither secrets nor text of documents, queries or answers stand in `detail`.
 */
export const AuditRecord = z.object({
  /** Made by whoever records it: the same record that arrives twice is kept once. */
  id: Uid,
  actor: z.string(),
  username: z.string().nullable(),
  team_id: z.string().nullable(),
  token_id: z.string().nullable(),
  /** `<what>.<done to it>`, as in `library.deleted`. */
  action: z.string(),
  target: z.string(),
  outcome: z.enum(['done', 'refused']),
  /** How often within the moment that this record stands for: refusals that are alike are kept as one. */
  count: z.number().int().min(1),
  detail: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])),
  request_id: z.string(),
  created_at: IsoTime,
})
export type AuditRecord = z.infer<typeof AuditRecord>

export const AUDIT_RECORDS_MAX = 200

export const auditContract = {
  list: oc
    .route({
      tags: ['admin'],
      method: 'GET',
      path: '/admin/api/audit/',
      summary: 'What was done and what was refused, newest first (staff)',
      outputStructure: 'detailed',
    })
    .input(
      Page.extend({
        /** A user's id or name. */
        actor: FreeText(200).optional(),
        action: FreeText(100).optional(),
        target: FreeText(1_100).optional(),
        team_id: FreeText(64).optional(),
        outcome: AuditRecord.shape.outcome.optional(),
        request_id: FreeText(128).optional(),
        since: IsoTime.optional(),
        until: IsoTime.optional(),
      }),
    )
    .output(listOf(AuditRecord)),
}
