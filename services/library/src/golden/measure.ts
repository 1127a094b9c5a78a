import type { GoldenResult } from '@mnemosyne/contracts'

/** How deep recall looks. */
const RECALL_AT = 10

/** What the ranks of a replay amount to; null: none counts. What is gone counts in neither. */
export function measure(results: readonly GoldenResult[]): {
  gone: number
  recall_at_10: number | null
  mrr: number | null
} {
  const counted = results.filter(({ counted_by }) => counted_by !== null)
  const gone = results.length - counted.length
  if (counted.length === 0) return { gone, recall_at_10: null, mrr: null }
  const found = counted.filter(({ rank }) => rank !== null && rank <= RECALL_AT).length
  const reciprocal = counted.reduce((sum, { rank }) => sum + (rank === null ? 0 : 1 / rank), 0)
  return { gone, recall_at_10: found / counted.length, mrr: reciprocal / counted.length }
}
