import { setTimeout as wait } from 'node:timers/promises'
import neo4j, { type Driver, type ManagedTransaction, type Session } from 'neo4j-driver'
import { GraphUnavailableError } from '../errors.ts'
import { graphFailure, isMadeAlready, isTransient } from './failures.ts'
import type { Neo4jAddress } from './url.ts'

/** Names of a query's `$parameters`. Whole numbers are sent as floats unless made by `int`. */
export type Parameters = Record<string, unknown>

/** One transaction. Rows are plain objects; integers come as numbers. */
export interface Transaction {
  run<Row>(query: string, parameters?: Parameters): Promise<Row[]>
}

/** A number as the server's integer: what LIMIT takes, and what is stored in few bytes. */
export const int = (value: number) => neo4j.int(value)

/** A place in a list. The server knows none beyond 32 bits, and no list is that long. */
export const place = (value: number) => int(Math.min(value, 2 ** 31 - 1))

/** Longest that a question may look at the store. */
export const READ_MS = 30_000
const WRITE_MS = 120_000
const ATTEMPTS = 12

/** A driver with bounded waiting. It opens connections as needed, so that the server may come and go. */
export class Neo4jConnection {
  readonly #driver: Driver
  readonly #signal: AbortSignal | undefined

  private constructor(driver: Driver, signal?: AbortSignal) {
    this.#driver = driver
    this.#signal = signal
  }

  static to({ url, user, password }: Neo4jAddress): Neo4jConnection {
    const driver = neo4j.driver(url, neo4j.auth.basic(user, password), {
      disableLosslessIntegers: true,
      connectionTimeout: 3_000,
      connectionAcquisitionTimeout: 5_000,
      maxTransactionRetryTime: 3_000,
      maxConnectionPoolSize: 50,
      notificationFilter: { minimumSeverityLevel: 'OFF' },
      telemetryDisabled: true,
    })
    return new Neo4jConnection(driver)
  }

  /** The same connection for somebody who may leave: then the server is told to stop, and all rejects with the reason. */
  until(signal: AbortSignal | undefined): Neo4jConnection {
    return signal ? new Neo4jConnection(this.#driver, signal) : this
  }

  /** Such as `Neo4j/5.26.30`. */
  async serverAgent(): Promise<string> {
    const info = await this.#bounded(READ_MS, () => this.#driver.getServerInfo())
    return info.agent ?? ''
  }

  read<T>(work: (tx: Transaction) => Promise<T>): Promise<T> {
    return this.#inSession('READ', READ_MS, (session) =>
      session.executeRead((tx) => work(transaction(tx)), { timeout: READ_MS }),
    )
  }

  /**
   * Runs `work` in one transaction that lasts `timeout` ms at most; again when it met a deadlock, so it must not have
   * effects elsewhere.
   */
  write<T>(work: (tx: Transaction) => Promise<T>, timeout = WRITE_MS): Promise<T> {
    return this.#inSession('WRITE', timeout, (session) =>
      session.executeWrite((tx) => work(transaction(tx)), { timeout }),
    )
  }

  /** A statement on the schema, which wants a transaction of its own. What another made meanwhile is made. */
  async schema(statement: string): Promise<void> {
    await this.#inSession('WRITE', WRITE_MS, async (session) => {
      try {
        await session.run(statement)
      } catch (error) {
        if (!isMadeAlready(error)) throw error
      }
    })
  }

  close(): Promise<void> {
    return this.#driver.close()
  }

  async #inSession<T>(
    mode: 'READ' | 'WRITE',
    deadline: number,
    use: (session: Session) => Promise<T>,
  ): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      this.#signal?.throwIfAborted()
      try {
        return await this.#bounded(deadline, () => this.#attempt(mode, use))
      } catch (error) {
        this.#signal?.throwIfAborted()
        if (attempt === ATTEMPTS || !isTransient(error)) throw graphFailure(error)
        // Those who met in a deadlock must not meet again.
        const pause = Math.min(50 * 2 ** attempt, 2_000) * (0.5 + Math.random() / 2)
        await wait(pause, undefined, { signal: this.#signal }).catch(() => {})
      }
    }
  }

  async #attempt<T>(mode: 'READ' | 'WRITE', use: (session: Session) => Promise<T>): Promise<T> {
    const session = this.#driver.session({ defaultAccessMode: mode })
    const signal = this.#signal
    if (!signal) return use(session).finally(() => session.close())
    const { promise: left, reject } = Promise.withResolvers<never>()
    const leave = () => {
      reject(signal.reason)
      // The server stops what it is at: the driver sends it a RESET.
      session.close().catch(() => {})
    }
    signal.addEventListener('abort', leave, { once: true })
    const answer = use(session)
    // Whoever has left is told so, and not what became of the question.
    answer.catch(() => {})
    try {
      return await Promise.race([answer, left])
    } finally {
      signal.removeEventListener('abort', leave)
      if (!signal.aborted) await session.close()
    }
  }

  /** A server that hangs answers nothing, not even an error. */
  async #bounded<T>(ms: number, work: () => Promise<T>): Promise<T> {
    const { promise, reject } = Promise.withResolvers<never>()
    const late = () => reject(new GraphUnavailableError('The Neo4j server does not answer.'))
    const timer = setTimeout(late, ms + 5_000)
    try {
      return await Promise.race([work(), promise])
    } finally {
      clearTimeout(timer)
    }
  }
}

function transaction(tx: ManagedTransaction): Transaction {
  return {
    async run<Row>(query: string, parameters?: Parameters) {
      const { records } = await tx.run(query, parameters)
      return records.map((record) => record.toObject() as Row)
    },
  }
}
