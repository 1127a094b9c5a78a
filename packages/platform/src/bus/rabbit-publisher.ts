import type { ChannelModel, ConfirmChannel } from 'amqplib'
import { IllegalOperationError } from 'amqplib'
import { BusUnavailable, UnknownQueue } from './port.ts'
import type { RabbitLink } from './rabbit-link.ts'
import type { Wire } from './rabbit-message.ts'
import { declareTopology, exchanges, type TopologyOptions } from './topology.ts'

const PAUSE_MS = 50

export interface PublishingSession {
  channel: ConfirmChannel
  /** Correlation ids of what the broker could not route; it says so before it confirms. */
  returned: Set<string>
}

/** A confirm channel on a fresh connection, with everything declared. */
export async function preparePublishing(
  connection: ChannelModel,
  topology: TopologyOptions,
  lose: (why: Error) => void,
): Promise<PublishingSession> {
  const channel = await connection.createConfirmChannel()
  const returned = new Set<string>()
  let why = new Error('the channel was closed')
  channel.on('error', (error: Error) => {
    why = error
  })
  channel.on('close', () => lose(why))
  channel.on('return', (message) => returned.add(message.properties.correlationId))
  await declareTopology(channel, topology)
  return { channel, returned }
}

/** Sends with confirms, over a lost connection too, within a bound. */
export class RabbitPublisher {
  readonly #link: RabbitLink<PublishingSession>
  readonly #timeoutMs: number
  readonly #inFlight = new Set<Promise<void>>()
  #serial = 0

  constructor(link: RabbitLink<PublishingSession>, timeoutMs: number) {
    this.#link = link
    this.#timeoutMs = timeoutMs
  }

  /**
   * Resolves when the broker has it. Rejects with `UnknownQueue` when it is `mandatory` and nothing is bound
   * there, with `BusUnavailable` when there is no confirm in time (it may have arrived all the same).
   */
  send(
    exchange: string,
    routingKey: string,
    wire: Wire,
    { mandatory }: { mandatory: boolean },
  ): Promise<void> {
    const sending = this.#sendWithin(exchange, routingKey, wire, mandatory)
    this.#inFlight.add(sending)
    const forget = () => this.#inFlight.delete(sending)
    sending.then(forget, forget)
    return sending
  }

  /** Asks the broker something harmless. Rejects with `BusUnavailable`. */
  async ping(): Promise<void> {
    const { channel } = await this.#link.session(0)
    const late = new Error(`no answer in ${this.#timeoutMs} ms`)
    const { promise, reject } = Promise.withResolvers<never>()
    const timer = setTimeout(() => reject(late), this.#timeoutMs)
    try {
      await Promise.race([channel.checkExchange(exchanges.events), promise])
    } catch (cause) {
      throw new BusUnavailable('the broker does not answer', { cause })
    } finally {
      clearTimeout(timer)
    }
  }

  /** Waits until nothing is on its way any more, but no longer than `ms`. */
  async drained(ms: number): Promise<void> {
    const bound = new Promise((resolve) => setTimeout(resolve, ms).unref())
    await Promise.race([Promise.allSettled(this.#inFlight), bound])
  }

  async #sendWithin(exchange: string, routingKey: string, wire: Wire, mandatory: boolean): Promise<void> {
    const until = performance.now() + this.#timeoutMs
    for (;;) {
      const session = await this.#link.session(until - performance.now())
      const answer = await this.#confirm(session, exchange, routingKey, wire, mandatory, until)
      if (answer === 'confirmed') return
      if (answer === 'returned') throw new UnknownQueue(`the broker has no queue for ${routingKey}`)
      if (performance.now() >= until)
        throw new BusUnavailable(`the broker has not confirmed ${routingKey} in ${this.#timeoutMs} ms`)
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
    }
  }

  #confirm(
    { channel, returned }: PublishingSession,
    exchange: string,
    routingKey: string,
    { content, properties }: Wire,
    mandatory: boolean,
    until: number,
  ): Promise<'confirmed' | 'returned' | 'lost'> {
    return new Promise((resolve, reject) => {
      const correlationId = String(++this.#serial)
      const timer = setTimeout(() => resolve('lost'), until - performance.now())
      const done = (error: unknown) => {
        clearTimeout(timer)
        const wasReturned = returned.delete(correlationId)
        resolve(error ? 'lost' : wasReturned ? 'returned' : 'confirmed')
      }
      try {
        channel.publish(exchange, routingKey, content, { ...properties, correlationId, mandatory }, done)
      } catch (error) {
        clearTimeout(timer)
        if (error instanceof IllegalOperationError) resolve('lost')
        else reject(error)
      }
    })
  }
}
