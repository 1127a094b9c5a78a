import type { Degraded, SearchType } from '@mnemosyne/contracts'
import type { TextHit, TextQuery } from '@mnemosyne/graph'
import { type Parts, PartUnavailable } from './parts.ts'
import { type NamedConcepts, nameConcepts } from './retrieve-graph.ts'
import { embedQuery, type QueryVector, retrieveByVector, type VectorAnswer } from './retrieve-vector.ts'
import type { SearchScope } from './scope.ts'
import type { SearchDeps } from './search.ts'

/** What the retrievers nominated. A part that failed, or was not asked for, is undefined. */
export interface Nominations {
  vectors: QueryVector[] | undefined
  vector: VectorAnswer | undefined
  fulltext: TextHit[] | undefined
  named: NamedConcepts | undefined
}

/** What every retriever finds in a scope without libraries. */
const NOTHING: Nominations = {
  vectors: [],
  vector: { ranked: [], cosines: new Map(), spread: { mean: 0, deviation: 0 }, exact: true, embedded: 0 },
  fulltext: [],
  named: { scopeSize: 0, concepts: new Map(), mentioning: new Map(), ranked: [] },
}

/** Asks the retrievers in parallel; none where there is nothing to search. */
export async function nominate(
  { config, graph, embedder }: SearchDeps,
  parts: Parts,
  { scope, libraries }: SearchScope,
  search_types: SearchType[],
  query: string,
  text: TextQuery,
): Promise<Nominations> {
  if (libraries.length === 0) return NOTHING
  async function byVector(): Promise<Pick<Nominations, 'vectors' | 'vector'>> {
    const vectors = await parts.attempt('embed', async (signal) => {
      const state = embedder()
      if (state.embedder === null) throw new PartUnavailable(state.reason)
      return embedQuery(state.embedder, query, scope, libraries, signal)
    })
    if (!vectors) return { vectors: undefined, vector: undefined }
    const vector = await parts.attempt('vector', (signal) =>
      retrieveByVector(graph, vectors, config.SEARCH_VECTOR_TOP_K, { signal }),
    )
    return { vectors: vector && vectors, vector }
  }

  const [{ vectors, vector }, fulltext, named] = await Promise.all([
    search_types.includes('vector') ? byVector() : { vectors: undefined, vector: undefined },
    search_types.includes('fulltext')
      ? parts.attempt('fulltext', async (signal) =>
          text.terms.length === 0 && text.phrases.length === 0
            ? []
            : graph.fullTextCandidates(scope, text, config.SEARCH_FULLTEXT_TOP_K, { signal }),
        )
      : undefined,
    search_types.includes('graph')
      ? parts.attempt('graph', (signal) => nameConcepts(graph, scope, query, { signal }))
      : undefined,
  ])
  return { vectors, vector, fulltext, named }
}

const NOMINATION_OF = { vector: 'vector', fulltext: 'fulltext', graph: 'named' } as const satisfies Record<
  SearchType,
  keyof Nominations
>

/** Which of the retrievers answered. */
export function answering(asked: SearchType[], nominations: Nominations): SearchType[] {
  return asked.filter((type) => nominations[NOMINATION_OF[type]] !== undefined)
}

/** Says so when the vector part could not see all passages, because some have no vector yet. */
export function noteUnembedded({ vector, named }: Nominations, degraded: Degraded[]): void {
  if (!vector || !named || vector.embedded >= named.scopeSize) return
  degraded.push({
    part: 'vector',
    reason: `${named.scopeSize - vector.embedded} of ${named.scopeSize} passages have no vector yet; full text and graph still find them.`,
  })
}
