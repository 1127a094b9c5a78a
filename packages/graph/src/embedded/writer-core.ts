import { ChunkWriter } from './chunk-writer.ts'
import { ConceptLedger } from './concept-ledger.ts'
import type { Database } from './database.ts'
import { TermLedger } from './term-ledger.ts'

/** What a write works with, inside its transaction. */
export interface WriteSession {
  db: Database
  chunks: ChunkWriter
  concepts: ConceptLedger
}

/** Runs writes, each in one transaction that also settles counts. */
export class WriterCore {
  readonly #db: Database
  readonly #terms: TermLedger
  readonly #concepts: ConceptLedger
  readonly #chunks: ChunkWriter

  constructor(db: Database) {
    this.#db = db
    this.#terms = new TermLedger(db)
    this.#concepts = new ConceptLedger(db)
    this.#chunks = new ChunkWriter(db, this.#terms, this.#concepts)
  }

  /** @returns what `work` returns, and how many concepts went because nothing mentions them any more. */
  transaction<T>(work: (session: WriteSession) => T): { result: T; conceptsGone: number } {
    try {
      return this.#db.write(() => {
        const result = work({ db: this.#db, chunks: this.#chunks, concepts: this.#concepts })
        this.#terms.settle()
        this.#chunks.settle()
        return { result, conceptsGone: this.#concepts.settle() }
      })
    } catch (error) {
      this.#terms.reset()
      this.#chunks.reset()
      this.#concepts.reset()
      throw error
    }
  }
}
