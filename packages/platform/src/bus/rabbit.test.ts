import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import { connect } from 'amqplib'
import { Registry } from 'prom-client'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { systemClock } from '../clock.ts'
import { createLog } from '../log.ts'
import { Metrics } from '../telemetry.ts'
import {
  busContract,
  command,
  contractDelayStepsMs,
  event,
  eventually,
  gate,
} from '../testing/bus-contract.ts'
import { type RabbitServer, rabbitRequest, startRabbitMq } from '../testing/index.ts'
import { describeRabbitMq, sharedRabbitMq } from '../testing/servers.ts'
import { type Bus, type BusMessage, BusUnavailable, RetryLater, UnknownQueue } from './port.ts'
import { openRabbitBus, type RabbitBusOptions } from './rabbit.ts'

const WORK = 'ingest.default'
const OTHER = 'ingest.batch'
const quiet = createLog({ component: 'test', level: 'silent' })
const registry = new Registry()

const settings = {
  log: quiet,
  clock: systemClock,
  metrics: new Metrics(registry, 'test'),
  delayStepsMs: contractDelayStepsMs,
  backoff: { firstMs: 20, maxMs: 200 },
  drainMs: 2_000,
}

await describeRabbitMq('over a real broker', (freshUrl) => {
  busContract('RabbitMQ bus', async (options) =>
    openRabbitBus({ ...settings, ...options, url: await freshUrl() }),
  )

  describe('RabbitMQ bus', () => {
    const opened: Bus[] = []
    const children: ChildProcess[] = []
    let url: string
    let managementUrl: string

    const open = async (options: Partial<RabbitBusOptions> = {}): Promise<Bus> => {
      const bus = await openRabbitBus({ ...settings, url, ...options })
      opened.push(bus)
      return bus
    }
    const vhost = () => new URL(url).pathname.slice(1)
    /** Closes the connections of this test's virtual host from the server's side. */
    const cutConnections = async () => {
      const connections = (await rabbitRequest(managementUrl, 'GET', `/vhosts/${vhost()}/connections`)) as {
        name: string
      }[]
      for (const { name } of connections)
        await rabbitRequest(managementUrl, 'DELETE', `/connections/${encodeURIComponent(name)}`)
      return connections.length
    }
    const deleteQueue = (queue: string) =>
      rabbitRequest(managementUrl, 'DELETE', `/queues/${vhost()}/${queue}`)

    beforeAll(async () => {
      managementUrl = (await sharedRabbitMq()).managementUrl
    })
    beforeAll(async () => {
      url = await freshUrl()
    })
    afterEach(async () => {
      for (const child of children.splice(0)) child.kill('SIGKILL')
      await Promise.all(opened.splice(0).map((bus) => bus.close()))
      url = await freshUrl()
    })

    it('delivers again when the broker cuts the connection before the answer, within the concurrency', async () => {
      const bus = await open()
      const held = gate()
      const seen: string[] = []
      let inHand = 0
      let most = 0
      await bus.consume(WORK, {
        concurrency: 1,
        handle: async ({ id }) => {
          most = Math.max(most, ++inHand)
          seen.push(id)
          if (seen.length === 1) await held.passed
          inHand--
        },
      })
      await bus.publish(command('one', WORK))
      await eventually(() => expect(seen).toEqual(['one']))
      // The management plugin hears of a connection some seconds late.
      await eventually(async () => expect(await cutConnections()).toBeGreaterThanOrEqual(2))
      await eventually(() => expect(bus.state()).toBe('down'))
      await bus.publish(command('two', WORK))
      const observing = await connect(url)
      const observer = await observing.createChannel()
      // The first is delivered again: only the second still waits.
      await eventually(async () =>
        expect(await observer.checkQueue(WORK)).toMatchObject({ consumerCount: 1, messageCount: 1 }),
      )
      await observing.close()
      held.open()
      await eventually(() => expect(seen.toSorted()).toEqual(['one', 'one', 'two']))
      expect(most).toBe(1)
    })

    it('sets a consumer up again when its queue is deleted', async () => {
      const bus = await open()
      const seen: string[] = []
      const handle = async ({ id }: BusMessage) => void seen.push(id)
      await bus.consume(WORK, { concurrency: 1, handle })
      await bus.subscribe({ queue: 'a.events', topics: ['one.*'], handle })
      await deleteQueue(WORK)
      await deleteQueue('a.events')
      await eventually(() => bus.publish(command('job', WORK)))
      await eventually(async () => {
        await bus.publish(event('one.v1', 'event'))
        expect(seen).toContain('event')
      })
      await eventually(() => expect(seen).toContain('job'))
    })

    it('refuses a command when its queue has been deleted', async () => {
      const bus = await open()
      await deleteQueue(WORK)
      await expect(bus.publish(command('one', WORK))).rejects.toThrow(UnknownQueue)
    })

    it('keeps the events of a subscriber that is away, and the subscribers share them', async () => {
      const seen: string[] = []
      const subscription = {
        queue: 'a.events',
        topics: ['#'],
        handle: async ({ id }: BusMessage) => void seen.push(id),
      }
      const bus = await open()
      const subscriber = await bus.subscribe(subscription)
      await subscriber.close()
      const sent = Array.from({ length: 20 }, (_, i) => `m${i}`)
      for (const id of sent) await bus.publish(event('one.v1', id))
      const other = await open()
      await Promise.all([bus.subscribe(subscription), other.subscribe(subscription)])
      await eventually(() => expect(seen.toSorted()).toEqual(sent.toSorted()))
    })

    it('hands what it has in hand to another process when it closes', async () => {
      const first = await open({ drainMs: 50 })
      const second = await open()
      const seen: string[] = []
      const held = gate()
      await first.consume(WORK, {
        concurrency: 2,
        handle: async ({ id }) => {
          seen.push(`first ${id}`)
          await held.passed
        },
      })
      for (const id of ['one', 'two', 'three']) await second.publish(command(id, WORK))
      await eventually(() => expect(seen).toHaveLength(2))
      await first.close()
      await second.consume(WORK, { concurrency: 1, handle: async ({ id }) => void seen.push(`second ${id}`) })
      await eventually(() => expect(seen).toHaveLength(5))
      expect(seen.slice(2).toSorted()).toEqual(['second one', 'second three', 'second two'])
      held.open()
    })

    it('delivers again when the worker is killed, and gives up on a message that kills every worker', async () => {
      const bus = await open({ deliveryLimit: 2 })
      await bus.publish(command('poison', WORK))
      for (const _ of ['first', 'redelivered', 'redelivered']) {
        const worker = startWorker(url)
        children.push(worker)
        await once(worker.stdout!, 'data')
        worker.kill('SIGKILL')
        await once(worker, 'exit')
      }
      await eventually(async () => expect(await bus.deadLetters().count()).toBe(1))
      const [letter] = await bus.deadLetters().list()
      expect(letter).toMatchObject({ id: `${WORK}:poison`, queue: WORK, message: command('poison', WORK) })
      expect(letter?.reason).toContain('delivery-limit')
      expect(Date.now() - Date.parse(letter!.diedAt)).toBeLessThan(60_000)

      const seen: string[] = []
      await bus.deadLetters().replay(letter!.id)
      await bus.consume(WORK, { concurrency: 1, handle: async ({ id }) => void seen.push(id) })
      await eventually(() => expect(seen).toEqual(['poison']))
    })

    it('dead-letters what is not one of its messages', async () => {
      const bus = await open()
      let handled = 0
      await bus.consume(WORK, { concurrency: 1, handle: async () => void handled++ })
      const stranger = await connect(url)
      const channel = await stranger.createConfirmChannel()
      channel.sendToQueue(WORK, Buffer.from('not json'), { messageId: 'odd', type: WORK })
      channel.sendToQueue(WORK, Buffer.from('{}'))
      await channel.waitForConfirms()
      await stranger.close()
      await eventually(async () => expect(await bus.deadLetters().count()).toBe(2))
      const letters = await bus.deadLetters().list()
      expect(letters.map(({ id, reason, message }) => [id, reason, message.body])).toEqual([
        [`${WORK}:odd`, 'the message is not JSON', 'not json'],
        [`${WORK}:unnamed`, 'the message has no id or no type', '{}'],
      ])
      for (const { id } of letters) await bus.deadLetters().drop(id)
      expect(await bus.deadLetters().count()).toBe(0)
      expect(handled).toBe(0)
    })

    it('waits longer than its longest delay in several rounds', async () => {
      const bus = await open()
      const seen: number[] = []
      await bus.consume(WORK, {
        concurrency: 1,
        handle: async () => {
          if (seen.push(performance.now()) < 2) throw new RetryLater({ delayMs: 700 })
        },
      })
      const published = performance.now()
      await bus.publish(command('patient', WORK, { delayMs: 700 }))
      await eventually(() => expect(seen).toHaveLength(2))
      expect(seen[0]! - published).toBeGreaterThan(690)
      expect(seen[1]! - seen[0]!).toBeGreaterThan(690)
    })

    it('measures the depth of its queues', async () => {
      const bus = await open({ depthEveryMs: 20 })
      const held = gate()
      await bus.consume(WORK, { concurrency: 1, handle: () => held.passed })
      for (const id of ['one', 'two', 'three']) await bus.publish(command(id, WORK))
      await eventually(async () =>
        expect(await registry.metrics()).toContain(
          `mnemosyne_bus_queue_depth{component="test",queue="${WORK}"} 2`,
        ),
      )
      held.open()
    })

    it('says who refused it, never the password', async () => {
      const lines = new PassThrough()
      const log = createLog({ component: 'test', level: 'trace', destination: lines })
      const wrong = new URL(url)
      wrong.password = 's3cr%23t'
      const refused = await openRabbitBus({ ...settings, log, url: wrong.href, timeoutMs: 500 }).catch(
        (e) => e,
      )
      expect(refused).toBeInstanceOf(BusUnavailable)
      expect(refused.message).toMatch(/127\.0\.0\.1:\d+ .*ACCESS.REFUSED/)
      const logged = String(lines.read())
      expect(logged).toContain('broker not reached')
      for (const text of [logged, refused.message, refused.stack, refused.cause.stack])
        expect(text).not.toContain('s3cr')
    })

    it('gives up opening when nobody answers', async () => {
      const opening = openRabbitBus({ ...settings, url: 'amqp://127.0.0.1:1', timeoutMs: 100 })
      await expect(opening).rejects.toThrow(/127\.0\.0\.1:1 .*ECONNREFUSED/)
    })
  })

  describe('RabbitMQ bus, when the broker stops', () => {
    it('waits for it, and goes on where it was', async () => {
      await using broker: RabbitServer = await startRabbitMq()
      await using bus = await openRabbitBus({ ...settings, url: broker.url, timeoutMs: 60_000 })
      await using hasty = await openRabbitBus({ ...settings, url: broker.url, timeoutMs: 200 })
      const done: string[] = []
      const heard: string[] = []
      await bus.consume(WORK, {
        concurrency: 2,
        handle: async ({ id }) => void done.push(id),
      })
      await bus.subscribe({ queue: 'a.events', topics: ['#'], handle: async ({ id }) => void heard.push(id) })
      await bus.publish(command('before', WORK))
      await bus.publish(command('delayed', OTHER, { delayMs: 300 }))
      await eventually(() => expect(done).toEqual(['before']))

      await broker.stop()
      await eventually(() => expect([bus.state(), hasty.state()]).toEqual(['down', 'down']))
      await expect(hasty.publish(command('hasty', WORK))).rejects.toThrow(BusUnavailable)
      await expect(hasty.ping()).rejects.toThrow(BusUnavailable)
      const published = Promise.all([
        bus.publish(command('during', WORK)),
        bus.publish(event('one.v1', 'event')),
      ])
      await broker.start()
      await published
      await eventually(() => expect(done).toContain('during'))
      await bus.consume(OTHER, { concurrency: 1, handle: async ({ id }) => void done.push(id) })
      await eventually(() => expect(done).toContain('delayed'))
      await eventually(() => expect(heard).toContain('event'))
      await eventually(() => hasty.publish(command('after', WORK)))
      await eventually(() => expect(done).toContain('after'))
      expect(bus.state()).toBe('up')
    })

    it('closes in an outage all the same', async () => {
      const broker = await startRabbitMq()
      const bus = await openRabbitBus({ ...settings, url: broker.url, drainMs: 100 })
      const seen: string[] = []
      await bus.consume(WORK, {
        concurrency: 1,
        handle: async ({ id }, { signal }) => {
          seen.push(id)
          await once(signal, 'abort')
        },
      })
      await bus.publish(command('one', WORK))
      await eventually(() => expect(seen).toEqual(['one']))
      await broker.close()
      await eventually(() => expect(bus.state()).toBe('down'))
      const waiting = expect(bus.publish(command('two', WORK))).rejects.toThrow('closed')
      await bus.close()
      await waiting
    })
  })
})

/** A process that takes one command, says so, and never answers. */
function startWorker(url: string): ChildProcess {
  const module = (path: string) => JSON.stringify(import.meta.resolve(path))
  const program = `
    import { Registry } from 'prom-client'
    import { systemClock } from ${module('../clock.ts')}
    import { createLog } from ${module('../log.ts')}
    import { Metrics } from ${module('../telemetry.ts')}
    import { openRabbitBus } from ${module('./rabbit.ts')}
    const bus = await openRabbitBus({
      url: process.env.TEST_URL,
      log: createLog({ component: 'worker', level: 'silent' }),
      metrics: new Metrics(new Registry(), 'worker'),
      clock: systemClock,
      delayStepsMs: ${JSON.stringify(contractDelayStepsMs)},
      deliveryLimit: 2,
    })
    await bus.consume('${WORK}', { concurrency: 1, handle: async ({ id }) => {
      process.stdout.write(id)
      await new Promise(() => {})
    } })`
  return spawn(process.execPath, ['--input-type=module-typescript', '-e', program], {
    env: { ...process.env, TEST_URL: url },
    stdio: ['ignore', 'pipe', 'inherit'],
    cwd: import.meta.dirname,
  })
}
