import type { Scope } from '../port.ts'
import { VECTOR_INDEX } from './schema.ts'
import { inScope, scopeStart } from './scope.ts'
import type { Outline, Part } from './vector-samples.ts'

/** Up to so many chunks of a scope each is compared with the query: 12 to 40 µs a chunk, and no doubt about the answer. */
export const EXACT_UP_TO = 1_500
/**
 * So many times as many as are wanted come from the index, and the best of them are found by exact cosine: more from one
 * that quantises. Chunks that are not seen any more, or not yet, may be among them.
 */
const SPARE = { filtered: 2, plain: 4 }
const TAKEN_AT_LEAST = { filtered: 100, plain: 200 }
/**
 * So many an index that filters is asked for, whatever the question. It compares every vector of the scope when that is less
 * work than to walk for so many: up to 10,000 always, and up to about 100,000 in a store of that size (10 ms). For more than
 * these the server does not look.
 */
const MANY = 10_000
/** So many times as many as are wanted in the scope an index that does not filter is asked for where a walk may miss some. */
const WIDER = 5
/** To fetch one costs half of comparing one. */
const FETCHED_FOR_ONE = 1.5

export interface Plan {
  parts: Part[]
  scope_size: number
  store_size: number
  dimensions: number | null
  index: 'none' | 'plain' | 'filtered'
}

export interface IndexQuestion {
  query: string
  /** Chunks that the index looks for. */
  fetch: number
  /** Of those in the scope the nearest that are compared exactly. */
  wanted: number
  /** An answer is not trusted whose hit of this rank has a lower cosine. */
  at_least: { rank: number; cosine: number } | null
}

/**
 * What to ask the vector index, one after the other until an answer will do; when none does, every chunk of the scope is
 * to be compared.
 *
 * The index is a graph of near neighbours that is walked towards the query (HNSW: Malkov and Yashunin 2018). Where the query
 * has nothing to do with the scope, all of it is about equally far: no way leads to the nearest, and a walk that keeps a few
 * hundred candidates misses many. One that filters can be made to compare all instead; the other is asked for few only
 * when some stand out, and come.
 */
export function indexQuestions(
  scope: Scope,
  { index, scope_size, store_size }: Plan,
  { outstanding, outstanding_count }: Outline,
  k: number,
): IndexQuestion[] {
  if (index === 'none') return []
  const wanted = Math.max(k * SPARE[index], TAKEN_AT_LEAST[index])
  if (scope_size <= wanted) return []
  const questions: IndexQuestion[] = []
  const ask = (query: string, fetch: number, at_least: IndexQuestion['at_least'] = null) =>
    questions.push({ query, fetch: Math.ceil(fetch), wanted, at_least })
  if (index === 'filtered') {
    const narrowed = scope.collection === undefined ? '' : 'AND c.collection_uid = $scope_collection'
    const query = `CYPHER 25 ${scopeStart(scope)} MATCH (c:Chunk)
      SEARCH c IN (VECTOR INDEX ${VECTOR_INDEX} FOR $q WHERE c.library_uid IN libs ${narrowed} LIMIT $fetch)
      WITH c LIMIT $wanted`
    ask(query, Math.max(wanted, MANY))
    return questions
  }
  // Without a filter in the index, so many are fetched that enough of them lie in the scope.
  const query = `${scopeStart(scope)} CALL db.index.vector.queryNodes('${VECTOR_INDEX}', $fetch, $q) YIELD node AS c
    WITH libs, c WHERE ${inScope('c')} WITH c LIMIT $wanted`
  const share = scope_size / store_size
  const few = Math.max(wanted, 2 * outstanding_count, (2 * k) / share)
  const many = Math.max(WIDER * wanted, 2 * outstanding_count) / share
  const affordable = scope_size * FETCHED_FOR_ONE
  // To ask for many costs more here: it is enough that those stand out which come first.
  const needed = Math.min(k, 10)
  if (outstanding_count >= 2 * needed && few <= Math.min(many, affordable)) {
    ask(query, few, { rank: needed, cosine: outstanding })
  }
  if (many <= affordable) ask(query, many)
  return questions
}
