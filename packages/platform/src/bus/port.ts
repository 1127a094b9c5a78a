/**
 * The bus: events go to everyone who subscribed, commands go to one worker.
 *
 * Delivery is at least once in every adapter: a handler may see a message again (after a crash, a lost
 * connection, a replay) and has to be idempotent. Messages are small: they carry ids, not documents.
 */
export interface BusMessage {
  kind: 'event' | 'command'
  /** An event's type, which is its routing key (`ingest.job.completed.v1`), or a command queue (`ingest.embedding`). */
  destination: string
  /** Unique per message; the same again when a publisher repeats itself. */
  id: string
  /** Any JSON; for an event the CloudEvents envelope (`cloudEvent()`), whose `type` equals `destination`. */
  body: unknown
  /** Text headers, `traceparent` above all. Names that begin with `x-` are the bus's own and are not carried. */
  headers: Record<string, string>
  /** Commands only: not before so many milliseconds from now. Adapters may round it up (`RetryPolicy`). */
  delayMs?: number
}

export interface DeliveryContext {
  /**
   * Aborted as soon as the consumer is being closed. A handler that throws after that hands its message
   * back, uncounted; one that finishes in time is acknowledged; one that does neither is handed back.
   */
  signal: AbortSignal
  /** 1 at first, one more after each counted failure. `RetryLater` and hand-backs are not counted. */
  attempt: number
}

/**
 * Called for each delivery; the message is acknowledged when the promise resolves, so after the effect.
 * Throw `RetryLater` to see it again later, `Unprocessable` to dead-letter it at once; anything else is
 * retried by the `RetryPolicy` and dead-lettered when that is exhausted. Throwing never stops the consumer.
 */
export type Handle = (message: BusMessage, context: DeliveryContext) => Promise<void>

/** Retries after a failure: the delay doubles from `firstDelayMs` up to `maxDelayMs`. */
export interface RetryPolicy {
  /** Retries after the first attempt; 0 dead-letters at the first failure. */
  retries: number
  firstDelayMs: number
  maxDelayMs: number
}

export const defaultRetry: RetryPolicy = { retries: 3, firstDelayMs: 60_000, maxDelayMs: 600_000 }

export interface Subscription {
  /**
   * Name of the subscriber's own queue, `<service>.<purpose>` (`auth.library-events`). Several processes that
   * subscribe with one name share the events; the queue stays while nobody listens (RabbitMQ).
   */
  queue: string
  /** Routing keys; `*` stands for one word, `#` for any number: `library.*.v1`, `ingest.#`. */
  topics: string[]
  handle: Handle
  /**
   * False: every subscriber gets its own copy while it listens, publishers don't wait for it, there are no
   * retries and no dead letters, and the oldest are dropped when it falls behind. For progress and cache
   * hints. Default true.
   */
  durable?: boolean
  /** Handlers in hand at once; above 1 the order is lost. Default 1. */
  concurrency?: number
  retry?: RetryPolicy
}

export interface CommandConsumer {
  /** Handlers in hand at once; equals the prefetch. */
  concurrency: number
  handle: Handle
  retry?: RetryPolicy
}

export interface Consumer {
  /** Takes no more, waits for the handlers in hand within the bus's bound, hands the rest back. Idempotent. */
  close(): Promise<void>
}

export interface DeadLetter {
  /** `<queue>:<message id>`. */
  id: string
  queue: string
  message: BusMessage
  /** Why, for a person: the handler's error, or `delivery-limit` when its consumer kept dying. */
  reason: string
  attempts: number
  /** ISO 8601, UTC. */
  diedAt: string
}

export interface DeadLetters {
  count(): Promise<number>
  /** Oldest first, at most `limit` (100). Another process that lists at the same moment may hide some. */
  list(limit?: number): Promise<DeadLetter[]>
  /** Back to the queue where it died, attempts counted anew. Rejects with `DeadLetterNotFound`. */
  replay(id: string): Promise<void>
  /** Gone for good. Rejects with `DeadLetterNotFound`. */
  drop(id: string): Promise<void>
}

/** Adapters: `openInProcessBus`, `openRabbitBus`. */
export interface Bus {
  /**
   * Resolves when the message is safe.
   * RabbitMQ: the broker has confirmed it. During an outage waits up to a bound, then rejects with
   * `BusUnavailable`; the message may have gone out nevertheless, so repeat it with the same id.
   * In process, event: every durable subscriber's handler has finished, or the message is dead-lettered;
   * that includes the retries' delays. Rejects with `BusClosed` when a subscriber stops before that.
   * In process, command: it is queued in memory (its row in SQL has to outlive the process); rejects with
   * `BacklogFull` when too many wait.
   * Both: `UnknownQueue` for a command to a queue that is not declared, `InvalidMessage` for a bad message.
   */
  publish(message: BusMessage): Promise<void>
  /** Events. In process only events published after this arrive, so subscribe before a relay starts. */
  subscribe(subscription: Subscription): Promise<Consumer>
  /** Commands; consumers of one queue compete. Rejects with `UnknownQueue`. */
  consume(queue: string, consumer: CommandConsumer): Promise<Consumer>
  deadLetters(): DeadLetters
  state(): 'up' | 'down'
  /** Asks the broker; rejects with `BusUnavailable`. */
  ping(): Promise<void>
  /** Closes every consumer (see `Consumer.close`), then the connection. Idempotent. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** Thrown by a handler: deliver again after `delayMs`, without counting an attempt or holding up the queue. */
export class RetryLater extends Error {
  readonly code = 'retry_later'
  readonly delayMs: number
  constructor({ delayMs, cause }: { delayMs: number; cause?: unknown }) {
    super(`again in ${delayMs} ms`, { cause })
    this.name = 'RetryLater'
    this.delayMs = delayMs
  }
}

/** Thrown by a handler: this message can never be processed (not understood); dead-letter it at once. */
export class Unprocessable extends Error {
  override readonly name = 'Unprocessable'
  readonly code = 'unprocessable'
}

/** The message is malformed; the publisher has to mend it. */
export class InvalidMessage extends Error {
  override readonly name = 'InvalidMessage'
  readonly code = 'invalid_message'
}

export class UnknownQueue extends Error {
  override readonly name = 'UnknownQueue'
  readonly code = 'unknown_queue'
}

/** The broker can't be reached or did not confirm in time; try again later with the same message id. */
export class BusUnavailable extends Error {
  override readonly name = 'BusUnavailable'
  readonly code = 'bus_unavailable'
}

/** The bus, or the subscriber that had to handle the event, is closed. */
export class BusClosed extends Error {
  override readonly name = 'BusClosed'
  readonly code = 'bus_closed'
}

/** In process: too many commands wait; try again later. */
export class BacklogFull extends Error {
  override readonly name = 'BacklogFull'
  readonly code = 'backlog_full'
}

export class DeadLetterNotFound extends Error {
  override readonly name = 'DeadLetterNotFound'
  readonly code = 'dead_letter_not_found'
}

/** The broker's address can't be used; says what to mend, never the password. */
export class InvalidBrokerUrl extends Error {
  override readonly name = 'InvalidBrokerUrl'
  readonly code = 'invalid_broker_url'
}

/** Milliseconds before the next delivery after `failures` counted failures, or undefined when exhausted. */
export function retryDelay({ retries, firstDelayMs, maxDelayMs }: RetryPolicy, failures: number) {
  return failures > retries ? undefined : Math.min(firstDelayMs * 2 ** (failures - 1), maxDelayMs)
}
