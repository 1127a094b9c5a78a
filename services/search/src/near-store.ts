import type { SearchRequest } from '@mnemosyne/contracts'
import type { Near } from '@mnemosyne/graph'
import { DomainError } from '@mnemosyne/platform/errors'
import { Parts, type Stage, type StagesElsewhere, type StageWatch } from './parts.ts'
import { type Found, foundBy, type RunConfig, runSearch, type SearchRun } from './pipeline.ts'
import { resolveScope } from './scope.ts'

// What this module imports is loaded into the thread of the store: nothing that opens files, models or connections.

/** A search without a re-ranker. */
export interface NearSearch {
  config: RunConfig
  request: SearchRequest
  /** Uids of the libraries that the caller may read. */
  readable: string[]
}

export interface FoundNear {
  /** Or the code of the error with which it was refused. */
  found: Found | { refused: string }
  stages: StagesElsewhere & Omit<StageRecord, 'watch'>
}

/** Stages as they went, for those who are to be told of them. */
export interface StageRecord {
  watch: StageWatch
  /** `from` is in milliseconds of the epoch. */
  took: { stage: Stage; from: number; seconds: number }[]
  failed: { stage: Stage; error: unknown }[]
}

/** Runs a search where the store's answers are made; the vector of its query comes later. */
export const near: Near<NearSearch, Float32Array | undefined, FoundNear> = async (
  graph,
  { config, request, readable },
  vector,
) => {
  const { watch, took, failed } = recordStages()
  const { signal } = new AbortController()
  const parts = new Parts({ signal, timeoutMs: Number.POSITIVE_INFINITY, watch })
  const found = await run().then(foundBy, refused)
  return { found, stages: { timings: parts.timings, degraded: parts.degraded, took, failed } }

  async function run(): Promise<SearchRun> {
    const searchScope = await parts.need('scope', (signal) =>
      resolveScope(graph, readable, request, { signal }),
    )
    const { scope } = searchScope
    const vectors = vector.then((known) => known && [{ scope, vector: known }])
    // Where there is nothing to search nobody waits for them.
    vectors.catch(() => {})
    return runSearch({ config, graph, reranker: null }, request, { parts, searchScope, vectors })
  }
}

function refused(error: unknown): { refused: string } {
  if (error instanceof DomainError) return { refused: error.code }
  throw error
}

function recordStages(): StageRecord {
  const took: StageRecord['took'] = []
  const failed: StageRecord['failed'] = []
  return {
    took,
    failed,
    watch: {
      around: (_, work) => work(),
      took(stage, seconds) {
        const now = performance.timeOrigin + performance.now()
        took.push({ stage, from: now - seconds * 1000, seconds })
      },
      failed: (stage, error) => failed.push({ stage, error }),
      wording: () => undefined,
    },
  }
}
