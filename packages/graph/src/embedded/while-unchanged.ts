import type { Database } from './database.ts'

/**
 * What was read of the store, kept in memory for as long as nobody changes it: between two writes the same questions
 * look at the same rows again and again. Ask inside a snapshot of a connection that does not write.
 */
export class WhileUnchanged<T> {
  readonly #db: Database
  readonly #create: () => T
  #kept: { version: number; value: T } | null = null

  constructor(db: Database, create: () => T) {
    this.#db = db
    this.#create = create
  }

  /** As the snapshot has it; empty again after a change. */
  get now(): T {
    const version = this.#db.version()
    if (this.#kept?.version !== version) this.#kept = { version, value: this.#create() }
    return this.#kept.value
  }
}

/** A map that is emptied when it holds `most` entries: what is looked at again comes back by itself. */
export class BoundedMap<K, V> extends Map<K, V> {
  readonly #most: number

  constructor(most: number) {
    super()
    this.#most = most
  }

  override set(key: K, value: V): this {
    if (this.size >= this.#most) this.clear()
    return super.set(key, value)
  }

  /** The value of the key; made when it is not there. */
  obtain(key: K, make: () => V): V {
    const known = this.get(key)
    if (known !== undefined) return known
    const made = make()
    this.set(key, made)
    return made
  }
}
