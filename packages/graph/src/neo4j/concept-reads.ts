import { words } from '../analysis/words.ts'
import type {
  ChunkMentions,
  ChunkTitle,
  ConceptChunks,
  ConceptInScope,
  ConceptListing,
  ConceptsNamed,
  LinkedChunk,
  Page,
  Scope,
} from '../port.ts'
import { int, place, type Transaction } from './connection.ts'
import { CONCEPT_INDEX } from './schema.ts'
import { CHUNKS_ASKED, inOrder, inScope, scopeParameters, scopeStart } from './scope.ts'

/** Counting stops here: a concept that more chunks mention says too little to be used. */
const COUNTED_UP_TO = 201
const MAX_KEYS = 4_096
const MAX_ITEM_CONCEPTS = 500
export const CHUNKS_PER_CONCEPT = 200

const mentioning = (chunk: string) =>
  // To ask the item for its generation would take three times as long.
  `MATCH (k)<-[:MENTIONS]-(${chunk}:Chunk) WHERE ${inScope(chunk)} AND ${chunk}.live`
/** Chunks of the scope that mention concept `k`, as `c`. */
export const MENTIONING = mentioning('c')
/** How many there are, as `df`. */
export const COUNTED = `CALL (k, libs) { ${MENTIONING} WITH c LIMIT ${COUNTED_UP_TO} RETURN count(c) AS df }`
const IN_SCOPE = 'k{.key, .name, .kind, concept_uid: k.uid, df: df}'
export const LISTING = 'k{.key, .name, .kind, .concept_type, concept_uid: k.uid, chunk_count: df}'
/** The concept `k` that item `i` is called, where the scope mentions it. */
const TITLE = `OPTIONAL MATCH (k:Concept {key: i.title_key}) WHERE EXISTS { ${mentioning('other')} }`

export async function conceptsNamed(tx: Transaction, scope: Scope, keys: string[]): Promise<ConceptsNamed> {
  const size =
    scope.collection === undefined
      ? 'MATCH (l:Library) WHERE l.uid IN libs RETURN sum(l.chunks) AS scope_size'
      : 'MATCH (i:Item {collection_uid: $scope_collection}) WHERE i.library_uid IN libs RETURN sum(i.chunk_count) AS scope_size'
  const [row] = await tx.run<ConceptsNamed>(
    `${scopeStart(scope)}
     CALL (libs) { ${size} }
     CALL (libs) {
       UNWIND $keys AS key MATCH (k:Concept {key: key}) ${COUNTED}
       WITH k, df WHERE df > 0 RETURN collect(${IN_SCOPE}) AS found
     }
     RETURN scope_size, found AS concepts`,
    { ...scopeParameters(scope), keys: [...new Set(keys.slice(0, MAX_KEYS))] },
  )
  return row as ConceptsNamed
}

export async function mentions(tx: Transaction, scope: Scope, uids: string[]): Promise<ChunkMentions[]> {
  const chunks = await tx.run<{ chunk_uid: string; mentioned: string[]; title: string | null }>(
    `${scopeStart(scope)} ${CHUNKS_ASKED} OPTIONAL MATCH (k:Concept {key: i.title_key})
     RETURN c.uid AS chunk_uid, COLLECT { MATCH (c)-[:MENTIONS]->(m) RETURN m.uid } AS mentioned, k.uid AS title`,
    { ...scopeParameters(scope), uids },
  )
  const wanted = new Set(
    chunks.flatMap(({ mentioned, title }) => (title ? [...mentioned, title] : mentioned)),
  )
  const known = await conceptsInScope(tx, scope, [...wanted])
  const found = new Map(
    chunks.map(({ chunk_uid, mentioned, title }) => [
      chunk_uid,
      { chunk_uid, concepts: inOrder(mentioned, known), title_concept: known.get(title ?? '') ?? null },
    ]),
  )
  return inOrder(uids, found)
}

/** By uid, those that the scope mentions. */
async function conceptsInScope(
  tx: Transaction,
  scope: Scope,
  uids: string[],
): Promise<Map<string, ConceptInScope>> {
  if (uids.length === 0) return new Map()
  const rows = await tx.run<{ concept: ConceptInScope }>(
    `${scopeStart(scope)} UNWIND $uids AS uid MATCH (k:Concept {uid: uid}) ${COUNTED}
     WITH k, df WHERE df > 0 RETURN ${IN_SCOPE} AS concept`,
    { ...scopeParameters(scope), uids },
  )
  return new Map(rows.map(({ concept }) => [concept.concept_uid, concept]))
}

export async function chunksMentioning(
  tx: Transaction,
  scope: Scope,
  uids: string[],
  limitPerConcept: number,
): Promise<ConceptChunks[]> {
  const rows = await tx.run<ConceptChunks>(
    `${scopeStart(scope)} UNWIND $uids AS uid MATCH (k:Concept {uid: uid})
     CALL (k, libs) { ${MENTIONING} WITH c LIMIT $limit RETURN collect(c.uid) AS chunk_uids }
     WITH uid, chunk_uids WHERE chunk_uids <> [] RETURN uid AS concept_uid, chunk_uids`,
    { ...scopeParameters(scope), uids, limit: int(limitPerConcept) },
  )
  return inOrder(uids, new Map(rows.map((row) => [row.concept_uid, row])))
}

export async function titleConcepts(tx: Transaction, scope: Scope, uids: string[]): Promise<ChunkTitle[]> {
  const rows = await tx.run<ChunkTitle>(
    `${scopeStart(scope)} ${CHUNKS_ASKED} ${TITLE} RETURN c.uid AS chunk_uid, k.uid AS title_concept_uid`,
    { ...scopeParameters(scope), uids },
  )
  return inOrder(uids, new Map(rows.map((row) => [row.chunk_uid, row])))
}

export async function linkedChunks(
  tx: Transaction,
  scope: Scope,
  concepts: { concept_uid: string; weight: number }[],
  { among, others }: { among: string[]; others: number },
): Promise<LinkedChunk[]> {
  const rows = await tx.run<{ chunk_uid: string; reached_by: number[]; title: string | null }>(
    `${scopeStart(scope)}
     CALL (libs) {
       UNWIND range(0, size($concepts) - 1) AS n MATCH (k:Concept {uid: $concepts[n]})
       CALL (k, libs) { ${MENTIONING} WITH c LIMIT ${CHUNKS_PER_CONCEPT} RETURN c }
       RETURN c, collect(n) AS reached_by, max($weights[n]) AS weight, c.uid IN $among AS asked
     }
     WITH libs, c, reached_by, weight, asked ORDER BY weight DESC, c.uid
     WITH libs, collect(CASE WHEN asked THEN [c, reached_by] END) AS inside,
       collect(CASE WHEN NOT asked THEN [c, reached_by] END) AS outside
     UNWIND inside + outside[..$others] AS linked
     WITH libs, linked[0] AS c, linked[1] AS reached_by
     MATCH (c)<-[h:HAS_CHUNK]-(i) WHERE h.gen = i.gen ${TITLE}
     RETURN c.uid AS chunk_uid, reached_by, k.uid AS title`,
    {
      ...scopeParameters(scope),
      concepts: concepts.map(({ concept_uid }) => concept_uid),
      weights: concepts.map(({ weight }) => weight),
      among,
      others: int(others),
    },
  )
  return rows.map(({ chunk_uid, reached_by, title }) => ({
    chunk_uid,
    concept_uids: reached_by.sort((a, b) => a - b).map((n) => concepts[n]!.concept_uid),
    title_concept_uid: title,
  }))
}

export async function itemConcepts(tx: Transaction, scope: Scope, item: string): Promise<ConceptListing[]> {
  const rows = await tx.run<{ concept: ConceptListing }>(
    `${scopeStart(scope)} MATCH (i:Item {uid: $item}) WHERE ${inScope('i')}
     MATCH (i)-[h:HAS_CHUNK]->(c) WHERE h.gen = i.gen MATCH (c)-[:MENTIONS]->(k:Concept)
     WITH k, count(*) AS mentioned ORDER BY mentioned DESC, k.key LIMIT ${MAX_ITEM_CONCEPTS}
     WITH k, CASE WHEN mentioned > ${COUNTED_UP_TO} THEN ${COUNTED_UP_TO} ELSE mentioned END AS df
     RETURN ${LISTING} AS concept`,
    { ...scopeParameters(scope), item },
  )
  return rows.map(({ concept }) => concept)
}

export async function concepts(
  tx: Transaction,
  scope: Scope,
  { q = '' }: { q?: string },
  page: Page,
): Promise<{ concepts: ConceptListing[]; total: number }> {
  const typed = words(q.slice(0, 1000)).slice(0, 16)
  if (q.trim() !== '' && typed.length === 0) return { concepts: [], total: 0 }
  const named =
    typed.length === 0
      ? 'MATCH (k:Concept)'
      : `CALL db.index.fulltext.queryNodes('${CONCEPT_INDEX}', $named) YIELD node AS k WITH libs, k`
  const [row] = await tx.run<{ concepts: ConceptListing[]; total: number }>(
    `${scopeStart(scope)} ${named} WHERE EXISTS { ${MENTIONING} }
     WITH libs, k ORDER BY k.key WITH libs, collect(k) AS found
     WITH libs, size(found) AS total, found[$offset..$end] AS some
     CALL (some, libs) {
       UNWIND some AS k ${COUNTED} WITH ${LISTING} AS listing ORDER BY listing.key
       RETURN collect(listing) AS concepts
     }
     RETURN total, concepts`,
    {
      ...scopeParameters(scope),
      named: nameQuery(typed),
      offset: place(page.offset),
      end: place(page.offset + page.limit),
    },
  )
  return row ?? { concepts: [], total: 0 }
}

/** All the words, the last one as a prefix. They are lower-case letters, marks and digits: nothing to escape. */
function nameQuery(typed: string[]): string {
  return typed.map((word, n) => `+key:${word}${n === typed.length - 1 ? '*' : ''}`).join(' ')
}
