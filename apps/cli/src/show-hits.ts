import type { Candidate, SearchAnswer } from '@mnemosyne/contracts'
import { explanationLines } from './show-explanation.ts'

/** Hits as people read them: rank, score, where it stands, the passage. */
export function hitLines(answer: SearchAnswer, options: { explain?: boolean } = {}): string[] {
  const lines = answer.candidates.flatMap((hit, index) => [
    `${String(index + 1).padStart(2)}. ${[hit.item_title, ...hit.section_path].join(' › ')}${hit.page ? ` (page ${hit.page})` : ''}`,
    `    ${hit.score.toFixed(3)}  ${hit.sources.join(' + ')}  chunk ${hit.chunk_uid}`,
    `    ${excerpt(hit)}`,
    ...(options.explain ? explanationLines(hit).map((line) => `    ${line}`) : []),
  ])
  const { candidates, search_time_ms, degraded, reranker_model } = answer
  const reranked = reranker_model === null ? '' : `, re-ranked by ${reranker_model}`
  const summary = `${candidates.length} shown of ${answer.total_candidates} candidates${reranked}, ${search_time_ms.toFixed(0)} ms`
  return [...lines, ...degraded.map(({ part, reason }) => `! without ${part}: ${reason}`), summary]
}

const EXCERPT = 240

/** The part of the preview in which the query's words stand, on one line. */
function excerpt({ text_preview: text, highlights }: Candidate): string {
  const first = highlights[0]?.[0] ?? 0
  const start = first + 40 < EXCERPT ? 0 : Math.max(0, text.lastIndexOf(' ', first - 60) + 1)
  return (start > 0 ? '… ' : '') + text.slice(start, start + EXCERPT).replace(/\s+/g, ' ')
}
