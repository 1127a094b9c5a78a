import type { SearchAnswer } from '@mnemosyne/contracts'

/** Hits as people read them: rank, score, where it stands, the passage. */
export function hitLines(answer: SearchAnswer, options: { explain?: boolean } = {}): string[] {
  const lines = answer.candidates.flatMap((hit, index) => [
    `${String(index + 1).padStart(2)}. ${[hit.item_title, ...hit.section_path].join(' › ')}${hit.page ? ` (page ${hit.page})` : ''}`,
    `    ${hit.score.toFixed(3)}  ${hit.sources.join(' + ')}  chunk ${hit.chunk_uid}`,
    `    ${hit.text_preview.replace(/\s+/g, ' ').slice(0, 240)}`,
    ...(options.explain && hit.explanation ? [`    ${JSON.stringify(hit.explanation)}`] : []),
  ])
  const { candidates, search_time_ms, degraded } = answer
  const summary = `${candidates.length} of ${answer.total_candidates} passages in ${search_time_ms.toFixed(0)} ms`
  return [...lines, ...degraded.map(({ part, reason }) => `! without ${part}: ${reason}`), summary]
}
