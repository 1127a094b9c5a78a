import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import type { GraphStore, LibraryNode } from '@mnemosyne/graph'
import { type Bench, say } from './bench.ts'
import { openGraph } from './filled-folder.ts'
import { clusteredVectors, itemOf, type MadeUpItem, store } from './made-up-content.ts'
import { milliseconds, percentile, type Report, seconds, sum } from './report.ts'
import { NEO4J_VERSIONS, openNeo4j, startNeo4jInEarnest } from './servers.ts'

const DIMENSIONS = 384
/** As search asks for, and few. */
const NOMINATED = [50, 10] as const
const TOP = 10
const CHUNKS_AN_ITEM = 500
const WARM_UP = 20
const CLUSTERS = 200

type Subject = 'near' | 'far' | 'alien'

/** Libraries, their share of the store, and what they are about. */
const LIBRARIES = [
  { part: 'tenth', share: 0.1, subject: 'near' },
  { part: 'hundredth', share: 0.01, subject: 'near' },
  { part: 'thousandth', share: 0.001, subject: 'near' },
  { part: 'far half', share: 0.5, subject: 'far' },
  { part: 'far tenth', share: 0.1, subject: 'far' },
  { part: 'far thirtieth', share: 0.03, subject: 'far' },
  { part: 'far hundredth', share: 0.01, subject: 'far' },
  { part: 'far thousandth', share: 0.001, subject: 'far' },
  { part: 'rest', share: 0.248, subject: 'near' },
] as const
type Part = (typeof LIBRARIES)[number]['part']
const PARTS = LIBRARIES.map(({ part }) => part)

/** The questions are near, except where they are alien: about nothing that is stored. */
const SCOPES: { name: string; parts: Part[]; asked?: Subject }[] = [
  { name: '100 %', parts: PARTS },
  { name: '10 %', parts: ['tenth'] },
  { name: '1 %', parts: ['hundredth'] },
  { name: '0.1 %', parts: ['thousandth'] },
  { name: '100 %, of other subjects than the question', parts: PARTS, asked: 'alien' },
  { name: '50 %, of another subject', parts: ['far half'] },
  { name: '10 %, of another subject', parts: ['far tenth'] },
  { name: '3 %, of another subject', parts: ['far thirtieth'] },
  { name: '1 %, of another subject', parts: ['far hundredth'] },
  { name: '0.1 %, of another subject', parts: ['far thousandth'] },
  { name: '20 %, half of another subject', parts: ['tenth', 'far tenth'] },
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
  const about: Record<Subject, () => Float32Array> = {
    near: clusteredVectors({ dimensions: DIMENSIONS, seed: 11, clusters: CLUSTERS }),
    far: clusteredVectors({ dimensions: DIMENSIONS, seed: 12, clusters: CLUSTERS / 10 }),
    alien: clusteredVectors({ dimensions: DIMENSIONS, seed: 13, clusters: CLUSTERS / 10 }),
  }
  let stored = 0
  for (const size of bench.sizes.recall) {
    const items = itemsOf(stored, size, about)
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
    const questions = (subject: Subject) =>
      Array.from({ length: WARM_UP + bench.sizes.recallQueries }, about[subject])
    const queries: Record<string, Float32Array[]> = { near: questions('near'), alien: questions('alien') }
    const found: Found[][] = []
    for (const scope of SCOPES) {
      found.push(await inScope(stores, scope, libraries, vectors, queries[scope.asked ?? 'near']!))
    }
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
function itemsOf(from: number, to: number, about: Record<Subject, () => Float32Array>): PlacedItem[] {
  return LIBRARIES.flatMap(({ part, share, subject }) => {
    const items: PlacedItem[] = []
    for (let left = Math.round(to * share) - Math.round(from * share); left > 0; left -= CHUNKS_AN_ITEM) {
      const passages = Array.from({ length: Math.min(CHUNKS_AN_ITEM, left) }, (_, n) => ({
        text: `passage ${n}`,
        embedding: about[subject](),
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
  /** By {@link NOMINATED}. */
  recalls: number[]
  /** Share of the answers that say that they are exact. */
  exact: number
  /** Milliseconds of the questions for as many as search asks for. */
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
  const found = stores.map(() =>
    NOMINATED.map(() => ({ recalls: [] as number[], exact: 0, times: [] as number[] })),
  )
  for (const [round, query] of queries.entries()) {
    const nearest = round < WARM_UP ? [] : vectors.nearest(query, parts, TOP)
    for (const [n, { graph }] of stores.entries()) {
      for (const [at, nominated] of NOMINATED.entries()) {
        const started = performance.now()
        const answer = await graph.vectorCandidates(scope, query, nominated)
        const took = performance.now() - started
        if (round < WARM_UP) continue
        const first = new Set(answer.hits.slice(0, TOP).map(({ chunk_uid }) => chunk_uid))
        const into = found[n]![at]!
        into.times.push(took)
        into.recalls.push(nearest.filter((uid) => first.has(uid)).length / nearest.length)
        if (answer.exact) into.exact++
      }
    }
  }
  return found.map((one) => ({
    recalls: one.map(({ recalls }) => sum(recalls) / recalls.length),
    exact: sum(one.map(({ exact }) => exact)) / sum(one.map(({ times }) => times.length)),
    times: one[0]!.times,
  }))
}

function reportOf(
  bench: Bench,
  measured: { size: number; added: number; stores: Store[]; found: Found[][]; filling: string[] },
): Report {
  const { size, added, stores, found, filling } = measured
  const cells = ({ recalls, exact, times }: Found) => [
    `${recalls.map((recall) => recall.toFixed(3)).join(' / ')}${exact === 1 ? ' (exact)' : ''}`,
    `${milliseconds(percentile(times, 0.5))} / ${milliseconds(percentile(times, 0.95))}`,
  ]
  return {
    title: `Recall in scopes, ${size.toLocaleString('en')} chunks`,
    about: `Recall@${TOP} of the first ${TOP} of ${NOMINATED.join(' / of ')} nominated by vector, against exact cosine over the same vectors, and milliseconds of the question for ${NOMINATED[0]} to the store, p50 / p95; ${bench.sizes.recallQueries} questions a scope, in turns. ${DIMENSIONS} dimensions; vectors in ${CLUSTERS} clusters, and the questions with them; in ${CLUSTERS / 10} others where the subject is another.`,
    columns: ['scope, share of the store', ...stores.flatMap(({ name }) => [`${name}: recall@${TOP}`, 'ms'])],
    rows: SCOPES.map(({ name }, n) => [name, ...found[n]!.flatMap(cells)]),
    notes: [
      `${added.toLocaleString('en')} chunks of two words added through the graph port: ${filling.join('; ')}.`,
    ],
    figures: Object.fromEntries(
      SCOPES.flatMap(({ name }, scope) =>
        stores.flatMap((store, n) => {
          const { recalls, times } = found[scope]![n]!
          const key = `${store.name} ${size} ${name}`
          return [
            ...recalls.map((recall, at) => [`${key} recall of ${NOMINATED[at]}`, recall] as const),
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
