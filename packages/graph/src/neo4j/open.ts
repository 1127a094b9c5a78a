import type { Clock, Logger, Metrics } from '@mnemosyne/platform'
import { checkContent } from '../content-check.ts'
import { GraphClosedError } from '../errors.ts'
import type {
  Ask,
  CollectionNode,
  GraphStore,
  ItemContent,
  ItemNode,
  LibraryNode,
  Page,
  ReplaceOutcome,
  Scope,
  TextQuery,
} from '../port.ts'
import { type QuestionMeter, questionMeter } from '../question-meter.ts'
import { chunkDetails, getChunk, listChunks, neighbours } from './chunk-reads.ts'
import { conceptNeighbourhood } from './concept-neighbourhood.ts'
import {
  chunksMentioning,
  concepts,
  conceptsNamed,
  itemConcepts,
  linkedChunks,
  mentions,
  titleConcepts,
} from './concept-reads.ts'
import { KnownKeys } from './concept-writes.ts'
import { Neo4jConnection, type Transaction } from './connection.ts'
import { replaceItemContent } from './content-writes.ts'
import { condemnedLibraries, deleteCollection, deleteItem, deleteLibrary, retiredItems } from './deletions.ts'
import { LeftOvers } from './left-over-timer.ts'
import { Looks } from './retrieval.ts'
import { reusableVectors } from './reusable-vectors.ts'
import { ensureSchema } from './schema.ts'
import {
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
import { putCollection, putItem, putLibrary } from './structure-writes.ts'
import { fullTextCandidates, scoreChunks } from './text-search.ts'
import { parseNeo4jUrl } from './url.ts'
import { setUpVectors } from './vector-index.ts'
import { VectorSamples } from './vector-samples.ts'
import { vectorCandidates } from './vector-search.ts'

export interface Neo4jGraphOptions {
  /** `bolt://USER:PASSWORD@HOST:7687`, also neo4j:// and +s. Neo4j 5.26 or 2026. */
  url: string
  log: Logger
  metrics: Metrics
  clock: Clock
}

/**
 * Opens the graph store on a Neo4j server. Opened, it outlives the server's going and coming: meanwhile questions
 * fail with GraphUnavailableError within seconds.
 * @throws InvalidGraphUrlError, NewerSchemaError, GraphUnavailableError when the server can't be reached or refuses
 *   the credentials: try again later.
 */
export async function openNeo4jGraph(options: Neo4jGraphOptions): Promise<GraphStore> {
  const graph = new Neo4jGraph(options)
  try {
    await graph.start()
    return graph
  } catch (error) {
    await graph.close()
    throw error
  }
}

type Rest<F> = F extends (tx: Transaction, ...args: infer A) => Promise<infer R> ? [A, R] : never

class Neo4jGraph implements GraphStore {
  readonly #log: Logger
  readonly #measure: QuestionMeter
  /** Where questions go, for their spans. */
  readonly #server: { 'server.address': string; 'server.port': number }
  readonly #db: Neo4jConnection
  readonly #known = new KnownKeys()
  readonly #looks = new Looks()
  readonly #samples = new VectorSamples()
  readonly #leftOvers: LeftOvers
  /** Questions in hand, which `close` waits for. */
  readonly #inHand = new Set<Promise<unknown>>()
  #closed = false

  constructor({ url, log, metrics }: Neo4jGraphOptions) {
    this.#log = log
    this.#measure = questionMeter(metrics)
    const address = parseNeo4jUrl(url)
    const { hostname, port } = new URL(address.url)
    this.#server = { 'server.address': hostname, 'server.port': Number(port) }
    this.#db = Neo4jConnection.to(address)
    this.#leftOvers = new LeftOvers(this.#db, log)
  }

  async start(): Promise<void> {
    await ensureSchema(this.#db)
    this.#kept(this.#finish()).catch((error) =>
      this.#log.error({ err: error }, 'what was cut short in the graph could not be finished'),
    )
  }

  putLibrary = (library: LibraryNode) => this.#write('putLibrary', putLibrary, [library])
  putCollection = (collection: CollectionNode) => this.#write('putCollection', putCollection, [collection])
  putItem = (item: ItemNode) => this.#write('putItem', putItem, [item])
  deleteItem = (uid: string) => this.#ask('deleteItem', () => deleteItem(this.#db, uid))
  deleteCollection = (uid: string) => this.#ask('deleteCollection', () => deleteCollection(this.#db, uid))
  deleteLibrary = (uid: string) => this.#ask('deleteLibrary', () => deleteLibrary(this.#db, uid))

  replaceItemContent = (content: ItemContent): Promise<ReplaceOutcome> =>
    this.#ask('replaceItemContent', async () => {
      checkContent(content)
      const { outcome, leftOver } = await replaceItemContent(this.#db, this.#known, content)
      if (leftOver) this.#leftOvers.note(content.item_uid)
      return outcome
    })

  getLibrary = (scope: Scope, uid: string, ask?: Ask) =>
    this.#read('getLibrary', getLibrary, [scope, uid], ask)
  libraries = (scope: Scope, page?: Page, ask?: Ask) => this.#read('libraries', libraries, [scope, page], ask)
  libraryCounts = (uids: string[], ask?: Ask) => this.#read('libraryCounts', libraryCounts, [uids], ask)
  getCollection = (scope: Scope, uid: string, ask?: Ask) =>
    this.#read('getCollection', getCollection, [scope, uid], ask)
  listCollections = (scope: Scope, page: Page, ask?: Ask) =>
    this.#read('listCollections', listCollections, [scope, page], ask)
  itemVersion = (uid: string, ask?: Ask) => this.#read('itemVersion', itemVersion, [uid], ask)
  getItem = (scope: Scope, uid: string, ask?: Ask) => this.#read('getItem', getItem, [scope, uid], ask)
  listItems = (scope: Scope, options: { page: Page }, ask?: Ask) =>
    this.#read('listItems', listItems, [scope, options], ask)
  itemConcepts = (scope: Scope, uid: string, ask?: Ask) =>
    this.#read('itemConcepts', itemConcepts, [scope, uid], ask)
  listChunks = (scope: Scope, uid: string, page: Page, ask?: Ask) =>
    this.#read('listChunks', listChunks, [scope, uid, page], ask)
  getChunk = (scope: Scope, uid: string, options?: { before?: number; after?: number }, ask?: Ask) =>
    this.#read('getChunk', getChunk, [scope, uid, options], ask)
  reusableVectors = (keys: string[], ask?: Ask) => this.#read('reusableVectors', reusableVectors, [keys], ask)

  vectorCandidates = (scope: Scope, vector: Float32Array, k: number, ask?: Ask) =>
    this.#ask(
      'vectorCandidates',
      (db) => vectorCandidates(db, { looks: this.#looks, samples: this.#samples }, scope, vector, k),
      ask,
    )
  fullTextCandidates = (scope: Scope, query: TextQuery, k: number, ask?: Ask) =>
    this.#ask('fullTextCandidates', (db) => fullTextCandidates(db, this.#looks, scope, query, k), ask)
  scoreChunks = (
    scope: Scope,
    uids: string[],
    query: { vector?: Float32Array | null; terms: string[] },
    ask?: Ask,
  ) => this.#read('scoreChunks', scoreChunks, [scope, uids, query], ask)
  conceptsNamed = (scope: Scope, keys: string[], ask?: Ask) =>
    this.#read('conceptsNamed', conceptsNamed, [scope, keys], ask)
  mentions = (scope: Scope, uids: string[], ask?: Ask) => this.#read('mentions', mentions, [scope, uids], ask)
  chunksMentioning = (scope: Scope, uids: string[], limit: number, ask?: Ask) =>
    this.#read('chunksMentioning', chunksMentioning, [scope, uids, limit], ask)
  titleConcepts = (scope: Scope, uids: string[], ask?: Ask) =>
    this.#read('titleConcepts', titleConcepts, [scope, uids], ask)
  linkedChunks = (
    scope: Scope,
    concepts: { concept_uid: string; weight: number }[],
    options: { among: string[]; others: number },
    ask?: Ask,
  ) => this.#read('linkedChunks', linkedChunks, [scope, concepts, options], ask)
  neighbours = (scope: Scope, uids: string[], ask?: Ask) =>
    this.#read('neighbours', neighbours, [scope, uids], ask)
  chunkDetails = (scope: Scope, uids: string[], ask?: Ask) =>
    this.#read('chunkDetails', chunkDetails, [scope, uids], ask)
  concepts = (scope: Scope, options: { q?: string }, page: Page, ask?: Ask) =>
    this.#read('concepts', concepts, [scope, options, page], ask)
  conceptNeighbourhood = (scope: Scope, uid: string, depth: number, ask?: Ask) =>
    this.#read('conceptNeighbourhood', conceptNeighbourhood, [scope, uid, depth], ask)

  setUpVectors = (dimensions: number, options?: { drop?: boolean }) =>
    this.#ask('setUpVectors', () => setUpVectors(this.#db, dimensions, options))
  ping = (ask?: Ask) =>
    this.#read(
      'ping',
      async (tx: Transaction) => void (await tx.run("MATCH (s:GraphStore {name: 'store'}) RETURN s.chunks")),
      [],
      ask,
    )
  stats = (ask?: Ask) => this.#read('stats', stats, [], ask)

  async close(): Promise<void> {
    this.#closed = true
    await Promise.allSettled(this.#inHand)
    await this.#leftOvers.close()
    await this.#db.close()
  }

  [Symbol.asyncDispose] = () => this.close()

  /** Ends the deletions that a crash cut short, and removes what nobody removed. */
  async #finish(): Promise<void> {
    for (const uid of await condemnedLibraries(this.#db)) {
      const counts = await deleteLibrary(this.#db, uid)
      this.#log.info({ library_uid: uid, ...counts }, 'finished the deletion of a library')
    }
    for (const uid of await retiredItems(this.#db)) await deleteItem(this.#db, uid)
    await this.#leftOvers.removeForgotten()
  }

  #read<F extends (tx: Transaction, ...args: never[]) => Promise<unknown>>(
    question: string,
    read: F,
    args: Rest<F>[0],
    ask?: Ask,
  ): Promise<Rest<F>[1]> {
    const work = read as unknown as (tx: Transaction, ...args: unknown[]) => Promise<Rest<F>[1]>
    return this.#ask(question, (db) => db.read((tx) => work(tx, ...(args as unknown[]))), ask)
  }

  #write<F extends (tx: Transaction, ...args: never[]) => Promise<unknown>>(
    question: string,
    write: F,
    args: Rest<F>[0],
  ): Promise<Rest<F>[1]> {
    const work = write as unknown as (tx: Transaction, ...args: unknown[]) => Promise<Rest<F>[1]>
    return this.#ask(question, () => this.#db.write((tx) => work(tx, ...(args as unknown[]))))
  }

  async #ask<T>(question: string, work: (db: Neo4jConnection) => Promise<T>, ask?: Ask): Promise<T> {
    if (this.#closed) throw new GraphClosedError()
    ask?.signal?.throwIfAborted()
    const attributes = { ...this.#server, 'db.system.name': 'neo4j', 'db.operation.name': question }
    return this.#kept(this.#measure.around(question, attributes, () => work(this.#db.until(ask?.signal))))
  }

  #kept<T>(work: Promise<T>): Promise<T> {
    this.#inHand.add(work)
    const over = () => this.#inHand.delete(work)
    work.then(over, over)
    return work
  }
}
