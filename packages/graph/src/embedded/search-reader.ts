import { workerData } from 'node:worker_threads'
import type { Near, Scope, SearchStore, TextQuery } from '../port.ts'
import { serveQuestions } from './channel.ts'
import { ChunkDetails } from './chunk-details.ts'
import { ChunkPlaces } from './chunk-places.ts'
import { ConceptSearch } from './concept-search.ts'
import { Database } from './database.ts'
import { PairScores } from './pair-scores.ts'
import { type ResolvedScope, Scopes } from './scope.ts'
import { getCollection, getLibrary, libraries } from './structure-reads.ts'
import { TextIndex } from './text-index.ts'
import { fullTextCandidates, scoreChunks } from './text-search.ts'
import { VectorIndex } from './vector-index.ts'
import { Vocabulary } from './vocabulary.ts'

/** What the search thread answers, from what it holds of the store in memory; each on one snapshot. */
function searchQuestions(db: Database) {
  const scopes = new Scopes(db)
  const places = new ChunkPlaces(db)
  const texts = new TextIndex(db)
  const vectors = new VectorIndex(db, places)
  const concepts = new ConceptSearch(db, places)
  const details = new ChunkDetails(db, places)
  const vocabulary = new Vocabulary(db)
  const indexes = { db, vocabulary, places, texts, vectors, pairs: new PairScores(texts) }
  const on =
    <A extends unknown[], R>(answer: (scope: ResolvedScope, ...args: A) => R) =>
    (scope: Scope, ...args: A): R =>
      db.snapshot(() => answer(scopes.resolve(scope), ...args))
  const questions = {
    vectorCandidates: on((scope, vector: Float32Array, k: number) => vectors.candidates(scope, vector, k)),
    fullTextCandidates: on((scope, query: TextQuery, k: number) =>
      fullTextCandidates(indexes, scope, query, k),
    ),
    scoreChunks: on((scope, uids: string[], query: { vector?: Float32Array | null; terms: string[] }) =>
      scoreChunks(indexes, scope, uids, query),
    ),
    conceptsNamed: on((scope, keys: string[]) => concepts.conceptsNamed(scope, keys)),
    mentions: on((scope, uids: string[]) => concepts.mentions(scope, uids)),
    chunksMentioning: on((scope, conceptUids: string[], limit: number) =>
      concepts.chunksMentioning(scope, conceptUids, limit),
    ),
    titleConcepts: on((scope, uids: string[]) => concepts.titleConcepts(scope, uids)),
    linkedChunks: on(
      (
        scope,
        linking: { concept_uid: string; weight: number }[],
        options: { among: string[]; others: number },
      ) => concepts.linkedChunks(scope, linking, options),
    ),
    neighbours: on((scope, uids: string[]) => concepts.neighbours(scope, uids)),
    chunkDetails: on((scope, uids: string[]) => details.of(scope, uids)),
  }
  const read =
    <A extends unknown[], R>(answer: (db: Database, scope: Scope, ...args: A) => R) =>
    (scope: Scope, ...args: A): R =>
      db.snapshot(() => answer(db, scope, ...args))
  const near = runNear({
    ...questions,
    getLibrary: read(getLibrary),
    getCollection: read(getCollection),
    libraries: read(libraries),
  })
  return { ...questions, near }
}

/** How long a question took that was asked here. */
export interface AskedHere {
  question: string
  /** Milliseconds of the epoch. */
  from: number
  seconds: number
}

/** Runs what a module exports as `near` with the questions that are answered here; tells which were asked. */
function runNear(questions: Record<keyof SearchStore, (...args: never[]) => unknown>) {
  const modules = new Map<string, Promise<{ near: Near<unknown, unknown, unknown> }>>()
  return async (module: string, input: unknown, later: Promise<unknown>) => {
    const asked: AskedHere[] = []
    const graph = Object.fromEntries(
      Object.entries(questions).map(([question, answer]) => [
        question,
        async (...args: never[]) => {
          const started = performance.now()
          try {
            return answer(...args)
          } finally {
            const seconds = (performance.now() - started) / 1000
            asked.push({ question, from: performance.timeOrigin + started, seconds })
          }
        },
      ]),
    ) as unknown as SearchStore
    // To import what is loaded already takes a tenth of a millisecond.
    const loading = modules.get(module) ?? import(module)
    modules.set(module, loading)
    const { near } = await loading
    return { answer: await near(graph, input, later), asked }
  }
}

export type SearchQuestions = ReturnType<typeof searchQuestions>

serveQuestions(() => {
  const { file } = workerData as { file: string }
  const db = new Database(file, { readOnly: true })
  return { questions: searchQuestions(db), close: () => db.close() }
})
