import type { Channel, ChannelModel, GetMessage } from 'amqplib'
import { type DeadLetter, DeadLetterNotFound, type DeadLetters } from './port.ts'
import type { RabbitLink } from './rabbit-link.ts'
import { again, decodeDead } from './rabbit-message.ts'
import type { RabbitPublisher } from './rabbit-publisher.ts'
import { deadLetterQueue } from './topology.ts'

interface Setting {
  link: RabbitLink<ChannelModel>
  publisher: RabbitPublisher
  commandQueues: string[]
  timeoutMs: number
}

/**
 * AMQP has no way to look into a queue: messages are taken without an answer and handed back. One look at a
 * time, on one channel, so that what one has handed back the next finds.
 */
export class RabbitDeadLetters implements DeadLetters {
  readonly #setting: Setting
  #channel: { of: ChannelModel; channel: Channel } | undefined
  #last: Promise<unknown> = Promise.resolve()

  constructor(setting: Setting) {
    this.#setting = setting
  }

  /** By taking one: asked for its length, the queue may not yet count what has just been handed back. */
  async count(): Promise<number> {
    let count = 0
    await this.#look((raw) => {
      count = raw.fields.messageCount + 1
      return false
    })
    return count
  }

  async list(limit = 100): Promise<DeadLetter[]> {
    const letters: DeadLetter[] = []
    await this.#look((_, letter) => letters.push(letter) < limit)
    return letters.sort((a, b) => (a.diedAt < b.diedAt ? -1 : a.diedAt > b.diedAt ? 1 : 0))
  }

  replay(id: string): Promise<void> {
    return this.#takeOut(id, (raw, { queue }) =>
      this.#setting.publisher.send('', queue, again(raw, {}), { mandatory: true }),
    )
  }

  drop(id: string): Promise<void> {
    return this.#takeOut(id, async () => {})
  }

  async #takeOut(id: string, first: (raw: GetMessage, letter: DeadLetter) => Promise<void>): Promise<void> {
    let found = false
    await this.#look(async (raw, letter, channel) => {
      if (letter.id !== id) return true
      found = true
      await first(raw, letter)
      channel.ack(raw)
      return true
    })
    if (!found) throw new DeadLetterNotFound(`there is no dead letter ${id}`)
  }

  /** Shows every message until `visit` has seen enough, and hands back what it has not acknowledged. */
  #look(
    visit: (raw: GetMessage, letter: DeadLetter, channel: Channel) => boolean | Promise<boolean>,
  ): Promise<void> {
    return this.#alone(async (channel) => {
      try {
        for (;;) {
          const raw = await channel.get(deadLetterQueue)
          if (!raw) return
          if (!(await visit(raw, decodeDead(raw, this.#setting.commandQueues), channel))) return
        }
      } finally {
        channel.nackAll(true)
      }
    })
  }

  #alone<T>(work: (channel: Channel) => Promise<T>): Promise<T> {
    const next = this.#last.then(async () => work(await this.#open()))
    this.#last = next.catch(() => {})
    return next
  }

  async #open(): Promise<Channel> {
    const connection = await this.#setting.link.session(this.#setting.timeoutMs)
    if (this.#channel?.of === connection) return this.#channel.channel
    const channel = await connection.createChannel()
    channel.on('error', () => {})
    channel.on('close', () => {
      this.#channel = undefined
    })
    this.#channel = { of: connection, channel }
    return channel
  }
}
