import { searchContract } from '@mnemosyne/contracts'
import type { GraphStore } from '@mnemosyne/graph'
import type { Reranker } from '@mnemosyne/models'
import {
  type Check,
  type Logger,
  type Metrics,
  type Readiness,
  type RequestContext,
  type Service,
  serviceApp,
  type Verifier,
} from '@mnemosyne/platform'
import { implement } from '@orpc/server'
import { createAdmission } from './admission.ts'
import type { SearchConfig } from './config.ts'
import { ERROR_STATUS } from './errors.ts'
import { explain } from './explain/explain.ts'
import { type EmbedderState, search } from './search.ts'
import { searchMetrics } from './stage-watch.ts'

export interface SearchServiceDeps {
  config: SearchConfig
  graph: GraphStore
  /** Asked at every search and probe, since the model may come later. */
  embedder: () => EmbedderState
  /** Null: none is configured. */
  reranker: Reranker | null
  /** Of assertions for the audience `search`. */
  verify: Verifier
  log: Logger
  metrics: Metrics
}

/** Hybrid retrieval behind `searchContract`. Stateless; closes none of its dependencies. */
export async function startSearch(deps: SearchServiceDeps): Promise<Service> {
  const { log, metrics, verify } = deps
  const searchDeps = { ...deps, metrics: searchMetrics(metrics) }
  const admit = createAdmission(deps.config.SEARCH_MAX_CONCURRENT, metrics)
  const os = implement(searchContract).$context<RequestContext>()
  const readiness = () => ready(deps)
  return {
    name: 'search',
    fetch: serviceApp({
      name: 'search',
      log,
      metrics,
      readiness,
      verify,
      errorStatus: ERROR_STATUS,
      router: os.router({
        search: os.search.handler(({ input, context }) =>
          admit(context, () => search(searchDeps, input, context)),
        ),
        explain: os.explain.handler(({ input, context }) =>
          admit(context, () => explain(searchDeps, input, context)),
        ),
      }),
    }),
    readiness,
    stop: async () => {},
  }
}

/** A dependency's state with what the MCP health tool shows of it. */
interface TimedCheck extends Check {
  duration_ms: number
  model?: string | null
}

async function ready({ graph, embedder, reranker, log }: SearchServiceDeps): Promise<Readiness> {
  const [store, embedding] = await Promise.all([checkGraph(), checkEmbedding()])
  const checks = { graph: store, embedding, ...(reranker && { reranker: checkReranker(reranker) }) }
  const isWhole = Object.values(checks).every(({ status }) => status === 'ok')
  return { status: store.status === 'error' ? 'down' : isWhole ? 'ready' : 'degraded', checks }

  /** By what the last searches met: a probe would cost a call. */
  function checkReranker({ fault, model }: Reranker): TimedCheck {
    const state = fault === null ? { status: 'ok' as const } : { status: 'degraded' as const, detail: fault }
    return { ...state, duration_ms: 0, model: model.name }
  }

  async function checkGraph(): Promise<TimedCheck> {
    const started = performance.now()
    try {
      await graph.ping()
      return { status: 'ok', duration_ms: since(started) }
    } catch (error) {
      log.warn({ err: error }, 'graph store does not answer')
      return { status: 'error', detail: 'The graph store does not answer.', duration_ms: since(started) }
    }
  }

  async function checkEmbedding(): Promise<TimedCheck> {
    const state = embedder()
    if (state.embedder === null) {
      return { status: 'degraded', detail: state.reason, duration_ms: 0, model: null }
    }
    const started = performance.now()
    const model = state.embedder.model.name
    try {
      await state.embedder.ping()
      return { status: 'ok', duration_ms: since(started), model }
    } catch (error) {
      log.warn({ err: error }, 'embedding model does not answer')
      const detail = 'The embedding model does not answer: search works by full text and graph alone.'
      return { status: 'degraded', detail, duration_ms: since(started), model }
    }
  }
}

function since(started: number): number {
  return Math.round((performance.now() - started) * 100) / 100
}
