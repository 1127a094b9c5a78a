import fc from 'fast-check'
import type { ChunkContent, GraphStore, Scope } from '../port.ts'
import { chunkContent, collectionNode, itemContent, itemNode, libraryNode } from './graph-fixtures.ts'

/** Enough for a scan in native code over one collection, in the embedded store. */
const DIMENSIONS = 64
const CLUSTERS = 12
const CHUNKS_AN_ITEM = 400
const WORDS = ['red', 'green', 'blue', 'fox', 'bear', 'hare', 'oak', 'elm']

/**
 * Chunks by place: some places are so large that an index answers for them, and some so small that none would. "b" has
 * clusters of its own: what lies next to a question about it lies there.
 */
const PLACES = [
  { library: 'a', type: 'technical', collection: 'a1', chunks: 1_700 },
  { library: 'a', type: 'technical', collection: 'a2', chunks: 60 },
  { library: 'a', type: 'technical', collection: null, chunks: 240 },
  { library: 'b', type: 'fiction', collection: 'b1', chunks: 300 },
  { library: 'b', type: 'fiction', collection: null, chunks: 500 },
  { library: 'c', type: 'technical', collection: null, chunks: 400 },
] as const
type Place = (typeof PLACES)[number]

const SCOPES: { scope: Scope; holds: (place: Place) => boolean }[] = [
  { scope: { libraries: 'all' }, holds: () => true },
  { scope: { libraries: ['a'] }, holds: ({ library }) => library === 'a' },
  { scope: { libraries: ['b'] }, holds: ({ library }) => library === 'b' },
  { scope: { libraries: ['b', 'c', 'unknown'] }, holds: ({ library }) => library !== 'a' },
  { scope: { libraries: ['a', 'c'] }, holds: ({ library }) => library !== 'b' },
  { scope: { libraries: 'all', collection: 'a1' }, holds: ({ collection }) => collection === 'a1' },
  { scope: { libraries: ['a'], collection: 'a2' }, holds: ({ collection }) => collection === 'a2' },
  { scope: { libraries: 'all', library_type: 'technical' }, holds: ({ type }) => type === 'technical' },
  {
    scope: { libraries: ['a', 'b'], library_type: 'technical', collection: 'a1' },
    holds: ({ collection }) => collection === 'a1',
  },
]

interface KnownChunk {
  uid: string
  place: Place
  vector: number[] | null
  words: string[]
}

/** A scope, and the chunks in it. */
export interface PartOfStore {
  name: string
  scope: Scope
  inside: KnownChunk[]
}

/** Some thousand chunks, by chance but the same ones in every run, and what a store must find among them. */
export class LargeStore {
  readonly #draw: () => number
  readonly #centres: Record<'near' | 'far', number[][]>
  readonly #questions: { vector: Float32Array; words: string }[]
  readonly #chunks = new Map<string, KnownChunk>()

  constructor() {
    // Spread evenly over -1 to 1.
    const drawn = fc.sample(fc.noBias(fc.integer({ min: -10_000, max: 10_000 })), {
      numRuns: 300_000,
      seed: 7,
    })
    let at = 0
    this.#draw = () => drawn[at++ % drawn.length]! / 10_000
    this.#centres = { near: this.#directions(CLUSTERS), far: this.#directions(CLUSTERS / 3) }
    // Half of them are about what lies in "b" alone.
    this.#questions = Array.from({ length: 8 }, (_, n) => ({
      vector: Float32Array.from(this.#near(n % 2 === 0 ? 'near' : 'far')),
      words: this.#words(2).join(' '),
    }))
  }

  /** Stores all of it; then replaces an item, deletes one, and moves one into another collection. */
  async fill(graph: GraphStore): Promise<void> {
    for (const { library, type, collection } of PLACES) {
      await graph.putLibrary(libraryNode(library, { library_type: type }))
      if (collection) await graph.putCollection(collectionNode(collection, library))
    }
    await graph.setUpVectors(DIMENSIONS)
    for (const place of PLACES) {
      for (let at = 0; at < place.chunks; at += CHUNKS_AN_ITEM) {
        await this.#put(graph, place, at, Math.min(CHUNKS_AN_ITEM, place.chunks - at), 1)
      }
    }
    // What a store keeps in memory it has from here on, and has to bring into step.
    await graph.vectorCandidates({ libraries: 'all' }, this.question(0), 1)
    await graph.fullTextCandidates({ libraries: 'all' }, { terms: ['red'], phrases: [] }, 1)
    const [a1, a2] = PLACES
    await this.#put(graph, a1, 0, CHUNKS_AN_ITEM, 2)
    await this.#put(graph, a1, 10_000, 80, 1)
    await graph.deleteItem(itemUid(a1, 10_000))
    this.#forget(itemUid(a1, 10_000))
    await this.#put(graph, a1, 20_000, 40, 1)
    await graph.putItem(itemNode(itemUid(a1, 20_000), 'a', { title: 'note', collection_uid: 'a2' }))
    for (const known of this.#chunks.values()) {
      if (known.uid.startsWith(itemUid(a1, 20_000))) known.place = a2
    }
  }

  scopes(): PartOfStore[] {
    return SCOPES.map(({ scope, holds }) => ({
      name: JSON.stringify(scope),
      scope,
      inside: [...this.#chunks.values()].filter(({ place }) => holds(place)),
    }))
  }

  /** Chunks from all over the store. */
  some(): string[] {
    return [...this.#chunks.keys()].filter((_, n) => n % 17 === 0)
  }

  question(n: number): Float32Array {
    return this.#questions[n]!.vector
  }

  words(n: number): string {
    return this.#questions[n]!.words
  }

  /** Every chunk with a vector, nearest first, each compared with the query. */
  nearest(query: Float32Array, inside: KnownChunk[]): { uid: string; cosine: number }[] {
    return inside
      .flatMap(({ uid, vector }) => (vector === null ? [] : [{ uid, cosine: cosine(query, vector) }]))
      .sort((a, b) => b.cosine - a.cosine)
  }

  holding(words: string, inside: KnownChunk[]): Set<string> {
    const wanted = words.split(' ')
    const found = inside.filter((chunk) => wanted.some((word) => chunk.words.includes(word)))
    return new Set(found.map(({ uid }) => uid))
  }

  async #put(graph: GraphStore, place: Place, at: number, count: number, version: number): Promise<void> {
    const item = itemUid(place, at)
    this.#forget(item)
    const chunks = Array.from({ length: count }, (_, n): ChunkContent => {
      // Some have no vector.
      const vector = n % 50 === 49 ? null : this.#near(place.library === 'b' ? 'far' : 'near')
      const words = this.#words(3)
      const uid = `${item} ${version} ${n}`
      this.#chunks.set(uid, { uid, place, vector, words })
      return chunkContent(uid, words.join(' '), vector)
    })
    await graph.putItem(itemNode(item, place.library, { title: 'note', collection_uid: place.collection }))
    await graph.replaceItemContent(itemContent(item, place.library, chunks, { version, title: 'note' }))
  }

  #forget(item: string): void {
    for (const uid of this.#chunks.keys()) if (uid.startsWith(`${item} `)) this.#chunks.delete(uid)
  }

  /** Those of one centre have a cosine of about 0.6 with each other and hardly differ in it: hard for an index. */
  #near(kind: 'near' | 'far'): number[] {
    const centres = this.#centres[kind]
    const centre = centres[Math.floor(((this.#draw() + 1) / 2.001) * centres.length)]!
    const [own] = this.#directions(1)
    return centre.map((x, i) => x + 0.8 * own![i]!)
  }

  #directions(count: number): number[][] {
    return Array.from({ length: count }, () => {
      const direction = Array.from({ length: DIMENSIONS }, this.#draw)
      const length = Math.hypot(...direction)
      return direction.map((x) => x / length)
    })
  }

  #words(count: number): string[] {
    return Array.from(
      { length: count },
      () => WORDS[Math.floor(((this.#draw() + 1) / 2.001) * WORDS.length)]!,
    )
  }
}

const itemUid = ({ library, collection }: Place, at: number) => `${library} ${collection} ${at}`

/** 0 with a zero vector. */
export function cosine(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let [dot, squares, others] = [0, 0, 0]
  for (let n = 0; n < a.length; n++) {
    const [x, y] = [Math.fround(a[n]!), Math.fround(b[n]!)]
    dot += x * y
    squares += x * x
    others += y * y
  }
  return squares === 0 || others === 0 ? 0 : dot / Math.sqrt(squares * others)
}

export function meanOf(scored: { cosine: number }[]): number {
  return scored.reduce((sum, { cosine }) => sum + cosine, 0) / scored.length
}
