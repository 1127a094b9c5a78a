import { conceptKeys } from '../analysis/concept-keys.ts'
import { queryTerms } from '../analysis/query.ts'
import type { GraphStore, Scope } from '../port.ts'

export interface Question {
  vector: number[]
  text: string
  k: number
  /** Chunks that a concept links and nobody named. */
  others: number
  depth: number
}

const ALL: Scope = { libraries: 'all' }
const PAGE = { limit: 100, offset: 0 }
/** More than there are. */
const EVERY = 1000

/** What a store tells of concepts goes by uid, which each store draws anew; here it goes by key. */
type KeyOf = (concept_uid: string) => string

/**
 * Every question that takes a scope, in a form that two stores can be compared in. `chunks`: uids to ask for, some of
 * them outside of the scope, some not there any more.
 */
export async function answersOf(graph: GraphStore, scope: Scope, question: Question, chunks: string[]) {
  return {
    ...(await byVector(graph, scope, question, chunks)),
    texts: await byText(graph, scope, question),
    concepts: await byConcept(graph, scope, question, chunks),
    chunks: await ofChunks(graph, scope, chunks),
  }
}

async function byVector(graph: GraphStore, scope: Scope, { vector, k, text }: Question, chunks: string[]) {
  const asked = Float32Array.from(vector)
  const { hits, exact, scope_size, mean } = await graph.vectorCandidates(scope, asked, EVERY)
  const first = await graph.vectorCandidates(scope, asked, k)
  const { terms } = queryTerms(text)
  const scored = await graph.scoreChunks(scope, [...chunks, 'unknown'], { vector: asked, terms })
  const texts = new Set(await byText(graph, scope, { text: terms.join(' ') }))
  return {
    exact: [exact, first.exact, scope_size, first.scope_size],
    vectors: hits
      .map(({ chunk_uid, cosine }) => [chunk_uid, cosine] as const)
      .sort(([a], [b]) => (a < b ? -1 : 1)),
    /** Cosines alone: of equal ones either chunk may stand in the last place. */
    nearest: first.hits.map(({ cosine }) => cosine),
    means: [mean, first.mean],
    scores: scored.map(({ chunk_uid, cosine }) => [chunk_uid, cosine] as const),
    /** Full text finds what has a BM25, and nothing else. */
    scoredOtherwise: scored.filter(({ chunk_uid, bm25 }) => bm25 > 0 !== texts.has(chunk_uid)),
  }
}

async function byText(graph: GraphStore, scope: Scope, { text }: Pick<Question, 'text'>): Promise<string[]> {
  const hits = await graph.fullTextCandidates(scope, queryTerms(text), EVERY)
  return hits.map(({ chunk_uid }) => chunk_uid).sort()
}

async function byConcept(
  graph: GraphStore,
  scope: Scope,
  { text, others, depth }: Question,
  chunks: string[],
) {
  const everywhere = (await graph.concepts(ALL, {}, PAGE)).concepts
  const keys = new Map(everywhere.map(({ concept_uid, key }) => [concept_uid, key]))
  const keyOf: KeyOf = (uid) => keys.get(uid) ?? `unknown concept ${uid}`
  const byKey = everywhere.toSorted((a, b) => (a.key < b.key ? -1 : 1))
  const uids = [...byKey.map(({ concept_uid }) => concept_uid), 'unknown']

  const named = await graph.conceptsNamed(scope, conceptKeys(`${text} red fox green bear`))
  const listed = await graph.concepts(scope, {}, PAGE)
  const begun = await graph.concepts(scope, { q: 'gre' }, PAGE)
  const mentioned = await graph.mentions(scope, chunks)
  const mentioning = await graph.chunksMentioning(scope, uids, EVERY)
  const weighed = byKey.map(({ concept_uid, key }) => ({ concept_uid, weight: key.length }))
  const linked = await graph.linkedChunks(scope, weighed, { among: chunks.slice(0, 3), others })
  const around = []
  for (const { concept_uid, key } of byKey) {
    const found = await graph.conceptNeighbourhood(scope, concept_uid, depth)
    if (found) around.push([key, neighbourhood(found, keyOf)])
  }
  const fewest = ({ key, df }: { key: string; df: number }) => `${key} ${df}`
  return {
    named: { size: named.scope_size, concepts: named.concepts.map(fewest).sort() },
    listed: [listed.total, listed.concepts.map(({ key, chunk_count }) => `${key} ${chunk_count}`).sort()],
    begun: [begun.total, begun.concepts.map(({ key, chunk_count }) => `${key} ${chunk_count}`).sort()],
    mentioned: mentioned.map((one) => [
      one.chunk_uid,
      one.concepts.map(fewest).sort(),
      one.title_concept && fewest(one.title_concept),
    ]),
    mentioning: mentioning
      .map((one) => [keyOf(one.concept_uid), one.chunk_uids.toSorted()] as const)
      .filter(([, uids]) => uids.length > 0),
    linked: linked
      .map((one) => ({
        chunk: one.chunk_uid,
        concepts: one.concept_uids.map(keyOf),
        title: one.title_concept_uid && keyOf(one.title_concept_uid),
      }))
      .sort((a, b) => (a.chunk < b.chunk ? -1 : 1)),
    around,
  }
}

function neighbourhood(
  { concepts, edges, items }: NonNullable<Awaited<ReturnType<GraphStore['conceptNeighbourhood']>>>,
  keyOf: KeyOf,
) {
  return {
    concepts: concepts.map(({ key, chunk_count, distance }) => `${key} ${chunk_count} ${distance}`).sort(),
    edges: edges.map(({ from, to, weight }) => [...[keyOf(from), keyOf(to)].sort(), weight].join(' ')).sort(),
    items,
  }
}

async function ofChunks(graph: GraphStore, scope: Scope, chunks: string[]) {
  const titles = await graph.titleConcepts(scope, chunks)
  const items = await graph.listItems(scope, { page: PAGE })
  return {
    details: await graph.chunkDetails(scope, chunks),
    neighbours: await graph.neighbours(scope, chunks),
    titled: titles.map(({ chunk_uid, title_concept_uid }) => [chunk_uid, title_concept_uid !== null]),
    items: [items.total, items.items.map(({ uid, chunk_count }) => `${uid} ${chunk_count}`)],
  }
}
