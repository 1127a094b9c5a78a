import { workerData } from 'node:worker_threads'
import type { Scope, VectorCandidates } from '../port.ts'
import { serveQuestions } from './channel.ts'
import { Database } from './database.ts'
import { VectorIndex } from './vector-index.ts'

/** What the vector thread answers. */
function vectorQuestions(db: Database) {
  const index = new VectorIndex(db)
  return {
    vectorCandidates: (scope: Scope, vector: Float32Array, k: number): VectorCandidates =>
      index.candidates(scope, vector, k),
  }
}

export type VectorQuestions = ReturnType<typeof vectorQuestions>

serveQuestions(() => {
  const { file } = workerData as { file: string }
  const db = new Database(file, { readOnly: true })
  return { questions: vectorQuestions(db), close: () => db.close() }
})
