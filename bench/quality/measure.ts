import type { Candidate, SearchAnswer, SearchType } from '@mnemosyne/contracts'
import type { SystemClient } from '../../test/system/client.ts'
import { median } from '../report.ts'
import { judge, meanOf, type Quality } from './judge.ts'
import type { Where } from './take-in.ts'

/** What is looked at; what is judged counts where its best passage stands. */
const DEEPEST = 50
const PASSAGES_AT_MOST = 100

/** Each retriever alone, fused, and with the graph. */
export const WAYS = [
  { name: 'vector', types: ['vector'] },
  { name: 'fulltext', types: ['fulltext'] },
  { name: 'graph', types: ['graph'] },
  { name: 'fused, no graph', types: ['vector', 'fulltext'] },
  { name: 'final', types: ['vector', 'fulltext', 'graph'] },
] as const satisfies { name: string; types: SearchType[] }[]
export type Way = (typeof WAYS)[number]['name']

export interface WayMeasured extends Quality {
  /** Of the whole search as the client sees it, milliseconds. */
  p50: number
  /** What was judged of each question, best first. */
  rankings: Map<string, string[]>
  /** Of each question, in their order. */
  results: Quality[]
}

export interface Question {
  id: string
  text: string
  where: Where
  /** What is relevant to it, with its grade. */
  relevant: Map<string, number>
}

/** Questions whose figures belong together. */
export interface Test {
  name: string
  /** What is in the store and where it is asked, in a sentence. */
  about: string
  questions: Question[]
  /** Of a passage: the document that it is of, or the passage itself, as it is judged. */
  judged: (passage: Candidate) => string
}

/** Asks every question in one way. */
export async function measureWay(
  system: SystemClient,
  { questions, judged }: Test,
  search_types: readonly SearchType[],
): Promise<WayMeasured> {
  const times: number[] = []
  const results: Quality[] = []
  const rankings = new Map<string, string[]>()
  for (const { id, text, where, relevant } of questions) {
    const started = performance.now()
    const request = {
      ...{ query: text, ...where, limit: PASSAGES_AT_MOST, search_types },
      // Copies are judged too.
      fold_duplicates: false,
    }
    const { status, text: said, body } = await system.call('POST', '/library/api/search/', request)
    times.push(performance.now() - started)
    const answer = body as SearchAnswer
    if (status !== 200 || answer.degraded.length > 0)
      throw new Error(`The search went wrong: ${status} ${said}`)
    const ranked = ranking(answer, judged)
    rankings.set(id, ranked)
    results.push(judge(ranked, relevant))
  }
  return { ...meanOf(results), p50: median(times), rankings, results }
}

/**
 * Passages of one score stand in an answer by their uids, which every taking in draws anew. Here, as in trec_eval, the
 * id of what is judged decides, so that two runs can be compared.
 */
function ranking({ candidates }: SearchAnswer, judged: Test['judged']): string[] {
  const passages: { id: string; score: number; place: number }[] = []
  for (const [index, candidate] of candidates.entries()) {
    // What is left of sums in another order.
    const score = Number(candidate.fused_score.toFixed(9))
    const before = passages.at(-1)
    const place = before?.score === score ? before.place : index
    passages.push({ id: judged(candidate), score, place })
  }
  passages.sort((a, b) => a.place - b.place || (a.id < b.id ? -1 : 1))
  return [...new Set(passages.map(({ id }) => id))].slice(0, DEEPEST)
}
