import type { GraphStore, ItemContent, Scope } from '../port.ts'
import {
  chunkContent,
  collectionNode,
  concept,
  itemContent,
  itemNode,
  libraryNode,
} from './graph-fixtures.ts'

export const LIBRARIES = ['a', 'b', 'c'] as const
/** Each in the library that its name begins with. */
export const COLLECTIONS = ['a1', 'a2', 'b1'] as const
export const TYPES = ['technical', 'fiction'] as const
export const WORDS = ['red', 'green', 'fox', 'foxes', 'bear', 'the', 'of']
/**
 * Every item gives all of them, as extraction would if it saw all: which words make a concept is known throughout a
 * store.
 */
const CONCEPTS = [
  concept('Red fox', 'title'),
  concept('Bear', 'title'),
  concept('Green', 'title'),
  concept('fox', 'phrase'),
  concept('green bear'),
]

type Library = (typeof LIBRARIES)[number]
type Collection = (typeof COLLECTIONS)[number]

/** `place`: a collection, or a library for an item in no collection. */
export type Write =
  | {
      write: 'put'
      item: number
      place: Library | Collection
      title: string
      passages: { words: string[]; vector: number[] | null }[]
    }
  | { write: 'move'; item: number; place: Library | Collection }
  | { write: 'delete item'; item: number }
  | { write: 'delete collection'; collection: Collection }
  | { write: 'delete library'; library: Library }
  | { write: 'call library'; library: Library; type: (typeof TYPES)[number] }

interface StoredItem {
  library: Library
  collection: Collection | null
  content: ItemContent
}

/** Writes to a store, and knows by a simple model what is in it then. */
export class StoreHistory {
  readonly #graph: GraphStore
  readonly #types = new Map<Library, string>()
  readonly #collections = new Set<Collection>()
  readonly #items = new Map<string, StoredItem>()
  readonly #chunks = new Set<string>()

  constructor(graph: GraphStore) {
    this.#graph = graph
  }

  async write(writes: Write[]): Promise<void> {
    for (const one of writes) await this.#apply(one)
  }

  /** Every chunk that ever was. */
  get chunks(): string[] {
    return [...this.#chunks]
  }

  /**
   * Writes what lies in the scope, and nothing else, into another store, which is empty.
   * @returns the vectors of its chunks, by uid
   */
  async copyOf(scope: Scope, into: GraphStore): Promise<Map<string, Float32Array | null>> {
    const items = [...this.#items.values()].filter((item) => this.#isInside(item, scope))
    for (const { library, collection, content } of items) {
      await into.putLibrary(libraryNode(library, { library_type: this.#types.get(library)! }))
      if (collection) await into.putCollection(collectionNode(collection, library))
      await put(into, library, collection, content)
    }
    return new Map(
      items.flatMap(({ content }) => content.chunks.map((chunk) => [chunk.chunk_uid, chunk.embedding])),
    )
  }

  #isInside({ library, collection }: StoredItem, { libraries, ...scope }: Scope): boolean {
    return (
      (libraries === 'all' || libraries.includes(library)) &&
      (scope.collection === undefined || scope.collection === collection) &&
      (scope.library_type === undefined || scope.library_type === this.#types.get(library))
    )
  }

  async #apply(write: Write): Promise<void> {
    switch (write.write) {
      case 'put':
        return this.#put(write)
      case 'move': {
        const [uid, item] = this.#find(write.item)
        if (!item || write.place[0] !== item.library) return
        await this.#open(write.place)
        item.collection = collectionOf(write.place)
        const { title } = item.content
        return this.#graph.putItem(itemNode(uid, item.library, { title, collection_uid: item.collection }))
      }
      case 'delete item': {
        const [uid] = this.#find(write.item)
        this.#items.delete(uid)
        await this.#graph.deleteItem(uid)
        return
      }
      case 'delete collection':
        this.#collections.delete(write.collection)
        this.#forget(({ collection }) => collection === write.collection)
        await this.#graph.deleteCollection(write.collection)
        return
      case 'delete library':
        this.#types.delete(write.library)
        for (const one of this.#collections) if (one[0] === write.library) this.#collections.delete(one)
        this.#forget(({ library }) => library === write.library)
        await this.#graph.deleteLibrary(write.library)
        return
      case 'call library':
        this.#types.set(write.library, write.type)
        return this.#graph.putLibrary(libraryNode(write.library, { library_type: write.type }))
    }
  }

  async #put({ item, place, title, passages }: Extract<Write, { write: 'put' }>): Promise<void> {
    await this.#open(place)
    const library = place[0] as Library
    const uid = `${library}-${item}`
    const repeats = new Map<string, number>()
    const chunks = passages.map(({ words, vector }) => {
      const text = words.join(' ')
      const n = repeats.get(text) ?? 0
      repeats.set(text, n + 1)
      // Of the text, as ingest makes it: what did not change keeps its uid, whatever its vector.
      return chunkContent(`${uid} ${text} ${n}`, text, vector)
    })
    const version = (this.#items.get(uid)?.content.version ?? 0) + 1
    const content = itemContent(uid, library, chunks, { version, title, concepts: CONCEPTS })
    for (const { chunk_uid } of chunks) this.#chunks.add(chunk_uid)
    this.#items.set(uid, { library, collection: collectionOf(place), content })
    await put(this.#graph, library, collectionOf(place), content)
  }

  /** The library and the collection are there. */
  async #open(place: Library | Collection): Promise<void> {
    const library = place[0] as Library
    if (!this.#types.has(library)) {
      const library_type = library === 'c' ? 'fiction' : 'technical'
      this.#types.set(library, library_type)
      await this.#graph.putLibrary(libraryNode(library, { library_type }))
    }
    const collection = collectionOf(place)
    if (collection === null || this.#collections.has(collection)) return
    this.#collections.add(collection)
    await this.#graph.putCollection(collectionNode(collection, library))
  }

  #find(n: number): [string, StoredItem | undefined] {
    const uids = [...this.#items.keys()]
    const uid = uids[n % Math.max(uids.length, 1)] ?? 'unknown'
    return [uid, this.#items.get(uid)]
  }

  #forget(isGone: (item: StoredItem) => boolean): void {
    for (const [uid, item] of this.#items) if (isGone(item)) this.#items.delete(uid)
  }
}

function collectionOf(place: Library | Collection): Collection | null {
  return COLLECTIONS.find((one) => one === place) ?? null
}

async function put(
  graph: GraphStore,
  library: string,
  collection_uid: string | null,
  content: ItemContent,
): Promise<void> {
  await graph.putItem(itemNode(content.item_uid, library, { title: content.title, collection_uid }))
  await graph.replaceItemContent(content)
}
