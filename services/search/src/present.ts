import type { Candidate, LibraryType } from '@mnemosyne/contracts'
import type { Ask, ChunkDetail } from '@mnemosyne/graph'
import type { Ranking } from './fuse.ts'
import type { Passages } from './passages.ts'
import { Highlighter, preview } from './preview.ts'
import { fusedScore, rankByGraph, sourcesOf } from './ranking/shares.ts'
import type { Reranking } from './rerank.ts'

export interface Presented {
  candidates: Candidate[]
  /** Why passages are not shown that the limit would have let through, in words; by chunk uid. */
  withheld: Map<string, string>
}

/** The first `limit` of the re-ranked candidates as the answer shows them. What was deleted meanwhile is left out. */
export async function presentCandidates(
  passages: Passages,
  { ranking, reranking, terms }: { ranking: Ranking; reranking: Reranking; terms: string[] },
  { limit, explain }: { limit: number; explain: boolean },
  ask: Ask,
): Promise<Presented> {
  const details = await passages.load(reranking.order.slice(0, limit), ask)
  const highlighter = new Highlighter(terms)
  const nominated = {
    vector: new Set(ranking.nominated.vector),
    fulltext: new Set(ranking.nominated.fulltext),
  }
  const explanation = explain ? explainer(ranking, reranking) : undefined
  const candidates = details.map((chunk): Candidate => {
    const shares = ranking.shares.get(chunk.chunk_uid)!
    const fused = fusedScore(shares)
    const reranked = reranking.scores.get(chunk.chunk_uid)
    return {
      ...shown(chunk),
      ...preview(chunk.text, highlighter),
      ...sourcesOf(chunk.chunk_uid, shares, nominated),
      score: reranked ?? fused,
      fused_score: fused,
      ...(reranked !== undefined && { rerank_score: reranked }),
      duplicate_count: 0,
      joined: [chunk.chunk_uid],
      ...(explanation && { explanation: explanation(chunk.chunk_uid) }),
    }
  })
  return { candidates, withheld: new Map() }
}

function shown(chunk: ChunkDetail) {
  return {
    chunk_uid: chunk.chunk_uid,
    item_uid: chunk.item_uid,
    item_title: chunk.item_title,
    library_uid: chunk.library_uid,
    library_type: chunk.library_type as LibraryType,
    section_path: chunk.section_path,
    page: chunk.page,
    char_start: chunk.char_start,
    char_end: chunk.char_end,
  }
}

type Explanation = NonNullable<Candidate['explanation']>

function explainer(ranking: Ranking, reranking: Reranking): (uid: string) => Explanation {
  const { shares, evidence, nominated, named, links } = ranking
  const rankIn = {
    vector: ranks(nominated.vector),
    fulltext: ranks(nominated.fulltext),
    graph: ranks(rankByGraph(shares)),
  }
  const fusedRank = ranks(ranking.ranked)
  return (uid) => {
    const share = shares.get(uid)!
    const { cosine, bm25 } = evidence.scores.get(uid) ?? { cosine: null, bm25: 0 }
    const link = links.get(uid)?.link
    const concept = named.get(uid)?.concept
    const reranked = reranking.scores.get(uid)
    return {
      ...(cosine !== null && {
        vector: { rank: rankIn.vector.get(uid) ?? null, score: cosine, share: share.vector },
      }),
      ...(bm25 > 0 && {
        fulltext: { rank: rankIn.fulltext.get(uid) ?? null, score: bm25, share: share.fulltext },
      }),
      ...(share.graph > 0 && {
        graph: {
          rank: rankIn.graph.get(uid) ?? null,
          score: (named.get(uid)?.points ?? 0) + (link ? (links.get(uid)?.points ?? 0) : 0),
          share: share.graph,
          path: [
            ...(concept === undefined ? [] : [{ via: 'query' as const, concept, from_chunk_uid: null }]),
            ...(link ? [{ via: link.via, concept: link.concept, from_chunk_uid: link.seed }] : []),
          ],
        },
      }),
      ...(reranked !== undefined && { rerank: { rank_before: fusedRank.get(uid)!, score: reranked } }),
      lead: share.lead,
    }
  }
}

function ranks(ranked: string[]): Map<string, number> {
  return new Map(ranked.map((uid, index) => [uid, index + 1]))
}
