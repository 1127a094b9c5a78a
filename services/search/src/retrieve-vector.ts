import type { Ask, Scope, SearchStore, VectorCandidates } from '@mnemosyne/graph'
import type { Spread } from './ranking/fusion.ts'

/** A query vector and the part of the scope that it is for. */
export interface QueryVector {
  scope: Scope
  vector: Float32Array
}

export interface VectorAnswer {
  /** Chunk uids, nearest first. */
  ranked: string[]
  cosines: Map<string, number>
  spread: Spread
  exact: boolean
  /** Chunks of the scope that have a vector. */
  embedded: number
}

/** The `k` nearest chunks of the scope, whichever vector they were compared with. */
export async function retrieveByVector(
  graph: SearchStore,
  vectors: QueryVector[],
  k: number,
  ask: Ask,
): Promise<VectorAnswer> {
  const answers = await Promise.all(
    vectors.map(({ scope, vector }) => graph.vectorCandidates(scope, vector, k, ask)),
  )
  const hits = answers
    .flatMap((answer) => answer.hits)
    .sort((a, b) => b.cosine - a.cosine || (a.chunk_uid < b.chunk_uid ? -1 : 1))
    .slice(0, k)
  return {
    ranked: hits.map((hit) => hit.chunk_uid),
    cosines: new Map(hits.map((hit) => [hit.chunk_uid, hit.cosine])),
    spread: { mean: pooledMean(answers), best: hits[0]?.cosine ?? 0 },
    exact: answers.every((answer) => answer.exact),
    embedded: answers.reduce((sum, answer) => sum + answer.scope_size, 0),
  }
}

/** Mean cosine over the union of disjoint scopes. */
export function pooledMean(answers: Pick<VectorCandidates, 'scope_size' | 'mean'>[]): number {
  const size = answers.reduce((sum, { scope_size }) => sum + scope_size, 0)
  return answers.reduce((sum, { scope_size, mean }) => sum + scope_size * mean, 0) / Math.max(1, size)
}
