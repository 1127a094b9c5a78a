import type { SearchAnswer, SearchRequest } from '@mnemosyne/contracts'
import type { GraphStore } from '@mnemosyne/graph'
import type { Embedder, Reranker } from '@mnemosyne/models'
import type { Logger } from '@mnemosyne/platform'
import { beginSearch, type Caller, withVectors } from './begin-search.ts'
import type { SearchConfig } from './config.ts'
import { foundBy, runSearch } from './pipeline.ts'
import { searchNear } from './search-near.ts'
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
  const begun = withVectors(deps, request, await beginSearch(deps, request, caller))
  const { parts, searchScope } = begun
  const { candidates, used, ranked, exact, reranking } =
    (await searchNear(deps, request, begun, caller)) ?? foundBy(await runSearch(deps, request, begun))
  const shown = new Set(candidates.map((candidate) => candidate.library_uid))
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
    contexts: Object.fromEntries(
      searchScope.libraries
        .filter(({ uid, llm_context_prompt }) => shown.has(uid) && llm_context_prompt !== '')
        .map(({ uid, llm_context_prompt }) => [uid, llm_context_prompt]),
    ),
    timings_ms: Object.fromEntries(
      Object.entries({ ...parts.timings, total: took }).map(([stage, ms]) => [stage, rounded(ms)]),
    ),
    exact,
    degraded: parts.degraded,
  }
}

function rounded(ms: number): number {
  return Math.round(ms * 100) / 100
}
