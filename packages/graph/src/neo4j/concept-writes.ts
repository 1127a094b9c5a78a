import { conceptKey } from '../analysis/concept-keys.ts'
import { phraseTerms } from '../analysis/query.ts'
import {
  ChunkText,
  conceptUid,
  KeyFilter,
  keysIn,
  MAX_BACK_LINKS,
  namesKey,
  STRENGTH,
  TEXTS_KEPT,
} from '../concept-names.ts'
import type { ConceptContent, ConceptKind, ItemContent } from '../port.ts'
import { int, type Neo4jConnection, type Transaction } from './connection.ts'
import { inTurns } from './in-turns.ts'
import { TEXT_INDEX } from './schema.ts'
import { phraseClause } from './term-text.ts'

const KEYS_AT_ONCE = 1_000
const LINKS_AT_ONCE = 5_000
const PHRASES_AT_ONCE = 200
/** A concept can be read when its transaction has ended, at most so long after it was given its time. */
const CREATION_MS = 20_000
const LATE_MS = CREATION_MS + 5_000

/** The keys of all concepts of the store, as far as this process has heard of them. */
export class KnownKeys {
  readonly #keys = new KeyFilter()
  #since = 0

  /** Hears of the concepts that others have made. A key that went stays: it is looked up before it is linked. */
  async refresh(db: Neo4jConnection): Promise<KeyFilter> {
    const rows = await db.read((tx) =>
      tx.run<{ key: string | null; now: number }>(
        `WITH timestamp() AS now OPTIONAL MATCH (k:Concept) WHERE k.created_ms >= $since
         RETURN k.key AS key, now`,
        { since: int(this.#since) },
      ),
    )
    for (const { key } of rows) if (key !== null) this.#keys.add(key)
    this.#since = Math.max(0, (rows[0]?.now ?? 0) - LATE_MS)
    return this.#keys
  }
}

interface GivenConcept extends Required<Omit<ConceptContent, 'concept_type'>> {
  concept_type: string | null
}

/** The content's concepts by key, each as its strongest mention has it. */
export function givenConcepts({ concepts }: ItemContent): Map<string, GivenConcept> {
  const given = new Map<string, GivenConcept>()
  for (const { key: spelled, name, kind, concept_type = null } of concepts) {
    const key = conceptKey(spelled)
    if (key === null) continue
    const known = given.get(key)
    if (!known) given.set(key, { key, name: name.toWellFormed(), kind, concept_type })
    else {
      if (STRENGTH[kind] > STRENGTH[known.kind]) Object.assign(known, { name: name.toWellFormed(), kind })
      known.concept_type ??= concept_type
    }
  }
  return given
}

/** Creates or strengthens concepts. @returns keys of those that chunks of the store are still to be linked to. */
export async function putConcepts(db: Neo4jConnection, given: Map<string, GivenConcept>): Promise<string[]> {
  const unlinked: string[] = []
  for (const keys of inPortions([...given.keys()].sort(), KEYS_AT_ONCE)) {
    const stored = await db.read((tx) => storedConcepts(tx, keys))
    const changed = keys.map((key) => given.get(key)!).filter((one) => changes(one, stored.get(one.key)))
    unlinked.push(...keys.filter((key) => stored.get(key)?.pending))
    if (changed.length === 0) continue
    unlinked.push(...(await db.write((tx) => writeConcepts(tx, changed), CREATION_MS)))
  }
  return unlinked
}

interface StoredConcept {
  key: string
  kind: ConceptKind
  concept_type: string | null
  pending: boolean
}

async function storedConcepts(tx: Transaction, keys: string[]): Promise<Map<string, StoredConcept>> {
  const rows = await tx.run<StoredConcept>(
    `UNWIND $keys AS key MATCH (k:Concept {key: key})
     RETURN key, k.kind AS kind, k.concept_type AS concept_type, k.pending IS NOT NULL AS pending`,
    { keys },
  )
  return new Map(rows.map((row) => [row.key, row]))
}

const changes = ({ kind, concept_type }: GivenConcept, stored: StoredConcept | undefined): boolean =>
  !stored || STRENGTH[kind] > STRENGTH[stored.kind] || (concept_type !== null && stored.concept_type === null)

/** @returns keys of those that are new. Until they are linked back nobody takes them for forgotten. */
async function writeConcepts(tx: Transaction, concepts: GivenConcept[]): Promise<string[]> {
  const rows = await tx.run<{ key: string }>(
    `UNWIND $concepts AS given
     MERGE (k:Concept {key: given.key})
     ON CREATE SET k.uid = given.uid, k.name = given.name, k.kind = given.kind, k.strength = given.strength,
       k.concept_type = given.concept_type, k.created_ms = timestamp(), k.pending = timestamp()
     ON MATCH SET k.name = CASE WHEN given.strength > k.strength THEN given.name ELSE k.name END,
       k.kind = CASE WHEN given.strength > k.strength THEN given.kind ELSE k.kind END,
       k.strength = CASE WHEN given.strength > k.strength THEN given.strength ELSE k.strength END,
       k.concept_type = coalesce(k.concept_type, given.concept_type)
     WITH k WHERE k.pending IS NOT NULL RETURN k.key AS key`,
    {
      concepts: concepts.map((one) => ({
        ...one,
        uid: conceptUid(one.key),
        strength: int(STRENGTH[one.kind]),
      })),
    },
  )
  return rows.map(({ key }) => key)
}

/** Per concept key the chunks of the content that mention it: by name, by title, or because the content says so. */
export async function mentionsOf(content: ItemContent, known: KeyFilter): Promise<Map<string, string[]>> {
  const inTitle = keysIn(content.title, known)
  const links = new Map<string, string[]>()
  await inTurns(content.chunks, ({ chunk_uid, text, concept_keys = [] }) => {
    const keys = keysIn(text, known)
    for (const key of inTitle) keys.add(key)
    for (const given of concept_keys) keys.add(conceptKey(given) ?? '')
    for (const key of keys) {
      const chunks = links.get(key)
      if (chunks) chunks.push(chunk_uid)
      else links.set(key, [chunk_uid])
    }
  })
  return links
}

/** Links chunks to the concepts that exist. Goes through them in order: whoever does likewise waits but never in a ring. */
export async function linkChunks(db: Neo4jConnection, links: Map<string, string[]>): Promise<Set<string>> {
  const linked = new Set<string>()
  for (const portion of linkPortions(links)) {
    const rows = await db.write((tx) =>
      tx.run<{ key: string }>(
        `UNWIND $links AS link MATCH (k:Concept {key: link.key})
         CALL (k, link) {
           UNWIND link.chunks AS uid MATCH (c:Chunk {uid: uid}) MERGE (c)-[:MENTIONS]->(k)
         }
         RETURN k.key AS key`,
        { links: portion },
      ),
    )
    for (const { key } of rows) linked.add(key)
  }
  return linked
}

function linkPortions(links: Map<string, string[]>): { key: string; chunks: string[] }[][] {
  const portions: { key: string; chunks: string[] }[][] = []
  let size = LINKS_AT_ONCE
  for (const [key, all] of [...links].sort(([a], [b]) => (a < b ? -1 : 1))) {
    for (const chunks of inPortions(all, LINKS_AT_ONCE)) {
      if (size + chunks.length > LINKS_AT_ONCE) {
        portions.push([])
        size = 0
      }
      portions.at(-1)!.push({ key, chunks })
      size += chunks.length
    }
  }
  return portions
}

/**
 * Links concepts to the chunks of other items that name them. Candidates come from the full-text index (which stems,
 * and skips stop words); the words decide.
 */
export async function linkBack(
  db: Neo4jConnection,
  keys: string[],
  item: string,
  own: number,
): Promise<void> {
  const texts = new Map<string, ChunkText>()
  for (const some of inPortions([...new Set(keys)].sort(), PHRASES_AT_ONCE)) {
    const candidates = await db.read((tx) => candidatesFor(tx, some, item, own))
    const missing = [...new Set(candidates.flatMap(({ uids }) => uids))].filter((uid) => !texts.has(uid))
    if (texts.size + missing.length > TEXTS_KEPT) texts.clear()
    for (const uids of inPortions(missing, KEYS_AT_ONCE)) {
      for (const { uid, title, text } of await db.read((tx) => textsOf(tx, uids))) {
        texts.set(uid, new ChunkText(title, text))
      }
    }
    const links = await inTurns(candidates, ({ key, uids }): [string, string[]] => {
      const names = namesKey(key)
      return [key, uids.filter((uid) => texts.has(uid) && names(texts.get(uid)!))]
    })
    await linkChunks(db, new Map(links))
  }
  for (const some of inPortions([...new Set(keys)].sort(), KEYS_AT_ONCE)) {
    await db.write((tx) =>
      tx.run('UNWIND $keys AS key MATCH (k:Concept {key: key}) SET k.pending = null', { keys: some }),
    )
  }
}

function candidatesFor(
  tx: Transaction,
  keys: string[],
  item: string,
  own: number,
): Promise<{ key: string; uids: string[] }[]> {
  const asked = keys.flatMap((key) => {
    const phrase = phraseClause(phraseTerms(key))
    return phrase === null ? [] : [{ key, phrase }]
  })
  return tx.run(
    `UNWIND $asked AS asked
     CALL (asked) {
       CALL db.index.fulltext.queryNodes('${TEXT_INDEX}', asked.phrase, {limit: $most}) YIELD node
       WITH node WHERE node.item_uid <> $item LIMIT ${MAX_BACK_LINKS}
       RETURN collect(node.uid) AS uids
     }
     RETURN asked.key AS key, uids`,
    { asked, item, most: int(MAX_BACK_LINKS + own) },
  )
}

function textsOf(tx: Transaction, uids: string[]): Promise<{ uid: string; title: string; text: string }[]> {
  return tx.run(
    'UNWIND $uids AS uid MATCH (c:Chunk {uid: uid}) RETURN uid, c.title AS title, c.text AS text',
    {
      uids,
    },
  )
}

/** Removes those of the concepts that nothing mentions any more. @returns how many. */
export async function removeForgotten(db: Neo4jConnection, keys: Iterable<string>): Promise<number> {
  let removed = 0
  for (const some of inPortions([...new Set(keys)].sort(), KEYS_AT_ONCE)) {
    const [row] = await db.write((tx) =>
      tx.run<{ removed: number }>(
        `UNWIND $keys AS key MATCH (k:Concept {key: key})
         WHERE k.pending IS NULL AND NOT EXISTS { (k)<-[:MENTIONS]-() }
         SET k.lock = 0
         WITH k WHERE k.pending IS NULL AND NOT EXISTS { (k)<-[:MENTIONS]-() }
         DELETE k RETURN count(*) AS removed`,
        { keys: some },
      ),
    )
    removed += row?.removed ?? 0
  }
  return removed
}

export function inPortions<T>(all: T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(all.length / size) }, (_, n) => all.slice(n * size, (n + 1) * size))
}
