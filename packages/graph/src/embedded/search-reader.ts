import { workerData } from 'node:worker_threads'
import type { ChunkScore, Scope, TextHit, TextQuery, VectorCandidates } from '../port.ts'
import { serveQuestions } from './channel.ts'
import { Database } from './database.ts'
import { PairScores } from './pair-scores.ts'
import { resolveScope } from './scope.ts'
import { TextIndex } from './text-index.ts'
import { fullTextCandidates, scoreChunks } from './text-search.ts'
import { VectorIndex } from './vector-index.ts'

/** What the search thread answers, from vectors and inverted indexes in its memory; each on one snapshot. */
function searchQuestions(db: Database) {
  const texts = new TextIndex(db)
  const pairs = new PairScores(texts)
  const vectors = new VectorIndex(db)
  return {
    vectorCandidates: (scope: Scope, vector: Float32Array, k: number): VectorCandidates =>
      db.snapshot(() => vectors.candidates(resolveScope(db, scope), vector, k)),
    fullTextCandidates: (scope: Scope, query: TextQuery, k: number): TextHit[] =>
      db.snapshot(() => fullTextCandidates(db, { texts, pairs }, scope, query, k)),
    scoreChunks: (
      scope: Scope,
      uids: string[],
      query: { vector?: Float32Array | null; terms: string[] },
    ): ChunkScore[] => db.snapshot(() => scoreChunks(db, { texts, pairs, vectors }, scope, uids, query)),
  }
}

export type SearchQuestions = ReturnType<typeof searchQuestions>

serveQuestions(() => {
  const { file } = workerData as { file: string }
  const db = new Database(file, { readOnly: true })
  return { questions: searchQuestions(db), close: () => db.close() }
})
