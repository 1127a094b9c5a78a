import type { ExplainRequest } from '@mnemosyne/contracts'
import type { Ask, ChunkDetail, GraphStore, Scope } from '@mnemosyne/graph'
import { chunkNotFound, itemNotFound, itemWithoutPassages } from '../errors.ts'
import { scoreEverywhere } from '../fuse.ts'
import type { SearchRun } from '../pipeline.ts'
import { fulltextPoints, vectorPoints } from '../ranking/fusion.ts'

/** Passages of an item that are looked at when none of it was nominated. */
const LOOKED_AT = 1_000

/** What is asked about. */
export interface Target {
  /** The passage; of an item, its first. */
  passage: ChunkDetail
  /** The item is asked about, so any of its passages will do. */
  anyOfItem: boolean
}

/** @throws DomainError in the same words for what does not exist and for what the caller may not read. */
export async function findTarget(
  graph: GraphStore,
  readable: Scope,
  { chunk_uid, item_uid }: ExplainRequest,
  ask: Ask,
): Promise<Target> {
  if (chunk_uid !== undefined) {
    const [passage] = await graph.chunkDetails(readable, [chunk_uid], ask)
    if (!passage) throw chunkNotFound()
    return { passage, anyOfItem: false }
  }
  const item = await graph.getItem(readable, item_uid!, ask)
  if (!item) throw itemNotFound()
  const { chunks } = await graph.listChunks(readable, item_uid!, { limit: 1, offset: 0 }, ask)
  const [passage] = await graph.chunkDetails(
    readable,
    chunks.map((chunk) => chunk.chunk_uid),
    ask,
  )
  if (!passage) throw itemWithoutPassages(item.embedding_status)
  return { passage, anyOfItem: true }
}

/**
 * The passage asked about; of an item, the one that came furthest: the first that is shown, else the first among the
 * candidates, else the one that vector and full text together score best.
 */
export async function furthest(
  graph: GraphStore,
  run: SearchRun,
  { passage, anyOfItem }: Target,
  ask: Ask,
): Promise<ChunkDetail> {
  if (!anyOfItem) return passage
  const { item_uid } = passage
  const shown = run.candidates.find((candidate) => candidate.item_uid === item_uid)
  const order = shown ? [shown.chunk_uid] : run.reranking.order
  const candidates = await run.passages.load(order, ask)
  const first = candidates.find((candidate) => candidate.item_uid === item_uid)
  return first ?? (await bestScored(graph, run, passage, ask))
}

async function bestScored(
  graph: GraphStore,
  { searchScope: { scope }, nominations, ranking: { evidence }, text, passages }: SearchRun,
  passage: ChunkDetail,
  ask: Ask,
): Promise<ChunkDetail> {
  const { chunks } = await graph.listChunks(scope, passage.item_uid, { limit: LOOKED_AT, offset: 0 }, ask)
  const uids = chunks.map(({ chunk_uid }) => chunk_uid)
  const asked = { vectors: nominations.vectors, terms: text.terms }
  let best = passage.chunk_uid
  let most = Number.NEGATIVE_INFINITY
  for (const [uid, { cosine, bm25 }] of await scoreEverywhere(graph, scope, uids, asked, ask)) {
    const score = vectorPoints(cosine, evidence.spread) + fulltextPoints(bm25, evidence.fullMark)
    if (score > most) {
      best = uid
      most = score
    }
  }
  return (await passages.load([best], ask))[0] ?? passage
}
