import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import type { GraphStore, LibraryNode } from '@mnemosyne/graph'
import { type Bench, say } from './bench.ts'
import { openGraph } from './filled-folder.ts'
import { clusteredVectors, itemOf, type MadeUpItem, store } from './made-up-content.ts'
import { milliseconds, percentile, type Report, seconds, sum } from './report.ts'
import { NEO4J_VERSIONS, openNeo4j, startNeo4jInEarnest } from './servers.ts'

const DIMENSIONS = 384
/** As search asks for. */
const NOMINATED = 50
const TOP = 10
const CHUNKS_AN_ITEM = 500
const WARM_UP = 20
const CLUSTERS = 200

/** Libraries by their share of the store. */
const SHARES = { tenth: 0.1, hundredth: 0.01, thousandth: 0.001, elsewhere: 0.1 }
type Part = keyof typeof SHARES | 'rest'
const PARTS: Part[] = ['tenth', 'hundredth', 'thousandth', 'elsewhere', 'rest']

const SCOPES: { name: string; parts: Part[] }[] = [
  { name: '100 %', parts: PARTS },
  { name: '10 %', parts: ['tenth'] },
  { name: '1 %', parts: ['hundredth'] },
  { name: '0.1 %', parts: ['thousandth'] },
  { name: '10 %, of another subject than the question', parts: ['elsewhere'] },
]

interface Store {
  name: string
  graph: GraphStore
}

/** `vectorCandidates` of every adapter against exact cosine, computed here, in scopes of several sizes. One table a size. */
export async function* measureRecall(bench: Bench): AsyncGenerator<Report> {
  await using closing = new AsyncDisposableStack()
  const stores: Store[] = [
    { name: 'embedded', graph: closing.use(await openGraph(join(`${bench.newFolder()}.db`))) },
  ]
  for (const version of NEO4J_VERSIONS) {
    const server = closing.use(await startNeo4jInEarnest(version))
    stores.push({ name: `Neo4j ${version}`, graph: closing.use(await openNeo4j(server.url)) })
  }
  const libraries = Object.fromEntries(PARTS.map((part) => [part, randomUUID()])) as Record<Part, string>
  for (const { graph } of stores) {
    for (const part of PARTS) await graph.putLibrary(libraryNode(libraries[part], part))
    await graph.setUpVectors(DIMENSIONS)
  }
  const vectors = new Vectors()
  const near = clusteredVectors({ dimensions: DIMENSIONS, seed: 11, clusters: CLUSTERS })
  const far = clusteredVectors({ dimensions: DIMENSIONS, seed: 12, clusters: CLUSTERS / 10 })
  let stored = 0
  for (const size of bench.sizes.recall) {
    const items = itemsOf(stored, size, { near, far })
    const filling: string[] = []
    for (const { name, graph } of stores) {
      const took = await fill(graph, name, libraries, items)
      filling.push(`${name} in ${seconds(took)}`)
    }
    for (const { part, item } of items) {
      for (const { chunk_uid, embedding } of item.chunks) vectors.add(part, chunk_uid, embedding!)
    }
    const added = size - stored
    stored = size
    const queries = Array.from({ length: WARM_UP + bench.sizes.recallQueries }, near)
    const found: Found[][] = []
    for (const scope of SCOPES) found.push(await inScope(stores, scope, libraries, vectors, queries))
    yield reportOf(bench, { size, added, stores, found, filling })
  }
}

/** Every vector in the order stored, so that brute force is one pass. */
class Vectors {
  readonly #parts: Part[] = []
  readonly #uids: string[] = []
  readonly #vectors: Float32Array[] = []

  add(part: Part, uid: string, vector: Float32Array): void {
    this.#parts.push(part)
    this.#uids.push(uid)
    this.#vectors.push(vector)
  }

  /** The nearest in these parts, by exact cosine; all vectors have length 1. */
  nearest(query: Float32Array, parts: readonly Part[], count: number): string[] {
    const best: { uid: string; cosine: number }[] = []
    for (let n = 0; n < this.#vectors.length; n++) {
      if (!parts.includes(this.#parts[n]!)) continue
      const vector = this.#vectors[n]!
      let cosine = 0
      for (let i = 0; i < query.length; i++) cosine += query[i]! * vector[i]!
      if (best.length === count && cosine <= best[count - 1]!.cosine) continue
      const at = best.findIndex((other) => other.cosine < cosine)
      best.splice(at === -1 ? best.length : at, 0, { uid: this.#uids[n]!, cosine })
      best.length = Math.min(best.length, count)
    }
    return best.map(({ uid }) => uid)
  }
}

interface PlacedItem {
  part: Part
  item: MadeUpItem
}

/** What brings a store from one size to the next, each library keeping its share. */
function itemsOf(
  from: number,
  to: number,
  { near, far }: Record<'near' | 'far', () => Float32Array>,
): PlacedItem[] {
  const shareOf = (size: number) => {
    const parts = Object.entries(SHARES).map(([part, share]) => [part, Math.round(size * share)] as const)
    return new Map<string, number>([...parts, ['rest', size - sum(parts.map(([, chunks]) => chunks))]])
  }
  const [before, after] = [shareOf(from), shareOf(to)]
  return PARTS.flatMap((part) => {
    const items: PlacedItem[] = []
    const vector = part === 'elsewhere' ? far : near
    for (let left = after.get(part)! - before.get(part)!; left > 0; left -= CHUNKS_AN_ITEM) {
      const passages = Array.from({ length: Math.min(CHUNKS_AN_ITEM, left) }, (_, n) => ({
        text: `passage ${n}`,
        embedding: vector(),
      }))
      items.push({ part, item: itemOf('A made-up item', passages) })
    }
    return items
  })
}

async function fill(
  graph: GraphStore,
  name: string,
  libraries: Record<Part, string>,
  items: PlacedItem[],
): Promise<number> {
  say(`${name}: storing ${sum(items.map(({ item }) => item.chunks.length))} chunks`)
  const started = performance.now()
  for (const { part, item } of items) await store(graph, libraries[part], item)
  return performance.now() - started
}

/** Of one scope in one store. */
interface Found {
  recall: number
  /** Share of the answers that say that they are exact. */
  exact: number
  times: number[]
}

async function inScope(
  stores: Store[],
  { name, parts }: (typeof SCOPES)[number],
  libraries: Record<Part, string>,
  vectors: Vectors,
  queries: Float32Array[],
): Promise<Found[]> {
  say(`asking for the nearest in ${name}`)
  const scope = { libraries: parts.map((part) => libraries[part]) }
  const found = stores.map(() => ({ recalls: [] as number[], exact: 0, times: [] as number[] }))
  for (const [round, query] of queries.entries()) {
    const nearest = round < WARM_UP ? [] : vectors.nearest(query, parts, TOP)
    for (const [n, { graph }] of stores.entries()) {
      const started = performance.now()
      const answer = await graph.vectorCandidates(scope, query, NOMINATED)
      const took = performance.now() - started
      if (round < WARM_UP) continue
      const first = new Set(answer.hits.slice(0, TOP).map(({ chunk_uid }) => chunk_uid))
      const into = found[n]!
      into.times.push(took)
      into.recalls.push(nearest.filter((uid) => first.has(uid)).length / nearest.length)
      if (answer.exact) into.exact++
    }
  }
  return found.map(({ recalls, exact, times }) => ({
    recall: sum(recalls) / recalls.length,
    exact: exact / times.length,
    times,
  }))
}

function reportOf(
  bench: Bench,
  measured: { size: number; added: number; stores: Store[]; found: Found[][]; filling: string[] },
): Report {
  const { size, added, stores, found, filling } = measured
  const cells = ({ recall, exact, times }: Found) => [
    `${recall.toFixed(3)}${exact === 1 ? ' (exact)' : ''}`,
    `${milliseconds(percentile(times, 0.5))} / ${milliseconds(percentile(times, 0.95))}`,
  ]
  return {
    title: `Recall in scopes, ${size.toLocaleString('en')} chunks`,
    about: `Recall@${TOP} of the first ${TOP} of ${NOMINATED} nominated by vector, against exact cosine over the same vectors, and milliseconds of the question to the store, p50 / p95; ${bench.sizes.recallQueries} questions a scope, in turns. ${DIMENSIONS} dimensions; vectors in ${CLUSTERS} clusters that every library but the last shares, and the questions with them.`,
    columns: ['scope, share of the store', ...stores.flatMap(({ name }) => [`${name}: recall@${TOP}`, 'ms'])],
    rows: SCOPES.map(({ name }, n) => [name, ...found[n]!.flatMap(cells)]),
    notes: [
      `${added.toLocaleString('en')} chunks of two words added through the graph port: ${filling.join('; ')}.`,
    ],
    figures: Object.fromEntries(
      SCOPES.flatMap(({ name }, scope) =>
        stores.flatMap((store, n) => {
          const { recall, times } = found[scope]![n]!
          const key = `${store.name} ${size} ${name}`
          return [
            [`${key} recall`, recall],
            [`${key} p50_ms`, percentile(times, 0.5)],
            [`${key} p95_ms`, percentile(times, 0.95)],
          ]
        }),
      ),
    ),
  }
}

function libraryNode(uid: string, name: string): LibraryNode {
  const now = new Date().toISOString()
  return {
    uid,
    name,
    library_type: 'technical',
    description: '',
    workspace_id: null,
    owner_username: null,
    chunking_config: {},
    embedding_instruction: '',
    reranker_instruction: '',
    llm_context_prompt: '',
    created_at: now,
    updated_at: now,
  }
}
