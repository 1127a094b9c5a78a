import type { SearchAnswer, SearchRequest } from '@mnemosyne/contracts'
import type { GraphStore } from '@mnemosyne/graph'
import type { Embedder, Reranker } from '@mnemosyne/models'
import type { Logger } from '@mnemosyne/platform'
import { type Caller, partsOf, scopeOf } from './begin-search.ts'
import type { SearchConfig } from './config.ts'
import { embedForScope } from './embed-query.ts'
import type { Parts } from './parts.ts'
import { type Found, foundBy, runSearch } from './pipeline.ts'
import { searchNear } from './search-near-store.ts'
import type { SearchMetrics } from './stage-watch.ts'

/** The embedding model, or why there is none and what to do about it. */
export type EmbedderState = { embedder: Embedder } | { embedder: null; reason: string }

export interface SearchDeps {
  config: SearchConfig
  graph: GraphStore
  /** Asked at every search, since the model may come later. */
  embedder: () => EmbedderState
  /** Null: none is configured. */
  reranker: Reranker | null
  log: Logger
  metrics: SearchMetrics
}

/**
 * Answers one request under the principal's libraries. A part that fails costs its own contribution and is named in
 * `degraded`.
 */
export async function search(
  deps: SearchDeps,
  request: SearchRequest,
  caller: Caller,
): Promise<SearchAnswer> {
  const started = performance.now()
  const parts = partsOf(deps, caller)
  const { candidates, used, ranked, exact, reranking, contexts } =
    (await searchNear(deps, parts, request, caller)) ?? (await searchHere(deps, parts, request, caller))
  const took = performance.now() - started
  return {
    query: request.query,
    candidates,
    images: [],
    total_candidates: ranked,
    search_time_ms: rounded(took),
    reranker_used: reranking.skipReason === null,
    reranker_model: reranking.model,
    reranker_skip_reason: reranking.skipReason,
    search_types_used: used,
    contexts,
    timings_ms: Object.fromEntries(
      Object.entries({ ...parts.timings, total: took }).map(([stage, ms]) => [stage, rounded(ms)]),
    ),
    exact,
    degraded: parts.degraded,
  }
}

async function searchHere(
  deps: SearchDeps,
  parts: Parts,
  request: SearchRequest,
  caller: Caller,
): Promise<Found> {
  const searchScope = await scopeOf(deps, parts, request, caller)
  const vectors = embedForScope(deps, parts, request, searchScope)
  return foundBy(await runSearch(deps, request, { parts, searchScope, vectors }))
}

function rounded(ms: number): number {
  return Math.round(ms * 100) / 100
}
