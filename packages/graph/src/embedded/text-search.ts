import type { ChunkScore, Scope, TextHit, TextQuery } from '../port.ts'
import { chunksInScope } from './chunk-reads.ts'
import type { Database } from './database.ts'
import { type ResolvedScope, resolveScope } from './scope.ts'
import { sequenceOf, type TermSequence } from './term-ledger.ts'
import { cosineOf } from './vector-math.ts'

const K1 = 0.9
const B = 0.4
const MAX_TERMS = 64
const MAX_PHRASES = 16
/** FTS5 ranks with other parameters than ours: so many of its best are scored anew for each hit asked for. */
const CANDIDATES_PER_HIT = 4
const MIN_CANDIDATES = 200

interface QueryTerm {
  number: number
  /** idf, times how often the query holds the term. */
  weight: number
}

export function fullTextCandidates(db: Database, scope: Scope, query: TextQuery, k: number): TextHit[] {
  const resolved = resolveScope(db, scope)
  const scorer = new Bm25(db, query.terms.length > 0 ? query.terms : query.phrases.flat())
  const phrases = spelledPhrases(db, query.phrases.slice(0, MAX_PHRASES))
  if (resolved.libraries.length === 0 || scorer.terms.length === 0 || phrases === null || k < 1) return []
  const found = scored(db, scorer, [...scopeClause(resolved), ...phrases, anyOf(scorer.terms)], k)
  const last = found[Math.min(k, found.length) - 1]?.bm25 ?? 0
  return found
    .filter(({ bm25 }) => bm25 >= last)
    .map(({ id, bm25 }) => ({ chunk_uid: uidOf(db, id), bm25 }))
    .sort((a, b) => b.bm25 - a.bm25 || (a.chunk_uid < b.chunk_uid ? -1 : 1))
    .slice(0, k)
}

/** The index's best matches, scored anew, best first. */
function scored(db: Database, scorer: Bm25, clauses: string[], k: number): { id: number; bm25: number }[] {
  return db
    .all<{ rowid: number }>(
      'SELECT rowid FROM chunk_text WHERE chunk_text MATCH ? ORDER BY bm25(chunk_text, 0.0, 1.0) LIMIT ?',
      clauses.join(' AND '),
      Math.max(k * CANDIDATES_PER_HIT, MIN_CANDIDATES),
    )
    .map(({ rowid }) => ({ id: rowid, bm25: scorer.score(rowid) }))
    .sort((a, b) => b.bm25 - a.bm25)
}

export function scoreChunks(
  db: Database,
  scope: Scope,
  uids: string[],
  query: { vector?: Float32Array | null; terms: string[] },
): ChunkScore[] {
  const scorer = new Bm25(db, query.terms)
  return chunksInScope(db, resolveScope(db, scope), uids).map(({ id, chunk_uid }) => ({
    chunk_uid,
    cosine: query.vector ? cosineOfChunk(db, id, query.vector) : null,
    bm25: scorer.score(id),
  }))
}

function cosineOfChunk(db: Database, id: number, vector: Float32Array): number | null {
  const row = db.get<{ vector: Uint8Array }>('SELECT vector FROM vectors WHERE chunk_id = ?', id)
  return row ? cosineOf(vector, row.vector) : null
}

function uidOf(db: Database, id: number): string {
  return db.get<{ uid: string }>('SELECT uid FROM chunks WHERE id = ?', id)!.uid
}

// Clauses of the FTS5 query are made of numbers only: no text of a document or a query is in them.

function scopeClause({ collection, whole, libraries }: ResolvedScope): string[] {
  if (collection !== null) return [`scope:"c${collection}"`]
  return whole ? [] : [`scope:(${libraries.map((id) => `"l${id}"`).join(' OR ')})`]
}

/** Null when a phrase holds a term that no chunk holds. */
function spelledPhrases(db: Database, phrases: string[][]): string[] | null {
  const clauses: string[] = []
  for (const phrase of phrases) {
    const numbers = phrase.map((term) => numberOf(db, term)?.id.toString(36))
    if (numbers.includes(undefined)) return null
    clauses.push(`body:"${numbers.join(' ')}"`)
  }
  return clauses
}

function anyOf(terms: QueryTerm[]): string {
  return `body:(${terms.map(({ number }) => `"${number.toString(36)}"`).join(' OR ')})`
}

function numberOf(db: Database, term: string): { id: number; df: number } | undefined {
  return db.get<{ id: number; df: number }>('SELECT id, df FROM terms WHERE term = ?', term)
}

/**
 * BM25 (Robertson and Walker 1994, with the idf of Lucene) of single chunks, over the stored term sequences.
 * Counts the title twice.
 */
class Bm25 {
  readonly terms: QueryTerm[]
  readonly #db: Database
  readonly #averageLength: number
  readonly #frequencies: Uint32Array
  readonly #slots = new Map<number, number>()

  constructor(db: Database, terms: string[]) {
    this.#db = db
    const totals = new Map(
      db
        .all<{ name: string; value: number }>('SELECT name, value FROM totals')
        .map((row) => [row.name, row.value]),
    )
    const chunks = totals.get('chunks')!
    this.#averageLength = totals.get('length')! / Math.max(chunks, 1)
    this.terms = queryTermsOf(db, terms, chunks)
    this.#frequencies = new Uint32Array(this.terms.length)
    for (const [slot, { number }] of this.terms.entries()) this.#slots.set(number, slot)
  }

  score(chunk: number): number {
    if (this.terms.length === 0) return 0
    const row = this.#db.get<{ length: number; terms: Uint8Array }>(
      'SELECT length, terms FROM texts WHERE chunk_id = ?',
      chunk,
    )
    if (!row) return 0
    this.#countTerms(sequenceOf(row.terms))
    const saturation = K1 * (1 - B + (B * row.length) / this.#averageLength)
    let score = 0
    for (const [slot, { weight }] of this.terms.entries()) {
      const frequency = this.#frequencies[slot]!
      if (frequency > 0) score += (weight * frequency * (K1 + 1)) / (frequency + saturation)
    }
    return score
  }

  #countTerms(sequence: TermSequence): void {
    this.#frequencies.fill(0)
    const titleEnd = 1 + sequence[0]!
    for (let i = 1; i < sequence.length; i++) {
      const slot = this.#slots.get(sequence[i]!)
      if (slot !== undefined) this.#frequencies[slot]! += i < titleEnd ? 2 : 1
    }
  }
}

/** The distinct terms that the store knows; of too many the rarest. */
function queryTermsOf(db: Database, terms: string[], chunks: number): QueryTerm[] {
  const repeats = new Map<string, number>()
  for (const term of terms.slice(0, 1000)) repeats.set(term, (repeats.get(term) ?? 0) + 1)
  return [...repeats]
    .flatMap(([term, times]) => {
      const row = numberOf(db, term)
      return row ? [{ number: row.id, df: row.df, times }] : []
    })
    .sort((a, b) => a.df - b.df)
    .slice(0, MAX_TERMS)
    .map(({ number, df, times }) => ({
      number,
      weight: times * Math.log(1 + (chunks - df + 0.5) / (df + 0.5)),
    }))
}
