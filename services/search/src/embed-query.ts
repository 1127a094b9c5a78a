import type { SearchRequest } from '@mnemosyne/contracts'
import type { LibraryNode, Scope } from '@mnemosyne/graph'
import { type Embedder, ModelError } from '@mnemosyne/models'
import { type Parts, PartUnavailable } from './parts.ts'
import type { QueryVector } from './retrieve-vector.ts'
import type { SearchScope } from './scope.ts'
import type { SearchDeps } from './search.ts'

/** Of the time that a part is given: the model ends by itself within it, so that it is known to have been slow. */
const OWN_TIME = 0.9

/** The vectors of a search; undefined when they are not asked for, or can't be had, which `parts` has noted. */
export async function embedForScope(
  deps: SearchDeps,
  parts: Parts,
  request: SearchRequest,
  { scope, libraries }: SearchScope,
): Promise<QueryVector[] | undefined> {
  if (!request.search_types.includes('vector') || libraries.length === 0) return undefined
  return parts.attempt('embed', (signal) => {
    const { embedder, query, limits } = asked(deps, request, signal)
    return embedQuery(embedder, query, scope, libraries, limits)
  })
}

/**
 * The same for a scope that is not known yet, from a model that takes no instructions: they are the only thing about a
 * scope that a vector depends on.
 */
export async function embedForAny(
  deps: SearchDeps,
  parts: Parts,
  request: SearchRequest,
): Promise<Float32Array | undefined> {
  if (!request.search_types.includes('vector')) return undefined
  return parts.attempt('embed', (signal) => {
    const { embedder, query, limits } = asked(deps, request, signal)
    return embed(embedder, query, limits)
  })
}

function asked({ config, embedder }: SearchDeps, { query }: SearchRequest, signal: AbortSignal) {
  const state = embedder()
  if (state.embedder === null) throw new PartUnavailable(state.reason)
  const timeoutMs = OWN_TIME * config.SEARCH_PART_TIMEOUT_MS
  return { embedder: state.embedder, query: query.toWellFormed(), limits: { signal, timeoutMs } }
}

interface Limits {
  signal: AbortSignal
  timeoutMs: number
}

/**
 * One vector for each distinct instruction among the libraries of the scope, if the model takes instructions;
 * otherwise one for all of it.
 *
 * @throws ModelError
 */
async function embedQuery(
  embedder: Embedder,
  query: string,
  scope: Scope,
  libraries: LibraryNode[],
  limits: Limits,
): Promise<QueryVector[]> {
  if (!embedder.model.takesInstructions) {
    return [{ scope, vector: await embed(embedder, query, limits) }]
  }
  const byInstruction = Map.groupBy(libraries, (library) => library.embedding_instruction)
  return Promise.all(
    [...byInstruction].map(async ([instruction, group]) => ({
      scope: { ...scope, libraries: group.map(({ uid }) => uid) },
      vector: await embed(embedder, query, { ...limits, instruction }),
    })),
  )
}

async function embed(
  embedder: Embedder,
  query: string,
  options: Limits & { instruction?: string },
): Promise<Float32Array> {
  const vector = await embedder.embedQuery(query, options)
  // One number that is none would spread to every score.
  if (!vector.every(Number.isFinite)) {
    throw new ModelError('The embedding model answered with something that is no number.')
  }
  return vector
}
