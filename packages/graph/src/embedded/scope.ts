import type { Scope } from '../port.ts'
import type { Database } from './database.ts'
import { WhileUnchanged } from './while-unchanged.ts'

/** A scope as row ids. Libraries that do not exist, or are being deleted, are not among them. */
export interface ResolvedScope {
  libraries: number[]
  /** `libraries` as JSON, for `json_each`. */
  libraryList: string
  collection: number | null
  /** It holds everything in the store, so that a question need not be narrowed. */
  whole: boolean
}

const NOTHING: ResolvedScope = { libraries: [], libraryList: '[]', collection: null, whole: false }

interface LibraryRow {
  id: number
  uid: string
  library_type: string
  deleting: number
}

export function resolveScope(db: Database, scope: Scope): ResolvedScope {
  return narrowed(db, librariesIn(db), scope)
}

/** Resolves scopes of one connection, and remembers the libraries. Ask inside a snapshot. */
export class Scopes {
  readonly #db: Database
  readonly #libraries: WhileUnchanged<LibraryRow[]>

  constructor(db: Database) {
    this.#db = db
    this.#libraries = new WhileUnchanged(db, () => librariesIn(db))
  }

  resolve(scope: Scope): ResolvedScope {
    return narrowed(this.#db, this.#libraries.now, scope)
  }
}

function librariesIn(db: Database): LibraryRow[] {
  return db.all<LibraryRow>('SELECT id, uid, library_type, deleting FROM libraries')
}

function narrowed(db: Database, all: LibraryRow[], scope: Scope): ResolvedScope {
  const readable = scope.libraries === 'all' ? null : new Set(scope.libraries)
  const libraries = all
    .filter(
      (library) =>
        !library.deleting &&
        (readable === null || readable.has(library.uid)) &&
        (scope.library_type === undefined || library.library_type === scope.library_type),
    )
    .map((library) => library.id)
  if (scope.collection !== undefined) return inCollection(db, libraries, scope.collection)
  return {
    libraries,
    libraryList: JSON.stringify(libraries),
    collection: null,
    whole: libraries.length === all.length,
  }
}

function inCollection(db: Database, libraries: number[], uid: string): ResolvedScope {
  const row = db.get<{ id: number; library_id: number }>(
    'SELECT id, library_id FROM collections WHERE uid = ?',
    uid,
  )
  if (!row || !libraries.includes(row.library_id)) return NOTHING
  return {
    libraries: [row.library_id],
    libraryList: JSON.stringify([row.library_id]),
    collection: row.id,
    whole: false,
  }
}

/**
 * Condition that `items` (and `chunks` where joined) lie in the scope; takes `?1` = `libraryList`, `?2` = collection.
 */
export const ITEM_IN_SCOPE =
  'items.library_id IN (SELECT value FROM json_each(?1)) AND (?2 IS NULL OR items.collection_id = ?2)'
