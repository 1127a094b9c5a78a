import type { Degraded, Principal, SearchAnswer, SearchRequest, SearchType } from '@mnemosyne/contracts'
import { type GraphStore, queryTerms, type Scope, type TextHit, type TextQuery } from '@mnemosyne/graph'
import type { Embedder } from '@mnemosyne/models'
import type { Logger } from '@mnemosyne/platform'
import type { SearchConfig } from './config.ts'
import { searchUnavailable } from './errors.ts'
import { Parts, PartUnavailable, type SearchMetrics } from './parts.ts'
import { presentCandidates } from './present.ts'
import { rankByScore } from './ranking/fusion.ts'
import { chooseSeeds, type LinkPoints, linkPoints } from './ranking/links.ts'
import {
  type Evidence,
  fusedScore,
  rankShares,
  type Shares,
  weightedShares,
  withLinks,
} from './ranking/shares.ts'
import {
  followLinks,
  type NamedConcepts,
  type NamedPoints,
  nameConcepts,
  pointsOfNamed,
} from './retrieve-graph.ts'
import { embedQuery, type QueryVector, retrieveByVector, type VectorAnswer } from './retrieve-vector.ts'
import { resolveScope, type SearchScope } from './scope.ts'

/** The embedding model, or why there is none and what to do about it. */
export type EmbedderState = { embedder: Embedder } | { embedder: null; reason: string }

export interface SearchDeps {
  config: SearchConfig
  graph: GraphStore
  /** Asked at every search, since the model may come later. */
  embedder: () => EmbedderState
  log: Logger
}

/** Passages that only mention concepts of the query and are scored. */
const NAMED_TOP_K = 50

/** What the retrievers nominated. A part that failed, or was not asked for, is undefined. */
interface Nominations {
  vectors: QueryVector[] | undefined
  vector: VectorAnswer | undefined
  fulltext: TextHit[] | undefined
  named: NamedConcepts | undefined
}

/** Candidates with all that is known of them, best first. */
export interface Ranking {
  ranked: string[]
  shares: Map<string, Shares>
  evidence: Evidence
  nominated: { vector: string[]; fulltext: string[] }
  named: Map<string, NamedPoints>
  links: Map<string, LinkPoints>
}

/**
 * Answers one request under the principal's libraries: nominate by vector, full text and concepts in parallel,
 * score what was nominated by every retriever, follow the links of the best, fuse, and load what the answer
 * shows. A part that fails costs its own contribution and is named in `degraded`.
 */
export async function search(
  deps: SearchDeps & { metrics: SearchMetrics },
  request: SearchRequest,
  caller: { principal: Principal; signal: AbortSignal },
): Promise<SearchAnswer> {
  const { config, graph } = deps
  const started = performance.now()
  const parts = new Parts({
    signal: caller.signal,
    timeoutMs: config.SEARCH_PART_TIMEOUT_MS,
    log: deps.log,
    metrics: deps.metrics,
  })
  const searchScope = await parts.need('scope', (signal) =>
    resolveScope(graph, caller.principal, request, { signal }),
  )
  const { scope, libraries } = searchScope
  const query = request.query.toWellFormed()
  const text = queryTerms(query)

  const nominations =
    libraries.length === 0
      ? NOTHING
      : await nominate(deps, parts, searchScope, request.search_types, query, text)
  const used = request.search_types.filter((type) => nominations[NOMINATION_OF[type]] !== undefined)
  if (used.length === 0) throw searchUnavailable(reasons(parts.degraded))
  noteUnembedded(nominations, parts.degraded)

  const ranking = await rank(deps, parts, scope, nominations, text)
  const limit = request.limit ?? config.SEARCH_DEFAULT_LIMIT
  const candidates = await parts.need('load', (signal) =>
    presentCandidates(graph, scope, ranking, text.terms, { limit, explain: request.explain }, { signal }),
  )
  const shown = new Set(candidates.map((candidate) => candidate.library_uid))
  const took = performance.now() - started
  return {
    query: request.query,
    candidates,
    images: [],
    total_candidates: ranking.ranked.length,
    search_time_ms: rounded(took),
    reranker_used: false,
    reranker_model: null,
    reranker_skip_reason: request.rerank ? 'No re-ranker is configured.' : 'Not requested.',
    search_types_used: used,
    contexts: Object.fromEntries(
      libraries
        .filter(({ uid, llm_context_prompt }) => shown.has(uid) && llm_context_prompt !== '')
        .map(({ uid, llm_context_prompt }) => [uid, llm_context_prompt]),
    ),
    timings_ms: Object.fromEntries(
      Object.entries({ ...parts.timings, total: took }).map(([stage, ms]) => [stage, rounded(ms)]),
    ),
    exact: nominations.vector?.exact ?? false,
    degraded: parts.degraded,
  }
}

const NOMINATION_OF = { vector: 'vector', fulltext: 'fulltext', graph: 'named' } as const satisfies Record<
  SearchType,
  keyof Nominations
>

/** What every retriever finds in a scope without libraries. */
const NOTHING: Nominations = {
  vectors: [],
  vector: { ranked: [], cosines: new Map(), spread: { mean: 0, deviation: 0 }, exact: true, embedded: 0 },
  fulltext: [],
  named: { scopeSize: 0, concepts: new Map(), mentioning: new Map(), ranked: [] },
}

async function nominate(
  { config, graph, embedder }: SearchDeps,
  parts: Parts,
  { scope, libraries }: SearchScope,
  search_types: SearchType[],
  query: string,
  text: TextQuery,
): Promise<Nominations> {
  async function byVector(): Promise<Pick<Nominations, 'vectors' | 'vector'>> {
    const vectors = await parts.attempt('embed', async (signal) => {
      const state = embedder()
      if (state.embedder === null) throw new PartUnavailable(state.reason)
      return embedQuery(state.embedder, query, scope, libraries, signal)
    })
    if (!vectors) return { vectors: undefined, vector: undefined }
    const vector = await parts.attempt('vector', (signal) =>
      retrieveByVector(graph, vectors, config.SEARCH_VECTOR_TOP_K, { signal }),
    )
    return { vectors: vector && vectors, vector }
  }

  const [{ vectors, vector }, fulltext, named] = await Promise.all([
    search_types.includes('vector') ? byVector() : { vectors: undefined, vector: undefined },
    search_types.includes('fulltext')
      ? parts.attempt('fulltext', async (signal) =>
          text.terms.length === 0 && text.phrases.length === 0
            ? []
            : graph.fullTextCandidates(scope, text, config.SEARCH_FULLTEXT_TOP_K, { signal }),
        )
      : undefined,
    search_types.includes('graph')
      ? parts.attempt('graph', (signal) => nameConcepts(graph, scope, query, { signal }))
      : undefined,
  ])
  return { vectors, vector, fulltext, named }
}

async function rank(
  { config, graph }: SearchDeps,
  parts: Parts,
  scope: Scope,
  { vectors, vector, fulltext, named }: Nominations,
  text: TextQuery,
): Promise<Ranking> {
  const nominated = {
    vector: vector?.ranked ?? [],
    fulltext: fulltext?.map((hit) => hit.chunk_uid) ?? [],
  }
  const evidence: Evidence = {
    scores: new Map(),
    spread: vector?.spread ?? { mean: 0, deviation: 0 },
    bestBm25: fulltext?.[0]?.bm25 ?? 0,
    named: new Map(),
  }
  const known = knownScores(vector, fulltext)
  // Who quotes a phrase wants it: passages without it get no points for its words.
  const wordsToScore = fulltext && text.phrases.length === 0 ? text.terms : []
  const first = new Set([
    ...nominated.vector,
    ...nominated.fulltext,
    ...(named?.ranked.slice(0, NAMED_TOP_K) ?? []),
  ])

  async function score(uids: string[]): Promise<void> {
    for (const uid of uids) evidence.scores.set(uid, known.get(uid) ?? { cosine: null, bm25: 0 })
    const scored = await parts.attempt('fuse', (signal) =>
      scoreEverywhere(graph, scope, uids, { vectors, terms: wordsToScore }, { signal }),
    )
    for (const [uid, { cosine, bm25 }] of scored ?? []) {
      evidence.scores.set(uid, { cosine, bm25: Math.max(bm25, known.get(uid)?.bm25 ?? 0) })
    }
  }

  const points = new Map<string, NamedPoints>()
  const links = new Map<string, LinkPoints>()
  async function addNamed(concepts: NamedConcepts, uids: string[]): Promise<void> {
    const added = await parts.attempt('graph', (signal) =>
      pointsOfNamed(graph, scope, concepts, uids, { signal }),
    )
    for (const [uid, value] of added ?? []) points.set(uid, value)
  }
  evidence.named = points

  await Promise.all([score([...first]), named && addNamed(named, [...first])])
  let shares = weightedShares(evidence)
  if (named && config.SEARCH_GRAPH_MAX_DEPTH > 1) {
    const scores = fusedScores(shares)
    const seeds = chooseSeeds(rankByScore(scores), scores)
    const followed = await parts.attempt('graph', (signal) =>
      followLinks(graph, scope, named, seeds, [...first], { signal }),
    )
    if (followed) {
      const reached = [...followed.keys()].filter((uid) => !first.has(uid))
      if (reached.length > 0) await Promise.all([score(reached), addNamed(named, reached)])
      for (const [uid, value] of linkPoints(seeds, followed)) links.set(uid, value)
      shares = withLinks(weightedShares(evidence), links)
    }
  }
  if (config.SEARCH_FUSION === 'rrf') shares = rankShares(nominated, shares, config.SEARCH_RRF_K)
  return { ranked: rankByScore(fusedScores(shares)), shares, evidence, nominated, named: points, links }
}

function fusedScores(shares: Map<string, Shares>): Map<string, number> {
  return new Map([...shares].map(([uid, share]) => [uid, fusedScore(share)]))
}

/** The scores that the retrievers gave with their nominations, in case the rest can't be had. */
function knownScores(
  vector: VectorAnswer | undefined,
  fulltext: TextHit[] | undefined,
): Map<string, { cosine: number | null; bm25: number }> {
  const known = new Map<string, { cosine: number | null; bm25: number }>()
  for (const [uid, cosine] of vector?.cosines ?? []) known.set(uid, { cosine, bm25: 0 })
  for (const { chunk_uid, bm25 } of fulltext ?? [])
    known.set(chunk_uid, { cosine: known.get(chunk_uid)?.cosine ?? null, bm25 })
  return known
}

/** Cosine and BM25 of every given chunk, each against the query vector of its part of the scope. */
async function scoreEverywhere(
  graph: GraphStore,
  scope: Scope,
  uids: string[],
  { vectors, terms }: { vectors: QueryVector[] | undefined; terms: string[] },
  { signal }: { signal: AbortSignal },
): Promise<Map<string, { cosine: number | null; bm25: number }>> {
  const groups = vectors && vectors.length > 0 ? vectors : [{ scope, vector: null }]
  const answers = await Promise.all(
    groups.map((group) => graph.scoreChunks(group.scope, uids, { vector: group.vector, terms }, { signal })),
  )
  return new Map(answers.flat().map(({ chunk_uid, cosine, bm25 }) => [chunk_uid, { cosine, bm25 }]))
}

/** Says so when the vector part could not see all passages, because some have no vector yet. */
function noteUnembedded({ vector, named }: Nominations, degraded: Degraded[]): void {
  if (!vector || !named || vector.embedded >= named.scopeSize) return
  degraded.push({
    part: 'vector',
    reason: `${named.scopeSize - vector.embedded} of ${named.scopeSize} passages have no vector yet; full text and graph still find them.`,
  })
}

function reasons(degraded: Degraded[]): string[] {
  return [...new Set(degraded.map(({ reason }) => reason))]
}

function rounded(ms: number): number {
  return Math.round(ms * 100) / 100
}
