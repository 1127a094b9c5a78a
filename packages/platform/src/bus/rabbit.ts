import { randomUUID } from 'node:crypto'
import type { ChannelModel } from 'amqplib'
import type { Clock } from '../clock.ts'
import type { Logger } from '../log.ts'
import type { Metrics } from '../telemetry.ts'
import { checkName, publishTraced } from './delivery.ts'
import type { Validate } from './event.ts'
import { type BusMetrics, busMetrics } from './metrics.ts'
import {
  type Bus,
  BusClosed,
  type BusMessage,
  BusUnavailable,
  type CommandConsumer,
  type Consumer,
  type DeadLetters,
  defaultRetry,
  type Subscription,
  UnknownQueue,
} from './port.ts'
import { RabbitConsumer, type RabbitConsumerOptions } from './rabbit-consumer.ts'
import { RabbitDeadLetters } from './rabbit-dead-letters.ts'
import { RabbitLink } from './rabbit-link.ts'
import { encode } from './rabbit-message.ts'
import { type PublishingSession, preparePublishing, RabbitPublisher } from './rabbit-publisher.ts'
import { parseBrokerUrl } from './rabbit-url.ts'
import {
  deadLetterQueue,
  declareCommandQueue,
  declareSubscription,
  defaultCommandQueues,
  defaultDelayStepsMs,
  defaultDeliveryLimit,
  delayStep,
  exchanges,
  type TopologyOptions,
} from './topology.ts'

export interface RabbitBusOptions {
  /** `amqp://user:password@host:5672/vhost`, percent-encoded. */
  url: string
  log: Logger
  metrics: Metrics
  clock: Clock
  /** Throws when a message breaks its contract; asked on both ends. */
  validate?: Validate
  commandQueues?: string[]
  /** Durable queues of event subscribers that are declared before those start, by name with their topics. */
  subscriptions?: Readonly<Record<string, readonly string[]>>
  /** Delays there are; what is asked for is rounded up. Default 1 s to 600 s. */
  delayStepsMs?: number[]
  /** Unanswered deliveries (the consumer died) before the broker dead-letters a message. Default 10. */
  deliveryLimit?: number
  /** How long opening, `publish`, `subscribe` and `consume` wait for the broker. Default 15 s. */
  timeoutMs?: number
  /** How long `close` waits for the handlers in hand. Default 5 s. */
  drainMs?: number
  /** Between two attempts to connect; doubles from the first to the last. Default 100 ms, 10 s. */
  backoff?: { firstMs: number; maxMs: number }
  /** Between two looks at the depth of the queues consumed and of the dead letters. Default 15 s. */
  depthEveryMs?: number
}

/**
 * Connects, declares the topology and returns. Rejects with `InvalidBrokerUrl`, or with `BusUnavailable` when
 * that has not worked within `timeoutMs`. Afterwards an outage is waited out; see `state()`.
 */
export async function openRabbitBus(options: RabbitBusOptions): Promise<Bus> {
  const bus = new RabbitBus(options)
  try {
    await bus.ready()
    return bus
  } catch (error) {
    await bus.close()
    throw error
  }
}

/**
 * Two connections: a broker short of memory or disk stops reading from those that publish, and consumers on
 * the same one could not acknowledge, so that the queues would never drain.
 */
class RabbitBus implements Bus {
  readonly #options: RabbitBusOptions
  readonly #topology: TopologyOptions
  readonly #metrics: BusMetrics
  readonly #timeoutMs: number
  readonly #drainMs: number
  readonly #publishing: RabbitLink<PublishingSession>
  readonly #consuming: RabbitLink<ChannelModel>
  readonly #publisher: RabbitPublisher
  readonly #dead: RabbitDeadLetters
  readonly #consumers = new Map<RabbitConsumer, { queue: string; durable: boolean }>()
  readonly #depthTimer: NodeJS.Timeout
  #closing: Promise<void> | undefined

  constructor(options: RabbitBusOptions) {
    const { url, log, metrics, backoff = { firstMs: 100, maxMs: 10_000 } } = options
    const target = parseBrokerUrl(url)
    const commandQueues = options.commandQueues ?? defaultCommandQueues
    this.#options = options
    this.#metrics = busMetrics(metrics)
    this.#timeoutMs = options.timeoutMs ?? 15_000
    this.#drainMs = options.drainMs ?? 5_000
    this.#topology = {
      commandQueues,
      subscriptions: options.subscriptions ?? {},
      delayStepsMs: options.delayStepsMs ?? defaultDelayStepsMs,
      deliveryLimit: options.deliveryLimit ?? defaultDeliveryLimit,
    }
    this.#publishing = new RabbitLink({
      target,
      log,
      backoff,
      name: `mnemosyne ${metrics.component}, publishing`,
      prepare: (connection, lose) => preparePublishing(connection, this.#topology, lose),
    })
    this.#consuming = new RabbitLink({
      target,
      log,
      backoff,
      name: `mnemosyne ${metrics.component}, consuming`,
      prepare: async (connection) => connection,
    })
    this.#publisher = new RabbitPublisher(this.#publishing, this.#timeoutMs)
    this.#dead = new RabbitDeadLetters({
      link: this.#consuming,
      publisher: this.#publisher,
      commandQueues,
      timeoutMs: this.#timeoutMs,
    })
    this.#depthTimer = setInterval(() => void this.#measure(), options.depthEveryMs ?? 15_000).unref()
  }

  async ready(): Promise<void> {
    await Promise.all([this.#publishing.session(this.#timeoutMs), this.#consuming.session(this.#timeoutMs)])
    void this.#measure()
  }

  async publish(message: BusMessage): Promise<void> {
    this.#assertOpen()
    await publishTraced(
      message,
      { system: 'rabbitmq', validate: this.#options.validate },
      async (traced, json) => {
        await this.#send(traced, json)
        this.#metrics.published(traced.destination)
      },
    )
  }

  async #send(message: BusMessage, json: string): Promise<void> {
    const { destination, delayMs = 0 } = message
    const wire = encode(message, json, this.#options.metrics.component)
    if (message.kind === 'event')
      return this.#publisher.send(exchanges.events, destination, wire, { mandatory: false })
    this.#assertDeclared(destination)
    if (delayMs === 0) return this.#publisher.send(exchanges.commands, destination, wire, { mandatory: true })
    const step = delayStep(this.#topology.delayStepsMs, delayMs)
    if (step < delayMs)
      wire.properties.headers = {
        ...message.headers,
        'x-not-before': this.#options.clock().getTime() + delayMs,
      }
    return this.#publisher.send(exchanges.delay, `${step}.${destination}`, wire, { mandatory: true })
  }

  async subscribe(subscription: Subscription): Promise<Consumer> {
    const { queue, topics, handle, durable = true, concurrency = 1, retry = defaultRetry } = subscription
    checkName(queue)
    return this.#start({
      queue,
      kind: 'event',
      concurrency,
      durable,
      handle,
      retry,
      declare: async (channel) => {
        const name = durable ? queue : `${queue}.${randomUUID()}`
        await declareSubscription(channel, { queue: name, topics, durable }, this.#topology)
        return name
      },
    })
  }

  async consume(
    queue: string,
    { concurrency, handle, retry = defaultRetry }: CommandConsumer,
  ): Promise<Consumer> {
    this.#assertDeclared(queue)
    return this.#start({
      queue,
      kind: 'command',
      concurrency,
      durable: true,
      handle,
      retry,
      declare: async (channel) => {
        await declareCommandQueue(channel, queue, this.#topology)
        return queue
      },
    })
  }

  deadLetters(): DeadLetters {
    return this.#dead
  }

  state(): 'up' | 'down' {
    return !this.#closing && this.#publishing.isUp() && this.#consuming.isUp() ? 'up' : 'down'
  }

  async ping(): Promise<void> {
    this.#assertOpen()
    if (this.state() === 'down') throw new BusUnavailable('the broker is not connected')
    await this.#publisher.ping()
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    clearInterval(this.#depthTimer)
    await Promise.all([...this.#consumers.keys()].map((consumer) => consumer.close()))
    if (this.#publishing.isUp()) await this.#publisher.drained(this.#drainMs)
    await Promise.all([this.#publishing.close(), this.#consuming.close()])
  }

  async #start(options: RabbitConsumerOptions): Promise<Consumer> {
    this.#assertOpen()
    const consumer = new RabbitConsumer(options, {
      link: this.#consuming,
      publisher: this.#publisher,
      log: this.#options.log,
      metrics: this.#metrics,
      validate: this.#options.validate,
      clock: this.#options.clock,
      delayStepsMs: this.#topology.delayStepsMs,
      drainMs: this.#drainMs,
      timeoutMs: this.#timeoutMs,
    })
    this.#consumers.set(consumer, options)
    this.#metrics.listening(options.queue)
    try {
      await consumer.established()
    } catch (error) {
      this.#consumers.delete(consumer)
      throw error
    }
    if (options.durable) void this.#measureThese([options.queue])
    return {
      close: async () => {
        await consumer.close()
        this.#consumers.delete(consumer)
      },
    }
  }

  /** A queue deleted under our eyes closes the channel, which is why each look has its own. */
  async #measure(): Promise<void> {
    const consumed = [...this.#consumers.values()].filter(({ durable }) => durable)
    await this.#measureThese(new Set([...consumed.map((consumer) => consumer.queue), deadLetterQueue]))
  }

  async #measureThese(queues: Iterable<string>): Promise<void> {
    for (const queue of queues) {
      if (this.state() === 'down') return
      try {
        const channel = await (await this.#consuming.session(0)).createChannel()
        channel.on('error', () => {})
        const { messageCount } = await channel.checkQueue(queue)
        if (queue === deadLetterQueue) this.#metrics.deadLetters(messageCount)
        else this.#metrics.depth(queue, messageCount)
        await channel.close()
      } catch (error) {
        this.#options.log.debug({ queue, err: error }, 'queue depth not known')
      }
    }
  }

  #assertOpen(): void {
    if (this.#closing) throw new BusClosed('the bus is closed')
  }

  #assertDeclared(queue: string): void {
    if (!this.#topology.commandQueues.includes(queue))
      throw new UnknownQueue(`there is no queue ${queue}; it has to be declared when the bus is opened`)
  }
}
