/**
 * Says how well passages answer a query, by a model that reads both together: the port to a re-ranking endpoint.
 *
 * Every call ends within the time that the re-ranker was opened with. Failures are `ModelError`s, in words that the
 * caller of a search may read.
 */
export interface Reranker extends AsyncDisposable {
  readonly model: { name: string }
  /** Why it is not asked at present, after repeated failures; null while it is. Asks nothing itself. */
  readonly fault: string | null
  /**
   * A score for each document, in their order; higher is better, and all are finite. The scale is the model's own:
   * scores compare within a query, also between calls with different instructions, and not between queries.
   * All or nothing.
   */
  rerank(query: string, documents: string[], options?: RerankOptions): Promise<number[]>
  /** Calls in hand reject. May be called twice. */
  close(): Promise<void>
}

export interface RerankOptions {
  /** A library type's instruction. A model that takes none ignores it. */
  instruction?: string
  /** Rejects with the signal's reason, and ends the request. */
  signal?: AbortSignal
}
