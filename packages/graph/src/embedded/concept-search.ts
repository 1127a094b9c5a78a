import type {
  ChunkMentions,
  ChunkNeighbours,
  ChunkTitle,
  ConceptChunks,
  ConceptInScope,
  ConceptsNamed,
  LinkedChunk,
} from '../port.ts'
import type { ChunkPlace, ChunkPlaces } from './chunk-places.ts'
import { CHUNKS_PER_CONCEPT, CONCEPT, type ConceptRow, countInScope } from './concept-reads.ts'
import type { Database } from './database.ts'
import { ITEM_IN_SCOPE, type ResolvedScope } from './scope.ts'
import { BoundedMap, WhileUnchanged } from './while-unchanged.ts'

const MAX_KEYS = 4_096
/** What is remembered, at most some 50 MB: so many rows and counts, lists of them, and scopes. */
const ROWS_REMEMBERED = 20_000
const LISTS_REMEMBERED = 2_000
const SCOPES_REMEMBERED = 8

/** What was read of concepts, while the store stays as it was. */
class Remembered {
  readonly byKey = new BoundedMap<string, ConceptRow | null>(ROWS_REMEMBERED)
  readonly idOfUid = new BoundedMap<string, number | null>(ROWS_REMEMBERED)
  readonly mentionedBy = new BoundedMap<number, ConceptRow[]>(LISTS_REMEMBERED)
  readonly titleOf = new BoundedMap<number, ConceptRow | null>(ROWS_REMEMBERED)
  readonly inScopes = new BoundedMap<string, RememberedInScope>(SCOPES_REMEMBERED)
}

class RememberedInScope {
  size: number | null = null
  readonly counts = new BoundedMap<number, number>(ROWS_REMEMBERED)
  readonly chunks = new BoundedMap<number, number[]>(LISTS_REMEMBERED)
}

/** The questions about concepts that a search asks. Ask inside a snapshot. */
export class ConceptSearch {
  readonly #db: Database
  readonly #places: ChunkPlaces
  readonly #remembered: WhileUnchanged<Remembered>

  constructor(db: Database, places: ChunkPlaces) {
    this.#db = db
    this.#places = places
    this.#remembered = new WhileUnchanged(db, () => new Remembered())
  }

  conceptsNamed(scope: ResolvedScope, keys: string[]): ConceptsNamed {
    const reading = this.#reading(scope)
    const concepts = [...new Set(keys.slice(0, MAX_KEYS))].flatMap((key) => {
      const row = reading.conceptOf(key)
      return row && reading.count(row.id) > 0 ? [reading.inScope(row)] : []
    })
    return { concepts, scope_size: reading.scopeSize() }
  }

  mentions(scope: ResolvedScope, uids: string[]): ChunkMentions[] {
    const reading = this.#reading(scope)
    return this.#places.inScope(scope, uids).map(({ chunk, uid, item }) => {
      const title = reading.titleOf(item)
      return {
        chunk_uid: uid,
        concepts: reading.mentionedBy(chunk).map((row) => reading.inScope(row)),
        title_concept: title && reading.inScope(title),
      }
    })
  }

  chunksMentioning(scope: ResolvedScope, conceptUids: string[], limitPerConcept: number): ConceptChunks[] {
    const reading = this.#reading(scope)
    const placeOf = this.#places.placeOf(scope)
    return [...new Set(conceptUids)].flatMap((concept_uid) => {
      const concept = reading.idOf(concept_uid)
      if (concept === null) return []
      const chunk_uids = reading
        .chunksOf(concept)
        .slice(0, limitPerConcept)
        .map((chunk) => placeOf(chunk).uid)
      return chunk_uids.length > 0 ? [{ concept_uid, chunk_uids }] : []
    })
  }

  titleConcepts(scope: ResolvedScope, uids: string[]): ChunkTitle[] {
    const reading = this.#reading(scope)
    return this.#places.inScope(scope, uids).map((place) => titled(reading, place))
  }

  linkedChunks(
    scope: ResolvedScope,
    concepts: { concept_uid: string; weight: number }[],
    { among, others }: { among: string[]; others: number },
  ): LinkedChunk[] {
    const reading = this.#reading(scope)
    const inside = new Set(this.#places.inScope(scope, among).map(({ chunk }) => chunk))
    const reached = new Reached(inside, others)
    // The heaviest first: what only lighter ones reach need not be kept when there are enough.
    const byWeight = [...concepts.entries()].sort(([, a], [, b]) => b.weight - a.weight)
    for (const [index, { concept_uid, weight }] of byWeight) {
      const concept = reading.idOf(concept_uid)
      if (concept !== null) reached.add(reading.chunksOf(concept), index, weight)
    }
    const placeOf = this.#places.placeOf(scope)
    return reached.best(placeOf).map(({ place, indexes }) => ({
      ...titled(reading, place),
      concept_uids: indexes.sort((a, b) => a - b).map((index) => concepts[index]!.concept_uid),
    }))
  }

  neighbours(scope: ResolvedScope, uids: string[]): ChunkNeighbours[] {
    const at = (item: number, index: number) =>
      this.#db.get<{ uid: string }>(
        'SELECT uid FROM chunks WHERE item_id = ? AND chunk_index = ?',
        item,
        index,
      )?.uid ?? null
    return this.#places.inScope(scope, uids).map(({ chunk, uid, item }) => {
      const { index } = this.#db.get<{ index: number }>(
        'SELECT chunk_index AS "index" FROM chunks WHERE id = ?',
        chunk,
      )!
      return { chunk_uid: uid, previous: at(item, index - 1), next: at(item, index + 1) }
    })
  }

  #reading(scope: ResolvedScope): Reading {
    return new Reading(this.#db, scope, this.#remembered.now)
  }
}

/** Chunks that some concepts reach, which come by falling weight; each with the places of its concepts among them. */
class Reached {
  readonly #asked: ReadonlySet<number>
  readonly #others: number
  readonly #inside = new Map<number, number[]>()
  readonly #outside = new Map<number, { weight: number; indexes: number[] }>()
  /** Weight of the last of the heaviest `others`, when there are so many. */
  #last = 0

  constructor(asked: ReadonlySet<number>, others: number) {
    this.#asked = asked
    this.#others = others
  }

  add(chunks: number[], index: number, weight: number): void {
    for (const chunk of chunks) {
      if (this.#asked.has(chunk)) {
        const indexes = this.#inside.get(chunk)
        if (indexes) indexes.push(index)
        else this.#inside.set(chunk, [index])
        continue
      }
      const known = this.#outside.get(chunk)
      if (known) known.indexes.push(index)
      else if (weight >= this.#last) this.#addOutside(chunk, index, weight)
    }
  }

  /** All that were asked for, and the first `others` of the rest by falling weight, ties by uid. */
  best(placeOf: (chunk: number) => ChunkPlace): { place: ChunkPlace; indexes: number[] }[] {
    const inside = [...this.#inside].map(([chunk, indexes]) => ({ place: placeOf(chunk), indexes }))
    const outside = [...this.#outside].map(([chunk, one]) => ({ place: placeOf(chunk), ...one }))
    const heaviest = outside
      .sort((a, b) => b.weight - a.weight || (a.place.uid < b.place.uid ? -1 : 1))
      .slice(0, this.#others)
    return [...inside, ...heaviest]
  }

  #addOutside(chunk: number, index: number, weight: number): void {
    this.#outside.set(chunk, { weight, indexes: [index] })
    if (this.#outside.size === this.#others) this.#last = weight
  }
}

function titled(reading: Reading, { uid, item }: ChunkPlace): ChunkTitle {
  return { chunk_uid: uid, title_concept_uid: reading.titleOf(item)?.uid ?? null }
}

/** What one question reads of concepts in its scope: from the database what is not remembered. */
class Reading {
  readonly #db: Database
  readonly #scope: ResolvedScope
  readonly #remembered: Remembered
  readonly #inScope: RememberedInScope

  constructor(db: Database, scope: ResolvedScope, remembered: Remembered) {
    this.#db = db
    this.#scope = scope
    this.#remembered = remembered
    this.#inScope = remembered.inScopes.obtain(
      `${scope.collection ?? ''} ${scope.libraryList}`,
      () => new RememberedInScope(),
    )
  }

  /** Chunks in the scope. */
  scopeSize(): number {
    this.#inScope.size ??= this.#scope.whole
      ? this.#db.get<{ value: number }>("SELECT value FROM totals WHERE name = 'chunks'")!.value
      : this.#db.get<{ n: number }>(
          `SELECT coalesce(sum(chunk_count), 0) AS n FROM items WHERE ${ITEM_IN_SCOPE}`,
          this.#scope.libraryList,
          this.#scope.collection,
        )!.n
    return this.#inScope.size
  }

  conceptOf(key: string): ConceptRow | null {
    return this.#remembered.byKey.obtain(
      key,
      () => this.#db.get<ConceptRow>(`SELECT ${CONCEPT} FROM concepts WHERE key = ?`, key) ?? null,
    )
  }

  idOf(uid: string): number | null {
    return this.#remembered.idOfUid.obtain(
      uid,
      () => this.#db.get<{ id: number }>('SELECT id FROM concepts WHERE uid = ?', uid)?.id ?? null,
    )
  }

  mentionedBy(chunk: number): ConceptRow[] {
    return this.#remembered.mentionedBy.obtain(chunk, () =>
      this.#db.all<ConceptRow>(
        `SELECT ${CONCEPT} FROM mentions JOIN concepts ON concepts.id = mentions.concept_id WHERE mentions.chunk_id = ?`,
        chunk,
      ),
    )
  }

  /** The concept that the item's title is, where a chunk of the scope mentions it. */
  titleOf(item: number): ConceptRow | null {
    const row = this.#remembered.titleOf.obtain(
      item,
      () =>
        this.#db.get<ConceptRow>(
          `SELECT ${CONCEPT} FROM items JOIN concepts ON concepts.key = items.title_key WHERE items.id = ?`,
          item,
        ) ?? null,
    )
    return row && this.count(row.id) > 0 ? row : null
  }

  /** Chunks of the scope that mention the concept, counted up to 201. */
  count(concept: number): number {
    return this.#inScope.counts.obtain(concept, () => countInScope(this.#db, this.#scope, concept))
  }

  inScope(row: ConceptRow): ConceptInScope {
    return { concept_uid: row.uid, key: row.key, name: row.name, kind: row.kind, df: this.count(row.id) }
  }

  /** Row ids of up to 200 chunks of the scope that mention the concept, as one text: a row each costs four times as much. */
  chunksOf(concept: number): number[] {
    return this.#inScope.chunks.obtain(concept, () => {
      const { ids } = this.#db.get<{ ids: string }>(
        this.#scope.collection === null
          ? `SELECT json_group_array(chunk_id) AS ids FROM (
               SELECT chunk_id FROM mentioned WHERE concept_id = ?1
                 AND library_id IN (SELECT value FROM json_each(?2)) AND ?3 IS NULL
               ORDER BY library_id, chunk_id LIMIT ?4)`
          : `SELECT json_group_array(chunk_id) AS ids FROM (
               SELECT chunk_id FROM mentioned JOIN chunks ON chunks.id = mentioned.chunk_id
                 JOIN items ON items.id = chunks.item_id
               WHERE concept_id = ?1
                 AND mentioned.library_id IN (SELECT value FROM json_each(?2)) AND items.collection_id = ?3
               ORDER BY chunk_id LIMIT ?4)`,
        concept,
        this.#scope.libraryList,
        this.#scope.collection,
        CHUNKS_PER_CONCEPT,
      )!
      return JSON.parse(ids) as number[]
    })
  }
}
