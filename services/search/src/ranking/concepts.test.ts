import { describe, expect, test } from 'vitest'
import { conceptWeight, isLinkable, namedConceptPoints } from './concepts.ts'

describe('a concept links when it is neither alone nor everywhere', () => {
  test.each([
    ['in one chunk', 1, 1000, false],
    ['in two', 2, 1000, true],
    ['in 3 % of the scope', 30, 1000, true],
    ['in more', 31, 1000, false],
    ['in ten of a small scope', 10, 40, true],
    ['in eleven of it', 11, 40, false],
    ['in 200 of a large one', 200, 100_000, true],
    ['in more than 200', 201, 100_000, false],
  ])('%s', (_, df, scopeSize, linkable) => {
    expect(isLinkable(df, scopeSize)).toBe(linkable)
  })
})

describe('the weight of a concept', () => {
  test.each([
    ['is 1 for a name in two chunks', 2, 'named', 1],
    ['is three quarters of it for a phrase', 2, 'phrase', 0.75],
    ['falls with the chunks that mention it', 30, 'title', Math.log(1 + 1000 / 30) / Math.log(501)],
  ] as const)('%s', (_, df, kind, weight) => {
    expect(conceptWeight({ df, kind }, 1000)).toBeCloseTo(weight)
  })
})

test.each([
  ['nothing named', [], false, 0],
  ['the heaviest counts, once', [0.4, 1, 0.8], false, 0.02],
  ['a title counts on top', [1], true, 0.52],
])('points for concepts of the query: %s', (_, weights, title, points) => {
  expect(namedConceptPoints(weights, title)).toBe(points)
})
