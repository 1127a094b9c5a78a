import { parentPort, type Transferable, Worker } from 'node:worker_threads'
import {
  CollectionGoneError,
  DimensionMismatchError,
  GraphClosedError,
  GraphError,
  GraphFullError,
  GraphUnavailableError,
  InvalidContentError,
  ItemGoneError,
  LibraryGoneError,
  NewerSchemaError,
  WorkspaceTakenError,
} from '../errors.ts'

// biome-ignore lint/complexity/noBannedTypes: any function is meant; its own type is kept by the type parameter
export type Questions = Record<string, Function>
type Arguments<F> = F extends (...args: infer A) => unknown ? A : never
type Answer<F> = F extends (...args: never[]) => infer R ? Awaited<R> : never

interface Request {
  id: number
  question: string
  args: unknown[]
}

type Reply =
  | { kind: 'ready' }
  | { kind: 'answer'; id: number; value: unknown }
  | { kind: 'refusal'; id: number | null; error: SentError }

/** An error on its way between threads: structured clone keeps neither its class nor its fields. */
interface SentError {
  code: string | null
  message: string
  details: Record<string, unknown>
  original: unknown
}

const CLOSE = '(close)'

/**
 * The worker's side: opens what it needs, then answers one question at a time, in order.
 * `open` gives the functions that answer, and how to close.
 */
export function serveQuestions(open: () => { questions: Questions; close: () => void }): void {
  const port = parentPort!
  let opened: ReturnType<typeof open>
  try {
    opened = open()
  } catch (error) {
    port.postMessage({ kind: 'refusal', id: null, error: send(error) } satisfies Reply)
    return
  }
  port.on('message', ({ id, question, args }: Request) => {
    try {
      if (question === CLOSE) opened.close()
      const value = question === CLOSE ? undefined : opened.questions[question]!(...args)
      port.postMessage({ kind: 'answer', id, value } satisfies Reply, buffersOf(value))
    } catch (error) {
      port.postMessage({ kind: 'refusal', id, error: send(error) } satisfies Reply)
    }
    if (question === CLOSE) port.close()
  })
  port.postMessage({ kind: 'ready' } satisfies Reply)
}

/** One being answered and one ready to go: what waits here can still be given up by those who leave. */
const IN_HAND = 2

interface Asked {
  question: string
  args: unknown[]
  resolve: (value: unknown) => void
  reject: (error: unknown) => void
}

/**
 * The caller's side of one worker thread. The thread starts with the first question, and again with the next one
 * after it died; whoever was waiting for a dead thread gets GraphUnavailableError. A question whose caller leaves is
 * not asked any more, if its turn has not come.
 */
export class WorkerChannel<Q extends Questions> {
  readonly #module: URL
  readonly #workerData: unknown
  readonly #onDeath: (error: unknown) => void
  #worker: Worker | null = null
  #ready: Promise<void> | null = null
  readonly #waiting = new Set<Asked>()
  readonly #inHand = new Map<number, Asked>()
  #nextId = 1
  #closed = false

  constructor(module: URL, workerData: unknown, onDeath: (error: unknown) => void) {
    this.#module = module
    this.#workerData = workerData
    this.#onDeath = onDeath
  }

  /** Questions in hand, and those that wait. */
  get load(): number {
    return this.#inHand.size + this.#waiting.size
  }

  /** Starts the thread if it does not run; rejects when it can't open the store. */
  start(): Promise<void> {
    if (this.#closed) return Promise.reject(new GraphClosedError())
    this.#ready ??= this.#spawn()
    return this.#ready
  }

  /** Asks one question. Buffers in `args` are copied when its turn comes; those in the answer are moved. */
  async ask<K extends keyof Q & string>(
    question: K,
    args: Arguments<Q[K]>,
    signal?: AbortSignal,
  ): Promise<Answer<Q[K]>> {
    signal?.throwIfAborted()
    await this.start()
    return this.#send(question, args, signal) as Promise<Answer<Q[K]>>
  }

  /** Waits for the questions in hand, then ends the thread. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    const worker = this.#worker
    if (!worker) return
    await this.#ready?.catch(() => {})
    const ended = new Promise((resolve) => worker.once('exit', resolve))
    if (this.#worker) await this.#send(CLOSE, []).catch(() => worker.terminate())
    if (this.#worker) await ended
  }

  async #send(question: string, args: unknown[], signal?: AbortSignal): Promise<unknown> {
    signal?.throwIfAborted()
    if (!this.#worker) throw new GraphUnavailableError('The graph store stopped. Try again.')
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    const asked: Asked = { question, args, resolve, reject }
    const leave = () => {
      this.#waiting.delete(asked)
      reject(signal?.reason)
    }
    signal?.addEventListener('abort', leave, { once: true })
    this.#waiting.add(asked)
    this.#dispatch()
    try {
      return await promise
    } finally {
      signal?.removeEventListener('abort', leave)
    }
  }

  #dispatch(): void {
    for (const asked of this.#waiting) {
      if (this.#inHand.size >= IN_HAND) return
      this.#waiting.delete(asked)
      const { question, args } = asked
      const id = this.#nextId++
      try {
        this.#worker!.postMessage({ id, question, args } satisfies Request)
        this.#inHand.set(id, asked)
      } catch (error) {
        asked.reject(error)
      }
    }
  }

  #spawn(): Promise<void> {
    const worker = new Worker(this.#module, { workerData: this.#workerData })
    this.#worker = worker
    return new Promise((resolve, reject) => {
      let fault: unknown = null
      worker.on('message', (reply: Reply) => {
        if (reply.kind === 'ready') resolve()
        else if (reply.kind === 'refusal' && reply.id === null) {
          fault = receive(reply.error)
          void worker.terminate()
        } else this.#settle(reply)
      })
      worker.on('error', (error) => {
        fault = error
      })
      worker.on('exit', (exitCode) => {
        const error =
          fault instanceof GraphError
            ? fault
            : new GraphUnavailableError(
                `A thread of the graph store ended unexpectedly (exit code ${exitCode}). It is started again: try again.`,
                { cause: fault },
              )
        reject(error)
        this.#buryWorker(error)
      })
    })
  }

  #settle(reply: Extract<Reply, { id: number | null }>): void {
    const asked = reply.id === null ? undefined : this.#inHand.get(reply.id)
    if (reply.id === null || !asked) return
    this.#inHand.delete(reply.id)
    this.#dispatch()
    if (reply.kind === 'answer') asked.resolve(reply.value)
    else asked.reject(receive(reply.error))
  }

  #buryWorker(error: unknown): void {
    this.#worker = null
    this.#ready = null
    const lost = [...this.#inHand.values(), ...this.#waiting]
    this.#inHand.clear()
    this.#waiting.clear()
    for (const { reject } of lost) reject(error)
    if (!this.#closed) this.#onDeath(error)
  }
}

/** Buffers that hold an answer's vectors, to be moved and not copied. */
function buffersOf(value: unknown): Transferable[] {
  if (!(value instanceof Map)) return []
  return [...value.values()]
    .filter((one) => one instanceof Float32Array)
    .map((vector) => vector.buffer as ArrayBuffer)
}

function send(error: unknown): SentError {
  const message = error instanceof Error ? error.message : String(error)
  if (!(error instanceof GraphError)) {
    return { code: null, message, details: {}, original: error instanceof Error ? plainError(error) : null }
  }
  const { code, name: _name, cause, ...details } = error as GraphError & Record<string, unknown>
  return { code, message, details, original: cause instanceof Error ? plainError(cause) : null }
}

/** An error that structured clone can carry, with its stack. */
function plainError(error: Error): Error {
  const plain = new Error(error.message)
  plain.stack = error.stack
  return plain
}

const REVIVED: Record<
  string,
  (sent: { message: string; details: Record<string, never>; cause: unknown }) => GraphError
> = {
  library_gone: ({ details }) => new LibraryGoneError(details.uid!),
  item_gone: ({ details }) => new ItemGoneError(details.uid!),
  collection_gone: ({ details }) => new CollectionGoneError(details.uid!),
  workspace_taken: ({ details }) => new WorkspaceTakenError(details.workspaceId!),
  dimension_mismatch: ({ details }) => new DimensionMismatchError(details.expected!, details.actual!),
  invalid_content: ({ message }) => new InvalidContentError(message),
  graph_full: ({ cause }) => new GraphFullError({ cause }),
  newer_schema: ({ details }) => new NewerSchemaError(details.found!, details.known!),
  graph_unavailable: ({ message, cause }) => new GraphUnavailableError(message, { cause }),
}

function receive({ code, message, details, original }: SentError): Error {
  const revive = code === null ? undefined : REVIVED[code]
  if (revive) return revive({ message, details: details as Record<string, never>, cause: original })
  return original instanceof Error ? original : new Error(message)
}
