import { join } from 'node:path'
import { type Embedder, findModel, modelCacheDir, openLocalEmbedder } from '@mnemosyne/models'
import { createLog, Metrics } from '@mnemosyne/platform'
import type { Neo4jVersion } from '@mnemosyne/platform/testing'
import { Registry } from 'prom-client'
import { type FilledFolder, fillFolder } from './filled-folder.ts'
import { Servers } from './servers.ts'

export const silent = createLog({ component: 'bench', level: 'silent' })
export const noMetrics = () => new Metrics(new Registry(), 'bench')

/** How much is measured. */
export interface Sizes {
  /** Times that the corpus is ingested, and embedded by the bare model. */
  ingestRounds: number
  documents: number
  wordsADocument: number
  /** Chunks of the store of the parts that take one. */
  store: number
  /** Chunks of the stores that are searched, ascending. */
  searched: number[]
  searches: number
  /** Seconds in which some callers search without a pause. */
  callersSeconds: number
  starts: number
  pdfPages: number
  /** Chunks of the stores whose recall is measured, ascending. */
  recall: number[]
  recallQueries: number
  /** Jobs a round. */
  jobs: number
  hops: number
  /** Credentials in the store beside those that are presented. */
  identity: { tokens: number; teams: number }
}

export const FULL: Sizes = {
  ingestRounds: 6,
  documents: 16,
  wordsADocument: 2_800,
  store: 20_000,
  searched: [1_000, 20_000, 100_000],
  searches: 200,
  callersSeconds: 8,
  starts: 3,
  pdfPages: 300,
  recall: [20_000, 100_000],
  recallQueries: 100,
  jobs: 60,
  hops: 500,
  identity: { tokens: 100_000, teams: 1_000 },
}

export const QUICK: Sizes = {
  ingestRounds: 2,
  documents: 8,
  wordsADocument: 1_600,
  store: 2_000,
  searched: [200, 2_000],
  searches: 40,
  callersSeconds: 1,
  starts: 1,
  pdfPages: 20,
  recall: [2_000, 4_000],
  recallQueries: 10,
  jobs: 12,
  hops: 30,
  identity: { tokens: 1_000, teams: 10 },
}

/** What the measurements share: the sizes, a temporary folder, servers, the bare model, and stores that are filled once. */
export class Bench implements AsyncDisposable {
  readonly sizes: Sizes
  /** Of the services apart. */
  readonly neo4j: Neo4jVersion
  readonly servers: Servers
  readonly #folder: string
  readonly #filled = new Map<number, Promise<FilledFolder>>()
  readonly #closing = new AsyncDisposableStack()
  #model: Promise<Embedder> | undefined
  #folders = 0

  constructor(options: { sizes: Sizes; folder: string; neo4j: Neo4jVersion }) {
    this.sizes = options.sizes
    this.neo4j = options.neo4j
    this.#folder = options.folder
    this.servers = this.#closing.use(new Servers())
  }

  newFolder(): string {
    return join(this.#folder, `data-${++this.#folders}`)
  }

  /** The model that the product uses, with as many processes, and nothing else around it. */
  model(): Promise<Embedder> {
    this.#model ??= this.#openModel()
    return this.#model
  }

  /** A data folder whose store holds `chunks` chunks. No process has it open. */
  filled(chunks: number): Promise<FilledFolder> {
    const known = this.#filled.get(chunks)
    const filled =
      known ?? this.model().then(({ model }) => fillFolder(this.newFolder(), chunks, model.dimensions))
    this.#filled.set(chunks, filled)
    return filled
  }

  /** The folder of the model that the product uses. */
  async modelDir(): Promise<string> {
    const { MNEMOSYNE_MODEL_DIR: modelDir } = process.env
    const found = await findModel({ modelDir, cacheDir: modelCacheDir(process.env), log: silent })
    if (found.kind === 'missing') throw new Error(`${found.reason} ${found.whatToDo}`)
    return found.dir
  }

  async #openModel(): Promise<Embedder> {
    const modelDir = await this.modelDir()
    return this.#closing.use(await openLocalEmbedder({ modelDir, log: silent, metrics: noMetrics() }))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#closing.disposeAsync()
  }
}

/** Tells whoever waits what is going on. */
export function say(text: string): void {
  process.stderr.write(`${text}\n`)
}
