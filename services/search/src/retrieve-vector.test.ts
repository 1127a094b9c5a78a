import { expect, test } from 'vitest'
import { pooledSpread } from './retrieve-vector.ts'

test.each([
  ['one scope as it is', [{ scope_size: 5, mean: 0.4, deviation: 0.1 }], { mean: 0.4, deviation: 0.1 }],
  // The cosines 0, 0, 1, 1 in two halves.
  [
    'two halves that differ',
    [
      { scope_size: 2, mean: 0, deviation: 0 },
      { scope_size: 2, mean: 1, deviation: 0 },
    ],
    { mean: 0.5, deviation: 0.5 },
  ],
  ['nothing', [{ scope_size: 0, mean: 0, deviation: 0 }], { mean: 0, deviation: 0 }],
])('mean and deviation over %s', (_, answers, expected) => {
  const { mean, deviation } = pooledSpread(answers)
  expect(mean).toBeCloseTo(expected.mean)
  expect(deviation).toBeCloseTo(expected.deviation)
})
