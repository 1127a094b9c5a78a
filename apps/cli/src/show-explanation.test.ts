import type { Candidate, ExplainAnswer } from '@mnemosyne/contracts'
import { expect, test } from 'vitest'
import { explanationLines, passageLines } from './show-explanation.ts'

const HIT = {
  fused_score: 6.146,
  explanation: {
    vector: { rank: 2, score: 0.8124, share: 1.2 },
    fulltext: { rank: null, score: 7.313, share: 1.996 },
    graph: {
      rank: 3,
      score: 0.5,
      share: 0.5,
      path: [
        { via: 'query', concept: 'Ulm', from_chunk_uid: null },
        { via: 'adjacent', concept: null, from_chunk_uid: 'c-1' },
      ],
    },
    rerank: { rank_before: 5, score: 0.93 },
    lead: 2.45,
  },
} as unknown as Candidate

test('a hit: rank, score and points of each retriever in columns', () => {
  const words = explanationLines(HIT).map((line) => line.trim().split(/ {2,}/))
  expect(words).toEqual([
    ['vector', '#2', 'cosine 0.812', '+1.20'],
    ['full text', 'BM25 7.31', '+2.00'],
    ['graph', '#3', 'mentions "Ulm" of the query; beside chunk c-1', '+0.50'],
    ['lead', 'stood among the first', '+2.45'],
    ['fused', '#5', '6.15'],
    ['re-ranker', 'score 0.930'],
  ])
})

test.each([
  [{ rank: 7, dropped_by: null }, 'in the answer: #7'],
  [{ rank: null, dropped_by: 'limit' }, 'not in the answer: dropped by limit'],
] as const)('a passage: each stage with its note (%o)', (outcome, line) => {
  const answer: ExplainAnswer = {
    ...{ query: 'q', chunk_uid: 'c-1', item_uid: 'i-1', item_title: 'Pumps', exact: true, ...outcome },
    stages: [
      { stage: 'scope', rank: null, score: null, dropped: false, note: 'Searched.' },
      { stage: 'vector', rank: 12, score: 0.4, dropped: false, note: 'Not near.' },
    ],
    degraded: [{ part: 'rerank', reason: 'No answer.' }],
  }
  expect(passageLines(answer).map((row) => row.trim().split(/ {2,}/))).toEqual([
    ['Pumps, chunk c-1'],
    [line],
    ['scope', 'Searched.'],
    ['vector', '#12', '0.400', 'Not near.'],
    ['! without rerank: No answer.'],
  ])
})
