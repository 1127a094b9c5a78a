import type { Principal, SearchRequest, SearchType } from '@mnemosyne/contracts'
import { queryTerms, type TextQuery } from '@mnemosyne/graph'
import type { SearchConfig } from './config.ts'
import { searchUnavailable } from './errors.ts'
import { fuse, type Ranking } from './fuse.ts'
import { answering, type Nominations, nominate, noteUnembedded } from './nominate.ts'
import { Parts } from './parts.ts'
import { Passages } from './passages.ts'
import { type Presented, presentCandidates } from './present.ts'
import { type Reranking, rerank } from './rerank.ts'
import { resolveScope, type SearchScope } from './scope.ts'
import type { SearchDeps } from './search.ts'

/** One search with everything that led to its answer. */
export interface SearchRun {
  config: SearchConfig
  request: SearchRequest
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
  presented: Presented
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
 * links of the best, fuses, re-ranks, and loads what the answer shows.
 */
export async function runSearch(
  deps: SearchDeps,
  request: SearchRequest,
  { parts, searchScope }: { parts: Parts; searchScope: SearchScope },
): Promise<SearchRun> {
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
  const limit = request.limit ?? deps.config.SEARCH_DEFAULT_LIMIT
  const passages = new Passages(deps.graph, scope)
  const reranking = await rerank(deps, parts, {
    ...{ requested: request.rerank, query, ranked: ranking.ranked, libraries, passages, limit },
  })
  const presented = await parts.need('load', (signal) =>
    presentCandidates(
      passages,
      { ranking, reranking, terms: text.terms },
      { limit, explain: request.explain },
      { signal },
    ),
  )
  return {
    ...{ config: deps.config, request, parts, searchScope, text, nominations, used },
    ...{ ranking, reranking, passages, limit, presented },
  }
}
