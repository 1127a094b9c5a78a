import type { Candidate, LibraryType } from '@mnemosyne/contracts'
import type { ChunkDetail } from '@mnemosyne/graph'
import type { Choice } from './choose.ts'
import type { Ranking } from './fuse.ts'
import { Highlighter } from './highlighter.ts'
import { joinedPassage } from './join.ts'
import { createPauses } from './pauses.ts'
import { preview } from './preview.ts'
import { fusedScore, rankByGraph, sourcesOf } from './ranking/shares.ts'
import type { Reranking } from './rerank.ts'

/** What was chosen, as the answer shows it. */
export async function presentCandidates(
  choices: Choice[],
  { ranking, reranking, terms }: { ranking: Ranking; reranking: Reranking; terms: string[] },
  explain: boolean,
): Promise<Candidate[]> {
  const highlighter = new Highlighter(terms)
  const nominated = {
    vector: new Set(ranking.nominated.vector),
    fulltext: new Set(ranking.nominated.fulltext),
  }
  const explanation = explain ? explainer(ranking, reranking) : undefined
  const present = ({ best, parts, duplicates }: Choice): Candidate => {
    const { chunk_uid } = best
    const shares = ranking.shares.get(chunk_uid)!
    const fused = fusedScore(shares)
    const reranked = reranking.scores.get(chunk_uid)
    const { text, ...place } = joinedPassage(parts)
    return {
      ...whose(best),
      ...place,
      ...preview(text, highlighter, parts.length),
      ...sourcesOf(chunk_uid, shares, nominated),
      score: reranked ?? fused,
      fused_score: fused,
      ...(reranked !== undefined && { rerank_score: reranked }),
      duplicate_count: duplicates,
      joined: parts.map((part) => part.chunk_uid),
      ...(explanation && { explanation: explanation(chunk_uid) }),
    }
  }
  const pause = createPauses()
  const candidates: Candidate[] = []
  for (const choice of choices) {
    await pause()
    candidates.push(present(choice))
  }
  return candidates
}

function whose(chunk: ChunkDetail) {
  return {
    chunk_uid: chunk.chunk_uid,
    item_uid: chunk.item_uid,
    item_title: chunk.item_title,
    library_uid: chunk.library_uid,
    library_type: chunk.library_type as LibraryType,
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
