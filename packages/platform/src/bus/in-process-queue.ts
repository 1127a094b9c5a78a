import type { Logger } from '../log.ts'
import { deliver, type Handling, type MessagingSystem, type Outcome } from './delivery.ts'
import type { Validate } from './event.ts'
import type { Schedule } from './in-process.ts'
import type { BusMetrics } from './metrics.ts'
import { BacklogFull, BusClosed, type BusMessage, type Consumer, type DeadLetter } from './port.ts'

/** A message that waits: its body as JSON, so that no consumer shares objects with another or the publisher. */
export interface Entry extends Omit<BusMessage, 'body' | 'delayMs'> {
  json: string
  failures: number
  delayMs: number
  /** It was handed back. */
  redelivered?: boolean
  /** Of the publisher that waits for this event to be handled. */
  settle?: () => void
  refuse?: (error: Error) => void
}

export interface QueueSetting {
  system: MessagingSystem
  log: Logger
  metrics: BusMetrics
  validate: Validate | undefined
  drainMs: number
  schedule: Schedule
  /** Leaves the request and trace of whoever happened to set the queue in motion. */
  outside: <T>(work: () => T) => T
  bury: (letter: Omit<DeadLetter, 'diedAt'>) => void
}

interface Worker extends Handling {
  concurrency: number
  stop: AbortController
  /** What it works on; an entry that is no longer in here has been handed back. */
  inHand: Map<Entry, Promise<void>>
}

/** One queue in memory with its competing consumers. */
export class MemoryQueue {
  readonly name: string
  readonly dropsOldest: boolean
  readonly #setting: QueueSetting & { limit: number }
  readonly #waiting: Entry[] = []
  readonly #delayed = new Map<Entry, () => void>()
  readonly #workers = new Set<Worker>()
  #closed = false

  constructor(name: string, setting: QueueSetting & { limit: number; dropsOldest?: boolean }) {
    this.name = name
    this.#setting = setting
    this.dropsOldest = setting.dropsOldest ?? false
    setting.metrics.depth(name, 0)
  }

  /** Throws `BacklogFull`, or `BusClosed` when a publisher would wait for a subscriber that has stopped. */
  add(entry: Entry): void {
    if (this.#closed || (entry.settle && this.#workers.size === 0))
      throw new BusClosed(`the subscriber ${this.name} has stopped`)
    if (this.#waiting.length + this.#delayed.size >= this.#setting.limit) this.#makeRoom()
    if (entry.delayMs > 0) this.#delay(entry, entry.delayMs)
    else this.#enqueue(entry)
  }

  consume({ handle, retry, concurrency }: Handling & { concurrency: number }): Consumer {
    const worker: Worker = { handle, retry, concurrency, stop: new AbortController(), inHand: new Map() }
    this.#workers.add(worker)
    this.#setting.metrics.listening(this.name)
    this.#pump()
    let closing: Promise<void> | undefined
    return { close: () => (closing ??= this.#stop(worker)) }
  }

  async close(): Promise<void> {
    this.#closed = true
    await Promise.all([...this.#workers].map((worker) => this.#stop(worker)))
    for (const [entry, cancel] of this.#delayed) {
      cancel()
      this.#refuse(entry)
    }
    this.#delayed.clear()
    for (const entry of this.#waiting.splice(0)) this.#refuse(entry)
  }

  #makeRoom(): void {
    if (!this.dropsOldest)
      throw new BacklogFull(`${this.name} holds ${this.#setting.limit} messages that nobody has taken`)
    const lost = this.#waiting.shift()
    this.#setting.log.warn({ queue: this.name, message_id: lost?.id }, 'a slow subscriber lost a message')
  }

  #enqueue(entry: Entry): void {
    this.#waiting.push(entry)
    this.#pump()
  }

  #delay(entry: Entry, delayMs: number): void {
    const cancel = this.#setting.schedule(() => {
      this.#delayed.delete(entry)
      this.#enqueue(entry)
    }, delayMs)
    this.#delayed.set(entry, cancel)
  }

  #pump(): void {
    while (this.#waiting.length > 0) {
      const worker = this.#idlest()
      if (!worker) break
      this.#start(worker, this.#waiting.shift()!)
    }
    this.#setting.metrics.depth(this.name, this.#waiting.length)
  }

  #idlest(): Worker | undefined {
    const free = [...this.#workers].filter((worker) => worker.inHand.size < worker.concurrency)
    return free.sort((a, b) => a.inHand.size - b.inHand.size)[0]
  }

  #start(worker: Worker, entry: Entry): void {
    const { kind, destination, id, headers, json, failures, redelivered = false } = entry
    const message: BusMessage = { kind, destination, id, headers: { ...headers }, body: JSON.parse(json) }
    const work = this.#setting.outside(async () => {
      // Not in the publisher's turn: it goes on before its message is handled, as with a broker.
      await null
      const delivery = { queue: this.name, message, failures, redelivered, signal: worker.stop.signal }
      const outcome = await deliver(delivery, worker, this.#setting)
      if (worker.inHand.delete(entry)) this.#conclude(entry, message, outcome)
    })
    worker.inHand.set(entry, work)
  }

  #conclude(entry: Entry, message: BusMessage, outcome: Outcome): void {
    const { metrics } = this.#setting
    if (outcome.kind === 'hand-back') this.#takeBack(entry)
    else if (this.dropsOldest || outcome.kind === 'done') entry.settle?.()
    else if (outcome.kind === 'again') {
      metrics.retried(this.name)
      this.#delay({ ...entry, failures: outcome.failures, redelivered: false }, outcome.delayMs)
    } else {
      metrics.deadLettered(this.name)
      this.#bury(entry, message, outcome)
    }
    this.#pump()
  }

  /** When the disk refuses the letter, the publisher keeps its event. */
  #bury(entry: Entry, message: BusMessage, { reason, failures }: Outcome & { kind: 'dead' }): void {
    const letter = { id: `${this.name}:${entry.id}`, queue: this.name, message, reason, attempts: failures }
    try {
      this.#setting.bury(letter)
      entry.settle?.()
    } catch (error) {
      this.#setting.log.error({ err: error, dead_letter: letter.id }, 'dead letter not written')
      entry.refuse?.(error instanceof Error ? error : new Error(String(error)))
    }
  }

  async #stop(worker: Worker): Promise<void> {
    if (!this.#workers.delete(worker)) return
    worker.stop.abort()
    const drained = Promise.all(worker.inHand.values())
    await Promise.race([drained, expiry(this.#setting.drainMs)])
    const abandoned = [...worker.inHand.keys()]
    worker.inHand.clear()
    for (const entry of abandoned.reverse()) this.#takeBack(entry)
    if (this.#workers.size === 0) this.#refuseWaitingPublishers()
    this.#pump()
  }

  /** To the front, where it came from. */
  #takeBack(entry: Entry): void {
    if (this.#closed) this.#refuse(entry)
    else this.#waiting.unshift({ ...entry, redelivered: true })
  }

  /** Nobody is left to handle their events: they keep them in their outbox. */
  #refuseWaitingPublishers(): void {
    for (const [entry, cancel] of this.#delayed) {
      if (!entry.refuse) continue
      cancel()
      this.#delayed.delete(entry)
      this.#refuse(entry)
    }
    for (const entry of this.#waiting.splice(0)) {
      if (entry.refuse) this.#refuse(entry)
      else this.#waiting.push(entry)
    }
  }

  #refuse(entry: Entry): void {
    entry.refuse?.(new BusClosed(`the subscriber ${this.name} stopped before it had handled ${entry.id}`))
  }
}

function expiry(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref())
}
