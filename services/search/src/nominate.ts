import type { Degraded, SearchType } from '@mnemosyne/contracts'
import type { TextHit, TextQuery } from '@mnemosyne/graph'
import { queryTerms } from '@mnemosyne/graph/analysis'
import type { Parts } from './parts.ts'
import { demandsPhrases } from './phrases.ts'
import type { RunDeps } from './pipeline.ts'
import { type NamedConcepts, nameConcepts } from './retrieve-graph.ts'
import { type QueryVector, retrieveByVector, type VectorAnswer } from './retrieve-vector.ts'
import type { SearchScope } from './scope.ts'

/** What the retrievers nominated. A part that failed, or was not asked for, is undefined. */
export interface Nominations {
  vectors: QueryVector[] | undefined
  vector: VectorAnswer | undefined
  fulltext: TextHit[] | undefined
  named: NamedConcepts | undefined
  /** What is scored: without the phrases where the query does not demand them, or nothing in the scope holds them all. */
  text: TextQuery
  /** The passages that hold all phrases. Undefined: the query quotes none, or nobody knows. */
  holding: Set<string> | undefined
}

/** What every retriever finds in a scope without libraries. */
const NOTHING: Omit<Nominations, 'text'> = {
  vectors: [],
  vector: { ranked: [], cosines: new Map(), spread: { mean: 0, best: 0 }, exact: true, embedded: 0 },
  fulltext: [],
  named: { scopeSize: 0, concepts: new Map(), mentioning: new Map(), ranked: [] },
  holding: undefined,
}

/** Passages that hold the phrases in quotes and are nominated: twice what an answer shows at most, since they come first. */
const HOLDING_TOP_K = 200
/** As many of them are nominated by a query that only names something in quotes: the best of them is wanted. */
const NAMED_HOLDERS = 10

/** Asks the retrievers in parallel; none where there is nothing to search. */
export async function nominate(
  { config, graph }: RunDeps,
  parts: Parts,
  { scope, libraries }: SearchScope,
  search_types: SearchType[],
  query: string,
  embedding: Promise<QueryVector[] | undefined>,
): Promise<Nominations> {
  const text = queryTerms(query)
  if (libraries.length === 0) return { ...NOTHING, text }
  async function byVector(): Promise<Pick<Nominations, 'vectors' | 'vector'>> {
    const vectors = await embedding
    if (!vectors) return { vectors: undefined, vector: undefined }
    const vector = await parts.attempt('vector', (signal) =>
      retrieveByVector(graph, vectors, config.SEARCH_VECTOR_TOP_K, { signal }),
    )
    return { vectors: vector && vectors, vector }
  }

  async function byWords(signal: AbortSignal): Promise<Pick<Nominations, 'fulltext' | 'text' | 'holding'>> {
    if (text.terms.length === 0 && text.phrases.length === 0)
      return { fulltext: [], text, holding: undefined }
    const plain = { terms: text.terms, phrases: [] }
    const isQuoting = text.phrases.length > 0
    const holders = isQuoting ? await graph.fullTextCandidates(scope, text, HOLDING_TOP_K, { signal }) : []
    const holding = isQuoting ? new Set(holders.map(({ chunk_uid }) => chunk_uid)) : undefined
    if (holders.length > 0 && demandsPhrases(query)) return { fulltext: holders, text, holding }
    const hits = await graph.fullTextCandidates(scope, plain, config.SEARCH_FULLTEXT_TOP_K, { signal })
    return { fulltext: merged(hits, holders.slice(0, NAMED_HOLDERS)), text: plain, holding }
  }

  const [{ vectors, vector }, worded, named] = await Promise.all([
    search_types.includes('vector') ? byVector() : { vectors: undefined, vector: undefined },
    search_types.includes('fulltext') ? parts.attempt('fulltext', byWords) : undefined,
    search_types.includes('graph')
      ? parts.attempt('graph', (signal) => nameConcepts(graph, scope, query, { signal }))
      : undefined,
  ])
  return { vectors, vector, named, ...(worded ?? { fulltext: undefined, text, holding: undefined }) }
}

/** The hits of both, best first. */
function merged(hits: TextHit[], others: TextHit[]): TextHit[] {
  const known = new Set(hits.map(({ chunk_uid }) => chunk_uid))
  return [...hits, ...others.filter(({ chunk_uid }) => !known.has(chunk_uid))].sort((a, b) => b.bm25 - a.bm25)
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
