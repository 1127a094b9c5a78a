import type { ChunkDetail, LibraryNode } from '@mnemosyne/graph'
import type { Reranker } from '@mnemosyne/models'
import type { Parts } from './parts.ts'
import type { Passages } from './passages.ts'
import type { RunDeps } from './pipeline.ts'

/** What became of re-ranking, and the order of all candidates after it. */
export interface Reranking {
  order: string[]
  /** By chunk uid, of those that were re-ranked. */
  scores: Map<string, number>
  model: string | null
  /** Null: it was done. */
  skipReason: string | null
}

export interface RerankInput {
  /** Whether the request asks for it. */
  requested: boolean
  query: string
  /** Candidates in the order of fusion. */
  ranked: string[]
  libraries: LibraryNode[]
  passages: Passages
  /** As many of the first are loaded with those to re-rank, since the answer will show them. */
  limit: number
}

/** The re-ranker ends by itself in its own time; this much later nobody waits for it any more. */
const GRACE_MS = 1_000

/**
 * Puts the first candidates into the order of the re-ranker; the rest follow in the order of fusion. A re-ranker that
 * fails or is slow changes nothing, and is named in `degraded`.
 */
export async function rerank(
  { config, reranker }: RunDeps,
  parts: Parts,
  input: RerankInput,
): Promise<Reranking> {
  const { ranked, passages } = input
  const skipped = (skipReason: string): Reranking => ({
    order: ranked,
    scores: new Map(),
    model: null,
    skipReason,
  })
  if (!input.requested) return skipped('Not requested.')
  if (!reranker) return skipped('No re-ranker is configured.')
  const first = ranked.slice(0, config.RERANKER_MAX_CANDIDATES)
  if (first.length < 2) return skipped('There was nothing to re-rank.')

  const loaded = await parts.attempt('load', (signal) =>
    passages.load(ranked.slice(0, Math.max(first.length, input.limit)), { signal }),
  )
  if (!loaded) return skipped(failureOf(parts, 'load'))
  const isFirst = new Set(first)
  const documents = loaded.filter(({ chunk_uid }) => isFirst.has(chunk_uid))
  const scores = await parts.attempt(
    'rerank',
    (signal) => scoreAll(reranker, input, documents, signal),
    config.RERANKER_TIMEOUT * 1000 + GRACE_MS,
  )
  if (!scores) return skipped(failureOf(parts, 'rerank'))
  return { order: reordered(ranked, scores), scores, model: reranker.model.name, skipReason: null }
}

/**
 * One call for each distinct instruction among the libraries of the documents. It is one model and one query, so the
 * scores of all calls are on one scale.
 */
async function scoreAll(
  reranker: Reranker,
  { query, libraries }: RerankInput,
  documents: ChunkDetail[],
  signal: AbortSignal,
): Promise<Map<string, number>> {
  const instructionOf = new Map(libraries.map(({ uid, reranker_instruction }) => [uid, reranker_instruction]))
  const groups = Map.groupBy(documents, ({ library_uid }) => instructionOf.get(library_uid) ?? '')
  const failed = new AbortController()
  const either = AbortSignal.any([signal, failed.signal])
  try {
    const scored = await Promise.all(
      [...groups].map(async ([instruction, group]) => {
        const scores = await reranker.rerank(query, group.map(document), { instruction, signal: either })
        return group.map(({ chunk_uid }, index) => [chunk_uid, scores[index]!] as const)
      }),
    )
    return new Map(scored.flat())
  } catch (error) {
    // Half an order is none: the other calls are of no use any more.
    failed.abort(error)
    throw error
  }
}

/** The whole passage, under its title and those headings that it does not begin with itself. */
function document({ item_title, section_path, text }: ChunkDetail): string {
  const beginning = text.slice(0, 500)
  const above = [item_title, ...section_path].filter((heading) => !beginning.includes(heading))
  return above.length === 0 ? text : `${above.join(' › ')}\n\n${text}`
}

/** By falling score, equal ones as they stood before; then those without one. */
function reordered(ranked: string[], scores: Map<string, number>): string[] {
  const scored = ranked.filter((uid) => scores.has(uid)).sort((a, b) => scores.get(b)! - scores.get(a)!)
  return [...scored, ...ranked.filter((uid) => !scores.has(uid))]
}

function failureOf(parts: Parts, part: string): string {
  return parts.degraded.findLast((other) => other.part === part)!.reason
}
