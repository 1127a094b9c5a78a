import type { Clock, Logger, Metrics } from '@mnemosyne/platform'
import { checkDimensions } from '../content-check.ts'
import { addCounts, noCounts } from '../deletion-counts.ts'
import { DimensionMismatchError, GraphClosedError } from '../errors.ts'
import type {
  Ask,
  CollectionNode,
  DeletionCounts,
  GraphStore,
  ItemContent,
  ItemNode,
  LibraryNode,
  Page,
  Scope,
  TextQuery,
} from '../port.ts'
import { type QuestionMeter, questionMeter } from '../question-meter.ts'
import { WorkerChannel } from './channel.ts'
import type { StoreLimits } from './database.ts'
import type { DeletionStep } from './deletions.ts'
import type { ReaderQuestions } from './reader.ts'
import type { SearchQuestions } from './search-reader.ts'
import type { WriterQuestions } from './writer.ts'

export interface EmbeddedGraphOptions {
  /** Path of the SQLite file; made if missing. Its folder must exist. One process opens it at a time. */
  file: string
  log: Logger
  metrics: Metrics
  clock: Clock
  /** Most threads that answer questions other than those of a search; 2 unless told. */
  readers?: number
  /** Largest size of the file; writes beyond fail with GraphFullError. */
  maxBytes?: number
}

/**
 * Opens the graph store on one SQLite file. One thread writes, one searches, some answer the rest.
 * @throws NewerSchemaError, GraphUnavailableError when the file can't be opened.
 */
export async function openEmbeddedGraph(options: EmbeddedGraphOptions): Promise<GraphStore> {
  const graph = new EmbeddedGraph(options)
  try {
    await graph.start()
    return graph
  } catch (error) {
    await graph.close()
    throw error
  }
}

class EmbeddedGraph implements GraphStore {
  readonly #log: Logger
  readonly #measure: QuestionMeter
  readonly #writer: WorkerChannel<WriterQuestions>
  readonly #searcher: WorkerChannel<SearchQuestions>
  readonly #readers: WorkerChannel<ReaderQuestions>[]
  /** Deletions in hand, which `close` waits for: their steps are questions of their own. */
  readonly #deletions = new Set<Promise<unknown>>()
  #closed = false

  constructor({ file, log, metrics, readers = 2, maxBytes }: EmbeddedGraphOptions) {
    this.#log = log
    this.#measure = questionMeter(metrics)
    const limits: StoreLimits = { ...(maxBytes !== undefined && { maxBytes }) }
    const died = (thread: string) => (error: unknown) =>
      log.error({ err: error, thread }, 'graph thread died')
    this.#writer = new WorkerChannel(
      new URL('./writer.ts', import.meta.url),
      { file, limits },
      died('writer'),
    )
    this.#searcher = new WorkerChannel(
      new URL('./search-reader.ts', import.meta.url),
      { file },
      died('search'),
    )
    this.#readers = Array.from(
      { length: Math.max(1, readers) },
      () => new WorkerChannel(new URL('./reader.ts', import.meta.url), { file }, died('reader')),
    )
  }

  async start(): Promise<void> {
    await this.#writer.start()
    // Further readers start when the first is busy: a thread costs some 35 MB.
    await Promise.all([this.#searcher.start(), this.#readers[0]!.start()])
    this.#inHand(this.#finishDeletions()).catch((error) =>
      this.#log.error({ err: error }, 'a deletion that was cut short could not be finished'),
    )
  }

  putLibrary = (library: LibraryNode) => this.#write('putLibrary', [library])
  putCollection = (collection: CollectionNode) => this.#write('putCollection', [collection])
  putItem = (item: ItemNode) => this.#write('putItem', [item])
  replaceItemContent = (content: ItemContent) => this.#write('replaceItemContent', [content])
  deleteItem = (uid: string) => this.#write('deleteItem', [uid])

  deleteCollection = (uid: string) =>
    this.#measured('deleteCollection', () =>
      this.#inHand(this.#inSteps(() => this.#writer.ask('deleteCollectionStep', [uid]))),
    )

  deleteLibrary = (uid: string) =>
    this.#measured('deleteLibrary', () => this.#inHand(this.#deleteLibrary(uid)))

  getLibrary = (scope: Scope, uid: string, ask?: Ask) => this.#read('getLibrary', [scope, uid], ask)
  libraries = (scope: Scope, page?: Page, ask?: Ask) => this.#read('libraries', [scope, page], ask)
  libraryCounts = (uids: string[], ask?: Ask) => this.#read('libraryCounts', [uids], ask)
  getCollection = (scope: Scope, uid: string, ask?: Ask) => this.#read('getCollection', [scope, uid], ask)
  listCollections = (scope: Scope, page: Page, ask?: Ask) => this.#read('listCollections', [scope, page], ask)
  itemVersion = (uid: string, ask?: Ask) => this.#read('itemVersion', [uid], ask)
  getItem = (scope: Scope, uid: string, ask?: Ask) => this.#read('getItem', [scope, uid], ask)
  listItems = (scope: Scope, options: { page: Page }, ask?: Ask) =>
    this.#read('listItems', [scope, options], ask)
  itemConcepts = (scope: Scope, uid: string, ask?: Ask) => this.#read('itemConcepts', [scope, uid], ask)
  listChunks = (scope: Scope, uid: string, page: Page, ask?: Ask) =>
    this.#read('listChunks', [scope, uid, page], ask)
  getChunk = (scope: Scope, uid: string, options?: { before?: number; after?: number }, ask?: Ask) =>
    this.#read('getChunk', [scope, uid, options], ask)
  reusableVectors = (keys: string[], ask?: Ask) => this.#read('reusableVectors', [keys], ask)

  vectorCandidates = (scope: Scope, vector: Float32Array, k: number, ask?: Ask) =>
    this.#search('vectorCandidates', [scope, vector, k], ask)

  fullTextCandidates = (scope: Scope, query: TextQuery, k: number, ask?: Ask) =>
    this.#search('fullTextCandidates', [scope, query, k], ask)
  scoreChunks = (
    scope: Scope,
    uids: string[],
    query: { vector?: Float32Array | null; terms: string[] },
    ask?: Ask,
  ) => this.#search('scoreChunks', [scope, uids, query], ask)
  conceptsNamed = (scope: Scope, keys: string[], ask?: Ask) =>
    this.#search('conceptsNamed', [scope, keys], ask)
  mentions = (scope: Scope, uids: string[], ask?: Ask) => this.#search('mentions', [scope, uids], ask)
  chunksMentioning = (scope: Scope, uids: string[], limit: number, ask?: Ask) =>
    this.#search('chunksMentioning', [scope, uids, limit], ask)
  titleConcepts = (scope: Scope, uids: string[], ask?: Ask) =>
    this.#search('titleConcepts', [scope, uids], ask)
  linkedChunks = (
    scope: Scope,
    concepts: { concept_uid: string; weight: number }[],
    options: { among: string[]; others: number },
    ask?: Ask,
  ) => this.#search('linkedChunks', [scope, concepts, options], ask)
  neighbours = (scope: Scope, uids: string[], ask?: Ask) => this.#search('neighbours', [scope, uids], ask)
  chunkDetails = (scope: Scope, uids: string[], ask?: Ask) => this.#search('chunkDetails', [scope, uids], ask)
  near = async <I, L, O>(module: URL, input: I, later: Promise<L>, ask?: Ask): Promise<O> => {
    if (this.#closed) throw new GraphClosedError()
    const { answer, asked } = await this.#searcher.ask('near', [module.href, input], ask?.signal, later)
    for (const one of asked) this.#measure.past(one)
    return answer as O
  }

  concepts = (scope: Scope, options: { q?: string }, page: Page, ask?: Ask) =>
    this.#read('concepts', [scope, options, page], ask)
  conceptNeighbourhood = (scope: Scope, uid: string, depth: number, ask?: Ask) =>
    this.#read('conceptNeighbourhood', [scope, uid, depth], ask)

  /** Every vector of a scope is compared: there is nothing to set up but the question whether the length fits. */
  setUpVectors = async (dimensions: number) => {
    checkDimensions(dimensions)
    const stored = await this.#read('dimensions', [])
    if (stored !== null && stored !== dimensions) throw new DimensionMismatchError(stored, dimensions)
  }
  ping = (ask?: Ask) => this.#read('ping', [], ask)
  stats = (ask?: Ask) => this.#read('stats', [], ask)

  async close(): Promise<void> {
    this.#closed = true
    await Promise.allSettled(this.#deletions)
    await Promise.all([this.#searcher, ...this.#readers].map((channel) => channel.close()))
    // Last, so that it can fold the write-ahead log into the file.
    await this.#writer.close()
  }

  [Symbol.asyncDispose] = () => this.close()

  async #deleteLibrary(uid: string): Promise<DeletionCounts> {
    if (!(await this.#writer.ask('condemnLibrary', [uid]))) return noCounts()
    return this.#inSteps(() => this.#writer.ask('deleteLibraryStep', [uid]))
  }

  async #finishDeletions(): Promise<void> {
    for (const uid of await this.#writer.ask('condemnedLibraries', [])) {
      const counts = await this.#deleteLibrary(uid)
      this.#log.info({ library_uid: uid, ...counts }, 'finished the deletion of a library')
    }
  }

  async #inSteps(step: () => Promise<DeletionStep>): Promise<DeletionCounts> {
    const total = noCounts()
    for (;;) {
      const { counts, done } = await step()
      addCounts(total, counts)
      if (done) return total
    }
  }

  #inHand<T>(deletion: Promise<T>): Promise<T> {
    this.#deletions.add(deletion)
    const over = () => this.#deletions.delete(deletion)
    deletion.then(over, over)
    return deletion
  }

  #write: WorkerChannel<WriterQuestions>['ask'] = (question, args) =>
    this.#measured(question, () => this.#writer.ask(question, args))

  #search: <K extends keyof SearchQuestions>(
    question: K,
    args: Parameters<SearchQuestions[K]>,
    ask?: Ask,
  ) => Promise<ReturnType<SearchQuestions[K]>> = (question, args, ask) =>
    this.#measured(question, () => this.#searcher.ask(question, args as never, ask?.signal)) as never

  #read<K extends keyof ReaderQuestions>(
    question: K,
    args: Parameters<ReaderQuestions[K]>,
    ask?: Ask,
  ): Promise<ReturnType<ReaderQuestions[K]>> {
    return this.#measured(question, () => {
      const reader = this.#readers.reduce((least, other) => (other.load < least.load ? other : least))
      return reader.ask(question, args as never, ask?.signal)
    }) as Promise<ReturnType<ReaderQuestions[K]>>
  }

  async #measured<T>(question: string, work: () => Promise<T>): Promise<T> {
    if (this.#closed) throw new GraphClosedError()
    return this.#measure.around(question, {}, work)
  }
}
