import { workerData } from 'node:worker_threads'
import { serveQuestions } from './channel.ts'
import { getChunk, listChunks } from './chunk-reads.ts'
import { conceptNeighbourhood, concepts, itemConcepts } from './concept-reads.ts'
import { Database } from './database.ts'
import {
  dimensions,
  getCollection,
  getItem,
  getLibrary,
  itemVersion,
  libraries,
  libraryCounts,
  listCollections,
  listItems,
  stats,
} from './structure-reads.ts'
import { vectorOf } from './vector-math.ts'

type Bound<F> = F extends (db: Database, ...args: infer A) => infer R ? (...args: A) => R : never

/** What a reader thread answers; each question sees one snapshot of the store. */
function readerQuestions(db: Database) {
  const on = <A extends unknown[], R>(read: (db: Database, ...args: A) => R) =>
    ((...args: A) => db.snapshot(() => read(db, ...args))) as Bound<typeof read>
  return {
    getLibrary: on(getLibrary),
    libraries: on(libraries),
    libraryCounts: on(libraryCounts),
    getCollection: on(getCollection),
    listCollections: on(listCollections),
    itemVersion: on(itemVersion),
    getItem: on(getItem),
    listItems: on(listItems),
    itemConcepts: on(itemConcepts),
    listChunks: on(listChunks),
    getChunk: on(getChunk),
    reusableVectors: on(reusableVectors),
    concepts: on(concepts),
    conceptNeighbourhood: on(conceptNeighbourhood),
    ping: on((reading) => {
      reading.get('SELECT value FROM totals LIMIT 1')
    }),
    stats: on(stats),
    dimensions: on(dimensions),
  }
}

function reusableVectors(db: Database, keys: string[]): Map<string, Float32Array> {
  const found = new Map<string, Float32Array>()
  for (const key of keys) {
    const row = db.get<{ vector: Uint8Array }>(
      'SELECT vector FROM vectors WHERE embedding_key = ? LIMIT 1',
      key,
    )
    if (row) found.set(key, vectorOf(row.vector.slice()))
  }
  return found
}

export type ReaderQuestions = ReturnType<typeof readerQuestions>

serveQuestions(() => {
  const { file } = workerData as { file: string }
  const db = new Database(file, { readOnly: true })
  return { questions: readerQuestions(db), close: () => db.close() }
})
