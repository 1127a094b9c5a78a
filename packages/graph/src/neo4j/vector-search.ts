import { DimensionMismatchError } from '../errors.ts'
import type { Scope, VectorCandidates, VectorHit } from '../port.ts'
import { int, type Neo4jConnection, type Transaction } from './connection.ts'
import { EXACT_UP_TO, type IndexQuestion, indexQuestions, type Plan } from './index-questions.ts'
import { EMBEDDED_IN_SCOPE, type Look, type Looks, PRESENT_CHUNKS } from './retrieval.ts'
import { scopeParameters, scopeStart } from './scope.ts'
import { type Outline, type Part, spreadOf, type VectorSamples } from './vector-samples.ts'
import { isZero, unit } from './vectors.ts'

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
    const { mean } = await outlineOver(db, samples, scope, plan, vector)
    return { hits: [], exact: true, scope_size: plan.scope_size, mean }
  }
  if (plan.scope_size > EXACT_UP_TO && !isZero(vector)) {
    const outline = await outlineOver(db, samples, scope, plan, vector)
    const hits = await throughIndex(db, looks, { scope, plan, outline, vector, k })
    if (hits) return { hits, exact: false, scope_size: plan.scope_size, mean: outline.mean }
  }
  const all = await looks.settled(() => scan(db, scope, vector))
  const { mean } = spreadOf(all.map(({ cosine }) => cosine))
  return { hits: best(all, k), exact: true, scope_size: all.length, mean }
}

interface Asked {
  scope: Scope
  plan: Plan
  outline: Outline
  vector: Float32Array
  k: number
}

/** Null: the index does not give what is asked for. */
async function throughIndex(
  db: Neo4jConnection,
  looks: Looks,
  { scope, plan, outline, vector, k }: Asked,
): Promise<VectorHit[] | null> {
  for (const question of indexQuestions(scope, plan, outline, k)) {
    const found = await looks.settled(() => lookIntoIndex(db, scope, vector, question)).catch(noIndex)
    if (!found) return null
    const hits = best(found, k)
    // Fewer than asked for: chunks that are not seen any more, or not yet, have taken the places.
    if (hits.length < Math.min(k, plan.scope_size)) continue
    const { at_least } = question
    if (!at_least || hits[at_least.rank - 1]!.cosine >= at_least.cosine) return hits
  }
  return null
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

async function outlineOver(
  db: Neo4jConnection,
  samples: VectorSamples,
  scope: Scope,
  { parts }: Plan,
  vector: Float32Array,
): Promise<Outline> {
  const kind = scope.collection === undefined ? 'library' : 'collection'
  return samples.outline(db, kind, parts, unit(vector))
}
