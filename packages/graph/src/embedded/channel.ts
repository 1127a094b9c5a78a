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
/** All but the last. */
type Leading<A> = A extends [...infer L, unknown] ? L : never
type Answer<F> = F extends (...args: never[]) => infer R ? Awaited<R> : never

type Request = Question | Later

interface Question {
  id: number
  question: string
  args: unknown[]
  /** Whether one more argument follows in a message of its own. */
  waits: boolean
}

/** What a question waited for; `left`: its caller does not wait for the answer any more. */
type Later = { id: number } & ({ later: unknown } | { left: true })

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
 * The worker's side: opens what it needs, then answers one question at a time, in order. Those whose answer is a
 * promise let others pass meanwhile. `open` gives the functions that answer, and how to close.
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
  const awaited = new Map<number, PromiseWithResolvers<unknown>>()
  /** Answers that are promises still. */
  const pending = new Set<Promise<void>>()
  const reply = (id: number, value: unknown) =>
    port.postMessage({ kind: 'answer', id, value } satisfies Reply, buffersOf(value))
  const refuse = (id: number, error: unknown) =>
    port.postMessage({ kind: 'refusal', id, error: send(error) } satisfies Reply)
  port.on('message', (request: Request) => {
    const { id } = request
    if ('question' in request) answer(request)
    else if ('left' in request) awaited.get(id)?.reject(new Error('The caller left.'))
    else awaited.get(id)?.resolve(request.later)
  })
  port.postMessage({ kind: 'ready' } satisfies Reply)

  function answer({ id, question, args, waits }: Question): void {
    if (question === CLOSE) {
      void close(id)
      return
    }
    try {
      const value = opened.questions[question]!(...args, ...waitedFor(id, waits))
      if (value instanceof Promise) keep(id, value)
      else reply(id, value)
    } catch (error) {
      refuse(id, error)
    }
  }

  function keep(id: number, value: Promise<unknown>): void {
    const settled = value
      .then((known) => reply(id, known))
      .catch((error) => refuse(id, error))
      .finally(() => pending.delete(settled))
    pending.add(settled)
  }

  function waitedFor(id: number, waits: boolean): [] | [Promise<unknown>] {
    if (!waits) return []
    const later = Promise.withResolvers<unknown>()
    awaited.set(id, later)
    const forget = () => awaited.delete(id)
    later.promise.then(forget, forget)
    return [later.promise]
  }

  /** When what is in hand is answered; what waits for something else is given up. */
  async function close(id: number): Promise<void> {
    for (const { reject } of awaited.values()) reject(new GraphClosedError())
    await Promise.all(pending)
    try {
      opened.close()
      reply(id, undefined)
    } catch (error) {
      refuse(id, error)
    }
    port.close()
  }
}

/**
 * One being answered and one ready to go: what waits here can still be given up by those who leave. Questions that wait
 * for one more argument are sent at once, and take no turn.
 */
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
  readonly #inHand = new Map<number, Asked & { inTurn: boolean }>()
  /** Of those in hand, how many take a turn. */
  #inTurn = 0
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

  /**
   * Asks one question. Buffers in `args` are copied when its turn comes; those in the answer are moved. What becomes
   * of `later` is the last argument of the question, as a promise; when it rejects, so does the answer.
   */
  async ask<K extends keyof Q & string>(
    question: K,
    args: unknown[] & (Arguments<Q[K]> | Leading<Arguments<Q[K]>>),
    signal?: AbortSignal,
    later?: Promise<unknown>,
  ): Promise<Answer<Q[K]>> {
    // Whatever comes of the question, somebody has heard that nothing will come.
    later?.catch(() => {})
    signal?.throwIfAborted()
    await this.start()
    return this.#send(question, args, signal, later) as Promise<Answer<Q[K]>>
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

  async #send(
    question: string,
    args: unknown[],
    signal?: AbortSignal,
    later?: Promise<unknown>,
  ): Promise<unknown> {
    signal?.throwIfAborted()
    if (!this.#worker) throw new GraphUnavailableError('The graph store stopped. Try again.')
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    const asked: Asked = { question, args, resolve, reject }
    const leave = () => {
      this.#waiting.delete(asked)
      reject(signal?.reason)
    }
    signal?.addEventListener('abort', leave, { once: true })
    if (later) this.#postWith(asked, later, signal)
    else {
      this.#waiting.add(asked)
      this.#dispatch()
    }
    try {
      return await promise
    } finally {
      signal?.removeEventListener('abort', leave)
    }
  }

  #dispatch(): void {
    for (const asked of this.#waiting) {
      if (this.#inTurn >= IN_HAND) return
      this.#waiting.delete(asked)
      if (this.#post(asked, false) !== null) this.#inTurn++
    }
  }

  #postWith(asked: Asked, later: Promise<unknown>, signal: AbortSignal | undefined): void {
    const id = this.#post(asked, true)
    if (id === null) return
    const send = (message: Later) => {
      try {
        this.#worker?.postMessage(message)
      } catch (error) {
        this.#worker?.postMessage({ id, left: true } satisfies Later)
        asked.reject(error)
      }
    }
    later.then(
      (value) => send(signal?.aborted ? { id, left: true } : { id, later: value }),
      (error) => {
        asked.reject(error)
        send({ id, left: true })
      },
    )
  }

  /** @returns the id; null when the arguments can't be sent. */
  #post(asked: Asked, waits: boolean): number | null {
    const { question, args } = asked
    const id = this.#nextId++
    try {
      this.#worker!.postMessage({ id, question, args, waits } satisfies Request)
    } catch (error) {
      asked.reject(error)
      return null
    }
    this.#inHand.set(id, { ...asked, inTurn: !waits })
    return id
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
    if (asked.inTurn) this.#inTurn--
    this.#dispatch()
    if (reply.kind === 'answer') asked.resolve(reply.value)
    else asked.reject(receive(reply.error))
  }

  #buryWorker(error: unknown): void {
    this.#worker = null
    this.#ready = null
    const lost = [...this.#inHand.values(), ...this.#waiting]
    this.#inHand.clear()
    this.#inTurn = 0
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
  graph_closed: () => new GraphClosedError(),
  graph_unavailable: ({ message, cause }) => new GraphUnavailableError(message, { cause }),
}

function receive({ code, message, details, original }: SentError): Error {
  const revive = code === null ? undefined : REVIVED[code]
  if (revive) return revive({ message, details: details as Record<string, never>, cause: original })
  return original instanceof Error ? original : new Error(message)
}
