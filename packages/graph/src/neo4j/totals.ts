import { DimensionMismatchError } from '../errors.ts'
import { int, type Transaction } from './connection.ts'
import { runsOf } from './term-text.ts'

const TERMS_AT_ONCE = 2_000

/** What a transaction changes in the counts of the store: its terms, its chunks, its vectors. */
export class TotalsChange {
  readonly #terms = new Map<string, number>()
  chunks = 0
  length = 0
  embedded = 0

  /** Counts a chunk in (`by` 1) or out (-1). */
  count(termText: string, embedded: boolean, by: 1 | -1): void {
    const terms = runsOf(termText).flat()
    this.chunks += by
    this.length += by * terms.length
    if (embedded) this.embedded += by
    for (const term of new Set(terms)) this.#terms.set(term, (this.#terms.get(term) ?? 0) + by)
  }

  /**
   * Writes the counts. The last thing a transaction does: from here on others wait for it. All go through the terms
   * in the same order, so that none waits for one that waits for it.
   * @param dimensions of the vectors that were counted in, if any
   * @throws DimensionMismatchError
   */
  async settle(tx: Transaction, library: string, dimensions: number | null): Promise<void> {
    const changes = [...this.#terms].filter(([, by]) => by !== 0).sort(([a], [b]) => (a < b ? -1 : 1))
    for (let at = 0; at < changes.length; at += TERMS_AT_ONCE) {
      const some = changes.slice(at, at + TERMS_AT_ONCE)
      await tx.run(
        `UNWIND $changes AS change
         MERGE (t:Term {term: change.term}) ON CREATE SET t.df = change.by ON MATCH SET t.df = t.df + change.by
         WITH t WHERE t.df <= 0 DELETE t`,
        { changes: some.map(([term, by]) => ({ term, by: int(by) })) },
      )
    }
    const by = { chunks: int(this.chunks), embedded: int(this.embedded), length: int(this.length) }
    await tx.run(
      'MATCH (l:Library {uid: $library}) SET l.chunks = l.chunks + $chunks, l.embedded = l.embedded + $embedded',
      { library, ...by },
    )
    await this.#settleStore(tx, by, dimensions)
  }

  async #settleStore(tx: Transaction, by: Record<string, unknown>, dimensions: number | null): Promise<void> {
    const [store] = await tx.run<{ embedded: number; dimensions: number | null }>(
      `MATCH (store:GraphStore {name: 'store'})
       SET store.chunks = store.chunks + $chunks, store.length = store.length + $length,
         store.embedded = store.embedded + $embedded
       RETURN store.embedded AS embedded, store.dimensions AS dimensions`,
      by,
    )
    const { embedded, dimensions: stored } = store!
    // Without a vector left the next embedding model may have another dimension.
    const next = embedded === 0 ? null : (stored ?? dimensions)
    if (dimensions !== null && next !== null && next !== dimensions) {
      throw new DimensionMismatchError(next, dimensions)
    }
    if (next === stored) return
    await tx.run("MATCH (store:GraphStore {name: 'store'}) SET store.dimensions = $dimensions", {
      dimensions: next === null ? null : int(next),
    })
  }
}
