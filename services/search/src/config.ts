import { SEARCH_LIMIT_MAX } from '@mnemosyne/contracts'
import { embeddingVariables, rerankerVariables } from '@mnemosyne/models'
import { about, Count, GraphUrl, processVariables } from '@mnemosyne/platform'
import { z } from 'zod'

export const searchConfig = z.object({
  SEARCH_DEFAULT_LIMIT: about(
    Count.max(SEARCH_LIMIT_MAX).default(20),
    'Passages in an answer when the request names no limit.',
  ),
  SEARCH_VECTOR_TOP_K: about(Count.max(1_000).default(50), 'Passages that the vector retriever nominates.'),
  SEARCH_FULLTEXT_TOP_K: about(Count.max(1_000).default(30), 'Passages that full text nominates.'),
  SEARCH_GRAPH_MAX_DEPTH: about(
    Count.max(2, 'must be 1 or 2').default(2),
    '1: passages that mention a concept of the query. 2: also those linked to the best passages.',
  ),
  SEARCH_FUSION: about(
    z.enum(['weighted', 'rrf']).default('weighted'),
    'How retrievers are fused: by their scores, or by reciprocal rank.',
  ),
  SEARCH_RRF_K: about(Count.default(60), 'The constant k of reciprocal rank fusion.'),
  RERANKER_MAX_CANDIDATES: about(
    Count.max(200).default(32),
    'Passages that a re-ranker puts into its order, the best by fusion.',
  ),
  ...rerankerVariables,
  SEARCH_MAX_CONCURRENT: about(
    Count.max(1_000).default(32),
    'Searches answered at once; twice as many wait for a second at most, the rest is refused with 503.',
  ),
  SEARCH_PART_TIMEOUT_MS: about(Count.default(5_000), 'After this time an answer goes out without the part.'),
})
export type SearchConfig = z.infer<typeof searchConfig>

/** The variables of search as a process of its own: it reads the graph and asks a model, and has no other store. */
export const searchProcessConfig = searchConfig.extend({
  ...processVariables(23_185),
  ...embeddingVariables,
  NEO4J_URL: GraphUrl,
})
