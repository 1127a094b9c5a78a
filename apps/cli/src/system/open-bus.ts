import { SUBSCRIPTIONS, validateMessage } from '@mnemosyne/contracts'
import {
  type Bus,
  BusUnavailable,
  type Clock,
  type Logger,
  type Metrics,
  openInProcessBus,
  openRabbitBus,
} from '@mnemosyne/platform'

/**
 * The bus of this process, held shut until `release`: in one process an event reaches only those who listen, so
 * none may go out before every service has subscribed. With `sends` false it refuses: what is published stays
 * in the outbox.
 */
export async function openHeldBus(
  url: string | undefined,
  options: { log: Logger; metrics: Metrics; clock: Clock; deadLetterFile: string; sends: boolean },
): Promise<{ bus: Bus; release: () => void }> {
  const { log, metrics, clock } = options
  const bus = url
    ? await openRabbitBus({
        url,
        log,
        metrics,
        clock,
        validate: validateMessage,
        subscriptions: SUBSCRIPTIONS,
      })
    : openInProcessBus({
        log,
        metrics,
        clock,
        validate: validateMessage,
        deadLetterFile: options.deadLetterFile,
      })
  const released = Promise.withResolvers<void>()
  const held: Bus = {
    publish: async (message) => {
      if (!options.sends) throw new BusUnavailable('This process sends nothing out.')
      await released.promise
      return bus.publish(message)
    },
    subscribe: (subscription) => bus.subscribe(subscription),
    consume: (queue, consumer) => bus.consume(queue, consumer),
    deadLetters: () => bus.deadLetters(),
    state: () => bus.state(),
    ping: () => bus.ping(),
    close: async () => {
      released.resolve()
      await bus.close()
    },
    [Symbol.asyncDispose]: () => held.close(),
  }
  return { bus: held, release: released.resolve }
}
