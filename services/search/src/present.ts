import type { Candidate, LibraryType } from '@mnemosyne/contracts'
import type { Ask, ChunkDetail, GraphStore, Scope } from '@mnemosyne/graph'
import { Highlighter, preview } from './preview.ts'
import { fusedScore, rankByGraph, sourcesOf } from './ranking/shares.ts'
import type { Ranking } from './search.ts'

/** The first `limit` of a ranking as the answer shows them. What was deleted meanwhile is left out. */
export async function presentCandidates(
  graph: GraphStore,
  scope: Scope,
  ranking: Ranking,
  queryTerms: string[],
  { limit, explain }: { limit: number; explain: boolean },
  ask: Ask,
): Promise<Candidate[]> {
  const uids = ranking.ranked.slice(0, limit)
  if (uids.length === 0) return []
  const details = await graph.chunkDetails(scope, uids, ask)
  const highlighter = new Highlighter(queryTerms)
  const nominated = {
    vector: new Set(ranking.nominated.vector),
    fulltext: new Set(ranking.nominated.fulltext),
  }
  const explanation = explain ? explainer(ranking) : undefined
  return details.map((chunk) => {
    const shares = ranking.shares.get(chunk.chunk_uid)!
    const score = fusedScore(shares)
    return {
      ...shown(chunk),
      ...preview(chunk.text, highlighter),
      ...sourcesOf(chunk.chunk_uid, shares, nominated),
      score,
      fused_score: score,
      duplicate_count: 0,
      joined: [chunk.chunk_uid],
      ...(explanation && { explanation: explanation(chunk.chunk_uid) }),
    }
  })
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

function explainer(ranking: Ranking): (uid: string) => Explanation {
  const { shares, evidence, nominated, named, links } = ranking
  const rankIn = {
    vector: ranks(nominated.vector),
    fulltext: ranks(nominated.fulltext),
    graph: ranks(rankByGraph(shares)),
  }
  return (uid) => {
    const share = shares.get(uid)!
    const { cosine, bm25 } = evidence.scores.get(uid) ?? { cosine: null, bm25: 0 }
    const link = links.get(uid)?.link
    const concept = named.get(uid)?.concept
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
      lead: share.lead,
    }
  }
}

function ranks(ranked: string[]): Map<string, number> {
  return new Map(ranked.map((uid, index) => [uid, index + 1]))
}
