import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { type ConceptContent, conceptKey, type GraphStore, openEmbeddedGraph } from '@mnemosyne/graph'
import { systemClock } from '@mnemosyne/platform'
import { noMetrics, say, silent } from './bench.ts'
import { madeUpName, madeUpWord, pick, seeded } from './random.ts'
import { startSystem } from './system.ts'

/** A data folder with two libraries: one holds a hundredth of all chunks. */
export interface FilledFolder {
  dataDir: string
  token: string
  chunks: number
  large: string
  small: { uid: string; vectors: Map<string, Float32Array> }
  /** A question of `words` words, as its texts use them. No two are the same. */
  question(words: number): string
}

const CHUNKS_AN_ITEM = 50
/** About 190 tokens of the model. */
const WORDS_A_CHUNK = 95
const VOCABULARY = 30_000
const NAMES = 4_000
const CLUSTERS = 200
const STOPS = 'the of and to in is that it was for on are as with his they at be this from or had by'.split(
  ' ',
)

/**
 * Makes a data folder as the product makes it, its libraries created over REST, and then fills its graph through
 * the port while nothing runs: words after Zipf's law with stop words and names among them, unit vectors in clusters.
 */
export async function fillFolder(dataDir: string, chunks: number, dimensions: number): Promise<FilledFolder> {
  say(`filling a store with ${chunks} chunks`)
  const system = await startSystem(dataDir)
  const create = async (id: string) => {
    const request = { workspace_id: id, name: id, library_type: 'technical' }
    const { status, text, body } = await system.call('POST', '/library/api/workspaces/', request)
    if (status !== 201) throw new Error(`The library was not created: ${status} ${text}`)
    return (body as { library_uid: string }).library_uid
  }
  const [large, small] = [await create('large'), await create('small')]
  await system.stop()

  const language = new Language(chunks)
  const vectors = clusteredVectors(dimensions, chunks)
  await using graph = await openGraph(join(dataDir, 'graph.db'))
  const inSmall = Math.max(10, Math.round(chunks / 100))
  const kept = await fillLibrary(graph, small, inSmall, language, vectors)
  await fillLibrary(graph, large, chunks - inSmall, language, vectors)
  return {
    dataDir,
    token: system.token,
    chunks,
    large,
    small: { uid: small, vectors: kept },
    question: (words) => language.text(words),
  }
}

export function openGraph(file: string): Promise<GraphStore> {
  return openEmbeddedGraph({ file, log: silent, metrics: noMetrics(), clock: systemClock })
}

async function fillLibrary(
  graph: GraphStore,
  library_uid: string,
  chunks: number,
  language: Language,
  vector: () => Float32Array,
): Promise<Map<string, Float32Array>> {
  const kept = new Map<string, Float32Array>()
  for (let at = 0; at < chunks; at += CHUNKS_AN_ITEM) {
    const texts = Array.from({ length: Math.min(CHUNKS_AN_ITEM, chunks - at) }, () =>
      language.text(WORDS_A_CHUNK),
    )
    const uid = randomUUID()
    const title = `${language.name()} ${language.name()}`
    const now = new Date().toISOString()
    const content = texts.map((text, chunk_index) => {
      const chunk = {
        chunk_uid: randomUUID(),
        chunk_index,
        text,
        section_path: [title],
        page: null,
        char_start: 0,
        char_end: text.length,
        token_count: 2 * WORDS_A_CHUNK,
        embedding: vector(),
        embedding_key: randomUUID(),
      }
      kept.set(chunk.chunk_uid, chunk.embedding)
      return chunk
    })
    await graph.putItem({
      uid,
      library_uid,
      collection_uid: null,
      title,
      item_type: 'document',
      file_type: 'text/plain',
      file_size: 1,
      s3_key: null,
      content_hash: uid,
      source: 'upload',
      source_ref: uid,
      metadata: {},
      embedding_status: 'processing',
      error: null,
      created_at: now,
      updated_at: now,
    })
    await graph.replaceItemContent({
      item_uid: uid,
      library_uid,
      version: 1,
      title,
      content_hash: uid,
      embedding_model: 'made up',
      updated_at: now,
      chunks: content,
      concepts: conceptsOf(title, texts),
    })
  }
  return kept
}

/** The title, and every name. */
function conceptsOf(title: string, texts: readonly string[]): ConceptContent[] {
  const names = new Set(texts.flatMap((text) => text.match(/[A-Z]\p{L}+/gu) ?? []))
  return [
    { key: conceptKey(title)!, name: title, kind: 'title' },
    ...[...names].map((name) => ({ key: conceptKey(name)!, name, kind: 'named' as const })),
  ]
}

class Language {
  readonly #random: () => number
  readonly #words = zipf(VOCABULARY)
  readonly #names = zipf(NAMES)

  constructor(seed: number) {
    this.#random = seeded(seed)
  }

  text(words: number): string {
    return Array.from({ length: words }, () => {
      const roll = this.#random()
      if (roll < 0.04) return this.name()
      return roll < 0.45 ? pick(this.#random, STOPS) : madeUpWord(this.#words(this.#random()))
    }).join(' ')
  }

  /** Names and words have nothing in common. */
  name(): string {
    return madeUpName(VOCABULARY + this.#names(this.#random()))
  }
}

/** Draws ranks from 0 with a likelihood of 1 / (rank + 10). */
function zipf(size: number): (random: number) => number {
  const sums = new Float64Array(size)
  let total = 0
  for (let rank = 0; rank < size; rank++) {
    total += 1 / (rank + 10)
    sums[rank] = total
  }
  return (random) => {
    const goal = random * total
    let low = 0
    let high = size - 1
    while (low < high) {
      const middle = (low + high) >> 1
      if (sums[middle]! < goal) low = middle + 1
      else high = middle
    }
    return low
  }
}

function clusteredVectors(dimensions: number, seed: number): () => Float32Array {
  const random = seeded(seed + 1)
  const direction = () => normalised(Float32Array.from({ length: dimensions }, () => random() - 0.5))
  const centres = Array.from({ length: CLUSTERS }, direction)
  return () => {
    const [centre, own] = [pick(random, centres), direction()]
    return normalised(centre.map((x, i) => x + 0.8 * own[i]!))
  }
}

function normalised(vector: Float32Array): Float32Array {
  const length = Math.sqrt(vector.reduce((squares, x) => squares + x * x, 0))
  return vector.map((x) => x / length)
}
