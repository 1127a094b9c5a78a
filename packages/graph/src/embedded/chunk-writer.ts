import type { Analysis } from '../analysis/terms.ts'
import { DimensionMismatchError } from '../errors.ts'
import type { ChunkContent, DeletionCounts } from '../port.ts'
import type { ConceptLedger } from './concept-ledger.ts'
import type { Database } from './database.ts'
import {
  bytesOf,
  indexedBody,
  lengthOf,
  sequenceOf,
  type TermLedger,
  type TermSequence,
} from './term-ledger.ts'

/** Versions of a library whose changes are kept; a reader that is further behind reads them all again. */
const CHANGES_KEPT = 256

/** Where a chunk stands. */
export interface Place {
  item: number
  library: number
  collection: number | null
}

/** Writes chunks with all that hangs on them, inside a transaction that the caller holds. */
export class ChunkWriter {
  readonly #db: Database
  readonly #terms: TermLedger
  readonly #concepts: ConceptLedger
  /** Chunks whose text, vector or collection changed: library → chunks. */
  readonly #changed = new Map<number, Set<number>>()
  #vectors = 0
  #dimensions: number | null = null

  constructor(db: Database, terms: TermLedger, concepts: ConceptLedger) {
    this.#db = db
    this.#terms = terms
    this.#concepts = concepts
  }

  insert(chunk: ChunkContent, place: Place): number {
    return this.#db.run(
      `INSERT INTO chunks (uid, item_id, library_id, chunk_index, page, char_start, char_end, token_count, s3_key,
         section_path, text) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      chunk.chunk_uid,
      place.item,
      place.library,
      ...columnsOf(chunk),
    ).id
  }

  update(id: number, chunk: ChunkContent): void {
    this.#db.run(
      `UPDATE chunks SET chunk_index = ?, page = ?, char_start = ?, char_end = ?, token_count = ?, s3_key = ?,
         section_path = ?, text = ? WHERE id = ?`,
      ...columnsOf(chunk),
      id,
    )
  }

  /** Puts the chunk into the full-text index in place of what stood there for it. */
  indexText(id: number, place: Place, title: Analysis, text: Analysis): void {
    this.#removeText(id, place.library)
    const sequence = this.#terms.sequence(title, text)
    this.#terms.count(sequence, 1)
    this.#db.run(
      'INSERT INTO texts (chunk_id, length, terms) VALUES (?, ?, ?)',
      id,
      lengthOf(sequence),
      bytesOf(sequence),
    )
    this.#insertIndexed(id, place, sequence)
    this.#note(place.library, id)
  }

  /** Stores the chunk's vector, or takes it away. Writes nothing when it is the same. */
  putVector(id: number, library: number, embedding: Float32Array | null, key: string | null): void {
    const stored = this.#db.get<{ vector: Uint8Array; embedding_key: string | null }>(
      'SELECT vector, embedding_key FROM vectors WHERE chunk_id = ?',
      id,
    )
    if (embedding === null) {
      if (stored) this.#removeVector(id, library)
      return
    }
    const bytes = bytesOf(embedding)
    if (stored && stored.embedding_key === key && Buffer.compare(stored.vector, bytes) === 0) return
    if (stored) this.#removeVector(id, library)
    this.#checkDimensions(embedding.length)
    this.#db.run(
      'INSERT INTO vectors (chunk_id, library_id, embedding_key, vector) VALUES (?, ?, ?, ?)',
      id,
      library,
      key,
      bytes,
    )
    this.#vectors++
    this.#note(library, id)
  }

  /** Enters the chunk anew under another collection. */
  move(id: number, place: Place): void {
    const row = this.#db.get<{ terms: Uint8Array }>('SELECT terms FROM texts WHERE chunk_id = ?', id)
    if (row) {
      this.#db.run('DELETE FROM chunk_text WHERE rowid = ?', id)
      this.#insertIndexed(id, place, sequenceOf(row.terms))
    }
    this.#note(place.library, id)
  }

  /** Removes a chunk and all that hangs on it, and adds to `counts`. */
  remove(id: number, library: number, counts: DeletionCounts): void {
    this.#removeText(id, library)
    counts.embeddings += this.#removeVector(id, library)
    counts.mentions += this.#concepts.unlink(id, library)
    counts.chunks += this.#db.run('DELETE FROM chunks WHERE id = ?', id).changes
  }

  /** Ends the transaction's work: counts, and what readers must look at again. */
  settle(): void {
    if (this.#vectors !== 0) {
      this.#db.run("UPDATE totals SET value = value + ? WHERE name = 'vectors'", this.#vectors)
      // Without a vector left the next embedding model may have another dimension.
      this.#db.run(
        `UPDATE totals SET value = 0
         WHERE name = 'dimensions' AND (SELECT value FROM totals WHERE name = 'vectors') = 0`,
      )
    }
    for (const [library, chunks] of this.#changed) this.#announce(library, chunks)
    this.reset()
  }

  reset(): void {
    this.#changed.clear()
    this.#vectors = 0
    this.#dimensions = null
  }

  #announce(library: number, chunks: ReadonlySet<number>): void {
    const row = this.#db.get<{ chunk_version: number }>(
      'UPDATE libraries SET chunk_version = chunk_version + 1 WHERE id = ? RETURNING chunk_version',
      library,
    )
    if (!row) return
    for (const chunk of chunks) {
      this.#db.run('INSERT INTO chunk_changes VALUES (?, ?, ?)', library, row.chunk_version, chunk)
    }
    this.#db.run(
      'DELETE FROM chunk_changes WHERE library_id = ? AND version <= ?',
      library,
      row.chunk_version - CHANGES_KEPT,
    )
  }

  #checkDimensions(length: number): void {
    this.#dimensions ??= this.#db.get<{ value: number }>(
      "SELECT value FROM totals WHERE name = 'dimensions'",
    )!.value
    if (this.#dimensions === 0) {
      this.#db.run("UPDATE totals SET value = ? WHERE name = 'dimensions'", length)
      this.#dimensions = length
    }
    if (this.#dimensions !== length) throw new DimensionMismatchError(this.#dimensions, length)
  }

  #insertIndexed(id: number, { library, collection }: Place, sequence: TermSequence): void {
    const scope = collection === null ? `l${library}` : `l${library} c${collection}`
    this.#db.run(
      'INSERT INTO chunk_text (rowid, scope, body) VALUES (?, ?, ?)',
      id,
      scope,
      indexedBody(sequence),
    )
  }

  #removeText(id: number, library: number): void {
    const row = this.#db.get<{ terms: Uint8Array }>(
      'DELETE FROM texts WHERE chunk_id = ? RETURNING terms',
      id,
    )
    if (!row) return
    this.#terms.count(sequenceOf(row.terms), -1)
    this.#db.run('DELETE FROM chunk_text WHERE rowid = ?', id)
    this.#note(library, id)
  }

  #removeVector(id: number, library: number): number {
    const { changes } = this.#db.run('DELETE FROM vectors WHERE chunk_id = ?', id)
    this.#vectors -= changes
    if (changes > 0) this.#note(library, id)
    return changes
  }

  /** Readers that hold the library look at the chunk again. */
  #note(library: number, chunk: number): void {
    const chunks = this.#changed.get(library)
    if (chunks) chunks.add(chunk)
    else this.#changed.set(library, new Set([chunk]))
  }
}

function columnsOf(chunk: ChunkContent) {
  return [
    chunk.chunk_index,
    chunk.page,
    chunk.char_start,
    chunk.char_end,
    chunk.token_count,
    chunk.s3_key ?? null,
    JSON.stringify(chunk.section_path.map((part) => part.toWellFormed())),
    chunk.text.toWellFormed(),
  ] as const
}
