import type { SearchType } from '@mnemosyne/contracts'
import { fulltextPoints, rankByScore, reciprocalRanks, type Spread, vectorPoints } from './fusion.ts'
import type { LinkPoints } from './links.ts'

/**
 * What each retriever gives to a passage; the fused score is their sum. `lead` is the link of a seed to itself:
 * the points that a passage keeps for having stood among the first before links were followed.
 */
export interface Shares {
  vector: number
  fulltext: number
  graph: number
  lead: number
}

/** What is known of each candidate when it is fused. */
export interface Evidence {
  scores: Map<string, { cosine: number | null; bm25: number }>
  spread: Spread
  /** The BM25 that gets all the points of full text. */
  fullMark: number
  /** Points for mentioning concepts of the query. */
  named: Map<string, { points: number }>
}

export function fusedScore({ vector, fulltext, graph, lead }: Shares): number {
  return vector + fulltext + graph + lead
}

/** Shares by score, before links are followed. */
export function weightedShares({ scores, spread, fullMark, named }: Evidence): Map<string, Shares> {
  return new Map(
    [...scores].map(([uid, { cosine, bm25 }]) => [
      uid,
      {
        vector: vectorPoints(cosine, spread),
        fulltext: fulltextPoints(bm25, fullMark),
        graph: named.get(uid)?.points ?? 0,
        lead: 0,
      },
    ]),
  )
}

/** The same with the points of links. */
export function withLinks(shares: Map<string, Shares>, links: Map<string, LinkPoints>): Map<string, Shares> {
  return new Map(
    [...shares].map(([uid, share]) => {
      const { points, link } = links.get(uid) ?? { points: 0, link: null }
      return [uid, link ? { ...share, graph: share.graph + points } : { ...share, lead: points }]
    }),
  )
}

/**
 * Shares by reciprocal rank in what each retriever nominated. The graph's nominations are ranked by the points
 * that it gives in `weighted`, a seed's link to itself among them, so that no neighbour overtakes the seed for
 * standing in one list more. Candidates that no list holds have no share.
 */
export function rankShares(
  nominated: Record<'vector' | 'fulltext', string[]>,
  weighted: Map<string, Shares>,
  k: number,
): Map<string, Shares> {
  const vector = reciprocalRanks(nominated.vector, k)
  const fulltext = reciprocalRanks(nominated.fulltext, k)
  const graph = reciprocalRanks(
    rankByPoints(weighted, ({ graph, lead }) => graph + lead),
    k,
  )
  return new Map(
    [...weighted.keys()].map((uid) => [
      uid,
      {
        vector: vector.get(uid) ?? 0,
        fulltext: fulltext.get(uid) ?? 0,
        graph: graph.get(uid) ?? 0,
        lead: 0,
      },
    ]),
  )
}

/** Uids with points of the graph, most first. */
export function rankByGraph(shares: Map<string, Shares>): string[] {
  return rankByPoints(shares, ({ graph }) => graph)
}

function rankByPoints(shares: Map<string, Shares>, pointsOf: (shares: Shares) => number): string[] {
  const points = [...shares].map(([uid, share]) => [uid, pointsOf(share)] as const)
  return rankByScore(new Map(points.filter(([, value]) => value > 0)))
}

/** The retrievers that nominated a passage, and the one that gave most. */
export function sourcesOf(
  uid: string,
  shares: Shares,
  nominated: Record<'vector' | 'fulltext', Set<string>>,
): { source: SearchType; sources: SearchType[] } {
  const sources: SearchType[] = []
  if (nominated.vector.has(uid)) sources.push('vector')
  if (nominated.fulltext.has(uid)) sources.push('fulltext')
  if (shares.graph > 0 || sources.length === 0) sources.push('graph')
  return { source: sources.reduce((a, b) => (shares[b] > shares[a] ? b : a)), sources }
}
