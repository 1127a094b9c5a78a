import type { Principal, SearchRequest } from '@mnemosyne/contracts'
import { embedForSearch } from './embed-query.ts'
import { Parts } from './parts.ts'
import type { BegunSearch } from './pipeline.ts'
import { resolveScope, type SearchScope } from './scope.ts'
import type { SearchDeps } from './search.ts'
import { watchStages } from './stage-watch.ts'

export interface Caller {
  principal: Principal
  /** Aborts when the caller leaves. */
  signal: AbortSignal
}

/** The stages of one request, and what it may look at. */
export async function beginSearch(
  deps: SearchDeps,
  request: SearchRequest,
  { principal, signal }: Caller,
): Promise<{ parts: Parts; searchScope: SearchScope }> {
  const timeoutMs = deps.config.SEARCH_PART_TIMEOUT_MS
  const parts = new Parts({ signal, timeoutMs, watch: watchStages(deps) })
  const searchScope = await parts.need('scope', (signal) =>
    resolveScope(deps.graph, principal, request, { signal }),
  )
  return { parts, searchScope }
}

/** The same with the vectors of its query under way, if it asks for them and there is something to search. */
export function withVectors(
  deps: SearchDeps,
  request: SearchRequest,
  { parts, searchScope }: { parts: Parts; searchScope: SearchScope },
): BegunSearch {
  const isAsked = request.search_types.includes('vector') && searchScope.libraries.length > 0
  const vectors = isAsked
    ? embedForSearch(deps, parts, searchScope, request.query.toWellFormed())
    : Promise.resolve(undefined)
  // It rejects when the caller leaves, and then there may be nobody who waits for it.
  vectors.catch(() => {})
  return { parts, searchScope, vectors }
}
