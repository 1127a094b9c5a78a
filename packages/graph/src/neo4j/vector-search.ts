import { DimensionMismatchError } from '../errors.ts'
import type { Scope, VectorCandidates, VectorHit } from '../port.ts'
import { int, type Neo4jConnection, type Transaction } from './connection.ts'
import { EMBEDDED_IN_SCOPE, type Look, type Looks, PRESENT_CHUNKS } from './retrieval.ts'
import { VECTOR_INDEX } from './schema.ts'
import { inScope, scopeParameters, scopeStart } from './scope.ts'
import { type Part, type Spread, spreadOf, type VectorSamples } from './vector-samples.ts'
import { isZero, unit } from './vectors.ts'

/** Up to so many chunks of a scope each is compared with the query: 40 µs a chunk, and no doubt about the answer. */
const EXACT_UP_TO = 1_500
/** The index is asked for so many times as many as are wanted, and the best of them are found by exact cosine. */
const SPARE = 4
const FETCHED_AT_LEAST = 200

interface Plan {
  parts: Part[]
  scope_size: number
  store_size: number
  dimensions: number | null
  index: 'none' | 'plain' | 'filtered'
}

/** Exact cosine of chunk `c` with `$q`, a vector of length 1. */
export const COSINE =
  'CASE WHEN c.zero OR $zero THEN 0.0 ELSE 2 * vector.similarity.cosine(c.embedding, $q) - 1 END'

export async function vectorCandidates(
  db: Neo4jConnection,
  { looks, samples }: { looks: Looks; samples: VectorSamples },
  scope: Scope,
  vector: Float32Array,
  k: number,
): Promise<VectorCandidates> {
  const plan = await db.read((tx) => planFor(tx, scope))
  checkDimensions(plan.dimensions, vector)
  if (plan.scope_size === 0 || k < 1) {
    const spread = await spreadOver(db, samples, scope, plan, vector)
    return { hits: [], exact: true, scope_size: plan.scope_size, ...spread }
  }
  const indexed = isZero(vector) ? null : indexQuestion(scope, plan, k)
  if (indexed) {
    const found = await looks.settled(() => lookIntoIndex(db, scope, vector, indexed)).catch(noIndex)
    // Fewer than asked for: chunks that are not seen any more, or not yet, have taken the places.
    if (found && found.length >= Math.min(k, plan.scope_size)) {
      const spread = await spreadOver(db, samples, scope, plan, vector)
      return { hits: best(found, k), exact: false, scope_size: plan.scope_size, ...spread }
    }
  }
  const all = await looks.settled(() => scan(db, scope, vector))
  const spread = spreadOf(all.map(({ cosine }) => cosine))
  return { hits: best(all, k), exact: true, scope_size: all.length, ...spread }
}

/** @throws DimensionMismatchError */
export function checkDimensions(stored: number | null, vector: Float32Array): void {
  if (stored !== null && stored !== vector.length) throw new DimensionMismatchError(stored, vector.length)
}

async function planFor(tx: Transaction, scope: Scope): Promise<Plan> {
  const parts =
    scope.collection === undefined
      ? 'MATCH (l:Library) WHERE l.uid IN libs AND l.embedded > 0 RETURN collect({uid: l.uid, size: l.embedded}) AS parts'
      : `MATCH (i:Item {collection_uid: $scope_collection}) WHERE i.library_uid IN libs AND i.embedded > 0
         WITH sum(i.embedded) AS size RETURN [{uid: $scope_collection, size: size}] AS parts`
  const [row] = await tx.run<{
    parts: Part[]
    dimensions: number | null
    store_size: number
    index_dimensions: number | null
    index_filtered: boolean | null
  }>(
    `${scopeStart(scope)} CALL (libs) { ${parts} } MATCH (store:GraphStore {name: 'store'})
     RETURN parts, store.dimensions AS dimensions, store.embedded AS store_size,
       store.index_dimensions AS index_dimensions, store.index_filtered AS index_filtered`,
    scopeParameters(scope),
  )
  const { parts: found, dimensions, store_size, index_dimensions, index_filtered } = row!
  const usable = dimensions !== null && index_dimensions === dimensions
  return {
    parts: found,
    scope_size: found.reduce((sum, { size }) => sum + size, 0),
    store_size,
    dimensions,
    index: !usable ? 'none' : index_filtered ? 'filtered' : 'plain',
  }
}

interface IndexQuestion {
  query: string
  fetch: number
  wanted: number
}

/** Null: comparing every chunk of the scope is the better way. */
function indexQuestion(
  scope: Scope,
  { index, scope_size, store_size }: Plan,
  k: number,
): IndexQuestion | null {
  const wanted = Math.max(k * SPARE, FETCHED_AT_LEAST)
  if (index === 'none' || scope_size <= Math.max(EXACT_UP_TO, wanted)) return null
  const narrowed = scope.collection === undefined ? '' : 'AND c.collection_uid = $scope_collection'
  if (index === 'filtered') {
    const query = `CYPHER 25 ${scopeStart(scope)} MATCH (c:Chunk)
      SEARCH c IN (VECTOR INDEX ${VECTOR_INDEX} FOR $q WHERE c.library_uid IN libs ${narrowed} LIMIT $fetch)`
    return { query, fetch: wanted, wanted }
  }
  // Without a filter in the index, so many are fetched that enough of them lie in the scope. To fetch one costs a
  // fifth of comparing one.
  const fetch = Math.max(wanted, Math.ceil((2 * k * store_size) / scope_size))
  if (fetch > scope_size * 5 || fetch > store_size / 2) return null
  const query = `${scopeStart(scope)} CALL db.index.vector.queryNodes('${VECTOR_INDEX}', $fetch, $q) YIELD node AS c
    WITH libs, c WHERE ${inScope('c')} WITH c LIMIT $wanted`
  return { query, fetch, wanted }
}

async function lookIntoIndex(
  db: Neo4jConnection,
  scope: Scope,
  vector: Float32Array,
  { query, fetch, wanted }: IndexQuestion,
): Promise<Look<VectorHit[]>> {
  return rated(db, `${query} ${PRESENT_CHUNKS}`, {
    ...scopeParameters(scope),
    ...queryVector(vector),
    fetch: int(fetch),
    wanted: int(wanted),
  })
}

const scan = (db: Neo4jConnection, scope: Scope, vector: Float32Array): Promise<Look<VectorHit[]>> =>
  rated(db, `${scopeStart(scope)} ${EMBEDDED_IN_SCOPE(scope.collection !== undefined)} ${PRESENT_CHUNKS}`, {
    ...scopeParameters(scope),
    ...queryVector(vector),
  })

/** The exact cosine of each of `chunks`. */
async function rated(
  db: Neo4jConnection,
  query: string,
  parameters: Record<string, unknown>,
): Promise<Look<VectorHit[]>> {
  const [row] = await db.read((tx) =>
    tx.run<{ uids: string[]; cosines: number[]; replaced: [string, number][] }>(
      `${query} CALL (chunks) {
         UNWIND chunks AS c WITH c.uid AS uid, ${COSINE} AS cosine
         RETURN collect(uid) AS uids, collect(cosine) AS cosines
       }
       RETURN uids, cosines, replaced`,
      parameters,
    ),
  )
  const { uids, cosines, replaced } = row!
  return { answer: uids.map((chunk_uid, n) => ({ chunk_uid, cosine: cosines[n]! })), replaced }
}

/** The query at length 1; with `$zero` it is not looked at. */
export function queryVector(vector: Float32Array): { q: number[]; zero: boolean } {
  return { q: Array.from(unit(vector)), zero: isZero(vector) }
}

function best(hits: VectorHit[], k: number): VectorHit[] {
  return hits
    .sort((a, b) => b.cosine - a.cosine || (a.chunk_uid < b.chunk_uid ? -1 : 1))
    .slice(0, k)
    .map(({ chunk_uid, cosine }) => ({ chunk_uid, cosine: Math.max(-1, Math.min(1, cosine)) }))
}

/** The index is not there, or is being filled: the scan answers. Other faults are faults. */
function noIndex(error: unknown): null {
  if (error instanceof Error && 'code' in error && error.code === 'graph_failed') return null
  throw error
}

async function spreadOver(
  db: Neo4jConnection,
  samples: VectorSamples,
  scope: Scope,
  { parts }: Plan,
  vector: Float32Array,
): Promise<Spread> {
  const kind = scope.collection === undefined ? 'library' : 'collection'
  return samples.spread(db, kind, parts, unit(vector))
}
