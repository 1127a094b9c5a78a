import type { Candidate, Principal, SearchRequest, SearchType } from '@mnemosyne/contracts'
import { queryTerms, type TextQuery } from '@mnemosyne/graph'
import { choose } from './choose.ts'
import type { SearchConfig } from './config.ts'
import { searchUnavailable } from './errors.ts'
import { fuse, type Ranking } from './fuse.ts'
import { answering, type Nominations, nominate, noteUnembedded } from './nominate.ts'
import { Parts } from './parts.ts'
import { Passages } from './passages.ts'
import { demandsPhrases, type Exactness, exactFirst, exactnessOf } from './phrases.ts'
import { presentCandidates } from './present.ts'
import { type Reranking, rerank } from './rerank.ts'
import { resolveScope, type SearchScope } from './scope.ts'
import type { SearchDeps } from './search.ts'

/** One search with everything that led to its answer. */
export interface SearchRun {
  config: SearchConfig
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

/** The stages of one request, and what it may look at. */
export async function beginSearch(
  { config, graph, log, metrics }: SearchDeps,
  request: SearchRequest,
  { principal, signal }: Caller,
): Promise<{ parts: Parts; searchScope: SearchScope }> {
  const parts = new Parts({ signal, timeoutMs: config.SEARCH_PART_TIMEOUT_MS, log, metrics })
  const searchScope = await parts.need('scope', (signal) =>
    resolveScope(graph, principal, request, { signal }),
  )
  return { parts, searchScope }
}

export interface Caller {
  principal: Principal
  /** Aborts when the caller leaves. */
  signal: AbortSignal
}

/**
 * Nominates by vector, full text and concepts in parallel, scores what was nominated by every retriever, follows the
 * links of the best, fuses, re-ranks, and chooses what the answer shows. What holds the phrases in quotes is put
 * first, before and after re-ranking.
 */
export async function runSearch(
  deps: SearchDeps,
  request: SearchRequest,
  { parts, searchScope }: { parts: Parts; searchScope: SearchScope },
): Promise<SearchRun> {
  const { scope, libraries } = searchScope
  const query = request.query.toWellFormed()

  const asked = queryTerms(query)
  const nominations = await nominate(deps, parts, searchScope, request.search_types, query, asked)
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
