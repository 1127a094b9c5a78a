import type { ChunkScore, Scope, TextHit, TextQuery } from '../port.ts'
import { int, type Neo4jConnection, type Transaction } from './connection.ts'
import { type Look, type Looks, PRESENT_CHUNKS } from './retrieval.ts'
import { TEXT_INDEX } from './schema.ts'
import { CHUNKS_ASKED, inOrder, inScope, scopeParameters, scopeStart } from './scope.ts'
import { phraseClause, scopeClauses, termsClause, termsOf } from './term-text.ts'
import { COSINE, checkDimensions, queryVector } from './vector-search.ts'

const MAX_TERMS = 64
const MAX_PHRASES = 16
/** Lucene takes at most 1,024 clauses. */
const LIBRARIES_AT_ONCE = 500
/** Lucene ranks with k1 1.2 and b 0.75; the best by ours are among so many times as many of its best. */
const SPARE = 5
const FETCHED_AT_LEAST = 150
const MOST_FETCHED = 100_000

const K1 = 0.9
const B = 0.4

/** What BM25 needs of a query and of the store. */
interface Bm25Query {
  /** Rarest first. Weight: idf, times how often the query holds the term. */
  terms: { term: string; times: number; weight: number }[]
  averageLength: number
}

export async function fullTextCandidates(
  db: Neo4jConnection,
  looks: Looks,
  scope: Scope,
  { terms, phrases }: TextQuery,
  k: number,
): Promise<TextHit[]> {
  const { libs, query } = await db.read(async (tx) => ({
    libs: await librariesOf(tx, scope),
    query: await bm25Query(tx, terms.length > 0 ? terms : phrases.flat()),
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
  query: Bm25Query,
  k: number,
): Promise<TextHit[]> {
  for (let fetch = Math.max(k * SPARE, FETCHED_AT_LEAST); ; fetch *= 4) {
    const { hits, more } = await looks.settled(() => lookIntoIndex(db, scope, lucene, query, fetch))
    // Too few are left of many: chunks that are not seen any more, or not yet, have taken the places.
    if (hits.length >= k * 2 || !more || fetch >= MOST_FETCHED) return hits
  }
}

async function lookIntoIndex(
  db: Neo4jConnection,
  scope: Scope,
  lucene: string,
  query: Bm25Query,
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
  const hits = chunks.map(([chunk_uid, terms]) => ({ chunk_uid, bm25: bm25(query, terms) }))
  return { answer: { hits, more: found === fetch }, replaced }
}

export async function scoreChunks(
  tx: Transaction,
  scope: Scope,
  uids: string[],
  { vector, terms }: { vector?: Float32Array | null; terms: string[] },
): Promise<ChunkScore[]> {
  const query = await bm25Query(tx, terms)
  if (vector) checkDimensions(query.dimensions, vector)
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

/** The distinct terms that the store knows, by rising document frequency; of too many the rarest. */
async function bm25Query(
  tx: Transaction,
  terms: string[],
): Promise<Bm25Query & { dimensions: number | null }> {
  const repeats = new Map<string, number>()
  for (const term of terms.slice(0, 1000)) {
    const known = term.toWellFormed()
    repeats.set(known, (repeats.get(known) ?? 0) + 1)
  }
  const [row] = await tx.run<{
    chunks: number
    length: number
    dimensions: number | null
    known: [string, number][]
  }>(
    `MATCH (store:GraphStore {name: 'store'})
     RETURN store.chunks AS chunks, store.length AS length, store.dimensions AS dimensions,
       COLLECT { UNWIND $terms AS term MATCH (t:Term {term: term}) RETURN [t.term, t.df] } AS known`,
    { terms: [...repeats.keys()] },
  )
  const { chunks, length, dimensions, known } = row!
  return {
    terms: known
      .sort((a, b) => a[1] - b[1])
      .slice(0, MAX_TERMS)
      .map(([term, df]) => {
        const times = repeats.get(term)!
        return { term, times, weight: times * Math.log(1 + (chunks - df + 0.5) / (df + 0.5)) }
      }),
    averageLength: length / Math.max(chunks, 1),
    dimensions,
  }
}

/** BM25 (Robertson and Walker 1994, with the idf of Lucene) of a chunk's term text. */
function bm25({ terms, averageLength }: Bm25Query, stored: string): number {
  if (terms.length === 0) return 0
  const counts = new Map(terms.map(({ term }) => [term, 0]))
  const all = termsOf(stored)
  for (const term of all) {
    const count = counts.get(term)
    if (count !== undefined) counts.set(term, count + 1)
  }
  let score = 0
  for (const { term, weight } of terms) {
    const count = counts.get(term)!
    if (count > 0) {
      score += (weight * count * (K1 + 1)) / (count + K1 * (1 - B + (B * all.length) / averageLength))
    }
  }
  return score
}
