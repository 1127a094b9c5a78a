import type { SearchRequest } from '@mnemosyne/contracts'
import { GraphClosedError } from '@mnemosyne/graph'
import { DomainError, pastSpan } from '@mnemosyne/platform'
import type { Caller } from './begin-search.ts'
import { embedForAny } from './embed-query.ts'
import { searchCancelled, searchUnavailable } from './errors.ts'
import type { FoundNear, NearSearch } from './near-store.ts'
import type { Parts } from './parts.ts'
import type { Found } from './pipeline.ts'
import type { SearchDeps } from './search.ts'
import { watchStages } from './stage-watch.ts'

const MODULE = new URL('./near-store.ts', import.meta.url)
/** So many times the time of a part the store is given for all of a search. */
const TIMES_OF_A_PART = 3

/**
 * Runs the search where the store's answers are made, which saves the ways to it and back. Undefined where that can't be
 * done (there is no such place, a re-ranker is to be asked, vectors depend on the libraries), or has failed: the search
 * is then run here, where each part fails by itself.
 *
 * @throws DomainError SEARCH_UNAVAILABLE when the store gives no answer in time, or only the vector was asked for and can't be
 * had; SEARCH_CANCELLED.
 */
export async function searchNear(
  deps: SearchDeps,
  parts: Parts,
  request: SearchRequest,
  { principal, signal }: Caller,
): Promise<Found | undefined> {
  const { config, graph, reranker } = deps
  const takesInstructions = deps.embedder().embedder?.model.takesInstructions ?? false
  if (!graph.near || takesInstructions || (request.rerank && reranker)) return undefined
  const timeoutMs = TIMES_OF_A_PART * config.SEARCH_PART_TIMEOUT_MS
  const late = AbortSignal.timeout(timeoutMs)
  const readable = principal.resolved_libraries
  const input: NearSearch = { config: shared(config), request, readable }
  const vector = readable.length === 0 ? Promise.resolve(undefined) : embedForAny(deps, parts, request)
  // It rejects when the caller leaves, and then there may be nobody who waits for it.
  vector.catch(() => {})
  try {
    const { found, stages } = await graph.near<NearSearch, Awaited<typeof vector>, FoundNear>(
      MODULE,
      input,
      vector,
      { signal: AbortSignal.any([signal, late]) },
    )
    if ('refused' in found) return refusedNear(parts, found.refused, stages)
    parts.add(stages)
    const watch = watchStages(deps)
    for (const { stage, from, seconds } of stages.took) {
      pastSpan(`search ${stage}`, from, seconds)
      watch.took(stage, seconds)
    }
    for (const { stage, error } of stages.failed) watch.failed(stage, error)
    return found
  } catch (error) {
    if (signal.aborted) throw searchCancelled(error)
    if (error instanceof DomainError) throw error
    if (late.aborted)
      throw searchUnavailable([`The graph store gave no answer within ${timeoutMs} ms.`], error)
    if (!(error instanceof GraphClosedError)) deps.log.warn({ err: error }, 'search near the store failed')
    return undefined
  }
}

/**
 * Who runs a refused search here will see why. Only where nothing but the vector was missing, `parts` has seen it: the
 * model is not to be waited for once more.
 */
function refusedNear(parts: Parts, code: string, { failed }: FoundNear['stages']): undefined {
  if (code !== 'SEARCH_UNAVAILABLE' || failed.length > 0) return undefined
  throw searchUnavailable([...new Set(parts.degraded.map(({ reason }) => reason))])
}

/** What may cross to another thread of the configuration: no secret is among it. */
function shared(config: SearchDeps['config']): NearSearch['config'] {
  const { SEARCH_DEFAULT_LIMIT, SEARCH_VECTOR_TOP_K, SEARCH_FULLTEXT_TOP_K, SEARCH_GRAPH_MAX_DEPTH } = config
  const { SEARCH_FUSION, SEARCH_RRF_K, RERANKER_MAX_CANDIDATES, RERANKER_TIMEOUT } = config
  return {
    ...{ SEARCH_DEFAULT_LIMIT, SEARCH_VECTOR_TOP_K, SEARCH_FULLTEXT_TOP_K, SEARCH_GRAPH_MAX_DEPTH },
    ...{ SEARCH_FUSION, SEARCH_RRF_K, RERANKER_MAX_CANDIDATES, RERANKER_TIMEOUT },
  }
}
