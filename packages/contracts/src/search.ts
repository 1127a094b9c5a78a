import { oc } from '@orpc/contract'
import { z } from 'zod'
import { Uid } from './common.ts'
import { LibraryType } from './library.ts'

export const SEARCH_TYPES = ['vector', 'fulltext', 'graph'] as const
export const SearchType = z.enum(SEARCH_TYPES)
export type SearchType = z.infer<typeof SearchType>

/** Longest query, in UTF-16 code units. */
export const QUERY_MAX = 8_000
export const SEARCH_LIMIT_MAX = 100

const Query = z
  .string()
  .max(QUERY_MAX, `May not be longer than ${QUERY_MAX} characters.`)
  .refine((query) => query.trim() !== '', 'May not be empty.')

export const SearchRequest = z.object({
  query: Query,
  library_uid: Uid.optional(),
  library_type: LibraryType.optional(),
  collection_uid: Uid.optional(),
  /** Without it, SEARCH_DEFAULT_LIMIT; a larger one than 100 is clamped. */
  limit: z
    .number()
    .min(1)
    .transform((limit) => Math.min(limit, SEARCH_LIMIT_MAX))
    .pipe(z.int())
    .optional(),
  rerank: z.boolean().default(true),
  include_images: z.boolean().default(true),
  search_types: z
    .array(SearchType)
    .min(1)
    .default([...SEARCH_TYPES]),
  explain: z.boolean().default(false),
  /** Passages that say nearly the same as a better one are counted there and not shown. */
  fold_duplicates: z.boolean().default(true),
  /** Passages of one document that stand side by side are shown as one. */
  join_neighbours: z.boolean().default(false),
  /** At most so many passages of one document; joined ones count as one. */
  max_per_item: z.number().int().min(1).max(SEARCH_LIMIT_MAX).optional(),
})
export type SearchRequest = z.infer<typeof SearchRequest>

/**
 * What one retriever said of a candidate: its rank from 1 (null when the retriever did not nominate it), its own
 * score, and its share of the fused score.
 */
const RetrieverVerdict = z.object({
  rank: z.number().int().nullable(),
  score: z.number(),
  share: z.number(),
})

export const Candidate = z.object({
  chunk_uid: Uid,
  item_uid: Uid,
  item_title: z.string(),
  library_uid: Uid,
  library_type: LibraryType,
  /** About 500 characters, plain, in one piece; of joined passages so many for each, up to 2,000. */
  text_preview: z.string(),
  score: z.number(),
  /** The retriever that contributed most; all of them are in `sources`. */
  source: SearchType,
  sources: z.array(SearchType),
  fused_score: z.number(),
  rerank_score: z.number().optional(),
  section_path: z.array(z.string()),
  page: z.number().int().nullable(),
  char_start: z.number().int(),
  char_end: z.number().int(),
  /** Ranges `[start, end)` in `text_preview`. */
  highlights: z.array(z.tuple([z.number().int(), z.number().int()])),
  /** How many passages that say nearly the same were folded into this one. */
  duplicate_count: z.number().int(),
  /** The uids of the passages that were joined into this one, in reading order; one alone: its own. */
  joined: z.array(Uid),
  explanation: z
    .object({
      vector: RetrieverVerdict.optional(),
      fulltext: RetrieverVerdict.optional(),
      graph: RetrieverVerdict.extend({
        /**
         * How the passage was reached: by a concept that the query names, and from another passage by a shared
         * concept, by its document's title, or as the next or previous one (then `concept` is null).
         */
        path: z.array(
          z.object({
            via: z.enum(['query', 'concept', 'title', 'adjacent']),
            concept: z.string().nullable(),
            from_chunk_uid: Uid.nullable(),
          }),
        ),
      }).optional(),
      /** Where fusion had it, from 1, and what the re-ranker said. */
      rerank: z.object({ rank_before: z.number().int(), score: z.number() }).optional(),
      /** Points for standing among the first before links are followed. All shares and this sum to the fused score. */
      lead: z.number(),
    })
    .optional(),
})
export type Candidate = z.infer<typeof Candidate>

export const Degraded = z.object({ part: z.string(), reason: z.string() })
export type Degraded = z.infer<typeof Degraded>

export const SearchAnswer = z.object({
  query: z.string(),
  candidates: z.array(Candidate),
  images: z.array(z.unknown()),
  /** How many candidates were fused, before the limit. */
  total_candidates: z.number().int(),
  search_time_ms: z.number(),
  reranker_used: z.boolean(),
  reranker_model: z.string().nullable(),
  reranker_skip_reason: z.string().nullable(),
  search_types_used: z.array(SearchType),
  /** The context prompt of each library in the answer, by library uid. */
  contexts: z.record(z.string(), z.string()),
  timings_ms: z.record(z.string(), z.number()),
  /** Whether the vector part looked at every passage of the scope. */
  exact: z.boolean(),
  degraded: z.array(Degraded),
})
export type SearchAnswer = z.infer<typeof SearchAnswer>

/** What became of a passage in one stage. `rank` from 1; null: it was not nominated, or not among what the stage saw. */
const StageVerdict = z.object({
  stage: z.enum(['scope', 'vector', 'fulltext', 'graph', 'fusion', 'rerank', 'fold', 'limit']),
  rank: z.number().int().nullable(),
  score: z.number().nullable(),
  /** It went no further than this stage. */
  dropped: z.boolean(),
  /** For a person: why, and what would change it. */
  note: z.string(),
})

export const ExplainRequest = SearchRequest.omit({ explain: true })
  .extend({ chunk_uid: Uid.optional(), item_uid: Uid.optional() })
  .refine((body) => (body.chunk_uid === undefined) !== (body.item_uid === undefined), {
    message: 'Give one of chunk_uid and item_uid.',
    path: ['chunk_uid'],
  })
export type ExplainRequest = z.infer<typeof ExplainRequest>

export const ExplainAnswer = z.object({
  query: z.string(),
  /** The passage that was asked about; of an item, the one that came furthest. */
  chunk_uid: Uid,
  item_uid: Uid,
  item_title: z.string(),
  /** Its place in the answer, from 1; null: it is not in it. */
  rank: z.number().int().nullable(),
  /** The stage that dropped it; null when it is shown. */
  dropped_by: StageVerdict.shape.stage.nullable(),
  stages: z.array(StageVerdict),
  exact: z.boolean(),
  degraded: z.array(Degraded),
})
export type ExplainAnswer = z.infer<typeof ExplainAnswer>

export const searchContract = {
  search: oc
    .route({
      tags: ['search'],
      method: 'POST',
      path: '/library/api/search/',
      summary: 'Ranked passages for a query',
    })
    .input(SearchRequest)
    .output(SearchAnswer),
  explain: oc
    .route({
      tags: ['search'],
      method: 'POST',
      path: '/library/api/search/explain/',
      summary: 'Where a passage ranked for a query in each stage, and what dropped it',
    })
    .input(ExplainRequest)
    .output(ExplainAnswer),
}
