import { bm25Query, idealPoints, scoredFor } from '../bm25.ts'
import type { ChunkScore, TextHit, TextQuery } from '../port.ts'
import type { ChunkPlaces } from './chunk-places.ts'
import type { Database } from './database.ts'
import type { PairScores } from './pair-scores.ts'
import type { ResolvedScope } from './scope.ts'
import type { NumberedQuery, TextIndex } from './text-index.ts'
import type { VectorIndex } from './vector-index.ts'

/** Of a longer query no more words are looked at. */
const MAX_WORDS = 1_000
const MAX_PHRASES = 16

/** What a search looks into: the database, and what is held of it in memory. */
export interface SearchIndexes {
  db: Database
  places: ChunkPlaces
  texts: TextIndex
  pairs: PairScores
  vectors: VectorIndex
}

export function fullTextCandidates(
  { db, places, texts, pairs }: SearchIndexes,
  resolved: ResolvedScope,
  { terms, phrases }: TextQuery,
  k: number,
): TextHit[] {
  const query = numbered(db, terms.length > 0 ? terms : phrases.flat())
  if (resolved.libraries.length === 0 || query.terms.length === 0 || k < 1) return []
  const among = phrases.length === 0 ? null : chunksWithPhrases(db, resolved, phrases.slice(0, MAX_PHRASES))
  if (among?.size === 0) return []
  const best = texts.best(resolved, query, scoredFor(k), among)
  const ofPairs = pairs.of(
    resolved,
    query,
    best.map(({ chunk }) => chunk),
  )
  const scored = best.map(({ chunk, bm25 }) => ({ chunk, bm25: bm25 + (ofPairs.get(chunk) ?? 0) }))
  const last = scored.map(({ bm25 }) => bm25).sort((a, b) => b - a)[Math.min(k, scored.length) - 1] ?? 0
  const placeOf = places.placeOf(resolved)
  const ideal = idealPoints(query)
  return scored
    .filter(({ bm25 }) => bm25 >= last)
    .map(({ chunk, bm25 }) => ({ chunk_uid: placeOf(chunk).uid, bm25, ideal }))
    .sort((a, b) => b.bm25 - a.bm25 || (a.chunk_uid < b.chunk_uid ? -1 : 1))
    .slice(0, k)
}

export function scoreChunks(
  { db, places, texts, pairs, vectors }: SearchIndexes,
  resolved: ResolvedScope,
  uids: string[],
  { vector, terms }: { vector?: Float32Array | null; terms: string[] },
): ChunkScore[] {
  const query = numbered(db, terms)
  const ofTerms = texts.scorer(resolved, query)
  const cosine = vector ? vectors.scorer(resolved, vector) : () => null
  const chunks = places.inScope(resolved, uids)
  const ofPairs = pairs.of(
    resolved,
    query,
    chunks.map(({ chunk }) => chunk),
  )
  return chunks.map(({ chunk, uid }) => ({
    chunk_uid: uid,
    cosine: cosine(chunk),
    bm25: ofTerms(chunk) + (ofPairs.get(chunk) ?? 0),
  }))
}

/** Chunks of the scope that hold every phrase. */
function chunksWithPhrases(db: Database, scope: ResolvedScope, phrases: string[][]): Set<number> {
  const clauses = spelledPhrases(db, phrases)
  if (clauses === null) return new Set()
  const rows = db.all<{ rowid: number }>(
    'SELECT rowid FROM chunk_text WHERE chunk_text MATCH ?',
    [...scopeClause(scope), ...clauses].join(' AND '),
  )
  return new Set(rows.map(({ rowid }) => rowid))
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

function numberOf(db: Database, term: string): { id: number; df: number } | undefined {
  return db.get<{ id: number; df: number }>('SELECT id, df FROM terms WHERE term = ?', term)
}

function numbered(db: Database, terms: string[]): NumberedQuery {
  const totals = new Map(
    db
      .all<{ name: string; value: number }>('SELECT name, value FROM totals')
      .map((row) => [row.name, row.value]),
  )
  const asked = terms.slice(0, MAX_WORDS)
  const known = new Map(
    [...new Set(asked)].flatMap((term) => {
      const row = numberOf(db, term)
      return row ? [[term, { term: row.id, df: row.df }] as const] : []
    }),
  )
  return bm25Query(asked, known, { chunks: totals.get('chunks')!, length: totals.get('length')! })
}
