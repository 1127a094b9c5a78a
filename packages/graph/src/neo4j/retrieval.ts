import { inScope } from './scope.ts'

/** An item that was seen to hold chunks of an earlier generation, with its present one. */
export type Replaced = [item: string, generation: number]

/** What one look into an index gives. */
export interface Look<T> {
  answer: T
  replaced: Replaced[]
}

/** Items whose present generation is remembered. */
const KEPT = 10_000
const LOOKS = 8

/**
 * Asks an index until the answer shows each item's content whole. An index is asked first and the items' generation
 * read after. When a generation begins in between, what the index gave is of the old one alone, and would be dropped:
 * a gap. So an answer that drops chunks is good only if the generation that they lost to was there before the look.
 */
export class Looks {
  readonly #present = new Map<string, number>()

  async settled<T>(look: () => Promise<Look<T>>): Promise<T> {
    for (let n = 1; ; n++) {
      const { answer, replaced } = await look()
      const news = replaced.filter(([item, generation]) => this.#present.get(item) !== generation)
      for (const [item, generation] of news) this.#remember(item, generation)
      if (news.length === 0 || n === LOOKS) return answer
    }
  }

  #remember(item: string, generation: number): void {
    this.#present.delete(item)
    this.#present.set(item, generation)
    if (this.#present.size > KEPT) this.#present.delete(this.#present.keys().next().value as string)
  }
}

/**
 * Takes rows of candidate chunks `c`, keeps those of present content, and ends with one row: `chunks`, and `replaced`.
 * An item's generation is read once for all its chunks.
 */
export const PRESENT_CHUNKS = `MATCH (c)<-[h:HAS_CHUNK]-(i)
  WITH i, collect({chunk: c, gen: h.gen}) AS found
  WITH i.uid AS item, i.gen AS gen, found
  WITH item, gen, [f IN found WHERE f.gen = gen | f.chunk] AS live,
    any(f IN found WHERE f.gen < gen) AS stale
  WITH collect(live) AS lists, collect(CASE WHEN stale THEN [item, gen] END) AS replaced
  CALL (lists) { UNWIND lists AS live UNWIND live AS chunk RETURN collect(chunk) AS chunks }
  WITH replaced, chunks`

/** Chunks of the scope that have a vector, as `c`. `libs` must be bound. */
export const EMBEDDED_IN_SCOPE = (collection: boolean) =>
  collection
    ? `MATCH (c:Chunk {collection_uid: $scope_collection}) WHERE c.library_uid IN libs AND c.embedding IS NOT NULL`
    : `UNWIND libs AS lib MATCH (c:Chunk {library_uid: lib}) WHERE ${inScope('c')} AND c.embedding IS NOT NULL`
