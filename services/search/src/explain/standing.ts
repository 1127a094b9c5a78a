import type { Ask, ChunkDetail, GraphStore } from '@mnemosyne/graph'
import { scoreEverywhere } from '../fuse.ts'
import type { SearchRun } from '../pipeline.ts'
import { retrieveByVector } from '../retrieve-vector.ts'
import { type HeldWords, heldWords } from './held-words.ts'

/** How deep a retriever is asked for a passage that it did not nominate. */
export const DEEPEST = 1_000

/** From 1; null: not among the `DEEPEST` first; undefined: nobody knows, because the question failed or was late. */
export type Rank = number | null | undefined

/** How a passage stands with the retrievers, whether they nominated it or not. */
export interface Standing {
  passage: ChunkDetail
  /** Null: no vector was compared. */
  cosine: number | null
  bm25: number
  ranks: { vector: Rank; fulltext: Rank }
  words: HeldWords
  /** Titles of the passages from which links reach it, by chunk uid. */
  titles: Map<string, string>
}

/** Scores of the passage by both retrievers, and its ranks, for which a retriever that missed it is asked for more. */
export async function standingOf(
  graph: GraphStore,
  run: SearchRun,
  passage: ChunkDetail,
  ask: Ask,
): Promise<Standing> {
  const { nominations, ranking, text, passages, searchScope } = run
  const { chunk_uid } = passage
  const asked = { vectors: nominations.vectors, terms: nominations.fulltext ? text.terms : [] }
  const link = ranking.links.get(chunk_uid)?.link
  const [scores, seeds] = await Promise.all([
    scoreEverywhere(graph, searchScope.scope, [chunk_uid], asked, ask),
    passages.load(link ? [link.seed] : [], ask),
  ])
  const { cosine, bm25 } = scores.get(chunk_uid) ?? { cosine: null, bm25: 0 }
  const [vector, fulltext] = await Promise.all([
    cosine === null ? null : vectorRank(graph, run, chunk_uid),
    bm25 === 0 ? null : fulltextRank(graph, run, chunk_uid),
  ])
  return {
    ...{ passage, cosine, bm25 },
    ranks: { vector, fulltext },
    words: heldWords(run.request.query, passage),
    titles: new Map(seeds.map((seed) => [seed.chunk_uid, seed.item_title])),
  }
}

async function vectorRank(
  graph: GraphStore,
  { parts, nominations: { vector, vectors } }: SearchRun,
  uid: string,
): Promise<Rank> {
  if (!vector || !vectors) return null
  const rank = rankIn(vector.ranked, uid)
  if (rank !== null) return rank
  const deeper = await parts.attempt('explain', (signal) =>
    retrieveByVector(graph, vectors, DEEPEST, { signal }),
  )
  return deeper && rankIn(deeper.ranked, uid)
}

async function fulltextRank(
  graph: GraphStore,
  { parts, nominations: { fulltext }, searchScope: { scope }, text }: SearchRun,
  uid: string,
): Promise<Rank> {
  if (!fulltext) return null
  const rank = rankIn(uidsOf(fulltext), uid)
  if (rank !== null) return rank
  const deeper = await parts.attempt('explain', (signal) =>
    graph.fullTextCandidates(scope, text, DEEPEST, { signal }),
  )
  return deeper && rankIn(uidsOf(deeper), uid)
}

const uidsOf = (hits: { chunk_uid: string }[]) => hits.map(({ chunk_uid }) => chunk_uid)

function rankIn(ranked: string[], uid: string): number | null {
  const index = ranked.indexOf(uid)
  return index < 0 ? null : index + 1
}
