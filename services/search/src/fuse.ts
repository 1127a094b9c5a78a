import type { Ask, Scope, SearchStore, TextHit } from '@mnemosyne/graph'
import type { Nominations } from './nominate.ts'
import type { Parts } from './parts.ts'
import type { RunDeps } from './pipeline.ts'
import { fullMark, rankByScore } from './ranking/fusion.ts'
import { chooseSeeds, type LinkPoints, linkPoints, type Seed } from './ranking/links.ts'
import {
  type Evidence,
  fusedScore,
  rankShares,
  type Shares,
  weightedShares,
  withLinks,
} from './ranking/shares.ts'
import { followLinks, type NamedConcepts, type NamedPoints, pointsOfNamed } from './retrieve-graph.ts'
import type { QueryVector, VectorAnswer } from './retrieve-vector.ts'

/** Passages that only mention concepts of the query and are scored. */
export const NAMED_TOP_K = 50

/** Candidates in the order of fusion, with all that is known of them. */
export interface Ranking {
  ranked: string[]
  shares: Map<string, Shares>
  evidence: Evidence
  nominated: { vector: string[]; fulltext: string[] }
  named: Map<string, NamedPoints>
  links: Map<string, LinkPoints>
  /** From which links were followed; none where they were not. */
  seeds: Seed[]
}

/** Scores what was nominated by every retriever, follows the links of the best, and fuses. */
export async function fuse(
  { config, graph }: RunDeps,
  parts: Parts,
  scope: Scope,
  { vectors, vector, fulltext, named, text }: Nominations,
): Promise<Ranking> {
  const nominated = {
    vector: vector?.ranked ?? [],
    fulltext: fulltext?.map((hit) => hit.chunk_uid) ?? [],
  }
  const evidence: Evidence = {
    scores: new Map(),
    spread: vector?.spread ?? { mean: 0, best: 0 },
    fullMark: fulltext?.[0] ? fullMark(fulltext[0]) : 0,
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
  let seeds: Seed[] = []
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
    seeds = chooseSeeds(rankByScore(scores), scores)
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
  return {
    ranked: rankByScore(fusedScores(shares)),
    shares,
    evidence,
    nominated,
    named: points,
    links,
    seeds,
  }
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
export async function scoreEverywhere(
  graph: SearchStore,
  scope: Scope,
  uids: string[],
  { vectors, terms }: { vectors: QueryVector[] | undefined; terms: string[] },
  ask: Ask,
): Promise<Map<string, { cosine: number | null; bm25: number }>> {
  const groups = vectors && vectors.length > 0 ? vectors : [{ scope, vector: null }]
  const answers = await Promise.all(
    groups.map((group) => graph.scoreChunks(group.scope, uids, { vector: group.vector, terms }, ask)),
  )
  return new Map(answers.flat().map(({ chunk_uid, cosine, bm25 }) => [chunk_uid, { cosine, bm25 }]))
}
