import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Logger } from '@mnemosyne/platform'
import { ModelError } from './model-error.ts'
import type { ModelFolder } from './model-folder.ts'
import type { Question, Reply } from './onnx-process.ts'
import { EmbedderClosed, EmbedderCrashed, ModelUnusable } from './port.ts'

/** What a process can be asked. */
export type Work =
  | { kind: 'vector'; text: string; urgent: boolean }
  | { kind: 'counts'; texts: string[]; urgent: boolean }

interface Task {
  work: Work
  resolve: (answer: Float32Array | number[]) => void
  reject: (reason: unknown) => void
}

interface Slot {
  child: ChildProcess
  ready: boolean
  inHand: Map<number, Task>
  /** When it last finished something or was given work while idle, in milliseconds. */
  since: number
  failures: number
}

/** One running and one ready to go, so that the model never waits for a busy event loop here. */
const IN_HAND = 2
const LONGEST_BACKOFF_MS = 10_000

/**
 * A few processes that each hold the model and answer one question at a time. Urgent questions go before all
 * that wait. A process that dies is replaced; what it had in hand fails with `EmbedderCrashed`.
 *
 * Processes and not processes: to end a process inside the ONNX runtime aborts the whole process, on `close`
 * as on `process.exit`, and so would any fault of the runtime itself.
 */
export class OnnxProcesses {
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

  /** Starts `count` processes. Resolves when all have loaded the model; throws `ModelUnusable`. */
  static async open(folder: ModelFolder, count: number, log: Logger) {
    const processes = new OnnxProcesses(folder, log)
    try {
      const dimensions = await Promise.all(Array.from({ length: count }, () => processes.#addSlot()))
      return { processes, dimensions: dimensions[0]! }
    } catch (error) {
      await processes.close()
      throw error
    }
  }

  /** Texts that wait for a process. */
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
    await Promise.all(this.#slots.map(({ child }) => end(child)))
  }

  #addSlot(): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<number>()
    const slot: Slot = { child: this.#startChild(), ready: false, inHand: new Map(), since: 0, failures: 0 }
    this.#slots.push(slot)
    this.#attend(slot, resolve, reject)
    return promise
  }

  #startChild(): ChildProcess {
    const passed = ['PATH', 'LD_LIBRARY_PATH', 'SystemRoot', 'TEMP', 'TMPDIR']
    return fork(
      fileURLToPath(new URL('./onnx-process.ts', import.meta.url)),
      [JSON.stringify(this.#folder)],
      {
        serialization: 'advanced',
        // Standard output belongs to commands that print JSON; the secrets in the environment to nobody here.
        stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
        env: Object.fromEntries(passed.map((name) => [name, process.env[name]])),
        execArgv: [],
      },
    )
  }

  #attend(slot: Slot, opened: (dimensions: number) => void, unusable: (error: ModelUnusable) => void): void {
    const { child } = slot
    let cause: unknown
    const gone = (exitCode: number | null, signal: NodeJS.Signals | null) => {
      child.removeAllListeners('exit')
      unusable(cause instanceof ModelUnusable ? cause : this.#startFailure(cause))
      if (!this.#closed) this.#replace(slot, cause ?? new Error(`exit code ${exitCode}, signal ${signal}`))
    }
    child.on('message', (reply: Reply) => {
      if (reply.kind === 'ready') {
        slot.ready = true
        slot.failures = 0
        opened(reply.dimensions)
      } else if (reply.kind === 'unusable') {
        cause = new ModelUnusable(`The model ${this.#folder.weights} cannot be used: ${reply.reason}.`)
        child.kill('SIGKILL')
      } else {
        this.#settle(slot, reply)
      }
      this.#dispatch()
    })
    child.on('error', (error) => {
      cause = error
      if (child.pid === undefined) gone(null, null)
    })
    child.on('exit', gone)
  }

  #startFailure(cause: unknown): ModelUnusable {
    return new ModelUnusable(`The process for the model ${this.#folder.weights} could not start.`, { cause })
  }

  #settle(slot: Slot, reply: Extract<Reply, { id: number }>): void {
    const task = slot.inHand.get(reply.id)
    slot.inHand.delete(reply.id)
    slot.since = performance.now()
    if (reply.kind === 'answer') task?.resolve(own(reply.answer))
    else task?.reject(new ModelError(`The embedding model refused a text: ${reply.reason}.`))
  }

  #replace(slot: Slot, cause: unknown): void {
    const wasReady = slot.ready
    const error = new EmbedderCrashed('The embedding model stopped while it worked. Try again.', { cause })
    for (const task of slot.inHand.values()) task.reject(error)
    slot.inHand.clear()
    slot.ready = false
    if (!wasReady && !this.#slots.some((other) => other.ready)) this.#rejectWaiting(error)
    const delay = slot.failures === 0 ? 0 : Math.min(500 * 2 ** slot.failures, LONGEST_BACKOFF_MS)
    slot.failures++
    this.#log.error({ err: cause, restartInMs: delay }, 'embedding process died')
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      slot.child = this.#startChild()
      this.#attend(
        slot,
        () => this.#log.info('embedding process is back'),
        () => {},
      )
    }, delay)
    this.#timers.add(timer)
  }

  #rejectWaiting(error: ModelError): void {
    for (const task of [...this.#urgent, ...this.#waiting]) task.reject(error)
    this.#urgent.clear()
    this.#waiting.clear()
  }

  #dispatch(): void {
    for (const task of this.#urgent) {
      const slot = this.#soonestFree()
      // What waits here is not done at all when its caller leaves.
      if (!slot || urgentIn(slot) >= IN_HAND) return
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
    // A child that is gone is heard of by its exit, which rejects the task.
    slot.child.send({ id, ...task.work } satisfies Question, () => {})
  }

  #leastBusy(): Slot | undefined {
    return this.#slots.filter((slot) => slot.ready).sort((a, b) => a.inHand.size - b.inHand.size)[0]
  }

  /**
   * The idle process that worked last, whose copy of the model is still in the processor's cache (a quarter quicker here);
   * else the one with fewest urgent questions that has worked longest on what it runs.
   */
  #soonestFree(): Slot | undefined {
    const ready = this.#slots.filter((slot) => slot.ready)
    const idle = ready.filter(({ inHand }) => inHand.size === 0)
    if (idle.length > 0) return idle.reduce((a, b) => (b.since > a.since ? b : a))
    return ready.sort((a, b) => urgentIn(a) - urgentIn(b) || a.since - b.since)[0]
  }
}

function urgentIn({ inHand }: Slot): number {
  return inHand
    .values()
    .filter((task) => task.work.urgent)
    .toArray().length
}

/** It keeps nothing that would be lost. */
async function end(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGKILL')
  await exited
}

/** A vector as it was received is a window onto a whole chunk of the pipe's data and would keep that alive. */
function own(answer: Float32Array | number[]): Float32Array | number[] {
  return answer instanceof Float32Array ? answer.slice() : answer
}
