import type { GoldenResult } from '@mnemosyne/contracts'
import { expect, test } from 'vitest'
import { measure } from './measure.ts'

const GONE: GoldenResult = { rank: null, counted_by: null }
const at = (rank: number | null): GoldenResult => ({ rank, counted_by: 'chunk' })

test.each<[string, GoldenResult[], ReturnType<typeof measure>]>([
  ['all first', [at(1), at(1)], { gone: 0, recall_at_10: 1, mrr: 1 }],
  ['one not found', [at(1), at(null)], { gone: 0, recall_at_10: 0.5, mrr: 0.5 }],
  [
    'the tenth is found, the eleventh is not',
    [at(10), at(11)],
    { gone: 0, recall_at_10: 0.5, mrr: (1 / 10 + 1 / 11) / 2 },
  ],
  ['by its document', [{ rank: 4, counted_by: 'item' }], { gone: 0, recall_at_10: 1, mrr: 0.25 }],
  ['what is gone counts in neither', [at(2), GONE], { gone: 1, recall_at_10: 1, mrr: 0.5 }],
  ['all gone', [GONE, GONE], { gone: 2, recall_at_10: null, mrr: null }],
  ['none at all', [], { gone: 0, recall_at_10: null, mrr: null }],
])('%s', (_, results, expected) => {
  const { mrr, ...rest } = measure(results)
  expect(rest).toEqual({ gone: expected.gone, recall_at_10: expected.recall_at_10 })
  if (expected.mrr === null) expect(mrr).toBeNull()
  else expect(mrr).toBeCloseTo(expected.mrr, 12)
})
