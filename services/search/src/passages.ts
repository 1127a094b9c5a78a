import type { Ask, ChunkDetail, Scope, SearchStore } from '@mnemosyne/graph'

/** The passages of one search: each is loaded once, whichever stages look at it. */
export class Passages {
  readonly #graph: SearchStore
  readonly #scope: Scope
  /** Null: it is not in the scope, or not any more. */
  readonly #known = new Map<string, ChunkDetail | null>()

  constructor(graph: SearchStore, scope: Scope) {
    this.#graph = graph
    this.#scope = scope
  }

  /** Those of `uids` that exist, in this order. */
  async load(uids: string[], ask: Ask): Promise<ChunkDetail[]> {
    const missing = uids.filter((uid) => !this.#known.has(uid))
    if (missing.length > 0) {
      const details = await this.#graph.chunkDetails(this.#scope, missing, ask)
      for (const uid of missing) this.#known.set(uid, null)
      for (const detail of details) this.#known.set(detail.chunk_uid, detail)
    }
    return uids.flatMap((uid) => this.#known.get(uid) ?? [])
  }
}
