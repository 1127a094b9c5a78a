import type { Principal, SearchRequest } from '@mnemosyne/contracts'
import { Parts } from './parts.ts'
import { resolveScope, type SearchScope } from './scope.ts'
import type { SearchDeps } from './search.ts'
import { watchStages } from './stage-watch.ts'

export interface Caller {
  principal: Principal
  /** Aborts when the caller leaves. */
  signal: AbortSignal
}

/** The stages of one request. */
export function partsOf(deps: SearchDeps, { signal }: Caller): Parts {
  return new Parts({ signal, timeoutMs: deps.config.SEARCH_PART_TIMEOUT_MS, watch: watchStages(deps) })
}

/** What the request may look at. */
export function scopeOf(
  { graph }: SearchDeps,
  parts: Parts,
  request: SearchRequest,
  { principal }: Caller,
): Promise<SearchScope> {
  return parts.need('scope', (signal) =>
    resolveScope(graph, principal.resolved_libraries, request, { signal }),
  )
}
