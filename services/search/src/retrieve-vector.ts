import type { Ask, GraphStore, LibraryNode, Scope, VectorCandidates } from '@mnemosyne/graph'
import { type Embedder, ModelError } from '@mnemosyne/models'
import type { Spread } from './ranking/fusion.ts'

/** A query vector and the part of the scope that it is for. */
export interface QueryVector {
  scope: Scope
  vector: Float32Array
}

/**
 * One vector for each distinct instruction among the libraries of the scope, if the model takes instructions;
 * otherwise one for all of it.
 *
 * @throws ModelError
 */
export async function embedQuery(
  embedder: Embedder,
  query: string,
  scope: Scope,
  libraries: LibraryNode[],
  limits: { signal: AbortSignal; timeoutMs: number },
): Promise<QueryVector[]> {
  if (!embedder.model.takesInstructions) {
    return [{ scope, vector: await embed() }]
  }
  const byInstruction = Map.groupBy(libraries, (library) => library.embedding_instruction)
  return Promise.all(
    [...byInstruction].map(async ([instruction, group]) => ({
      scope: { ...scope, libraries: group.map(({ uid }) => uid) },
      vector: await embed(instruction),
    })),
  )

  async function embed(instruction?: string): Promise<Float32Array> {
    const vector = await embedder.embedQuery(query, {
      ...(instruction !== undefined && { instruction }),
      ...limits,
    })
    // One number that is none would spread to every score.
    if (!vector.every(Number.isFinite)) {
      throw new ModelError('The embedding model answered with something that is no number.')
    }
    return vector
  }
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
  graph: GraphStore,
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
