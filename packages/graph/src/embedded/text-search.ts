import type { ChunkScore, Scope, TextHit, TextQuery } from '../port.ts'
import { chunksInScope, uidsOf } from './chunk-reads.ts'
import type { Database } from './database.ts'
import { type ResolvedScope, resolveScope } from './scope.ts'
import type { Bm25Query, TextIndex } from './text-index.ts'
import type { VectorIndex } from './vector-index.ts'

const MAX_TERMS = 64
const MAX_PHRASES = 16

export function fullTextCandidates(
  db: Database,
  index: TextIndex,
  scope: Scope,
  { terms, phrases }: TextQuery,
  k: number,
): TextHit[] {
  const resolved = resolveScope(db, scope)
  const query = bm25Query(db, terms.length > 0 ? terms : phrases.flat())
  if (resolved.libraries.length === 0 || query.terms.length === 0 || k < 1) return []
  const among = phrases.length === 0 ? null : chunksWithPhrases(db, resolved, phrases.slice(0, MAX_PHRASES))
  if (among?.size === 0) return []
  const found = index.best(resolved, query, k, among)
  const uids = uidsOf(
    db,
    found.map(({ chunk }) => chunk),
  )
  return found
    .map(({ chunk, bm25 }) => ({ chunk_uid: uids.get(chunk)!, bm25 }))
    .sort((a, b) => b.bm25 - a.bm25 || (a.chunk_uid < b.chunk_uid ? -1 : 1))
    .slice(0, k)
}

export function scoreChunks(
  db: Database,
  { texts, vectors }: { texts: TextIndex; vectors: VectorIndex },
  scope: Scope,
  uids: string[],
  { vector, terms }: { vector?: Float32Array | null; terms: string[] },
): ChunkScore[] {
  const resolved = resolveScope(db, scope)
  const bm25 = texts.scorer(resolved, bm25Query(db, terms))
  const cosine = vector ? vectors.scorer(resolved, vector) : () => null
  return chunksInScope(db, resolved, uids).map(({ id, chunk_uid }) => ({
    chunk_uid,
    cosine: cosine(id),
    bm25: bm25(id),
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

/** The distinct terms that the store knows, by rising document frequency; of too many the rarest. */
function bm25Query(db: Database, terms: string[]): Bm25Query {
  const totals = new Map(
    db
      .all<{ name: string; value: number }>('SELECT name, value FROM totals')
      .map((row) => [row.name, row.value]),
  )
  const chunks = totals.get('chunks')!
  const repeats = new Map<string, number>()
  for (const term of terms.slice(0, 1000)) repeats.set(term, (repeats.get(term) ?? 0) + 1)
  const known = [...repeats]
    .flatMap(([term, times]) => {
      const row = numberOf(db, term)
      return row ? [{ number: row.id, df: row.df, times }] : []
    })
    .sort((a, b) => a.df - b.df)
    .slice(0, MAX_TERMS)
  return {
    terms: known.map(({ number, df, times }) => ({
      number,
      weight: times * Math.log(1 + (chunks - df + 0.5) / (df + 0.5)),
    })),
    averageLength: totals.get('length')! / Math.max(chunks, 1),
  }
}
