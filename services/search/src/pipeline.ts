import type { Candidate, SearchRequest, SearchType } from '@mnemosyne/contracts'
import type { SearchStore, TextQuery } from '@mnemosyne/graph'
import type { Reranker } from '@mnemosyne/models'
import { choose } from './choose.ts'
import type { SearchConfig } from './config.ts'
import { searchUnavailable } from './errors.ts'
import { fuse, type Ranking } from './fuse.ts'
import { answering, type Nominations, nominate, noteUnembedded } from './nominate.ts'
import type { Parts } from './parts.ts'
import { Passages } from './passages.ts'
import { demandsPhrases, type Exactness, exactFirst, exactnessOf } from './phrases.ts'
import { presentCandidates } from './present.ts'
import { type Reranking, rerank } from './rerank.ts'
import type { QueryVector } from './retrieve-vector.ts'
import type { SearchScope } from './scope.ts'

/** A search of which is known what it may look at. */
export interface BegunSearch {
  parts: Parts
  searchScope: SearchScope
  /** Undefined when they can't be had, or are not asked for. */
  vectors: Promise<QueryVector[] | undefined>
}

export interface RunDeps {
  config: RunConfig
  graph: SearchStore
  reranker: Reranker | null
}

/** What of the configuration the pipeline goes by. */
export type RunConfig = Pick<
  SearchConfig,
  | 'SEARCH_DEFAULT_LIMIT'
  | 'SEARCH_VECTOR_TOP_K'
  | 'SEARCH_FULLTEXT_TOP_K'
  | 'SEARCH_GRAPH_MAX_DEPTH'
  | 'SEARCH_FUSION'
  | 'SEARCH_RRF_K'
  | 'RERANKER_MAX_CANDIDATES'
  | 'RERANKER_TIMEOUT'
>

/** One search with everything that led to its answer. */
export interface SearchRun {
  config: RunConfig
  request: SearchRequest
  parts: Parts
  searchScope: SearchScope
  /** What full text was asked for. */
  text: TextQuery
  nominations: Nominations
  /** The retrievers that answered. */
  used: SearchType[]
  /** How exactly candidates hold the phrases in quotes, by which they stand in `ranking` and `reranking`. */
  exactness: Map<string, Exactness>
  ranking: Ranking
  reranking: Reranking
  passages: Passages
  limit: number
  candidates: Candidate[]
  /** Why passages are not shown that the limit would have let through, in words; by chunk uid. */
  withheld: Map<string, string>
}

/**
 * Nominates by vector, full text and concepts in parallel, scores what was nominated by every retriever, follows the
 * links of the best, fuses, re-ranks, and chooses what the answer shows. What holds the phrases in quotes is put
 * first, before and after re-ranking.
 */
export async function runSearch(
  deps: RunDeps,
  request: SearchRequest,
  { parts, searchScope, vectors }: BegunSearch,
): Promise<SearchRun> {
  const { scope, libraries } = searchScope
  const query = request.query.toWellFormed()

  const nominations = await nominate(deps, parts, searchScope, request.search_types, query, vectors)
  const { text } = nominations
  const used = answering(request.search_types, nominations)
  if (used.length === 0) {
    throw searchUnavailable([...new Set(parts.degraded.map(({ reason }) => reason))])
  }
  noteUnembedded(nominations, parts.degraded)

  const passages = new Passages(deps.graph, scope)
  const fused = await fuse(deps, parts, scope, nominations)
  const exactness = await exactnessOf(parts, passages, query, fused.ranked, nominations)
  const isDemand = demandsPhrases(query)
  const ranking = { ...fused, ranked: exactFirst(fused.ranked, exactness, isDemand) }
  const limit = request.limit ?? deps.config.SEARCH_DEFAULT_LIMIT
  const reranked = await rerank(deps, parts, {
    ...{ requested: request.rerank, query, ranked: ranking.ranked, libraries, passages, limit },
  })
  const reranking = { ...reranked, order: exactFirst(reranked.order, exactness, isDemand) }
  const { candidates, withheld } = await parts.need('load', async (signal) => {
    const { choices, withheld } = await choose(passages, reranking.order, { ...request, limit }, { signal })
    const input = { ranking, reranking, terms: text.terms }
    return { candidates: await presentCandidates(choices, input, request.explain), withheld }
  })
  return {
    ...{ config: deps.config, request, parts, searchScope, text, nominations, used, exactness },
    ...{ ranking, reranking, passages, limit, candidates, withheld },
  }
}

/** Of a search what its answer needs. */
export interface Found {
  candidates: Candidate[]
  /** The retrievers that answered. */
  used: SearchType[]
  /** Passages that were ranked. */
  ranked: number
  exact: boolean
  reranking: Pick<Reranking, 'model' | 'skipReason'>
  /** What the libraries of the candidates say about their content, by library uid. */
  contexts: Record<string, string>
}

export function foundBy(run: SearchRun): Found {
  const { candidates, used, ranking, nominations, searchScope } = run
  const { model, skipReason } = run.reranking
  const shown = new Set(candidates.map(({ library_uid }) => library_uid))
  const telling = searchScope.libraries.filter(
    ({ uid, llm_context_prompt }) => shown.has(uid) && llm_context_prompt !== '',
  )
  return {
    candidates,
    used,
    ranked: ranking.ranked.length,
    exact: nominations.vector?.exact ?? false,
    reranking: { model, skipReason },
    contexts: Object.fromEntries(telling.map(({ uid, llm_context_prompt }) => [uid, llm_context_prompt])),
  }
}
