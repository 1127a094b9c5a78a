import { AsyncLocalStorage } from 'node:async_hooks'
import type { Clock } from '../clock.ts'
import type { Logger } from '../log.ts'
import type { Metrics } from '../telemetry.ts'
import { publishTraced } from './delivery.ts'
import type { Validate } from './event.ts'
import { DeadLetterFile } from './in-process-dead-letters.ts'
import { type Entry, MemoryQueue, type QueueSetting } from './in-process-queue.ts'
import { busMetrics } from './metrics.ts'
import {
  type Bus,
  BusClosed,
  type BusMessage,
  type CommandConsumer,
  type Consumer,
  type DeadLetters,
  defaultRetry,
  type Subscription,
  UnknownQueue,
} from './port.ts'
import { defaultCommandQueues, topicMatches, transientBacklog } from './topology.ts'

/** Runs `work` after `delayMs`; returns how to call it off. */
export type Schedule = (work: () => void, delayMs: number) => () => void

export interface InProcessBusOptions {
  log: Logger
  metrics: Metrics
  clock: Clock
  /** Throws when a message breaks its contract; asked on both ends. */
  validate?: Validate
  commandQueues?: string[]
  /** Messages that a queue holds before `publish` rejects with `BacklogFull`. Default 100,000. */
  backlog?: number
  /** Keeps the dead letters over a restart; without it they are lost with the process. */
  deadLetterFile?: string
  /** How long `close` waits for the handlers in hand. Default 5 s. */
  drainMs?: number
  schedule?: Schedule
}

/**
 * The bus of a single process. It keeps nothing but dead letters: what it had in hand when the process died
 * comes again from the outbox (an event is only `publish`ed when its subscribers are through) and from the
 * rows that the commands are about.
 */
export function openInProcessBus(options: InProcessBusOptions): Bus {
  return new InProcessBus(options)
}

class InProcessBus implements Bus {
  readonly #options: InProcessBusOptions
  readonly #setting: QueueSetting
  readonly #queues = new Map<string, MemoryQueue>()
  readonly #topics = new Map<MemoryQueue, Set<string>>()
  readonly #dead: DeadLetterFile
  #closing: Promise<void> | undefined
  #serial = 0

  constructor(options: InProcessBusOptions) {
    this.#options = options
    const metrics = busMetrics(options.metrics)
    this.#dead = new DeadLetterFile(options.deadLetterFile, options.log, metrics.deadLetters)
    this.#setting = {
      system: 'in_process',
      log: options.log,
      metrics,
      validate: options.validate,
      drainMs: options.drainMs ?? 5_000,
      schedule: options.schedule ?? scheduleUnref,
      outside: AsyncLocalStorage.snapshot(),
      bury: (letter) => this.#dead.add({ ...letter, diedAt: options.clock().toISOString() }),
    }
    for (const name of options.commandQueues ?? defaultCommandQueues)
      this.#queues.set(name, new MemoryQueue(name, { ...this.#setting, limit: options.backlog ?? 100_000 }))
  }

  async publish(message: BusMessage): Promise<void> {
    this.#assertOpen()
    await publishTraced(message, this.#setting, async (traced, json) => {
      if (traced.kind === 'command') this.#queueOf(traced.destination).add(entryOf(traced, json))
      else await this.#publishEvent(traced, json)
      this.#setting.metrics.published(traced.destination)
    })
  }

  /** Every subscriber gets it, whatever becomes of the others, before a failure is reported. */
  async #publishEvent(message: BusMessage, json: string): Promise<void> {
    const handled: Promise<void>[] = []
    for (const [queue, topics] of this.#topics) {
      if (![...topics].some((topic) => topicMatches(topic, message.destination))) continue
      if (queue.dropsOldest) queue.add(entryOf(message, json))
      else
        handled.push(
          new Promise((settle, refuse) => queue.add({ ...entryOf(message, json), settle, refuse })),
        )
    }
    const failed = (await Promise.allSettled(handled)).find((result) => result.status === 'rejected')
    if (failed) throw failed.reason
  }

  async subscribe(subscription: Subscription): Promise<Consumer> {
    this.#assertOpen()
    const { topics, handle, durable = true, concurrency = 1, retry = defaultRetry } = subscription
    const queue = durable ? this.#durableQueue(subscription.queue) : this.#transientQueue(subscription.queue)
    this.#topics.set(queue, new Set([...(this.#topics.get(queue) ?? []), ...topics]))
    const consumer = queue.consume({ handle, retry, concurrency })
    return {
      close: async () => {
        await consumer.close()
        if (!durable) this.#forget(queue)
      },
    }
  }

  async consume(
    queue: string,
    { concurrency, handle, retry = defaultRetry }: CommandConsumer,
  ): Promise<Consumer> {
    this.#assertOpen()
    return this.#queueOf(queue).consume({ handle, retry, concurrency })
  }

  deadLetters(): DeadLetters {
    return {
      count: async () => this.#dead.count(),
      list: async (limit = 100) => this.#dead.list(limit),
      drop: async (id) => this.#dead.take(id),
      replay: async (id) => {
        const queue = this.#queueOf(this.#dead.find(id)[0]!.queue)
        for (const { message } of this.#dead.find(id))
          queue.add(entryOf(message, JSON.stringify(message.body)))
        this.#dead.take(id)
      },
    }
  }

  state(): 'up' | 'down' {
    return this.#closing ? 'down' : 'up'
  }

  async ping(): Promise<void> {
    this.#assertOpen()
  }

  close(): Promise<void> {
    this.#closing ??= Promise.all([...this.#queues.values()].map((queue) => queue.close())).then(() => {})
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #assertOpen(): void {
    if (this.#closing) throw new BusClosed('the bus is closed')
  }

  #queueOf(name: string): MemoryQueue {
    const queue = this.#queues.get(name)
    if (!queue)
      throw new UnknownQueue(`there is no queue ${name}; it has to be declared when the bus is opened`)
    return queue
  }

  #durableQueue(name: string): MemoryQueue {
    const queue =
      this.#queues.get(name) ??
      new MemoryQueue(name, { ...this.#setting, limit: this.#options.backlog ?? 100_000 })
    this.#queues.set(name, queue)
    return queue
  }

  #transientQueue(name: string): MemoryQueue {
    const queue = new MemoryQueue(name, { ...this.#setting, limit: transientBacklog, dropsOldest: true })
    this.#queues.set(`${name}.${++this.#serial}`, queue)
    return queue
  }

  #forget(queue: MemoryQueue): void {
    this.#topics.delete(queue)
    for (const [name, known] of this.#queues) if (known === queue) this.#queues.delete(name)
  }
}

function entryOf({ kind, destination, id, headers, delayMs }: BusMessage, json: string): Entry {
  return { kind, destination, id, headers, json, failures: 0, delayMs: delayMs ?? 0 }
}

function scheduleUnref(work: () => void, delayMs: number): () => void {
  const timer = setTimeout(work, delayMs).unref()
  return () => clearTimeout(timer)
}
