import { describe, expect, test } from 'vitest'
import { fullMark, fulltextPoints, rankByScore, reciprocalRanks, vectorPoints } from './fusion.ts'

describe('points of a cosine', () => {
  test.each([
    ['near enough', 0.72, { mean: 0.5, best: 0.72 }, 3.2],
    ['half as near', 0.61, { mean: 0.5, best: 0.72 }, 1.6],
    ['half as near, and nothing nearer: half of it', 0.61, { mean: 0.5, best: 0.61 }, 0.8],
    ['nearer than near', 0.94, { mean: 0.5, best: 0.94 }, 6.4],
    ['the same way in a scope of things that are alike', 0.944, { mean: 0.9, best: 0.944 }, 3.2],
    ['at the mean', 0.5, { mean: 0.5, best: 0.72 }, 0],
    ['below the mean', 0.39, { mean: 0.5, best: 0.72 }, -1.6],
    ['no vector', null, { mean: 0.5, best: 0.72 }, 0],
    ['all passages alike', 0.7, { mean: 0.7, best: 0.7 }, 0],
    ['all the same as the query', 1, { mean: 1, best: 1 }, 0],
  ])('%s', (_, cosine, spread, points) => {
    expect(vectorPoints(cosine, spread)).toBeCloseTo(points)
  })
})

describe('points of full text', () => {
  test.each([
    ['the best, of more than the ideal', 12, { bm25: 12, ideal: 10 }, 2],
    ['half of the best', 6, { bm25: 12, ideal: 10 }, 1],
    ['the best, of most of the ideal', 8, { bm25: 8, ideal: 10 }, 2],
    ['the best of the weak', 2, { bm25: 2, ideal: 10 }, 0.5],
    ['nothing of nothing', 0, { bm25: 0, ideal: 0 }, 0],
  ])('%s', (_, bm25, best, points) => {
    expect(fulltextPoints(bm25, fullMark(best))).toBeCloseTo(points)
  })
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
