import {
  type Bm25Query,
  bm25Points,
  bm25Query,
  idealPoints,
  pairPoints,
  scoredFor,
  type TermPlace,
} from '../bm25.ts'
import type { ChunkScore, Scope, TextHit, TextQuery } from '../port.ts'
import { int, type Neo4jConnection, type Transaction } from './connection.ts'
import { type Look, type Looks, PRESENT_CHUNKS } from './retrieval.ts'
import { TEXT_INDEX } from './schema.ts'
import { CHUNKS_ASKED, inOrder, inScope, scopeParameters, scopeStart } from './scope.ts'
import { phraseClause, runsOf, scopeClauses, termsClause } from './term-text.ts'
import { COSINE, checkDimensions, queryVector } from './vector-search.ts'

/** Of a longer query no more words are looked at. */
const MAX_WORDS = 1_000
const MAX_PHRASES = 16
/** Lucene takes at most 1,024 clauses. */
const LIBRARIES_AT_ONCE = 500
/** Lucene ranks with k1 1.2 and b 0.75, and by single terms: the best by ours are among more of its best. */
const MOST_FETCHED = 100_000

export async function fullTextCandidates(
  db: Neo4jConnection,
  looks: Looks,
  scope: Scope,
  { terms, phrases }: TextQuery,
  k: number,
): Promise<TextHit[]> {
  const { libs, query } = await db.read(async (tx) => ({
    libs: await librariesOf(tx, scope),
    query: (await weighed(tx, terms.length > 0 ? terms : phrases.flat())).query,
  }))
  const wanted = termsClause(query.terms)
  const asked = phrases.slice(0, MAX_PHRASES).map(phraseClause)
  if (libs.length === 0 || wanted === null || k < 1 || asked.includes(null)) return []
  const clauses = [...asked, wanted].join(' ')
  const whole = scope.libraries === 'all' && scope.library_type === undefined
  const found: TextHit[] = []
  for (let at = 0; at < (whole ? 1 : libs.length); at += LIBRARIES_AT_ONCE) {
    const among = whole ? null : libs.slice(at, at + LIBRARIES_AT_ONCE)
    const narrowed = scopeClauses(among, scope.collection ?? null)
    found.push(...(await candidates(db, looks, scope, [...narrowed, clauses].join(' '), query, k)))
  }
  return found.sort((a, b) => b.bm25 - a.bm25 || (a.chunk_uid < b.chunk_uid ? -1 : 1)).slice(0, k)
}

/** At least the `k` best of what Lucene finds, scored. */
async function candidates(
  db: Neo4jConnection,
  looks: Looks,
  scope: Scope,
  lucene: string,
  query: Bm25Query<string>,
  k: number,
): Promise<TextHit[]> {
  for (let fetch = scoredFor(k); ; fetch *= 4) {
    const { hits, more } = await looks.settled(() => lookIntoIndex(db, scope, lucene, query, fetch))
    // Too few are left of many: chunks that are not seen any more, or not yet, have taken the places.
    if (hits.length >= k * 2 || !more || fetch >= MOST_FETCHED) return hits
  }
}

async function lookIntoIndex(
  db: Neo4jConnection,
  scope: Scope,
  lucene: string,
  query: Bm25Query<string>,
  fetch: number,
): Promise<Look<{ hits: TextHit[]; more: boolean }>> {
  const [row] = await db.read((tx) =>
    tx.run<{ found: number; chunks: [string, string][]; replaced: [string, number][] }>(
      `${scopeStart(scope)}
       CALL (libs) {
         CALL db.index.fulltext.queryNodes('${TEXT_INDEX}', $lucene, {limit: $fetch}) YIELD node
         WITH collect(node) AS nodes
         RETURN size(nodes) AS found, [c IN nodes WHERE ${inScope('c')}] AS nodes
       }
       CALL (nodes) { UNWIND nodes AS c ${PRESENT_CHUNKS} RETURN chunks, replaced }
       RETURN found, replaced, [c IN chunks | [c.uid, c.terms]] AS chunks`,
      { ...scopeParameters(scope), lucene, fetch: int(fetch) },
    ),
  )
  const { found, chunks, replaced } = row!
  const ideal = idealPoints(query)
  const hits = chunks.map(([chunk_uid, terms]) => ({ chunk_uid, bm25: bm25(query, terms), ideal }))
  return { answer: { hits, more: found === fetch }, replaced }
}

export async function scoreChunks(
  tx: Transaction,
  scope: Scope,
  uids: string[],
  { vector, terms }: { vector?: Float32Array | null; terms: string[] },
): Promise<ChunkScore[]> {
  const { query, dimensions } = await weighed(tx, terms)
  if (vector) checkDimensions(dimensions, vector)
  const cosine = vector ? `CASE WHEN c.embedding IS NULL THEN null ELSE ${COSINE} END` : 'null'
  const rows = await tx.run<{ uid: string; terms: string; cosine: number | null }>(
    `${scopeStart(scope)} ${CHUNKS_ASKED} RETURN c.uid AS uid, c.terms AS terms, ${cosine} AS cosine`,
    { ...scopeParameters(scope), ...(vector && queryVector(vector)), uids },
  )
  const scored = rows.map(
    (row) => [row.uid, { chunk_uid: row.uid, cosine: row.cosine, bm25: bm25(query, row.terms) }] as const,
  )
  return inOrder(uids, new Map(scored))
}

async function librariesOf(tx: Transaction, scope: Scope): Promise<string[]> {
  const [row] = await tx.run<{ libs: string[] }>(`${scopeStart(scope)} RETURN libs`, scopeParameters(scope))
  return row!.libs
}

async function weighed(
  tx: Transaction,
  terms: string[],
): Promise<{ query: Bm25Query<string>; dimensions: number | null }> {
  const asked = terms.slice(0, MAX_WORDS).map((term) => term.toWellFormed())
  const [row] = await tx.run<{
    chunks: number
    length: number
    dimensions: number | null
    found: [string, number][]
  }>(
    `MATCH (store:GraphStore {name: 'store'})
     RETURN store.chunks AS chunks, store.length AS length, store.dimensions AS dimensions,
       COLLECT { UNWIND $terms AS term MATCH (t:Term {term: term}) RETURN [t.term, t.df] } AS found`,
    { terms: [...new Set(asked)] },
  )
  const { found, dimensions, ...store } = row!
  const known = new Map(found.map(([term, df]) => [term, { term, df }]))
  return { query: bm25Query(asked, known, store), dimensions }
}

/** BM25 of a chunk's term text, with pairs. */
function bm25(query: Bm25Query<string>, stored: string): number {
  const { terms, averageLength } = query
  if (terms.length === 0) return 0
  const indexes = new Map(terms.map(({ term }, index) => [term, index]))
  const counts = new Uint32Array(terms.length)
  const runs: TermPlace[][] = []
  let length = 0
  for (const run of runsOf(stored)) {
    length += run.length
    const places: TermPlace[] = []
    for (const [at, term] of run.entries()) {
      const index = indexes.get(term)
      if (index === undefined) continue
      counts[index]!++
      places.push({ at, index })
    }
    runs.push(places)
  }
  let score = 0
  for (const [index, { times, idf }] of terms.entries()) {
    if (counts[index]! > 0) score += bm25Points(times * idf, counts[index]!, length, averageLength)
  }
  return terms.length < 2 ? score : score + pairPoints(query, runs, length)
}
