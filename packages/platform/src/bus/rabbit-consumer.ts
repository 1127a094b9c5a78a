import type { Channel, ChannelModel, ConsumeMessage } from 'amqplib'
import type { Clock } from '../clock.ts'
import type { Logger } from '../log.ts'
import { deliver, type Handling, type Outcome } from './delivery.ts'
import type { Validate } from './event.ts'
import type { BusMetrics } from './metrics.ts'
import { type BusMessage, BusUnavailable, type Consumer } from './port.ts'
import type { RabbitLink } from './rabbit-link.ts'
import { again, deadHeaders, decode, failuresOf, notBefore } from './rabbit-message.ts'
import type { RabbitPublisher } from './rabbit-publisher.ts'
import { delayStep, exchanges } from './topology.ts'

const RESTART_MS = 100
const MAX_RESTART_MS = 10_000
const CLOSE_MS = 2_000

export interface RabbitConsumerOptions extends Handling {
  /** As in metrics, logs and dead letters. */
  queue: string
  kind: BusMessage['kind']
  concurrency: number
  /** False: no retries, no dead letters. */
  durable: boolean
  /** Makes sure that the queue is there; gives its name on the broker. */
  declare(channel: Channel): Promise<string>
}

export interface RabbitConsumerSetting {
  link: RabbitLink<ChannelModel>
  publisher: RabbitPublisher
  log: Logger
  metrics: BusMetrics
  validate: Validate | undefined
  clock: Clock
  delayStepsMs: number[]
  drainMs: number
  timeoutMs: number
}

/** A channel and whether its deliveries can still be answered. */
interface Line {
  channel: Channel
  consumerTag: string
  open: boolean
}

/**
 * A consumer that stays: when its channel, its queue or the connection is lost it sets itself up again.
 * Handlers in hand at that moment go on, count against the concurrency, and can't acknowledge any more: the
 * broker delivers their message once more, perhaps elsewhere and before they are through.
 */
export class RabbitConsumer implements Consumer {
  readonly #options: RabbitConsumerOptions
  readonly #setting: RabbitConsumerSetting
  readonly #stop = new AbortController()
  /** Deliveries that have not been answered. */
  readonly #inHand = new Map<ConsumeMessage, { line: Line; work: Promise<void> }>()
  readonly #forSlot: (() => void)[] = []
  #busy = 0
  #line: Line | undefined
  #closing: Promise<void> | undefined
  readonly #running: Promise<void>
  readonly #established = Promise.withResolvers<void>()
  /** The channel is not needed any more. */
  readonly #over = Promise.withResolvers<Error>()

  constructor(options: RabbitConsumerOptions, setting: RabbitConsumerSetting) {
    this.#options = options
    this.#setting = setting
    this.#running = this.#run()
  }

  /** Resolves when it consumes for the first time. Rejects with `BusUnavailable` after the bound, and closes. */
  async established(): Promise<void> {
    const { queue } = this.#options
    const { timeoutMs } = this.#setting
    const late = new BusUnavailable(`the broker did not let ${queue} be consumed in ${timeoutMs} ms`)
    const timer = setTimeout(() => this.#established.reject(late), timeoutMs)
    try {
      await this.#established.promise
    } catch (error) {
      await this.close()
      throw error
    } finally {
      clearTimeout(timer)
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#stop.abort()
    this.#wakeAll()
    await within(this.#setting.drainMs, this.#drain())
    for (const [raw, { line }] of [...this.#inHand]) this.#answer(line, raw, 'requeue')
    this.#over.resolve(new Error('closed'))
    await within(CLOSE_MS, this.#running)
  }

  async #drain(): Promise<void> {
    if (this.#line?.open) await this.#line.channel.cancel(this.#line.consumerTag).catch(() => {})
    await Promise.all([...this.#inHand.values()].map(({ work }) => work))
  }

  async #run(): Promise<void> {
    const { log, link, timeoutMs } = this.#setting
    let failures = 0
    while (!this.#stop.signal.aborted) {
      try {
        await this.#consume(await link.session(timeoutMs, this.#stop.signal))
        failures = 0
      } catch (error) {
        if (!this.#stop.signal.aborted)
          log.warn({ queue: this.#options.queue, err: error }, 'consumer could not be set up')
        failures++
      }
      await pause(Math.min(MAX_RESTART_MS, RESTART_MS * 2 ** failures), this.#stop.signal)
    }
  }

  /** Consumes on one channel until it or the queue is lost, or the consumer closed. */
  async #consume(connection: ChannelModel): Promise<void> {
    const channel = await connection.createChannel()
    const line: Line = { channel, consumerTag: '', open: true }
    const lost = endOf(line)
    const cancelled = Promise.withResolvers<Error>()
    try {
      await channel.prefetch(this.#options.concurrency)
      const queue = await this.#options.declare(channel)
      const { consumerTag } = await channel.consume(queue, (raw) => {
        if (raw) this.#take(line, raw)
        else cancelled.resolve(new Error('the broker has cancelled the consumer: its queue is gone'))
      })
      line.consumerTag = consumerTag
      this.#line = line
      this.#established.resolve()
      const why = await Promise.race([lost, cancelled.promise, this.#over.promise])
      if (!this.#stop.signal.aborted)
        this.#setting.log.warn(
          { queue: this.#options.queue, err: why },
          'consumer lost, sets itself up again',
        )
    } finally {
      if (line.open) await channel.close().catch(() => {})
    }
  }

  #take(line: Line, raw: ConsumeMessage): void {
    const work = this.#process(line, raw).catch((error: unknown) => {
      this.#setting.log.error({ queue: this.#options.queue, err: error }, 'delivery not answered, requeued')
      this.#answer(line, raw, 'requeue')
    })
    this.#inHand.set(raw, { line, work })
  }

  async #process(line: Line, raw: ConsumeMessage): Promise<void> {
    // Only then is the delivery in #inHand.
    await null
    const waitMs = notBefore(raw) - this.#setting.clock().getTime()
    if (waitMs > 0) {
      await this.#putOff(raw, waitMs, failuresOf(raw))
      return this.#answer(line, raw, 'ack')
    }
    while (this.#busy >= this.#options.concurrency && !this.#stop.signal.aborted)
      await new Promise<void>((resolve) => this.#forSlot.push(resolve))
    if (this.#stop.signal.aborted) return this.#answer(line, raw, 'requeue')
    // Lost while it waited: it will be delivered again.
    if (!line.open) return void this.#inHand.delete(raw)
    this.#busy++
    try {
      const outcome = await this.#deliver(raw)
      if (this.#inHand.has(raw)) await this.#conclude(line, raw, outcome)
    } finally {
      this.#busy--
      this.#forSlot.shift()?.()
    }
  }

  async #deliver(raw: ConsumeMessage): Promise<Outcome> {
    const { queue, kind } = this.#options
    const failures = failuresOf(raw)
    let message: BusMessage
    try {
      message = decode(raw, kind)
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      this.#setting.log.error({ queue, reason }, 'message dead-lettered')
      return { kind: 'dead', reason, failures: failures + 1 }
    }
    const delivery = {
      queue,
      message,
      failures,
      redelivered: raw.fields.redelivered,
      signal: this.#stop.signal,
    }
    return deliver(delivery, this.#options, { system: 'rabbitmq', ...this.#setting })
  }

  /** Whatever goes elsewhere is confirmed there before it is acknowledged here. */
  async #conclude(line: Line, raw: ConsumeMessage, outcome: Outcome): Promise<void> {
    const { queue, durable } = this.#options
    const { metrics, publisher, clock } = this.#setting
    if (outcome.kind === 'hand-back') return this.#answer(line, raw, 'requeue')
    // Without a line the broker delivers it again anyway; a copy would double it.
    if (outcome.kind !== 'done' && durable && line.open) {
      if (outcome.kind === 'again') {
        metrics.retried(queue)
        await this.#putOff(raw, outcome.delayMs, outcome.failures)
      } else {
        metrics.deadLettered(queue)
        const wire = again(raw, deadHeaders({ queue, ...outcome }, clock()))
        await publisher.send(exchanges.dead, queue, wire, { mandatory: true })
      }
    }
    this.#answer(line, raw, 'ack')
  }

  async #putOff(raw: ConsumeMessage, delayMs: number, failures: number): Promise<void> {
    const { publisher, delayStepsMs, clock } = this.#setting
    const step = delayStep(delayStepsMs, delayMs)
    const bookkeeping: Record<string, number> = { 'x-failures': failures }
    if (step < delayMs) bookkeeping['x-not-before'] = clock().getTime() + delayMs
    const wire = again(raw, bookkeeping)
    await publisher.send(exchanges.delay, `${step}.${this.#options.queue}`, wire, { mandatory: true })
  }

  /** At most once for a delivery; over a lost line the broker has taken it back already. */
  #answer(line: Line, raw: ConsumeMessage, answer: 'ack' | 'requeue'): void {
    if (!this.#inHand.delete(raw)) return
    const about = { queue: this.#options.queue, message_id: raw.properties.messageId }
    try {
      if (answer === 'ack') line.channel.ack(raw)
      else line.channel.nack(raw, false, true)
    } catch {
      this.#setting.log.info(about, 'connection lost before the answer; the message will come again')
    }
  }

  #wakeAll(): void {
    for (const wake of this.#forSlot.splice(0)) wake()
  }
}

function endOf(line: Line): Promise<Error> {
  return new Promise((resolve) => {
    let why = new Error('the channel was closed')
    line.channel.on('error', (error: Error) => {
      why = error
    })
    line.channel.on('close', () => {
      line.open = false
      resolve(why)
    })
  })
}

/** Waits for `work`, but no longer than so. */
async function within(ms: number, work: Promise<void>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, ms)
  await Promise.race([work, promise])
  clearTimeout(timer)
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, signal.aborted ? 0 : ms)
    signal.addEventListener('abort', done)
  })
}
