import type { Candidate, ExplainAnswer } from '@mnemosyne/contracts'
import { asColumns } from './columns.ts'

type Explanation = NonNullable<Candidate['explanation']>

/** How a hit came to its place: by each retriever its rank, its score and the points that it gave. */
export function explanationLines({ explanation, fused_score }: Candidate): string[] {
  if (!explanation) return []
  const { vector, fulltext, graph, rerank, lead } = explanation
  const rows = [
    ...(vector
      ? [['vector', place(vector.rank), `cosine ${vector.score.toFixed(3)}`, gain(vector.share)]]
      : []),
    ...(fulltext
      ? [['full text', place(fulltext.rank), `BM25 ${fulltext.score.toFixed(2)}`, gain(fulltext.share)]]
      : []),
    ...(graph ? [['graph', place(graph.rank), graph.path.map(step).join('; '), gain(graph.share)]] : []),
    ...(lead > 0 ? [['lead', '', 'stood among the first', gain(lead)]] : []),
    ['fused', rerank ? `#${rerank.rank_before}` : '', '', fused_score.toFixed(2)],
    ...(rerank ? [['re-ranker', '', `score ${rerank.score.toFixed(3)}`, '']] : []),
  ]
  return asColumns(rows)
}

/** Each stage with what became of the passage there. */
export function passageLines(answer: ExplainAnswer): string[] {
  const outcome =
    answer.rank === null
      ? `not in the answer: dropped by ${answer.dropped_by}`
      : `in the answer: #${answer.rank}`
  return [
    `${answer.item_title}, chunk ${answer.chunk_uid}`,
    outcome,
    ...asColumns(
      answer.stages.map(({ stage, rank, score, note }) => [
        ...[`  ${stage}`, rank === null ? '' : `#${rank}`, score === null ? '' : score.toFixed(3), note],
      ]),
    ),
    ...answer.degraded.map(({ part, reason }) => `! without ${part}: ${reason}`),
  ]
}

const place = (rank: number | null) => (rank === null ? '' : `#${rank}`)
const gain = (points: number) => (points < 0 ? points.toFixed(2) : `+${points.toFixed(2)}`)

function step({ via, concept, from_chunk_uid }: NonNullable<Explanation['graph']>['path'][number]): string {
  if (via === 'query') return `mentions "${concept}" of the query`
  if (via === 'title') return `its title "${concept}" is mentioned in chunk ${from_chunk_uid}`
  if (via === 'concept') return `shares "${concept}" with chunk ${from_chunk_uid}`
  return `beside chunk ${from_chunk_uid}`
}
