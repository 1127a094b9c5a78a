import type { Candidate, Principal, SearchRequest, SearchType } from '@mnemosyne/contracts'
import { queryTerms, type TextQuery } from '@mnemosyne/graph'
import { searchUnavailable } from './errors.ts'
import { fuse, type Ranking } from './fuse.ts'
import { answering, type Nominations, nominate, noteUnembedded } from './nominate.ts'
import { Parts } from './parts.ts'
import { Passages } from './passages.ts'
import { presentCandidates } from './present.ts'
import { type Reranking, rerank } from './rerank.ts'
import { resolveScope, type SearchScope } from './scope.ts'
import type { SearchDeps } from './search.ts'

/** One search with everything that led to its answer. */
export interface SearchRun {
  parts: Parts
  searchScope: SearchScope
  text: TextQuery
  nominations: Nominations
  /** The retrievers that answered. */
  used: SearchType[]
  ranking: Ranking
  reranking: Reranking
  passages: Passages
  limit: number
  candidates: Candidate[]
}

/**
 * Nominates by vector, full text and concepts in parallel, scores what was nominated by every retriever, follows the
 * links of the best, fuses, re-ranks, and loads what the answer shows.
 */
export async function runSearch(
  deps: SearchDeps,
  request: SearchRequest,
  { principal, signal }: { principal: Principal; signal: AbortSignal },
): Promise<SearchRun> {
  const { config, graph, log, metrics } = deps
  const parts = new Parts({ signal, timeoutMs: config.SEARCH_PART_TIMEOUT_MS, log, metrics })
  const searchScope = await parts.need('scope', (signal) =>
    resolveScope(graph, principal, request, { signal }),
  )
  const { scope, libraries } = searchScope
  const query = request.query.toWellFormed()
  const text = queryTerms(query)

  const nominations = await nominate(deps, parts, searchScope, request.search_types, query, text)
  const used = answering(request.search_types, nominations)
  if (used.length === 0) {
    throw searchUnavailable([...new Set(parts.degraded.map(({ reason }) => reason))])
  }
  noteUnembedded(nominations, parts.degraded)

  const ranking = await fuse(deps, parts, scope, nominations, text)
  const limit = request.limit ?? config.SEARCH_DEFAULT_LIMIT
  const passages = new Passages(graph, scope)
  const reranking = await rerank(deps, parts, {
    requested: request.rerank,
    query,
    ranked: ranking.ranked,
    libraries,
    passages,
    limit,
  })
  const candidates = await parts.need('load', (signal) =>
    presentCandidates(
      passages,
      ranking,
      reranking,
      text.terms,
      { limit, explain: request.explain },
      { signal },
    ),
  )
  return {
    ...{ parts, searchScope, text, nominations, used, ranking, reranking, passages, limit, candidates },
  }
}
