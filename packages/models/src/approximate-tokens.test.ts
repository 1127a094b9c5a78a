import { expect, test } from 'vitest'
import { approximateTokens } from './approximate-tokens.ts'
import { modelForSuite } from './testing/test-model.ts'
import { openTokenizer } from './tokenizer.ts'

const dir = await modelForSuite('the estimate of tokens')

test.runIf(dir).each([
  [
    'prose',
    1,
    1.3,
    'The aqueduct carried spring water across the valley on three tiers of arches. Its builders used no mortar; each ' +
      'block was cut so that weight alone would hold it.',
  ],
  [
    'a listing',
    0.9,
    1.5,
    'for (const task of tasks) {\n  if (task.retries >= 3) return fail(task, "gave up")\n}',
  ],
  ['Japanese', 0.9, 1.5, '秋の雨の後、川の水位が上がり、堤防はもはや村を守るのに十分ではない。'],
  ['numbers', 0.7, 1.5, '7919.37 15838.74 23758.11 31677.48 39596.85'],
])('an estimate of %s is between %d and %d times what WordPiece counts', (_, least, most, text) => {
  const tokens = openTokenizer(dir!).count(text)
  expect(approximateTokens(text)).toBeGreaterThanOrEqual(least * tokens)
  expect(approximateTokens(text)).toBeLessThanOrEqual(most * tokens)
})

test('an estimate of nothing is nothing', () => {
  expect(['', ' \n\t'].map(approximateTokens)).toEqual([0, 0])
})
