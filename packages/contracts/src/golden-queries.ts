import { oc } from '@orpc/contract'
import { z } from 'zod'
import { FreeText, IsoTime, listOf, Page, Uid } from './common.ts'
import { QUERY_MAX } from './search.ts'

const base = oc.route({ tags: ['golden queries'] })

/** In one library. */
export const GOLDEN_QUERIES_MAX = 1_000

/** How deep a replay looks for what is wanted; further down it is not found. */
export const GOLDEN_RANK_MAX = 50

/**
 * What a replay found. `rank` from 1, null: not among the first 50. `counted_by`: the passage; its document, where a
 * document is wanted or the passage is there no longer; null, when both are gone: then it does not count.
 */
export const GoldenResult = z.object({
  rank: z.number().int().min(1).nullable(),
  counted_by: z.enum(['chunk', 'item']).nullable(),
})
export type GoldenResult = z.infer<typeof GoldenResult>

export const GoldenQuery = z.object({
  id: Uid,
  library_uid: Uid,
  query: z.string(),
  /** The passage that is wanted; null: any of its document. */
  chunk_uid: Uid.nullable(),
  item_uid: Uid,
  /** The id of the user who added it. */
  created_by: z.string(),
  created_at: IsoTime,
  /** What the last whole replay found; null: none has asked it. */
  last_result: GoldenResult.nullable(),
})
export type GoldenQuery = z.infer<typeof GoldenQuery>

/** One replay of all golden queries of a library. */
export const GoldenRun = z.object({
  id: Uid,
  library_uid: Uid,
  trigger: z.enum(['asked', 'schedule']),
  started_at: IsoTime,
  /** Null: it is not whole yet. */
  finished_at: IsoTime.nullable(),
  /** How many were asked, those of `gone` among them. */
  queries: z.number().int(),
  /** How many are to be asked yet: `run` goes on with them. */
  remaining: z.number().int(),
  /** How many want what is deleted. They count in neither measure. */
  gone: z.number().int(),
  /** The share of those that found what is wanted among the first ten; null: none counts. */
  recall_at_10: z.number().nullable(),
  /** The mean of 1/rank, 0 for what was not found. */
  mrr: z.number().nullable(),
  /** Whether the vector part looked at every passage of the library, each time. */
  exact: z.boolean(),
  /** Parts that were missing, and in how many searches. */
  degraded: z.array(z.object({ part: z.string(), queries: z.number().int() })),
})
export type GoldenRun = z.infer<typeof GoldenRun>

export const GoldenRunDetail = GoldenRun.extend({
  results: z.array(GoldenResult.extend({ golden_query_id: Uid, query: z.string() })),
})
export type GoldenRunDetail = z.infer<typeof GoldenRunDetail>

const inLibrary = z.object({ uid: Uid })

const NewGoldenQuery = inLibrary
  .extend({
    query: FreeText(QUERY_MAX).refine((query) => query.trim() !== '', 'May not be empty.'),
    chunk_uid: Uid.optional(),
    item_uid: Uid.optional(),
  })
  .refine((body) => (body.chunk_uid === undefined) !== (body.item_uid === undefined), {
    message: 'Give one of chunk_uid and item_uid.',
    path: ['chunk_uid'],
  })

/** Queries of which a person has said what they should find, and how well search does. */
export const goldenQueriesContract = {
  list: base
    .route({
      method: 'GET',
      path: '/library/api/libraries/{uid}/golden-queries/',
      summary: "A library's golden queries, each with the rank of what it wants at the last replay",
      outputStructure: 'detailed',
    })
    .input(Page.extend(inLibrary.shape))
    .output(listOf(GoldenQuery)),
  add: base
    .route({
      method: 'POST',
      path: '/library/api/libraries/{uid}/golden-queries/',
      summary:
        'Mark what a query should find: a passage, or any of a document (owners and managers); idempotent',
      outputStructure: 'detailed',
    })
    .input(NewGoldenQuery)
    .output(
      z.union([
        z.object({ status: z.literal(201), body: GoldenQuery }),
        z.object({ status: z.literal(200), body: GoldenQuery }),
      ]),
    ),
  delete: base
    .route({
      method: 'DELETE',
      path: '/library/api/libraries/{uid}/golden-queries/{id}/',
      summary: 'Delete a golden query (owners and managers)',
      successStatus: 204,
    })
    .input(inLibrary.extend({ id: Uid }))
    .output(z.void()),
  run: base
    .route({
      method: 'POST',
      path: '/library/api/libraries/{uid}/golden-queries/run/',
      summary:
        'Replay the golden queries (owners and managers). Answers within half a minute: with `remaining` above 0, ask again, and it goes on',
    })
    .input(inLibrary)
    .output(GoldenRunDetail),
  runs: base
    .route({
      method: 'GET',
      path: '/library/api/libraries/{uid}/golden-queries/runs/',
      summary: 'The last replays, newest first',
      outputStructure: 'detailed',
    })
    .input(Page.extend(inLibrary.shape))
    .output(listOf(GoldenRun)),
}

/** Between services only: the gateway, which alone can sign for a search, keeps the schedule. */
export const goldenQueriesInternalContract = {
  /** A library whose golden queries were last replayed that long ago, for this caller to replay; null: none. */
  claim: base
    .route({ method: 'POST', path: '/internal/library/golden-runs/claims/' })
    .input(z.object({ every_hours: z.number().int().min(1) }))
    .output(z.object({ library_uid: Uid }).nullable()),
  /** As `run`, for a caller who is a service and may read that library. */
  replay: base
    .route({ method: 'POST', path: '/internal/library/golden-runs/' })
    .input(z.object({ library_uid: Uid }))
    .output(GoldenRun),
}
