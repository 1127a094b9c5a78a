import type { Database } from './database.ts'
import { LibraryCopies, type LibraryCopy, type PlaceRow } from './library-copies.ts'
import type { ResolvedScope } from './scope.ts'

/** Where a chunk stands: row ids, and the uid by which the world knows it. */
export type ChunkPlace = Readonly<PlaceRow>

/** A library's chunks in memory, by uid and by row id. */
class LibraryPlaces implements LibraryCopy<PlaceRow> {
  readonly byUid = new Map<string, ChunkPlace>()
  readonly byChunk = new Map<number, ChunkPlace>()

  add(rows: PlaceRow[]): void {
    // Rows of the database are slow and large objects.
    for (const { chunk, collection, uid, item } of rows) {
      const place = { chunk, collection, uid, item }
      this.byUid.set(uid, place)
      this.byChunk.set(chunk, place)
    }
  }

  remove(chunk: number): void {
    const place = this.byChunk.get(chunk)
    if (!place) return
    this.byChunk.delete(chunk)
    this.byUid.delete(place.uid)
  }
}

/** Tells uids and row ids of chunks from each other without a question to the database. Ask inside a snapshot. */
export class ChunkPlaces {
  readonly #copies: LibraryCopies<'places', LibraryPlaces>

  constructor(db: Database) {
    this.#copies = new LibraryCopies(db, 'places', () => new LibraryPlaces())
  }

  /** Those of the uids that are in the scope, in the order asked, each once. */
  inScope({ libraries, collection }: ResolvedScope, uids: string[]): ChunkPlace[] {
    const copies = this.#copies.of(libraries)
    const found: ChunkPlace[] = []
    for (const uid of new Set(uids)) {
      const place = firstOf(copies, ({ byUid }) => byUid.get(uid))
      if (place && (collection === null || place.collection === collection)) found.push(place)
    }
    return found
  }

  /** Of chunks of the scope's libraries, by row id. */
  placeOf({ libraries }: ResolvedScope): (chunk: number) => ChunkPlace {
    const copies = this.#copies.of(libraries)
    if (copies.length === 1) return (chunk) => copies[0]!.byChunk.get(chunk)!
    return (chunk) => firstOf(copies, ({ byChunk }) => byChunk.get(chunk))!
  }
}

function firstOf<C, T>(copies: C[], find: (copy: C) => T | undefined): T | undefined {
  for (const copy of copies) {
    const found = find(copy)
    if (found !== undefined) return found
  }
  return undefined
}
