import type { Database } from './database.ts'
import { WhileUnchanged } from './while-unchanged.ts'

/** Some 3 MB of vectors, 4 MB of texts: fewer reads leave fewer segments to merge. */
const ROWS_PER_READ = { places: 10_000, vectors: 2_000, texts: 10_000 }

/** Where a chunk stands. */
export interface PlaceRow {
  chunk: number
  collection: number | null
  uid: string
  item: number
}

/** A chunk's vector or its terms. */
export interface ChunkRow {
  chunk: number
  collection: number | null
  data: Uint8Array
}

/** What a copy is told of a chunk. */
interface Rows {
  places: PlaceRow
  vectors: ChunkRow
  texts: ChunkRow
}
type Table = keyof Rows

/** What is held in memory of one library. */
export interface LibraryCopy<R> {
  /** Takes a chunk out, if it is there. */
  remove(chunk: number): void
  /** Rows by ascending chunk, none of which is there. */
  add(rows: R[]): void
}

const SOURCES: Record<Table, string> = {
  places: 'chunks.uid, chunks.item_id AS item FROM chunks',
  vectors: 'vectors.vector AS data FROM vectors JOIN chunks ON chunks.id = vectors.chunk_id',
  texts: 'texts.terms AS data FROM chunks JOIN texts ON texts.chunk_id = chunks.id',
}

/**
 * Copies of a table in memory, by library. Each is read when a question first needs it, and then kept in step by
 * the store's list of changed chunks. Ask inside a snapshot.
 */
export class LibraryCopies<T extends Table, C extends LibraryCopy<Rows[T]>> {
  readonly #db: Database
  readonly #select: string
  readonly #rowsPerRead: number
  readonly #create: () => C
  readonly #held = new Map<number, { version: number; copy: C }>()
  readonly #inStepNow: WhileUnchanged<Map<number, C>>

  constructor(db: Database, table: T, create: () => C) {
    this.#db = db
    this.#inStepNow = new WhileUnchanged(db, () => {
      this.#dropDeleted()
      return new Map()
    })
    this.#select = `SELECT chunks.id AS chunk, items.collection_id AS collection, ${SOURCES[table]}
      JOIN items ON items.id = chunks.item_id WHERE ${table === 'vectors' ? 'vectors' : 'chunks'}.library_id = ?1`
    this.#rowsPerRead = ROWS_PER_READ[table]
    this.#create = create
  }

  /** The copies of these libraries as the snapshot has them. */
  of(libraries: number[]): C[] {
    const inStep = this.#inStepNow.now
    return libraries.map((library) => {
      const copy = inStep.get(library) ?? this.#inStep(library)
      inStep.set(library, copy)
      return copy
    })
  }

  #dropDeleted(): void {
    const living = new Set(
      this.#db.all<{ id: number }>('SELECT id FROM libraries WHERE deleting = 0').map((row) => row.id),
    )
    for (const id of this.#held.keys()) if (!living.has(id)) this.#held.delete(id)
  }

  #inStep(library: number): C {
    const { version } = this.#db.get<{ version: number }>(
      'SELECT chunk_version AS version FROM libraries WHERE id = ?',
      library,
    )!
    let held = this.#held.get(library)
    if (!held || !this.#catchUp(held, library, version)) {
      held = { version, copy: this.#read(library) }
      this.#held.set(library, held)
    }
    return held.copy
  }

  /** @returns false when the changes since then are no longer listed. */
  #catchUp(held: { version: number; copy: C }, library: number, version: number): boolean {
    if (held.version === version) return true
    const { steps } = this.#db.get<{ steps: number }>(
      'SELECT count(DISTINCT version) AS steps FROM chunk_changes WHERE library_id = ? AND version > ?',
      library,
      held.version,
    )!
    if (steps !== version - held.version) return false
    const changed = this.#db.all<{ chunk_id: number }>(
      'SELECT DISTINCT chunk_id FROM chunk_changes WHERE library_id = ? AND version > ?',
      library,
      held.version,
    )
    // All out before any in: when every vector goes, those of another dimension may come.
    for (const { chunk_id } of changed) held.copy.remove(chunk_id)
    const rows = this.#db.all<Rows[T]>(
      `${this.#select} AND chunks.id IN (SELECT value FROM json_each(?2)) ORDER BY chunks.id`,
      library,
      JSON.stringify(changed.map(({ chunk_id }) => chunk_id)),
    )
    if (rows.length > 0) held.copy.add(rows)
    held.version = version
    return true
  }

  #read(library: number): C {
    const copy = this.#create()
    for (let last = 0; ; ) {
      const rows = this.#db.all<Rows[T]>(
        `${this.#select} AND chunks.id > ?2 ORDER BY chunks.id LIMIT ?3`,
        library,
        last,
        this.#rowsPerRead,
      )
      if (rows.length > 0) copy.add(rows)
      if (rows.length < this.#rowsPerRead) return copy
      last = rows.at(-1)!.chunk
    }
  }
}
