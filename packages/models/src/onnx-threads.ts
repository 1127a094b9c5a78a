import { Worker } from 'node:worker_threads'
import type { Logger } from '@mnemosyne/platform'
import type { ModelFolder } from './model-folder.ts'
import type { Question, Reply } from './onnx-worker.ts'
import { EmbedderClosed, EmbedderCrashed, EmbeddingError, ModelUnusable } from './port.ts'

/** Work for a thread that is known by no id yet. */
export type Work =
  | { kind: 'vector'; text: string; urgent: boolean }
  | { kind: 'counts'; texts: string[]; urgent: boolean }

interface Task {
  work: Work
  resolve: (answer: Float32Array | number[]) => void
  reject: (reason: unknown) => void
}

interface Slot {
  worker: Worker
  ready: boolean
  inHand: Map<number, Task>
  /** When it last finished something or was given work while idle, in milliseconds. */
  since: number
  failures: number
}

/** One running and one ready to go, so that a thread never waits for the main thread. */
const IN_HAND = 2
const LONGEST_BACKOFF_MS = 10_000

/**
 * A few threads that each hold the model and answer one question at a time. Urgent questions go before all
 * that wait. A thread that dies is replaced; what it had in hand fails with `EmbedderCrashed`.
 */
export class OnnxThreads {
  readonly #folder: ModelFolder
  readonly #log: Logger
  readonly #slots: Slot[] = []
  readonly #urgent = new Set<Task>()
  readonly #waiting = new Set<Task>()
  readonly #timers = new Set<NodeJS.Timeout>()
  #closed = false
  #lastId = 0

  private constructor(folder: ModelFolder, log: Logger) {
    this.#folder = folder
    this.#log = log
  }

  /** Starts `count` threads. Resolves when all have loaded the model; throws `ModelUnusable`. */
  static async open(folder: ModelFolder, count: number, log: Logger) {
    const threads = new OnnxThreads(folder, log)
    try {
      const dimensions = await Promise.all(Array.from({ length: count }, () => threads.#addSlot()))
      return { threads, dimensions: dimensions[0]! }
    } catch (error) {
      await threads.close()
      throw error
    }
  }

  /** Texts that wait for a thread. */
  get queueLength(): number {
    return this.#urgent.size + this.#waiting.size
  }

  /**
   * The answers in order. When one fails or the signal aborts, the call rejects and its other work is
   * dropped unless it was begun.
   */
  async ask<A extends Float32Array | number[]>(work: Work[], signal?: AbortSignal): Promise<A[]> {
    signal?.throwIfAborted()
    if (this.#closed) throw new EmbedderClosed('The embedding model was closed.')
    const tasks = new Set<Task>()
    const answers = work.map((one) => {
      const { promise, resolve, reject } = Promise.withResolvers<Float32Array | number[]>()
      tasks.add({ work: one, resolve, reject })
      return promise as Promise<A>
    })
    const abort = () => {
      for (const task of tasks) task.reject(signal?.reason)
    }
    signal?.addEventListener('abort', abort, { once: true })
    for (const task of tasks) (task.work.urgent ? this.#urgent : this.#waiting).add(task)
    this.#dispatch()
    try {
      return await Promise.all(answers)
    } finally {
      signal?.removeEventListener('abort', abort)
      for (const task of tasks) {
        this.#urgent.delete(task)
        this.#waiting.delete(task)
      }
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    for (const timer of this.#timers) clearTimeout(timer)
    const closed = new EmbedderClosed('The embedding model was closed while the call was in hand.')
    this.#rejectWaiting(closed)
    for (const slot of this.#slots) for (const task of slot.inHand.values()) task.reject(closed)
    await Promise.all(this.#slots.map((slot) => slot.worker.terminate()))
  }

  #addSlot(): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<number>()
    const slot: Slot = { worker: this.#startWorker(), ready: false, inHand: new Map(), since: 0, failures: 0 }
    this.#slots.push(slot)
    this.#attend(slot, resolve, reject)
    return promise
  }

  #startWorker(): Worker {
    return new Worker(new URL('./onnx-worker.ts', import.meta.url), {
      workerData: this.#folder,
      name: 'embedding',
    })
  }

  #attend(slot: Slot, opened: (dimensions: number) => void, unusable: (error: ModelUnusable) => void): void {
    const { worker } = slot
    let cause: unknown
    worker.on('message', (reply: Reply) => {
      if (reply.kind === 'ready') {
        slot.ready = true
        slot.failures = 0
        opened(reply.dimensions)
      } else if (reply.kind === 'unusable') {
        cause = new ModelUnusable(`The model ${this.#folder.weights} cannot be used: ${reply.reason}.`)
        // Natively held threads may keep an idle worker alive; its end is what starts the next attempt.
        void worker.terminate()
      } else {
        this.#settle(slot, reply)
      }
      this.#dispatch()
    })
    worker.on('error', (error) => {
      cause = error
    })
    worker.on('exit', (exitCode) => {
      if (this.#closed)
        return unusable(new ModelUnusable('The embedding model was closed while it was loaded.'))
      unusable(cause instanceof ModelUnusable ? cause : this.#startFailure(cause))
      this.#replace(slot, cause, exitCode)
    })
  }

  #startFailure(cause: unknown): ModelUnusable {
    return new ModelUnusable(`The thread for the model ${this.#folder.weights} could not start.`, { cause })
  }

  #settle(slot: Slot, reply: Extract<Reply, { id: number }>): void {
    const task = slot.inHand.get(reply.id)
    slot.inHand.delete(reply.id)
    slot.since = performance.now()
    if (reply.kind === 'answer') task?.resolve(reply.answer)
    else task?.reject(new EmbeddingError(`The embedding model refused a text: ${reply.reason}.`))
  }

  #replace(slot: Slot, cause: unknown, exitCode: number): void {
    const wasReady = slot.ready
    const error = new EmbedderCrashed('The embedding model stopped while it worked. Try again.', { cause })
    for (const task of slot.inHand.values()) task.reject(error)
    slot.inHand.clear()
    slot.ready = false
    if (!wasReady && !this.#slots.some((other) => other.ready)) this.#rejectWaiting(error)
    const delay = slot.failures === 0 ? 0 : Math.min(500 * 2 ** slot.failures, LONGEST_BACKOFF_MS)
    slot.failures++
    this.#log.error({ err: cause, exitCode, restartInMs: delay }, 'embedding thread died')
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      slot.worker = this.#startWorker()
      this.#attend(
        slot,
        () => this.#log.info('embedding thread is back'),
        () => {},
      )
    }, delay)
    this.#timers.add(timer)
  }

  #rejectWaiting(error: EmbeddingError): void {
    for (const task of [...this.#urgent, ...this.#waiting]) task.reject(error)
    this.#urgent.clear()
    this.#waiting.clear()
  }

  #dispatch(): void {
    for (const task of this.#urgent) {
      const slot = this.#soonestFree()
      if (!slot) return
      this.#urgent.delete(task)
      this.#give(slot, task)
    }
    for (const task of this.#waiting) {
      const slot = this.#leastBusy()
      if (!slot || slot.inHand.size >= IN_HAND) return
      this.#waiting.delete(task)
      this.#give(slot, task)
    }
  }

  #give(slot: Slot, task: Task): void {
    const id = ++this.#lastId
    if (slot.inHand.size === 0) slot.since = performance.now()
    slot.inHand.set(id, task)
    slot.worker.postMessage({ id, ...task.work } satisfies Question)
  }

  #leastBusy(): Slot | undefined {
    return this.#slots.filter((slot) => slot.ready).sort((a, b) => a.inHand.size - b.inHand.size)[0]
  }

  /** An idle thread, else the one with fewest urgent questions that has worked longest on what it runs. */
  #soonestFree(): Slot | undefined {
    const urgentIn = (slot: Slot) =>
      slot.inHand
        .values()
        .filter((task) => task.work.urgent)
        .toArray().length
    return this.#slots
      .filter((slot) => slot.ready)
      .sort(
        (a, b) =>
          Number(a.inHand.size > 0) - Number(b.inHand.size > 0) ||
          urgentIn(a) - urgentIn(b) ||
          a.since - b.since,
      )[0]
  }
}
