import { randomUUID } from 'node:crypto'
import { type ConceptContent, conceptKey, type GraphStore, type ItemContent } from '@mnemosyne/graph'
import { madeUpName, madeUpWord, pick, seeded } from './random.ts'

/** About 190 tokens of the model. */
const WORDS_A_CHUNK = 95
const VOCABULARY = 30_000
const NAMES = 4_000
const CLUSTERS = 200
const CHUNKS_AN_ITEM = 50
const ITEMS_AT_ONCE = 4
const STOPS = 'the of and to in is that it was for on are as with his they at be this from or had by'.split(
  ' ',
)

/** An item's content, of no library yet. */
export type MadeUpItem = Omit<ItemContent, 'library_uid'>

/** Text after Zipf's law with stop words and names among it, and unit vectors in clusters. */
export class MadeUpContent {
  readonly #language: Language
  readonly #vector: () => Float32Array

  constructor(dimensions: number, seed: number) {
    this.#language = new Language(seed)
    this.#vector = clusteredVectors({ dimensions, seed: seed + 1, clusters: CLUSTERS })
  }

  /** A question of `words` words, as the texts use them. No two are the same. */
  question(words: number): string {
    return this.#language.text(words)
  }

  /** Items of `chunks` chunks in all and `anItem` each, made when their turn comes. */
  *items(chunks: number, anItem = CHUNKS_AN_ITEM): Generator<MadeUpItem> {
    for (let at = 0; at < chunks; at += anItem) yield this.#item(Math.min(anItem, chunks - at))
  }

  #item(chunks: number): MadeUpItem {
    const texts = Array.from({ length: chunks }, () => this.#language.text(WORDS_A_CHUNK))
    const title = `${this.#language.name()} ${this.#language.name()}`
    return itemOf(
      title,
      texts.map((text) => ({ text, embedding: this.#vector() })),
      conceptsOf(title, texts),
    )
  }
}

/** An item whose chunks are these passages. */
export function itemOf(
  title: string,
  passages: { text: string; embedding: Float32Array }[],
  concepts: ConceptContent[] = [],
): MadeUpItem {
  const item_uid = randomUUID()
  return {
    item_uid,
    version: 1,
    title,
    content_hash: item_uid,
    embedding_model: 'made up',
    updated_at: new Date().toISOString(),
    concepts,
    chunks: passages.map(({ text, embedding }, chunk_index) => ({
      chunk_uid: randomUUID(),
      chunk_index,
      text,
      section_path: [title],
      page: null,
      char_start: 0,
      char_end: text.length,
      token_count: 2 * WORDS_A_CHUNK,
      embedding,
      embedding_key: randomUUID(),
    })),
  }
}

/** Puts an item into a library, through the port as ingest does. */
export async function store(graph: GraphStore, library_uid: string, item: MadeUpItem): Promise<void> {
  const { item_uid, title, updated_at } = item
  await graph.putItem({
    uid: item_uid,
    library_uid,
    collection_uid: null,
    title,
    item_type: 'document',
    file_type: 'text/plain',
    file_size: 1,
    s3_key: null,
    content_hash: item_uid,
    source: 'upload',
    source_ref: item_uid,
    metadata: {},
    embedding_status: 'processing',
    error: null,
    created_at: updated_at,
    updated_at,
  })
  await graph.replaceItemContent({ ...item, library_uid })
}

/** Stores the items, a few at a time. Milliseconds that it took; that of making them is in it. */
export async function storeAll(
  graph: GraphStore,
  library_uid: string,
  items: Generator<MadeUpItem>,
  stored: (item: MadeUpItem) => void = () => {},
): Promise<number> {
  const started = performance.now()
  const writer = async () => {
    for (const item of items) {
      await store(graph, library_uid, item)
      stored(item)
    }
  }
  await Promise.all(Array.from({ length: ITEMS_AT_ONCE }, writer))
  return performance.now() - started
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

/**
 * Unit vectors about some centres: those of one centre have a cosine of about 0.6 with each other and hardly differ in it,
 * which an approximate index finds harder than uniform noise or far clusters.
 */
export function clusteredVectors(options: {
  dimensions: number
  seed: number
  clusters: number
}): () => Float32Array {
  const { dimensions, clusters } = options
  const random = seeded(options.seed)
  const direction = () => normalised(Float32Array.from({ length: dimensions }, () => random() - 0.5))
  const centres = Array.from({ length: clusters }, direction)
  return () => {
    const [centre, own] = [pick(random, centres), direction()]
    return normalised(centre.map((x, i) => x + 0.8 * own[i]!))
  }
}

function normalised(vector: Float32Array): Float32Array {
  const length = Math.sqrt(vector.reduce((squares, x) => squares + x * x, 0))
  return vector.map((x) => x / length)
}
