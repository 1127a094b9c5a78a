import type { LibraryNode, Scope } from '@mnemosyne/graph'
import { type Embedder, ModelError } from '@mnemosyne/models'
import { type Parts, PartUnavailable } from './parts.ts'
import type { QueryVector } from './retrieve-vector.ts'
import type { SearchScope } from './scope.ts'
import type { SearchDeps } from './search.ts'

/** Of the time that a part is given: the model ends by itself within it, so that it is known to have been slow. */
const OWN_TIME = 0.9

/** The vectors of a search; undefined when they can't be had, which `parts` has noted. */
export function embedForSearch(
  { config, embedder }: Pick<SearchDeps, 'config' | 'embedder'>,
  parts: Parts,
  { scope, libraries }: SearchScope,
  query: string,
): Promise<QueryVector[] | undefined> {
  return parts.attempt('embed', async (signal) => {
    const state = embedder()
    if (state.embedder === null) throw new PartUnavailable(state.reason)
    const timeoutMs = OWN_TIME * config.SEARCH_PART_TIMEOUT_MS
    return embedQuery(state.embedder, query, scope, libraries, { signal, timeoutMs })
  })
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
