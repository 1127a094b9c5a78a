import { demandsPhrases } from '../phrases.ts'
import type { SearchRun } from '../pipeline.ts'
import { fulltextPoints, vectorPoints } from '../ranking/fusion.ts'
import { fusedScore } from '../ranking/shares.ts'
import type { Standing } from './standing.ts'
import { ordinal, points, type StageVerdict } from './verdict.ts'

/** By how exactly a passage holds what stands in quotes. */
const QUOTES = [
  'Passages that hold what stands in quotes come before it.',
  'It holds the words that stand in quotes side by side; those that hold them to the letter come before it.',
  'It holds what stands in quotes to the letter, which comes before all else.',
] as const

/** What became of the passage after the retrievers, up to the stage that drops it or to its place in the answer. */
export function laterVerdicts(run: SearchRun, standing: Standing): StageVerdict[] {
  const verdicts: StageVerdict[] = []
  for (const stage of [fusion, rerank, fold, limit]) {
    const verdict = stage(run, standing)
    if (verdict) verdicts.push(verdict)
    if (verdict?.dropped) break
  }
  return verdicts
}

/** From 1: where the answer shows the passage, by itself or in one that it was joined into; null when it does not. */
export function placeIn({ candidates }: SearchRun, uid: string): number | null {
  const index = candidates.findIndex(({ joined }) => joined.includes(uid))
  return index < 0 ? null : index + 1
}

function fusion(run: SearchRun, standing: Standing): StageVerdict {
  const { ranked, shares } = run.ranking
  const uid = standing.passage.chunk_uid
  const share = shares.get(uid)
  if (!share) {
    const note = `No retriever nominated it, so it was not fused.${estimate(run, standing)}`
    return { stage: 'fusion', rank: null, score: null, dropped: true, note }
  }
  const rank = ranked.indexOf(uid) + 1
  const given = [
    ...[`vector ${points(share.vector)}`, `full text ${points(share.fulltext)}`],
    `graph ${points(share.graph)}`,
    ...(share.lead > 0 ? [`lead ${points(share.lead)}`] : []),
  ]
  const quoted = quotedNote(run, uid)
  const note = `The ${ordinal(rank)} of ${ranked.length} candidates: ${given.join(', ')}.${quoted}`
  return { stage: 'fusion', rank, score: fusedScore(share), dropped: false, note }
}

function quotedNote({ exactness, ranking, request }: SearchRun, uid: string): string {
  if (exactness.size === 0) return ''
  if (demandsPhrases(request.query)) return ` ${QUOTES[exactness.get(uid) ?? 0]}`
  return uid === ranking.ranked[0] ? ' It comes first as the best that holds what stands in quotes.' : ''
}

/** What its own scores would have come to, beside the last passage that the limit lets through; by rank it can't be told. */
function estimate({ config, ranking, limit }: SearchRun, { cosine, bm25 }: Standing): string {
  if (config.SEARCH_FUSION === 'rrf') return ''
  const { evidence, ranked, shares } = ranking
  const last = ranked[Math.min(limit, ranked.length) - 1]
  if (last === undefined) return ''
  const own = vectorPoints(cosine, evidence.spread) + fulltextPoints(bm25, evidence.fullMark)
  const { lead: _, ...others } = shares.get(last)!
  const theirs = fusedScore({ ...others, lead: 0 })
  return ` By its scores it would have had ${points(own)} points; the ${ordinal(ranked.indexOf(last) + 1)} has ${points(theirs)}.`
}

function rerank({ ranking, reranking }: SearchRun, { passage }: Standing): StageVerdict {
  const { scores, order, skipReason } = reranking
  const verdict = (note: string, rank: number | null = null, score: number | null = null): StageVerdict => ({
    ...{ stage: 'rerank', rank, score, dropped: false, note },
  })
  if (skipReason !== null) return verdict(`Nothing was re-ranked. ${skipReason}`)
  const score = scores.get(passage.chunk_uid)
  if (score === undefined) {
    return verdict(`Only the first ${scores.size} by fusion are re-ranked; it follows these.`)
  }
  const before = ranking.ranked.indexOf(passage.chunk_uid) + 1
  const rank = order.indexOf(passage.chunk_uid) + 1
  return verdict(
    `The ${ordinal(rank)} of ${scores.size}; by fusion it was the ${ordinal(before)}.`,
    rank,
    score,
  )
}

/** Only where something other than the limit kept it from the answer, or put it into another passage. */
function fold({ candidates, withheld }: SearchRun, { passage }: Standing): StageVerdict | undefined {
  const uid = passage.chunk_uid
  const why = withheld.get(uid)
  if (why !== undefined) return { stage: 'fold', rank: null, score: null, dropped: true, note: why }
  const shown = candidates.findIndex(({ joined }) => joined.includes(uid))
  if (shown < 0 || candidates[shown]!.chunk_uid === uid) return undefined
  const note = `It is shown as a part of the ${ordinal(shown + 1)}, which stands beside it in the document.`
  return { stage: 'fold', rank: shown + 1, score: null, dropped: false, note }
}

function limit(run: SearchRun, { passage }: Standing): StageVerdict {
  const { candidates, withheld, reranking } = run
  const uid = passage.chunk_uid
  const place = placeIn(run, uid)
  if (place !== null) {
    const note = `Shown as the ${ordinal(place)} of ${candidates.length}.`
    return { stage: 'limit', rank: place, score: null, dropped: false, note }
  }
  const before = reranking.order.slice(0, reranking.order.indexOf(uid))
  const joined = new Set(
    candidates.flatMap(({ chunk_uid, joined }) => joined.filter((one) => one !== chunk_uid)),
  )
  const rank = before.filter((other) => !withheld.has(other) && !joined.has(other)).length + 1
  const note =
    rank > run.limit
      ? `The limit is ${run.limit}, and it is the ${ordinal(rank)}.`
      : 'It was deleted or replaced while the search ran.'
  return { stage: 'limit', rank, score: null, dropped: true, note }
}
