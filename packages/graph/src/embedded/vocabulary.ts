import { bm25Query } from '../bm25.ts'
import type { Database } from './database.ts'
import type { NumberedQuery } from './text-index.ts'
import { BoundedMap, WhileUnchanged } from './while-unchanged.ts'

/** Of a longer query no more words are looked at. */
const MAX_WORDS = 1_000
const TERMS_REMEMBERED = 50_000

/** A term as the store knows it: its number, and in how many chunks it stands. */
interface StoredTerm {
  term: number
  df: number
}

/** The numbers of terms and what BM25 needs of the whole store. Ask inside a snapshot. */
export class Vocabulary {
  readonly #db: Database
  readonly #known: WhileUnchanged<{
    terms: BoundedMap<string, StoredTerm | null>
    store: { chunks: number; length: number }
  }>

  constructor(db: Database) {
    this.#db = db
    this.#known = new WhileUnchanged(db, () => ({
      terms: new BoundedMap<string, StoredTerm | null>(TERMS_REMEMBERED),
      store: { chunks: this.#total('chunks'), length: this.#total('length') },
    }))
  }

  /** The terms that some chunk holds. */
  known(terms: Iterable<string>): Map<string, StoredTerm> {
    const remembered = this.#known.now.terms
    const found = new Map<string, StoredTerm>()
    for (const term of new Set(terms)) {
      const stored = remembered.obtain(term, () => this.#stored(term))
      if (stored) found.set(term, stored)
    }
    return found
  }

  query(terms: string[]): NumberedQuery {
    const asked = terms.slice(0, MAX_WORDS)
    return bm25Query(asked, this.known(asked), this.#known.now.store)
  }

  #stored(term: string): StoredTerm | null {
    const row = this.#db.get<{ id: number; df: number }>('SELECT id, df FROM terms WHERE term = ?', term)
    return row ? { term: row.id, df: row.df } : null
  }

  #total(name: string): number {
    return this.#db.get<{ value: number }>('SELECT value FROM totals WHERE name = ?', name)!.value
  }
}
