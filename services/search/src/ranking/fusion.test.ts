import { describe, expect, test } from 'vitest'
import { fulltextPoints, rankByScore, reciprocalRanks, vectorPoints } from './fusion.ts'

describe('points of a cosine', () => {
  test.each([
    ['one deviation above the mean', 0.6, { mean: 0.5, deviation: 0.1 }, 0.8],
    ['at the mean', 0.5, { mean: 0.5, deviation: 0.1 }, 0],
    ['below the mean', 0.3, { mean: 0.5, deviation: 0.1 }, -1.6],
    ['no vector', null, { mean: 0.5, deviation: 0.1 }, 0],
    ['all passages alike', 0.7, { mean: 0.7, deviation: 0 }, 0],
  ])('%s', (_, cosine, spread, points) => {
    expect(vectorPoints(cosine, spread)).toBeCloseTo(points)
  })
})

test.each([
  [12, 12, 2],
  [6, 12, 1],
  [0, 12, 0],
  [0, 0, 0],
])('BM25 %d of at best %d gives %d points', (bm25, best, points) => {
  expect(fulltextPoints(bm25, best)).toBe(points)
})

test('reciprocal ranks count from one', () => {
  expect(Object.fromEntries(reciprocalRanks(['a', 'b'], 60))).toEqual({ a: 1 / 61, b: 1 / 62 })
})

test('equal scores are ordered by uid', () => {
  const scores = new Map([
    ['c', 1],
    ['b', 2],
    ['a', 1],
  ])
  expect(rankByScore(scores)).toEqual(['b', 'a', 'c'])
})
