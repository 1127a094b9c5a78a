import { type GraphStore, queryTerms } from '@mnemosyne/graph'
import type { Embedder } from '@mnemosyne/models'
import { say } from './bench.ts'
import { HttpSearch, type SearchServer, wholeAnswer } from './http-search.ts'
import type { Peer } from './peer.ts'

/** Searches of one kind before those of the next kind have their turn. */
const IN_A_ROW = 20
/** Turns that do not count: what is asked often gets compiled. */
const WARM_UP_TURNS = 3
export const WORDS_A_QUESTION = 8
const LONGEST_MS = 180_000
/** As search asks for. */
export const VECTOR_K = 50
export const FULLTEXT_K = 30

/** The product on a filled store, and what it is measured beside. */
export interface Place {
  /** The store's. */
  name: string
  chunks: number
  product: SearchServer
  /** The same store, or a copy where a file belongs to one process, with nothing around it. */
  graph: GraphStore
  /** All libraries. */
  libraries: string[]
  /** A new one each time. */
  question(): string
  peer?: Peer
}

/** Milliseconds of each search, by stage of the product, or by name of what it is measured beside. */
export type Times = Map<string, number[]>

export interface Stages {
  /** Of queries whose vector is not known. */
  fresh: Times
  /** Of the same queries once more. */
  repeated: Times
}

export const CLIENT = 'client'
/** In the search service. */
export const TOTAL = 'total'
export const MODEL = 'model'
export const BY_VECTOR = 'store, by vector'
export const BY_TEXT = 'store, by full text'
export const PEER_HTTP = 'peer, over HTTP'
export const PEER_INSIDE = 'peer, inside'

/** One caller; product, model, store and peer are asked the same questions in turns. */
export async function measureStages(place: Place, model: Embedder, searches: number): Promise<Stages> {
  say(`${place.name}: searching ${place.chunks} chunks`)
  await using asking = new AsyncDisposableStack()
  const product = asking.use(new HttpSearch(place.product))
  const peer = place.peer && asking.use(new HttpSearch(place.peer.server))
  const turn = async ({ fresh, repeated }: Stages) => {
    const questions = Array.from({ length: IN_A_ROW }, place.question)
    for (const times of [fresh, repeated]) {
      for (const question of questions) await askProduct(product, question, times)
    }
    await askParts(place, model, questions, fresh)
    for (const times of peer ? [fresh, repeated] : []) {
      for (const question of questions) add(times, PEER_HTTP, await askPeer(peer!, question))
    }
    for (const times of peer ? [fresh, repeated] : []) {
      for (const question of questions) {
        add(times, PEER_INSIDE, await place.peer!.inside(question, { forget: times === fresh }))
      }
    }
  }
  const aside: Stages = { fresh: new Map(), repeated: new Map() }
  for (let n = 0; n < WARM_UP_TURNS; n++) await turn(aside)
  const stages: Stages = { fresh: new Map(), repeated: new Map() }
  const until = performance.now() + LONGEST_MS
  for (let done = 0; done < searches && performance.now() < until; done += IN_A_ROW) await turn(stages)
  return stages
}

async function askProduct(product: HttpSearch, question: string, times: Times): Promise<void> {
  const answered = await product.search(question)
  const stages = Object.entries(wholeAnswer(answered).timings_ms)
  for (const [stage, ms] of [...stages, [CLIENT, answered.ms] as const]) add(times, stage, ms)
}

async function askParts(
  { graph, libraries }: Place,
  model: Embedder,
  questions: string[],
  times: Times,
): Promise<void> {
  const vectors: Float32Array[] = []
  for (const question of questions) {
    const { ms, found } = await timed(() => model.embedQuery(question, { cache: false }))
    vectors.push(found)
    add(times, MODEL, ms)
  }
  for (const [n, question] of questions.entries()) {
    const text = queryTerms(question)
    const byVector = await timed(() => graph.vectorCandidates({ libraries }, vectors[n]!, VECTOR_K))
    add(times, BY_VECTOR, byVector.ms)
    const byText = await timed(() => graph.fullTextCandidates({ libraries }, text, FULLTEXT_K))
    add(times, BY_TEXT, byText.ms)
  }
}

async function askPeer(peer: HttpSearch, question: string): Promise<number> {
  const { status, text, ms } = await peer.search(question)
  if (status !== 200 || text === '[]') throw new Error(`The peer's search went wrong: ${status} ${text}`)
  return ms
}

async function timed<T>(work: () => Promise<T>): Promise<{ ms: number; found: T }> {
  const started = performance.now()
  const found = await work()
  return { ms: performance.now() - started, found }
}

function add(times: Times, name: string, ms: number): void {
  const known = times.get(name)
  if (known) known.push(ms)
  else times.set(name, [ms])
}
