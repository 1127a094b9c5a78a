import type { Metrics } from '../telemetry.ts'

export interface BusMetrics {
  published(destination: string): void
  /** A handler has finished, one way or the other. */
  consumed(queue: string, seconds: number): void
  retried(queue: string): void
  deadLettered(queue: string): void
  /** A delivery that came again, because nobody had answered it. */
  redelivered(queue: string): void
  /** Somebody begins to listen to a queue. */
  listening(queue: string): void
  inHand(queue: string, change: 1 | -1): void
  depth(queue: string, messages: number): void
  deadLetters(messages: number): void
}

export function busMetrics(metrics: Metrics): BusMetrics {
  const published = metrics.counter('mnemosyne_bus_published_total', 'Messages handed to the bus and safe', [
    'destination',
  ])
  const consumed = metrics.counter('mnemosyne_bus_consumed_total', 'Deliveries that a handler has finished', [
    'queue',
  ])
  const retried = metrics.counter('mnemosyne_bus_retried_total', 'Deliveries put off to be tried again', [
    'queue',
  ])
  const dead = metrics.counter('mnemosyne_bus_dead_lettered_total', 'Messages given up by a handler', [
    'queue',
  ])
  const redelivered = metrics.counter(
    'mnemosyne_bus_redelivered_total',
    'Deliveries of messages that were delivered before and not answered',
    ['queue'],
  )
  const deadLetters = metrics.gauge(
    'mnemosyne_bus_dead_letters',
    'Messages that were given up and wait for a person; the same number from every service on one broker',
  )
  const inHand = metrics.gauge('mnemosyne_bus_in_hand', 'Deliveries that a handler works on', ['queue'])
  const depth = metrics.gauge('mnemosyne_bus_queue_depth', 'Messages waiting for a consumer', ['queue'])
  const seconds = metrics.histogram(
    'mnemosyne_bus_handle_seconds',
    'Time in a handler',
    ['queue'],
    [0.005, 0.02, 0.1, 0.5, 2, 10, 60, 300, 1800],
  )
  const now = new Map<string, number>()
  return {
    published: (destination) => published({ destination }),
    consumed(queue, took) {
      consumed({ queue })
      seconds(took, { queue })
    },
    retried: (queue) => retried({ queue }),
    deadLettered: (queue) => dead({ queue }),
    redelivered: (queue) => redelivered({ queue }),
    listening(queue) {
      for (const count of [consumed, retried, dead, redelivered]) count({ queue }, 0)
      inHand(now.get(queue) ?? 0, { queue })
    },
    inHand(queue, change) {
      now.set(queue, (now.get(queue) ?? 0) + change)
      inHand(now.get(queue)!, { queue })
    },
    depth: (queue, messages) => depth(messages, { queue }),
    deadLetters,
  }
}
