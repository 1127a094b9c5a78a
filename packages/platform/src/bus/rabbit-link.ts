import type { Duplex } from 'node:stream'
import { type ChannelModel, connect, type Options, type SocketOptions } from 'amqplib'
import type { Logger } from '../log.ts'
import { BusClosed, BusUnavailable } from './port.ts'

const CONNECT_TIMEOUT_MS = 10_000
const CLOSE_TIMEOUT_MS = 2_000

export interface LinkOptions<S> {
  target: Options.Connect & { hostname: string; port: number }
  /** Shown by the broker. */
  name: string
  log: Logger
  backoff: { firstMs: number; maxMs: number }
  /** Makes what the users of the link share from a fresh connection; `lose` drops that connection. */
  prepare(connection: ChannelModel, lose: (why: Error) => void): Promise<S>
}

/**
 * A connection that comes back: it connects, prepares a session, and when the connection is lost starts anew,
 * with a backoff that doubles, until it is closed. amqplib's own recovery leaves `error` unheard while it
 * sets up, which ends the process when the broker goes away at that moment.
 */
export class RabbitLink<S> {
  readonly #options: LinkOptions<S>
  readonly #stop = new AbortController()
  readonly #waiters = new Set<() => void>()
  #session: S | undefined
  #connection: ChannelModel | undefined
  #lastError: Error | undefined
  readonly #running: Promise<void>

  constructor(options: LinkOptions<S>) {
    this.#options = options
    this.#running = this.#run()
  }

  isUp(): boolean {
    return this.#session !== undefined
  }

  /**
   * The session of now, or the next, waited for at most `timeoutMs`. Rejects with `BusUnavailable`, or with
   * `BusClosed` when the link is closed or `signal` aborted.
   */
  async session(timeoutMs: number, signal?: AbortSignal): Promise<S> {
    const until = performance.now() + timeoutMs
    while (!this.#session) {
      if (this.#stop.signal.aborted || signal?.aborted) throw new BusClosed('the bus is closed')
      const left = until - performance.now()
      if (left <= 0) throw this.#unavailable()
      await this.#change(left, signal)
    }
    return this.#session
  }

  async close(): Promise<void> {
    this.#stop.abort()
    this.#notify()
    if (this.#connection) await closeWithin(this.#connection, CLOSE_TIMEOUT_MS)
    await this.#running
  }

  #unavailable(): BusUnavailable {
    const { hostname, port } = this.#options.target
    const why = this.#lastError ? `: ${this.#lastError.message}` : ''
    return new BusUnavailable(`the broker at ${hostname}:${port} is not available${why}`, {
      cause: this.#lastError,
    })
  }

  #change(timeoutMs: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', done)
        this.#waiters.delete(done)
        resolve()
      }
      const timer = setTimeout(done, timeoutMs)
      signal?.addEventListener('abort', done)
      this.#waiters.add(done)
    })
  }

  #notify(): void {
    for (const waiter of [...this.#waiters]) waiter()
  }

  async #run(): Promise<void> {
    const { firstMs, maxMs } = this.#options.backoff
    let failures = 0
    while (!this.#stop.signal.aborted) {
      failures = (await this.#live()) ? 0 : failures + 1
      const delay = Math.min(maxMs, firstMs * 2 ** failures)
      if (!this.#stop.signal.aborted)
        await this.#change(delay * (0.75 + Math.random() / 2), this.#stop.signal)
    }
  }

  /** One connection from its beginning to its end; false when it never got as far as a session. */
  async #live(): Promise<boolean> {
    const { target, name, log, prepare } = this.#options
    let connection: ChannelModel | undefined
    try {
      connection = await connect({ ...target, heartbeat: 15 }, socketOptions(name))
      const ended = endOf(connection)
      this.#connection = connection
      this.#session = await prepare(connection, (why) => this.#lose(why))
      log.info({ connection: name }, 'broker connected')
      this.#notify()
      this.#lastError = await ended
      if (!this.#stop.signal.aborted) log.warn({ connection: name, err: this.#lastError }, 'broker lost')
      return true
    } catch (error) {
      this.#lastError = error instanceof Error ? error : new Error(String(error))
      if (!this.#stop.signal.aborted)
        log.warn({ connection: name, err: this.#lastError }, 'broker not reached')
      return false
    } finally {
      this.#session = undefined
      this.#connection = undefined
      if (connection) await closeWithin(connection, CLOSE_TIMEOUT_MS)
    }
  }

  #lose(why: Error): void {
    if (this.#stop.signal.aborted || !this.#connection) return
    this.#options.log.warn({ connection: this.#options.name, err: why }, 'broker connection given up')
    this.#session = undefined
    void closeWithin(this.#connection, CLOSE_TIMEOUT_MS)
  }
}

function socketOptions(name: string): SocketOptions {
  return {
    noDelay: true,
    keepAlive: true,
    timeout: CONNECT_TIMEOUT_MS,
    clientProperties: { connection_name: name },
  }
}

/** Resolves when the connection is over, with the reason; from then on its errors are heard. */
function endOf(connection: ChannelModel): Promise<Error> {
  return new Promise((resolve) => {
    let why: Error | undefined
    connection.on('error', (error: Error) => {
      why = error
    })
    connection.on('close', (error?: Error) => resolve(error ?? why ?? new Error('connection closed')))
  })
}

/** Closes politely; a broker that does not answer in time is left without a word. */
async function closeWithin(connection: ChannelModel, ms: number): Promise<void> {
  const { stream } = connection.connection as unknown as { stream: Duplex }
  const timer = setTimeout(() => stream.destroy(), ms)
  const over = new Promise((resolve) => stream.once('close', resolve))
  await Promise.race([connection.close().catch(() => {}), over])
  clearTimeout(timer)
  stream.destroy()
}
