import { describe, expect, test } from 'vitest'
import { type Evidence, fusedScore, rankShares, sourcesOf, weightedShares, withLinks } from './shares.ts'

const evidence: Evidence = {
  scores: new Map([
    ['near', { cosine: 0.8, bm25: 0 }],
    ['worded', { cosine: 0.5, bm25: 10 }],
    ['named', { cosine: null, bm25: 5 }],
  ]),
  spread: { mean: 0.5, best: 0.8 },
  fullMark: 10,
  named: new Map([['named', { points: 0.75 }]]),
}

test('shares by score', () => {
  const shares = weightedShares(evidence)
  expect(shares.get('near')!.vector).toBeCloseTo((3.2 * 0.6) / 0.44)
  expect(shares.get('worded')).toMatchObject({ fulltext: 2, graph: 0 })
  expect(shares.get('named')).toEqual({ vector: 0, fulltext: 1, graph: 0.75, lead: 0 })
})

test('a link counts as the graph’s, a link to oneself as a lead, and both in the sum', () => {
  const link = { seed: 'near', concept: 'Ada', via: 'concept' as const, strength: 1 }
  const shares = withLinks(
    weightedShares(evidence),
    new Map([
      ['near', { points: 2.45, link: null }],
      ['named', { points: 1.5, link }],
    ]),
  )
  expect(shares.get('near')!.lead).toBe(2.45)
  expect(shares.get('named')).toMatchObject({ graph: 2.25, lead: 0 })
  expect(fusedScore(shares.get('named')!)).toBeCloseTo(3.25)
})

test('reciprocal ranks of what each retriever nominated', () => {
  const shares = rankShares(
    { vector: ['near', 'worded'], fulltext: ['worded'] },
    weightedShares(evidence),
    60,
  )
  expect(shares.get('worded')).toEqual({ vector: 1 / 62, fulltext: 1 / 61, graph: 0, lead: 0 })
  expect(shares.get('named')!.graph).toBe(1 / 61)
})

describe('sources', () => {
  const nominated = { vector: new Set(['a', 'b']), fulltext: new Set(['b']) }
  test.each([
    ['the one that found it', 'a', { vector: 1, fulltext: 0.5, graph: 0, lead: 2 }, 'vector', ['vector']],
    [
      'the one that gave most',
      'b',
      { vector: 1, fulltext: 2, graph: 1, lead: 0 },
      'fulltext',
      ['vector', 'fulltext', 'graph'],
    ],
    ['the graph alone', 'c', { vector: 1, fulltext: 1, graph: 0.2, lead: 0 }, 'graph', ['graph']],
  ])('%s', (_, uid, shares, source, sources) => {
    expect(sourcesOf(uid, shares, nominated)).toEqual({ source, sources })
  })
})
