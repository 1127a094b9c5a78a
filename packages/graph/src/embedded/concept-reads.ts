import { words } from '../analysis/words.ts'
import type { ConceptKind, ConceptListing, ConceptNeighbourhood, Page, Scope } from '../port.ts'
import type { Database } from './database.ts'
import { ITEM_IN_SCOPE, type ResolvedScope, resolveScope } from './scope.ts'

/** Counting stops here: a concept that more chunks mention says too little to be used. */
const COUNTED_UP_TO = 201
const MAX_ITEM_CONCEPTS = 500
const MAX_NEIGHBOURHOOD = 200
const NEIGHBOURS_PER_CONCEPT = 30
export const CHUNKS_PER_CONCEPT = 200
const MAX_ITEMS = 100

export interface ConceptRow {
  id: number
  uid: string
  key: string
  name: string
  kind: ConceptKind
  concept_type: string | null
}

export const CONCEPT =
  'concepts.id, concepts.uid, concepts.key, concepts.name, concepts.kind, concepts.concept_type'

/** Counts, and remembers, how many chunks of one scope mention a concept. */
class Counter {
  readonly #db: Database
  readonly #scope: ResolvedScope
  readonly #known = new Map<number, number>()

  constructor(db: Database, scope: ResolvedScope) {
    this.#db = db
    this.#scope = scope
  }

  of(concept: number): number {
    let count = this.#known.get(concept)
    if (count === undefined) {
      count = countInScope(this.#db, this.#scope, concept)
      this.#known.set(concept, count)
    }
    return count
  }
}

/** How many chunks of the scope mention a concept, up to 201. */
export function countInScope(db: Database, scope: ResolvedScope, concept: number): number {
  const count =
    scope.collection === null ? countInLibraries(db, scope, concept) : countInCollection(db, scope, concept)
  return Math.min(count, COUNTED_UP_TO)
}

function countInLibraries(
  db: Database,
  { whole, libraries, libraryList }: ResolvedScope,
  concept: number,
): number {
  const sum = 'SELECT coalesce(sum(chunks), 0) AS n FROM concept_counts WHERE concept_id = ?'
  const { n } = (
    whole
      ? db.get<{ n: number }>(sum, concept)
      : libraries.length === 1
        ? db.get<{ n: number }>(`${sum} AND library_id = ?`, concept, libraries[0]!)
        : db.get<{ n: number }>(
            `${sum} AND library_id IN (SELECT value FROM json_each(?))`,
            concept,
            libraryList,
          )
  )!
  return n
}

function countInCollection(db: Database, { libraries, collection }: ResolvedScope, concept: number): number {
  return db.get<{ n: number }>(
    `SELECT count(*) AS n FROM (
       SELECT 1 FROM mentioned JOIN chunks ON chunks.id = mentioned.chunk_id JOIN items ON items.id = chunks.item_id
       WHERE mentioned.concept_id = ? AND mentioned.library_id = ? AND items.collection_id = ? LIMIT ?)`,
    concept,
    libraries[0]!,
    collection,
    COUNTED_UP_TO,
  )!.n
}

function chunksOf(
  db: Database,
  scope: ResolvedScope,
  concept: number,
  limit: number,
): { id: number; uid: string }[] {
  const select = 'SELECT chunks.id, chunks.uid FROM mentioned JOIN chunks ON chunks.id = mentioned.chunk_id'
  if (scope.collection === null) {
    return db.all<{ id: number; uid: string }>(
      `${select} WHERE mentioned.concept_id = ? AND mentioned.library_id IN (SELECT value FROM json_each(?))
       ORDER BY mentioned.library_id, mentioned.chunk_id LIMIT ?`,
      concept,
      scope.libraryList,
      limit,
    )
  }
  return db.all<{ id: number; uid: string }>(
    `${select} JOIN items ON items.id = chunks.item_id
     WHERE mentioned.concept_id = ? AND mentioned.library_id = ? AND items.collection_id = ?
     ORDER BY mentioned.chunk_id LIMIT ?`,
    concept,
    scope.libraries[0]!,
    scope.collection,
    limit,
  )
}

export function itemConcepts(db: Database, scope: Scope, itemUid: string): ConceptListing[] {
  const { libraryList, collection } = resolveScope(db, scope)
  return db
    .all<ConceptRow & { n: number }>(
      `SELECT ${CONCEPT}, count(*) AS n FROM items JOIN chunks ON chunks.item_id = items.id
       JOIN mentions ON mentions.chunk_id = chunks.id JOIN concepts ON concepts.id = mentions.concept_id
       WHERE ${ITEM_IN_SCOPE} AND items.uid = ?3
       GROUP BY concepts.id ORDER BY n DESC, concepts.key LIMIT ?4`,
      libraryList,
      collection,
      itemUid,
      MAX_ITEM_CONCEPTS,
    )
    .map((row) => listing(row, Math.min(row.n, COUNTED_UP_TO)))
}

function listing(row: ConceptRow, chunk_count: number): ConceptListing {
  return {
    concept_uid: row.uid,
    key: row.key,
    name: row.name,
    kind: row.kind,
    concept_type: row.concept_type,
    chunk_count,
  }
}

/** Conditions that a chunk of the scope mentions the concept. Take ?1 = library list, ?2 = collection. */
const LISTED_IN_LIBRARIES = `?2 IS NULL AND concepts.id IN (
  SELECT concept_id FROM concept_counts WHERE library_id IN (SELECT value FROM json_each(?1)))`
const PROBED_IN_LIBRARIES = `?2 IS NULL AND EXISTS (
  SELECT 1 FROM concept_counts
  WHERE concept_id = concepts.id AND library_id IN (SELECT value FROM json_each(?1)))`
const LISTED_IN_COLLECTION = `?1 IS NOT NULL AND concepts.id IN (
  SELECT mentions.concept_id FROM items JOIN chunks ON chunks.item_id = items.id
  JOIN mentions ON mentions.chunk_id = chunks.id WHERE items.collection_id = ?2)`

export function concepts(
  db: Database,
  scope: Scope,
  { q = '' }: { q?: string },
  page: Page,
): { concepts: ConceptListing[]; total: number } {
  const resolved = resolveScope(db, scope)
  const typed = words(q.slice(0, 1000)).slice(0, 16)
  if (q.trim() !== '' && typed.length === 0) return { concepts: [], total: 0 }
  const named =
    typed.length === 0
      ? '?3 IS NULL'
      : 'concepts.id IN (SELECT rowid FROM concept_name WHERE concept_name MATCH ?3)'
  // Few concepts bear a name that was typed: those are probed one by one. For a page of all, the list is quicker.
  const inLibraries = typed.length > 0 ? PROBED_IN_LIBRARIES : LISTED_IN_LIBRARIES
  const mentioned = resolved.collection === null ? inLibraries : LISTED_IN_COLLECTION
  const values = [resolved.libraryList, resolved.collection, nameQuery(typed)]
  const rows = db.all<ConceptRow>(
    `SELECT ${CONCEPT} FROM concepts WHERE ${mentioned} AND ${named} ORDER BY key LIMIT ?4 OFFSET ?5`,
    ...values,
    page.limit,
    page.offset,
  )
  const { total } = db.get<{ total: number }>(
    `SELECT count(*) AS total FROM concepts WHERE ${mentioned} AND ${named}`,
    ...values,
  )!
  const counter = new Counter(db, resolved)
  return { concepts: rows.map((row) => listing(row, counter.of(row.id))), total }
}

/** All the words, the last one as a prefix. They are letters and digits only, so quoting is safe. */
function nameQuery(typed: string[]): string | null {
  return typed.length === 0 ? null : `${typed.map((word) => `"${word}"`).join(' ')} *`
}

export function conceptNeighbourhood(
  db: Database,
  scope: Scope,
  uid: string,
  depth: number,
): ConceptNeighbourhood | null {
  const resolved = resolveScope(db, scope)
  const counter = new Counter(db, resolved)
  const start = db.get<ConceptRow>(`SELECT ${CONCEPT} FROM concepts WHERE uid = ?`, uid)
  if (!start || counter.of(start.id) === 0) return null
  const reached = new Map([[start.id, { ...listing(start, counter.of(start.id)), distance: 0 }]])
  const edges = new Map<string, { from: string; to: string; weight: number }>()
  let frontier = [start]
  for (let distance = 1; distance <= Math.min(Math.max(depth, 1), 3); distance++) {
    const next: ConceptRow[] = []
    for (const from of frontier) {
      for (const { weight, ...to } of standingWith(db, resolved, from.id)) {
        if (!reached.has(to.id)) {
          if (reached.size >= MAX_NEIGHBOURHOOD) continue
          reached.set(to.id, { ...listing(to, counter.of(to.id)), distance })
          next.push(to)
        }
        const [first, second] = from.uid < to.uid ? [from.uid, to.uid] : [to.uid, from.uid]
        edges.set(`${first} ${second}`, { from: first, to: second, weight })
      }
    }
    frontier = next
  }
  return {
    concepts: [...reached.values()],
    edges: [...edges.values()],
    items: itemsMentioning(db, resolved, start.id),
  }
}

/** The concepts that most often stand in the same chunks, of up to 200 chunks. */
function standingWith(
  db: Database,
  scope: ResolvedScope,
  concept: number,
): (ConceptRow & { weight: number })[] {
  const chunks = chunksOf(db, scope, concept, CHUNKS_PER_CONCEPT).map((chunk) => chunk.id)
  return db.all<ConceptRow & { weight: number }>(
    `SELECT ${CONCEPT}, weight FROM (
       SELECT mentions.concept_id, count(*) AS weight FROM json_each(?1) AS chunk
       JOIN mentions ON mentions.chunk_id = chunk.value WHERE mentions.concept_id <> ?2
       GROUP BY mentions.concept_id ORDER BY weight DESC, mentions.concept_id LIMIT ?3)
     JOIN concepts ON concepts.id = concept_id
     ORDER BY weight DESC, concepts.kind = 'phrase', concepts.key LIMIT ?4`,
    JSON.stringify(chunks),
    concept,
    NEIGHBOURS_PER_CONCEPT * 4,
    NEIGHBOURS_PER_CONCEPT,
  )
}

function itemsMentioning(db: Database, scope: ResolvedScope, concept: number): ConceptNeighbourhood['items'] {
  const chunks = chunksOf(db, scope, concept, CHUNKS_PER_CONCEPT).map((chunk) => chunk.id)
  return db.all<ConceptNeighbourhood['items'][number]>(
    `SELECT DISTINCT items.uid AS item_uid, items.title, libraries.uid AS library_uid
     FROM json_each(?) AS chunk JOIN chunks ON chunks.id = chunk.value JOIN items ON items.id = chunks.item_id
     JOIN libraries ON libraries.id = items.library_id ORDER BY items.title, items.uid LIMIT ?`,
    JSON.stringify(chunks),
    MAX_ITEMS,
  )
}
