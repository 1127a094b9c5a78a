import { idealPoints, scoredFor } from '../bm25.ts'
import type { ChunkScore, TextHit, TextQuery } from '../port.ts'
import type { ChunkPlaces } from './chunk-places.ts'
import type { Database } from './database.ts'
import type { PairScores } from './pair-scores.ts'
import type { ResolvedScope } from './scope.ts'
import type { TextIndex } from './text-index.ts'
import type { VectorIndex } from './vector-index.ts'
import type { Vocabulary } from './vocabulary.ts'

const MAX_PHRASES = 16

/** What a search looks into: the database, and what is held of it in memory. */
export interface SearchIndexes {
  db: Database
  vocabulary: Vocabulary
  places: ChunkPlaces
  texts: TextIndex
  pairs: PairScores
  vectors: VectorIndex
}

export function fullTextCandidates(
  { db, vocabulary, places, texts, pairs }: SearchIndexes,
  resolved: ResolvedScope,
  { terms, phrases }: TextQuery,
  k: number,
): TextHit[] {
  const query = vocabulary.query(terms.length > 0 ? terms : phrases.flat())
  if (resolved.libraries.length === 0 || query.terms.length === 0 || k < 1) return []
  const among =
    phrases.length === 0 ? null : chunksWithPhrases(db, vocabulary, resolved, phrases.slice(0, MAX_PHRASES))
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
  { vocabulary, places, texts, pairs, vectors }: SearchIndexes,
  resolved: ResolvedScope,
  uids: string[],
  { vector, terms }: { vector?: Float32Array | null; terms: string[] },
): ChunkScore[] {
  const query = vocabulary.query(terms)
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
function chunksWithPhrases(
  db: Database,
  vocabulary: Vocabulary,
  scope: ResolvedScope,
  phrases: string[][],
): Set<number> {
  const clauses = spelledPhrases(vocabulary, phrases)
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
function spelledPhrases(vocabulary: Vocabulary, phrases: string[][]): string[] | null {
  const known = vocabulary.known(phrases.flat())
  if (phrases.flat().some((term) => !known.has(term))) return null
  const spelled = (term: string) => known.get(term)!.term.toString(36)
  return phrases.map((phrase) => `body:"${phrase.map(spelled).join(' ')}"`)
}
