import type { Channel } from 'amqplib'

/**
 * Every exchange and queue on the broker, in this one place. Drawn in the package's README.
 *
 * | name | kind | what for |
 * | --- | --- | --- |
 * | `mnemosyne.events` | topic exchange | events; routing key = event type |
 * | `mnemosyne.commands` | direct exchange | commands; routing key = queue |
 * | `mnemosyne.delay` | topic exchange | messages that wait; routing key = `<step in ms>.<queue>` |
 * | `mnemosyne.delay.<step>ms` | quorum queue | waits for its time to live, then `mnemosyne.retry` |
 * | `mnemosyne.retry` | topic exchange | waited enough; the key still ends in the queue to go back to |
 * | `ingest.embedding`, `ingest.batch`, `ingest.default` | quorum queue | commands |
 * | `<service>.<purpose>` | quorum queue | the events of one subscriber |
 * | `<service>.<purpose>.<random>` | exclusive queue | a subscriber that is not durable, while it listens |
 * | `mnemosyne.dead` | fanout exchange, quorum queue | dead letters |
 *
 * A queue per delay, because a time to live per message only takes effect at the head of its queue: a minute
 * in front would hold up a second behind it.
 */
export const exchanges = {
  events: 'mnemosyne.events',
  commands: 'mnemosyne.commands',
  delay: 'mnemosyne.delay',
  retry: 'mnemosyne.retry',
  dead: 'mnemosyne.dead',
} as const

export const deadLetterQueue = 'mnemosyne.dead'

export const defaultCommandQueues = ['ingest.embedding', 'ingest.batch', 'ingest.default']

/** A delay asked for is rounded up to one of these; longer ones take several rounds. */
export const defaultDelayStepsMs = [1_000, 5_000, 15_000, 60_000, 120_000, 240_000, 480_000, 600_000]

/** Deliveries without an answer (the consumer died) after which the broker dead-letters the message. */
export const defaultDeliveryLimit = 10

/** What a subscriber that is not durable may fall behind before it loses the oldest. */
export const transientBacklog = 10_000

export interface TopologyOptions {
  commandQueues: string[]
  /** Durable queues of event subscribers, with their topics: they hear of what is sent before they first start. */
  subscriptions: Readonly<Record<string, readonly string[]>>
  delayStepsMs: number[]
  deliveryLimit: number
}

/** Dead-lettered messages leave their queue only when the target has confirmed them. */
const atLeastOnce = { 'x-dead-letter-strategy': 'at-least-once', 'x-overflow': 'reject-publish' }

/** Declares all that does not depend on a subscriber. Idempotent; fails when something differs on the broker. */
export async function declareTopology(channel: Channel, options: TopologyOptions): Promise<void> {
  await channel.assertExchange(exchanges.events, 'topic', { durable: true })
  await channel.assertExchange(exchanges.commands, 'direct', { durable: true })
  await channel.assertExchange(exchanges.delay, 'topic', { durable: true })
  await channel.assertExchange(exchanges.retry, 'topic', { durable: true })
  await channel.assertExchange(exchanges.dead, 'fanout', { durable: true })
  await channel.assertQueue(deadLetterQueue, {
    durable: true,
    // Listing hands every message back; RabbitMQ 4 would drop it after 20 times.
    arguments: { 'x-queue-type': 'quorum', 'x-delivery-limit': 1_000_000_000 },
  })
  await channel.bindQueue(deadLetterQueue, exchanges.dead, '')
  for (const step of options.delayStepsMs) await declareDelay(channel, step)
  for (const queue of options.commandQueues) await declareCommandQueue(channel, queue, options)
  for (const [queue, topics] of Object.entries(options.subscriptions))
    await declareSubscription(channel, { queue, topics, durable: true }, options)
}

async function declareDelay(channel: Channel, stepMs: number): Promise<void> {
  const queue = `${exchanges.delay}.${stepMs}ms`
  await channel.assertQueue(queue, {
    durable: true,
    arguments: {
      'x-queue-type': 'quorum',
      'x-message-ttl': stepMs,
      'x-dead-letter-exchange': exchanges.retry,
      ...atLeastOnce,
    },
  })
  await channel.bindQueue(queue, exchanges.delay, `${stepMs}.#`)
}

export async function declareCommandQueue(
  channel: Channel,
  queue: string,
  options: Pick<TopologyOptions, 'deliveryLimit'>,
): Promise<void> {
  await declareWorkQueue(channel, queue, options)
  await channel.bindQueue(queue, exchanges.commands, queue)
}

export async function declareSubscription(
  channel: Channel,
  { queue, topics, durable }: { queue: string; topics: readonly string[]; durable: boolean },
  options: Pick<TopologyOptions, 'deliveryLimit'>,
): Promise<void> {
  if (durable) await declareWorkQueue(channel, queue, options)
  else {
    await channel.assertQueue(queue, {
      exclusive: true,
      durable: false,
      autoDelete: true,
      arguments: { 'x-max-length': transientBacklog, 'x-overflow': 'drop-head' },
    })
  }
  for (const topic of topics) await channel.bindQueue(queue, exchanges.events, topic)
}

async function declareWorkQueue(
  channel: Channel,
  queue: string,
  { deliveryLimit }: Pick<TopologyOptions, 'deliveryLimit'>,
): Promise<void> {
  await channel.assertQueue(queue, {
    durable: true,
    arguments: {
      'x-queue-type': 'quorum',
      'x-delivery-limit': deliveryLimit,
      'x-dead-letter-exchange': exchanges.dead,
      ...atLeastOnce,
    },
  })
  await channel.bindQueue(queue, exchanges.retry, `*.${queue}`)
}

/** The step to wait in: the smallest that is long enough, else the longest (and then again). */
export function delayStep(delayStepsMs: number[], delayMs: number): number {
  const ascending = delayStepsMs.toSorted((a, b) => a - b)
  return ascending.find((step) => step >= delayMs) ?? ascending.at(-1)!
}

/** AMQP topic matching: words between dots, `*` for one, `#` for any number, none included. */
export function topicMatches(pattern: string, routingKey: string): boolean {
  return wordsMatch(pattern.split('.'), routingKey.split('.'))
}

function wordsMatch(pattern: string[], words: string[]): boolean {
  const [first, ...rest] = pattern
  if (first === undefined) return words.length === 0
  if (first === '#') return words.some((_, i) => wordsMatch(rest, words.slice(i))) || wordsMatch(rest, [])
  return words.length > 0 && (first === '*' || first === words[0]) && wordsMatch(rest, words.slice(1))
}
