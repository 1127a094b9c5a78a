import type { Logger } from '@mnemosyne/platform'
import { type Neo4jConnection, READ_MS } from './connection.ts'
import { removeEarlier } from './left-overs.ts'

/** No question looks at content for so long after another took its place. */
const KEPT_MS = READ_MS + 5_000
/** So old, it is nobody's any more: its process died. */
const FORGOTTEN_MS = 4 * KEPT_MS

/** Removes content that another took the place of, when the questions that may still look at it have ended. */
export class LeftOvers {
  readonly #db: Neo4jConnection
  readonly #log: Logger
  readonly #waiting = new Map<string, NodeJS.Timeout>()
  readonly #atWork = new Set<Promise<void>>()

  constructor(db: Neo4jConnection, log: Logger) {
    this.#db = db
    this.#log = log
  }

  /** The item holds content that is not seen any more. */
  note(item: string): void {
    clearTimeout(this.#waiting.get(item))
    this.#waiting.set(item, setTimeout(() => this.#remove(item), KEPT_MS).unref())
  }

  /** Removes what processes left that died. */
  async removeForgotten(): Promise<void> {
    const rows = await this.#db.read((tx) =>
      tx.run<{ uid: string }>(
        `MATCH (i:Item) WHERE i.stale_since < timestamp() - ${FORGOTTEN_MS} RETURN i.uid AS uid`,
      ),
    )
    for (const { uid } of rows) await removeEarlier(this.#db, uid)
  }

  /** Removes at once what waits. */
  async close(): Promise<void> {
    for (const [item, timer] of this.#waiting) {
      clearTimeout(timer)
      this.#remove(item)
    }
    await Promise.all(this.#atWork)
  }

  #remove(item: string): void {
    this.#waiting.delete(item)
    const work: Promise<void> = removeEarlier(this.#db, item)
      .catch((error) =>
        this.#log.warn({ err: error }, 'earlier content of an item stays until the next start'),
      )
      .finally(() => this.#atWork.delete(work))
    this.#atWork.add(work)
  }
}
