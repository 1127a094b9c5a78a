import { expect, test } from 'vitest'
import { pooledMean } from './retrieve-vector.ts'

test.each([
  ['one scope as it is', [{ scope_size: 5, mean: 0.4 }], 0.4],
  [
    'a small and a large one',
    [
      { scope_size: 1, mean: 0 },
      { scope_size: 3, mean: 0.8 },
    ],
    0.6,
  ],
  ['nothing', [{ scope_size: 0, mean: 0 }], 0],
])('the mean cosine over %s', (_, answers, expected) => {
  expect(pooledMean(answers)).toBeCloseTo(expected)
})
