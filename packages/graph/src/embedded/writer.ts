import { workerData } from 'node:worker_threads'
import { checkContent } from '../content-check.ts'
import type {
  CollectionNode,
  DeletionCounts,
  ItemContent,
  ItemNode,
  LibraryNode,
  ReplaceOutcome,
} from '../port.ts'
import { serveQuestions } from './channel.ts'
import { replaceItemContent } from './content-writes.ts'
import { type Database, openForWriting, type StoreLimits } from './database.ts'
import {
  condemnedLibraries,
  condemnLibrary,
  type DeletionStep,
  deleteCollectionStep,
  deleteItem,
  deleteLibraryStep,
} from './deletions.ts'
import { putCollection, putItem, putLibrary } from './structure-writes.ts'
import { WriterCore, type WriteSession } from './writer-core.ts'

/** What the writer thread does; each function is one transaction. */
function writerQuestions(db: Database) {
  const core = new WriterCore(db)
  const step = (work: (session: WriteSession) => DeletionStep): DeletionStep => {
    const { result, conceptsGone } = core.transaction(work)
    return { ...result, counts: { ...result.counts, concepts: conceptsGone } }
  }
  return {
    putLibrary: (library: LibraryNode): void =>
      core.transaction((session) => putLibrary(session, library)).result,
    putCollection: (collection: CollectionNode): void =>
      core.transaction((session) => putCollection(session, collection)).result,
    putItem: (item: ItemNode): void => core.transaction((session) => putItem(session, item)).result,
    replaceItemContent: (content: ItemContent): ReplaceOutcome => {
      checkContent(content)
      return core.transaction((session) => replaceItemContent(session, content)).result
    },
    deleteItem: (uid: string): DeletionCounts => {
      const { result, conceptsGone } = core.transaction((session) => deleteItem(session, uid))
      return { ...result, concepts: conceptsGone }
    },
    deleteCollectionStep: (uid: string): DeletionStep =>
      step((session) => deleteCollectionStep(session, uid)),
    condemnLibrary: (uid: string): boolean =>
      core.transaction((session) => condemnLibrary(session, uid)).result,
    condemnedLibraries: (): string[] => condemnedLibraries(db),
    deleteLibraryStep: (uid: string): DeletionStep => step((session) => deleteLibraryStep(session, uid)),
  }
}

export type WriterQuestions = ReturnType<typeof writerQuestions>

serveQuestions(() => {
  const { file, limits } = workerData as { file: string; limits: StoreLimits }
  const db = openForWriting(file, limits)
  return { questions: writerQuestions(db), close: () => db.close() }
})
