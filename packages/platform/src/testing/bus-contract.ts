import {
  context,
  propagation,
  ROOT_CONTEXT,
  SpanKind,
  type TextMapPropagator,
  trace,
} from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace'
import { Registry } from 'prom-client'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { cloudEvent, eventMessage, type Validate } from '../bus/event.ts'
import {
  type Bus,
  BusClosed,
  type BusMessage,
  DeadLetterNotFound,
  InvalidMessage,
  RetryLater,
  type RetryPolicy,
  UnknownQueue,
  Unprocessable,
} from '../bus/port.ts'
import { Metrics } from '../telemetry.ts'

export interface BusOpening {
  commandQueues: string[]
  drainMs: number
  metrics: Metrics
  validate?: Validate
}

/** Delays that an adapter under test has to know exactly. */
export const contractDelayStepsMs = [50, 300]

const quick: RetryPolicy = { retries: 2, firstDelayMs: 50, maxDelayMs: 50 }
const WORK = 'contract.work'
const OTHER = 'contract.other'

/** A command with a body of its own. */
export function command(id: string, queue = WORK, more: Partial<BusMessage> = {}): BusMessage {
  return { kind: 'command', destination: queue, id, body: { job: id }, headers: {}, ...more }
}

/** An event with an envelope of its own. */
export function event(type: string, id: string, data: unknown = { id }): BusMessage {
  return eventMessage(cloudEvent({ type, source: '/contract', id, time: new Date(0), data }))
}

/** Waits until `check` passes; a broker on a busy machine takes its time. */
export function eventually<T>(check: () => T | Promise<T>): Promise<T> {
  return vi.waitFor(check, { timeout: 30_000, interval: 10 })
}

/** A promise and its switch, to hold a handler up for as long as a test wants. */
export function gate(): { passed: Promise<void>; open: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>()
  return { passed: promise, open: () => resolve() }
}

/**
 * What every bus does. `open` gives one that shares nothing with earlier ones; it is closed by the suite.
 */
export function busContract(name: string, open: (options: BusOpening) => Promise<Bus>): void {
  describe(name, () => {
    const opened: Bus[] = []
    let registry = new Registry()

    const fresh = async (options: Partial<BusOpening> = {}): Promise<Bus> => {
      registry = new Registry()
      const metrics = new Metrics(registry, 'contract')
      const bus = await open({ commandQueues: [WORK, OTHER], drainMs: 2_000, metrics, ...options })
      opened.push(bus)
      return bus
    }
    const metric = async (metric: string, labels: Record<string, string>): Promise<number | undefined> =>
      (await registry.getMetricsAsJSON())
        .find((known) => known.name === metric)
        ?.values.find((value) => Object.entries(labels).every(([key, text]) => value.labels[key] === text))
        ?.value

    afterEach(async () => {
      await Promise.all(opened.splice(0).map((bus) => bus.close()))
    })

    describe('events', () => {
      it('reach every subscriber, each once', async () => {
        const bus = await fresh()
        const seen: string[] = []
        for (const queue of ['auth.events', 'search.events']) {
          const handle = async ({ id }: BusMessage) => void seen.push(`${queue} ${id}`)
          await bus.subscribe({ queue, topics: ['library.created.v1'], handle })
        }
        await bus.publish(event('library.created.v1', 'one'))
        await bus.publish(event('library.created.v1', 'two'))
        await eventually(() => expect(seen).toHaveLength(4))
        expect(seen.toSorted()).toEqual([
          'auth.events one',
          'auth.events two',
          'search.events one',
          'search.events two',
        ])
      })

      it('arrive as they were sent', async () => {
        const bus = await fresh()
        const seen: BusMessage[] = []
        await bus.subscribe({ queue: 'a.events', topics: ['#'], handle: async (got) => void seen.push(got) })
        const sent = event('library.created.v1', 'one', { title: 'naïve ☃', tags: [], owner: null })
        await bus.publish({ ...sent, headers: { tenant: 'ä', 'x-internal': 'stays' } })
        await eventually(() => expect(seen).toHaveLength(1))
        expect(seen[0]).toEqual({ ...sent, headers: { tenant: 'ä' } })
      })

      it.each([
        { topics: ['library.*.v1'], hears: ['library.created.v1', 'library.deleted.v1'] },
        { topics: ['ingest.#'], hears: ['ingest.job.completed.v1', 'ingest.job.failed.v1'] },
        { topics: ['ingest.*.v1'], hears: [] },
        {
          topics: ['#.failed.*', 'library.created.v1'],
          hears: ['library.created.v1', 'ingest.job.failed.v1'],
        },
        { topics: ['#', 'library.#'], hears: 'all' },
      ])('with $topics only those', async ({ topics, hears }) => {
        const bus = await fresh()
        const seen: string[] = []
        const published = [
          'library.created.v1',
          'library.deleted.v1',
          'ingest.job.completed.v1',
          'ingest.job.failed.v1',
        ]
        const handle = async ({ destination }: BusMessage) => void seen.push(destination)
        await bus.subscribe({ queue: 'a.events', topics: [...topics, 'the.end.v1'], handle })
        for (const [i, type] of published.entries()) await bus.publish(event(type, `m${i}`))
        await bus.publish(event('the.end.v1', 'end'))
        await eventually(() => expect(seen).toContain('the.end.v1'))
        expect(seen).toEqual([...(hears === 'all' ? published : hears), 'the.end.v1'])
      })

      it('of one publisher keep their order', async () => {
        const bus = await fresh()
        const seen: string[] = []
        const sent = Array.from({ length: 50 }, (_, i) => `m${i}`)
        await bus.subscribe({
          queue: 'a.events',
          topics: ['#'],
          handle: async ({ id }) => void seen.push(id),
        })
        for (const id of sent) await bus.publish(event('count.v1', id))
        await eventually(() => expect(seen).toHaveLength(sent.length))
        expect(seen).toEqual(sent)
      })

      it('nobody listens to are no error', async () => {
        const bus = await fresh()
        await bus.publish(event('unheard.v1', 'one'))
      })

      it('that fail for one subscriber are not repeated for another', async () => {
        const bus = await fresh()
        const seen: string[] = []
        await bus.subscribe({ queue: 'a.good', topics: ['#'], handle: async () => void seen.push('good') })
        const handle = async (_: BusMessage, { attempt }: { attempt: number }) => {
          seen.push(`bad ${attempt}`)
          if (attempt < 3) throw new Error('not yet')
        }
        await bus.subscribe({ queue: 'a.bad', topics: ['#'], retry: quick, handle })
        await bus.publish(event('one.v1', 'one'))
        await eventually(() => expect(seen).toContain('bad 3'))
        expect(seen.toSorted()).toEqual(['bad 1', 'bad 2', 'bad 3', 'good'])
        expect(await bus.deadLetters().count()).toBe(0)
      })

      it('come to each listener that is not durable, which nobody waits for and which has no dead letters', async () => {
        const bus = await fresh()
        const seen: string[] = []
        const held = gate()
        const slow = async ({ id }: BusMessage) => {
          await held.passed
          seen.push(`slow ${id}`)
        }
        const broken = async ({ id }: BusMessage) => {
          seen.push(`broken ${id}`)
          throw new Unprocessable('always')
        }
        const topics = ['progressed.v1']
        await bus.subscribe({ queue: 'gateway.progress', topics, durable: false, handle: slow })
        const other = await bus.subscribe({
          queue: 'gateway.progress',
          topics,
          durable: false,
          handle: broken,
        })
        await bus.publish(event('progressed.v1', 'one'))
        await eventually(() => expect(seen).toEqual(['broken one']))
        held.open()
        await eventually(() => expect(seen).toContain('slow one'))
        await other.close()
        await bus.publish(event('progressed.v1', 'two'))
        await eventually(() => expect(seen).toContain('slow two'))
        expect(seen).not.toContain('broken two')
        expect(await bus.deadLetters().count()).toBe(0)
      })
    })

    describe('commands', () => {
      it('go to one of the competing consumers, each once, no more in hand than agreed', async () => {
        const bus = await fresh()
        const done: string[] = []
        const inHand = { a: 0, b: 0 }
        const most = { a: 0, b: 0 }
        const gates: (() => void)[] = []
        const worker = (name: 'a' | 'b') => async (message: BusMessage) => {
          most[name] = Math.max(most[name], ++inHand[name])
          const held = gate()
          gates.push(held.open)
          await held.passed
          inHand[name]--
          done.push(message.id)
        }
        await bus.consume(WORK, { concurrency: 2, handle: worker('a') })
        await bus.consume(WORK, { concurrency: 1, handle: worker('b') })
        const sent = Array.from({ length: 9 }, (_, i) => `job${i}`)
        for (const id of sent) await bus.publish(command(id))
        await eventually(() => expect(inHand).toEqual({ a: 2, b: 1 }))
        await eventually(() => {
          for (const open of gates.splice(0)) open()
          expect(done).toHaveLength(sent.length)
        })
        expect(done.toSorted()).toEqual(sent)
        expect(most).toEqual({ a: 2, b: 1 })
      })

      it('wait for a consumer', async () => {
        const bus = await fresh()
        await bus.publish(command('early'))
        const seen: string[] = []
        await bus.consume(WORK, { concurrency: 1, handle: async ({ id }) => void seen.push(id) })
        await eventually(() => expect(seen).toEqual(['early']))
      })

      it('do not go to another queue', async () => {
        const bus = await fresh()
        const seen: string[] = []
        await bus.consume(OTHER, { concurrency: 1, handle: async ({ id }) => void seen.push(id) })
        await bus.publish(command('one'))
        await bus.publish(command('two', OTHER))
        await eventually(() => expect(seen).toEqual(['two']))
      })

      it('may be published with a delay that holds up nothing', async () => {
        const bus = await fresh()
        const seen: { id: string; at: number }[] = []
        await bus.consume(WORK, {
          concurrency: 1,
          handle: async ({ id }) => void seen.push({ id, at: performance.now() }),
        })
        const published = performance.now()
        await bus.publish(command('late', WORK, { delayMs: 300 }))
        await bus.publish(command('soon', WORK, { delayMs: 50 }))
        await bus.publish(command('now'))
        await eventually(() => expect(seen.map(({ id }) => id)).toEqual(['now', 'soon', 'late']))
        expect(seen[2]!.at - published).toBeGreaterThan(290)
      })

      it('put off with RetryLater come back in time, uncounted, and hold up nothing', async () => {
        const bus = await fresh()
        const seen: { id: string; attempt: number; at: number }[] = []
        await bus.consume(WORK, {
          concurrency: 1,
          retry: { ...quick, retries: 0 },
          handle: async ({ id }, { attempt }) => {
            seen.push({ id, attempt, at: performance.now() })
            if (id === 'busy' && seen.length < 4) throw new RetryLater({ delayMs: 300 })
          },
        })
        await bus.publish(command('busy'))
        await bus.publish(command('next'))
        await eventually(() => expect(seen).toHaveLength(4))
        expect(seen.map(({ id, attempt }) => [id, attempt])).toEqual([
          ['busy', 1],
          ['next', 1],
          ['busy', 1],
          ['busy', 1],
        ])
        expect(seen[2]!.at - seen[0]!.at).toBeGreaterThan(290)
        expect(await bus.deadLetters().count()).toBe(0)
      })

      it('that fail are retried with growing delays, then dead-lettered with the reason', async () => {
        const bus = await fresh()
        const attempts: number[] = []
        await bus.consume(WORK, {
          concurrency: 1,
          retry: { retries: 2, firstDelayMs: 50, maxDelayMs: 300 },
          handle: async (_, { attempt }) => {
            attempts.push(attempt)
            throw new Error(`no disk, ${attempt}`)
          },
        })
        await bus.publish(command('doomed', WORK, { headers: { tenant: 't1' } }))
        await eventually(async () => expect(await bus.deadLetters().count()).toBe(1))
        expect(attempts).toEqual([1, 2, 3])
        const [letter] = await bus.deadLetters().list()
        expect(letter).toMatchObject({
          id: `${WORK}:doomed`,
          queue: WORK,
          reason: 'no disk, 3',
          attempts: 3,
          message: { ...command('doomed'), headers: { tenant: 't1' } },
        })
        expect(new Date(letter!.diedAt).toISOString()).toBe(letter!.diedAt)
        expect(await metric('mnemosyne_bus_retried_total', { queue: WORK })).toBe(2)
        expect(await metric('mnemosyne_bus_dead_lettered_total', { queue: WORK })).toBe(1)
      })

      it('that can not be understood are dead-lettered at once', async () => {
        const bus = await fresh()
        const attempts: number[] = []
        await bus.consume(WORK, {
          concurrency: 1,
          handle: async (_, { attempt }) => {
            attempts.push(attempt)
            throw new Unprocessable('no such kind of job')
          },
        })
        await bus.publish(command('odd'))
        await eventually(async () => expect(await bus.deadLetters().count()).toBe(1))
        expect(attempts).toEqual([1])
        expect(await bus.deadLetters().list()).toMatchObject([{ reason: 'no such kind of job', attempts: 1 }])
      })

      it('survive a handler that throws at once, and the consumer goes on', async () => {
        const bus = await fresh()
        const seen: string[] = []
        await bus.consume(WORK, {
          concurrency: 1,
          retry: { ...quick, retries: 0 },
          handle: ({ id }) => {
            seen.push(id)
            throw 'a string'
          },
        })
        await bus.publish(command('one'))
        await bus.publish(command('two'))
        await eventually(async () => expect(await bus.deadLetters().count()).toBe(2))
        expect(seen).toEqual(['one', 'two'])
        expect((await bus.deadLetters().list()).map(({ reason }) => reason)).toEqual(['a string', 'a string'])
      })
    })

    describe('dead letters', () => {
      it('are replayed with their attempts counted anew', async () => {
        const bus = await fresh()
        let healthy = false
        const seen: [string, number][] = []
        await bus.consume(WORK, {
          concurrency: 1,
          retry: { ...quick, retries: 1 },
          handle: async ({ id }, { attempt }) => {
            seen.push([id, attempt])
            if (!healthy) throw new Error('ill')
          },
        })
        await bus.publish(command('first'))
        await bus.publish(command('second'))
        await eventually(async () => expect(await bus.deadLetters().count()).toBe(2))
        healthy = true
        seen.length = 0
        await bus.deadLetters().replay(`${WORK}:first`)
        await eventually(() => expect(seen).toEqual([['first', 1]]))
        const left = await bus.deadLetters().list()
        expect(left.map(({ message }) => message.id)).toEqual(['second'])
      })

      it('of a subscriber are replayed to that one only', async () => {
        const bus = await fresh()
        let healthy = false
        const seen: string[] = []
        const handler = (queue: string) => async () => {
          seen.push(queue)
          if (queue === 'a.bad' && !healthy) throw new Unprocessable('ill')
        }
        for (const queue of ['a.good', 'a.bad'])
          await bus.subscribe({ queue, topics: ['#'], handle: handler(queue) })
        await bus.publish(event('one.v1', 'one'))
        await eventually(async () => expect(await bus.deadLetters().count()).toBe(1))
        healthy = true
        seen.length = 0
        await bus.deadLetters().replay('a.bad:one')
        await eventually(() => expect(seen).toEqual(['a.bad']))
        await eventually(async () => expect(await bus.deadLetters().count()).toBe(0))
      })

      it('are dropped', async () => {
        const bus = await fresh()
        const handle = async () => {
          throw new Unprocessable('never')
        }
        await bus.consume(WORK, { concurrency: 1, handle })
        for (const id of ['one', 'two', 'three']) await bus.publish(command(id))
        await eventually(async () => expect(await bus.deadLetters().count()).toBe(3))
        await bus.deadLetters().drop(`${WORK}:two`)
        const ids = async () => (await bus.deadLetters().list()).map(({ message }) => message.id).toSorted()
        expect(await ids()).toEqual(['one', 'three'])
        for (let look = 0; look < 30; look++) {
          expect(await ids()).toEqual(['one', 'three'])
          expect(await bus.deadLetters().count()).toBe(2)
        }
        expect(await bus.deadLetters().list(1)).toHaveLength(1)
      })

      it.each(['replay', 'drop'] as const)('that are not there can not be %sed', async (verb) => {
        const bus = await fresh()
        await expect(bus.deadLetters()[verb]('contract.work:nothing')).rejects.toThrow(DeadLetterNotFound)
      })
    })

    describe('a bad message is refused', () => {
      it.each<[string, BusMessage, new (message: string) => Error]>([
        ['a queue that nobody declared', command('one', 'contract.nowhere'), UnknownQueue],
        ['an event without an envelope', { ...event('one.v1', 'one'), body: { id: 1 } }, InvalidMessage],
        ['an event under another name', { ...event('one.v1', 'one'), destination: 'two.v1' }, InvalidMessage],
        ['an event without a version', event('one', 'one'), InvalidMessage],
        ['an event with a delay', { ...event('one.v1', 'one'), delayMs: 1 }, InvalidMessage],
        ['no id', command(''), InvalidMessage],
        ['a destination with blanks', command('one', 'a b'), InvalidMessage],
        ['no JSON', command('one', WORK, { body: undefined }), InvalidMessage],
        ['a document', command('one', WORK, { body: 'x'.repeat(2 ** 20) }), InvalidMessage],
        ['a negative delay', command('one', WORK, { delayMs: -1 }), InvalidMessage],
      ])('%s', async (_, message, error) => {
        const bus = await fresh()
        await expect(bus.publish(message)).rejects.toThrow(error)
      })

      it('that breaks its contract, on both ends', async () => {
        let strict = true
        const validate: Validate = ({ body }) => {
          if (strict && !(body as { job?: string }).job?.startsWith('j')) throw new Error('job: not a job')
        }
        const bus = await fresh({ validate })
        await expect(bus.publish(command('x'))).rejects.toThrow('job: not a job')
        strict = false
        await bus.publish(command('x'))
        strict = true
        await bus.consume(WORK, { concurrency: 1, handle: async () => {} })
        await eventually(async () => expect(await bus.deadLetters().count()).toBe(1))
        expect(await bus.deadLetters().list()).toMatchObject([{ reason: `${WORK}: job: not a job` }])
      })
    })

    describe('closing', () => {
      it('waits for the handler in hand, and hands back what has not begun', async () => {
        const bus = await fresh()
        const held = gate()
        const seen: string[] = []
        const first = await bus.consume(WORK, {
          concurrency: 1,
          handle: async ({ id }) => {
            seen.push(`first ${id}`)
            await held.passed
            seen.push(`first ${id} done`)
          },
        })
        await bus.publish(command('one'))
        await bus.publish(command('two'))
        await eventually(() => expect(seen).toEqual(['first one']))
        const closing = first.close()
        held.open()
        await closing
        expect(seen).toEqual(['first one', 'first one done'])
        await bus.consume(WORK, { concurrency: 1, handle: async ({ id }) => void seen.push(`second ${id}`) })
        await eventually(() => expect(seen).toContain('second two'))
        expect(seen).not.toContain('second one')
      })

      it('hands back what stops at the signal, uncounted', async () => {
        const bus = await fresh()
        const seen: [string, number][] = []
        const first = await bus.consume(WORK, {
          concurrency: 1,
          retry: { ...quick, retries: 0 },
          handle: (_, { signal, attempt }) => {
            seen.push(['first', attempt])
            return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
          },
        })
        await bus.publish(command('long'))
        await eventually(() => expect(seen).toHaveLength(1))
        await first.close()
        await bus.consume(WORK, {
          concurrency: 1,
          handle: async (_, { attempt }) => void seen.push(['second', attempt]),
        })
        await eventually(() =>
          expect(seen).toEqual([
            ['first', 1],
            ['second', 1],
          ]),
        )
        expect(await bus.deadLetters().count()).toBe(0)
      })

      it('hands back what does not stop in time, and is not held up by it', async () => {
        const bus = await fresh({ drainMs: 50 })
        const seen: string[] = []
        const held = gate()
        const first = await bus.consume(WORK, {
          concurrency: 1,
          handle: async () => {
            seen.push('first')
            await held.passed
          },
        })
        await bus.publish(command('stuck'))
        await eventually(() => expect(seen).toEqual(['first']))
        await first.close()
        await bus.consume(WORK, { concurrency: 1, handle: async () => void seen.push('second') })
        await eventually(() => expect(seen).toEqual(['first', 'second']))
        held.open()
      })

      it('ends everything, twice if need be', async () => {
        const bus = await fresh()
        await bus.consume(WORK, { concurrency: 1, handle: async () => {} })
        await bus.ping()
        expect(bus.state()).toBe('up')
        await Promise.all([bus.close(), bus.close()])
        await bus.close()
        expect(bus.state()).toBe('down')
        await expect(bus.publish(command('late'))).rejects.toThrow(BusClosed)
        await expect(bus.consume(WORK, { concurrency: 1, handle: async () => {} })).rejects.toThrow(BusClosed)
        await expect(bus.ping()).rejects.toThrow(BusClosed)
      })
    })

    it('counts what is published, handled and in hand', async () => {
      const bus = await fresh()
      const held = gate()
      await bus.consume(WORK, { concurrency: 2, handle: () => held.passed })
      await bus.publish(command('one'))
      await bus.publish(command('two'))
      await eventually(async () => expect(await metric('mnemosyne_bus_in_hand', { queue: WORK })).toBe(2))
      expect(await metric('mnemosyne_bus_published_total', { destination: WORK })).toBe(2)
      held.open()
      await eventually(async () =>
        expect(await metric('mnemosyne_bus_consumed_total', { queue: WORK })).toBe(2),
      )
      expect(await metric('mnemosyne_bus_in_hand', { queue: WORK })).toBe(0)
    })

    describe('the trace', () => {
      const exporter = new InMemorySpanExporter()
      const parent = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), traceFlags: 1 }
      const traceparent = `00-${parent.traceId}-${parent.spanId}-01`

      beforeAll(() => {
        const spanProcessors = [new SimpleSpanProcessor({ exporter })]
        trace.setGlobalTracerProvider(new TracerProvider({ spanProcessors }))
        context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
        propagation.setGlobalPropagator(new TraceparentOnly())
      })
      afterEach(() => exporter.reset())
      afterAll(() => {
        trace.disable()
        context.disable()
        propagation.disable()
      })

      it.each<[string, BusMessage, <T>(work: () => T) => T]>([
        ['in its headers', command('one', WORK, { headers: { traceparent } }), (work) => work()],
        [
          'of its publisher',
          command('one'),
          (work) => context.with(trace.setSpanContext(ROOT_CONTEXT, parent), work),
        ],
      ])('%s goes with a message to its handler, over a retry too', async (_, message, inTrace) => {
        const bus = await fresh()
        const seen: (string | undefined)[] = []
        await bus.consume(WORK, {
          concurrency: 1,
          retry: quick,
          handle: async ({ headers }, { attempt }) => {
            seen.push(headers.traceparent, trace.getActiveSpan()?.spanContext().traceId)
            if (attempt === 1) throw new Error('again')
          },
        })
        await inTrace(() => bus.publish(message))
        await eventually(() => expect(exporter.getFinishedSpans()).toHaveLength(3))
        const spans = exporter.getFinishedSpans()
        const publish = spans.find((span) => span.name === `publish ${WORK}`)!
        const received = `00-${parent.traceId}-${publish.spanContext().spanId}-01`
        expect(publish).toMatchObject({
          kind: SpanKind.PRODUCER,
          parentSpanContext: { spanId: parent.spanId },
        })
        expect(seen).toEqual([received, parent.traceId, received, parent.traceId])
        for (const span of spans.filter(({ name }) => name === `process ${WORK}`))
          expect(span).toMatchObject({
            kind: SpanKind.CONSUMER,
            parentSpanContext: { spanId: publish.spanContext().spanId },
          })
      })
    })
  })
}

/** As much of the W3C trace context as shows that it is carried. */
class TraceparentOnly implements TextMapPropagator<Record<string, string>> {
  inject(active: typeof ROOT_CONTEXT, carrier: Record<string, string>): void {
    const span = trace.getSpanContext(active)
    if (span) carrier.traceparent = `00-${span.traceId}-${span.spanId}-01`
  }
  extract(active: typeof ROOT_CONTEXT, carrier: Record<string, string>): typeof ROOT_CONTEXT {
    const [, traceId, spanId] = carrier.traceparent?.split('-') ?? []
    return traceId && spanId ? trace.setSpanContext(active, { traceId, spanId, traceFlags: 1 }) : active
  }
  fields(): string[] {
    return ['traceparent']
  }
}
