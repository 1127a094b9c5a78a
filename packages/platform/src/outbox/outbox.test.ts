import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Registry } from 'prom-client'
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { openInProcessBus } from '../bus/in-process.ts'
import { type Bus, type BusMessage, BusUnavailable } from '../bus/port.ts'
import { openRabbitBus } from '../bus/rabbit.ts'
import { createLog } from '../log.ts'
import { openSql } from '../sql/open.ts'
import type { Sql } from '../sql/port.ts'
import { Metrics } from '../telemetry.ts'
import { describePostgres, describeServers, freshAmqpUrl, freshPostgresUrl } from '../testing/servers.ts'
import { type OutboxMessage, type OutboxTables, outboxMigration, writeOutbox } from './outbox.ts'
import { type RelayOptions, startRelay } from './relay.ts'

const QUEUE = 'ingest.default'
const clock = () => new Date()
const log = createLog({ component: 'test', level: 'silent' })
const metrics = () => new Metrics(new Registry(), 'test')

/** A bus's publishing side that the test can take away, and that keeps what it was given. */
class Publisher implements Pick<Bus, 'publish'> {
  readonly published: BusMessage[] = []
  refuse: (message: BusMessage) => unknown = () => undefined
  hold: Promise<unknown> = Promise.resolve()
  tries = 0

  async publish(message: BusMessage): Promise<void> {
    this.tries += 1
    const error = this.refuse(message)
    if (error) throw error
    await this.hold
    this.published.push(message)
  }

  get bodies() {
    return this.published.map(({ body }) => body)
  }
}

let dir: string
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'mnemosyne-outbox-'))
})
afterAll(() => rm(dir, { recursive: true }))

function outboxTests(name: string, freshUrl: () => Promise<string>) {
  describe(name, () => {
    let url: string
    let sql: Sql<OutboxTables>
    let bus: Publisher
    const connect = async () => {
      const opened = await openSql<OutboxTables>(url, { schema: 'outbox', log, metrics: metrics() })
      onTestFinished(() => opened.close())
      return opened
    }
    beforeEach(async () => {
      bus = new Publisher()
      url = await freshUrl()
      sql = await connect()
      await sql.migrate([outboxMigration])
    })
    const relay = (options: Partial<RelayOptions<OutboxTables>> = {}) => {
      const started = startRelay({ sql, bus, clock, log, metrics: metrics(), intervalMs: 20, ...options })
      onTestFinished(() => started.stop())
      return started
    }
    const write = (...messages: Partial<OutboxMessage>[]) =>
      sql.transaction(async (tx) => {
        for (const message of messages) {
          await writeOutbox(tx, { kind: 'command', destination: QUEUE, body: {}, ...message }, clock)
        }
      })
    const left = () => sql.read.selectFrom('outbox').select(['message_id', 'attempts']).execute()
    const numbers = (count: number) => Array.from({ length: count }, (_, n) => n)

    it('publishes in order, deletes, and carries id and headers', async () => {
      await write(
        ...numbers(250).map((n) => ({ body: n, id: `id-${n}`, headers: { traceparent: `t-${n}` } })),
      )
      relay()
      await expect.poll(left).toEqual([])
      expect(bus.bodies).toEqual(numbers(250))
      expect(bus.published[7]).toEqual({
        kind: 'command',
        destination: QUEUE,
        id: 'id-7',
        body: 7,
        headers: { traceparent: 't-7' },
      })
    })

    it('publishes nothing of a transaction that was rolled back', async () => {
      relay()
      const work = sql.transaction(async (tx) => {
        await writeOutbox(tx, { kind: 'command', destination: QUEUE, body: 'no' }, clock)
        throw new Error('rolled back')
      })
      await expect(work).rejects.toThrow('rolled back')
      await write({ body: 'yes' })
      await expect.poll(() => bus.bodies).toEqual(['yes'])
    })

    it('goes to work at once when woken', async () => {
      const woken = relay({ intervalMs: 3_600_000 })
      for (const n of numbers(20)) {
        await write({ body: n })
        woken.wake()
      }
      await expect.poll(() => bus.bodies).toEqual(numbers(20))
    })

    it('holds back what is to be delivered later', async () => {
      let now = new Date('2026-01-01T12:00:00Z')
      await write(
        { body: 'later', deliverAfter: '2026-01-01T13:00:00+00:00' },
        { body: 'now', deliverAfter: '2026-01-01T11:00:00Z' },
      )
      relay({ clock: () => now })
      await expect.poll(() => bus.bodies).toEqual(['now'])
      now = new Date('2026-01-01T13:00:00Z')
      await expect.poll(() => bus.bodies).toEqual(['now', 'later'])
    })

    it('keeps everything while the bus is away, and its order', async () => {
      bus.refuse = () => new BusUnavailable('away')
      await write(...numbers(150).map((body) => ({ body })))
      relay()
      await expect.poll(() => bus.tries).toBeGreaterThan(150)
      expect(await left()).toHaveLength(150)
      bus.refuse = () => undefined
      await expect.poll(left, { timeout: 10_000 }).toEqual([])
      expect(bus.bodies).toEqual(numbers(150))
    })

    it('lets a message that the bus refuses hold up no other', async () => {
      bus.refuse = ({ body }) => (body === 'poison' ? new Error('unknown queue') : undefined)
      await write({ body: 'poison', id: 'poison' }, { body: 1 }, { body: 2 })
      relay()
      await expect.poll(() => bus.bodies).toEqual([1, 2])
      await expect.poll(left).toMatchObject([{ message_id: 'poison' }])
      await expect.poll(async () => (await left())[0]?.attempts, { timeout: 5_000 }).toBeGreaterThan(1)
      bus.refuse = () => undefined
      await expect.poll(left, { timeout: 10_000 }).toEqual([])
    })

    it('lets subscribers that take their time hold up no command', async () => {
      const gate = Promise.withResolvers<void>()
      const publish = bus.publish.bind(bus)
      bus.publish = async (message) => {
        if (message.kind === 'event') await gate.promise
        await publish(message)
      }
      await write(...numbers(700).map(() => ({ kind: 'event' as const, destination: 'a.b.v1' })), {
        body: 'command',
      })
      relay()
      await expect.poll(() => bus.bodies).toEqual(['command'])
      gate.resolve()
      await expect.poll(() => bus.published.length).toBe(701)
    })

    it('keeps its claim on a message whose confirmation takes long', async () => {
      const gate = Promise.withResolvers<void>()
      bus.hold = gate.promise
      await write({ body: 'slow' })
      let now = Date.now()
      relay({ clock: () => new Date(now) })
      relay({ clock: () => new Date(now), sql: await connect() })
      await expect.poll(() => bus.tries).toBe(1)
      for (const _ of numbers(10)) {
        now += 4_000
        const due = async () =>
          (await sql.read.selectFrom('outbox').select('due_at').executeTakeFirst())?.due_at ?? ''
        await vi.waitFor(async () => expect(Date.parse(await due())).toBeGreaterThan(now + 5_000))
      }
      gate.resolve()
      await expect.poll(left).toEqual([])
      expect(bus.tries).toBe(1)
    })

    it('takes over what a dead relay had claimed', async () => {
      await write({ body: 'orphan' })
      const claimedUntil = new Date(Date.now() + 300).toISOString()
      await sql.transaction((tx) => tx.updateTable('outbox').set({ due_at: claimedUntil }).execute())
      relay()
      await expect.poll(() => bus.bodies).toEqual(['orphan'])
    })

    it('loses nothing when two relays run and the bus comes and goes', async () => {
      bus.refuse = () => (Math.random() < 0.3 ? new BusUnavailable('away') : undefined)
      const relays = [relay(), relay({ sql: await connect() })]
      for (const n of numbers(100)) {
        await write({ body: n })
        relays[n % 2]?.wake()
      }
      await expect.poll(left, { timeout: 30_000 }).toEqual([])
      expect([...new Set(bus.bodies)].sort((a, b) => Number(a) - Number(b))).toEqual(numbers(100))
    })

    it('hands back on stop what has not been confirmed', async () => {
      const gate = Promise.withResolvers<void>()
      bus.hold = gate.promise
      await write({ body: 'in hand' })
      const stopping = relay({ drainMs: 50 })
      await expect.poll(() => bus.tries).toBe(1)
      await stopping.stop()
      const { due_at } = await sql.read.selectFrom('outbox').select('due_at').executeTakeFirstOrThrow()
      expect(Date.parse(due_at)).toBeLessThanOrEqual(Date.now())
      gate.resolve()
    })

    it('waits on stop for what is being confirmed', async () => {
      const gate = Promise.withResolvers<void>()
      bus.hold = gate.promise
      await write({ body: 'in hand' })
      const stopping = relay()
      await expect.poll(() => bus.tries).toBe(1)
      const stopped = stopping.stop()
      gate.resolve()
      await stopped
      expect(await left()).toEqual([])
    })
  })
}

outboxTests('the outbox on SQLite', async () => `sqlite:${join(dir, randomUUID())}.db`)
await describePostgres('the outbox on PostgreSQL', (freshUrl) => outboxTests('', freshUrl))

const event = (n: number) => ({
  specversion: '1.0',
  id: `event-${n}`,
  type: 'things.changed.v1',
  source: '/test',
  time: '2026-01-01T00:00:00Z',
  data: { n },
})

async function through(url: string, bus: Bus) {
  await using sql = await openSql<OutboxTables>(url, { schema: 'outbox', log, metrics: metrics() })
  await sql.migrate([outboxMigration])
  const events = new Set<string>()
  const commands = new Set<unknown>()
  await bus.subscribe({
    queue: 'test.things',
    topics: ['things.#'],
    handle: async ({ id }) => {
      events.add(id)
    },
  })
  await bus.consume(QUEUE, {
    concurrency: 4,
    handle: async ({ body }) => {
      commands.add((body as { n: number }).n)
    },
  })
  await using relay = startRelay({ sql, bus, clock, log, metrics: metrics() })
  for (let n = 0; n < 50; n++) {
    await sql.transaction(async (tx) => {
      const message = {
        kind: 'event' as const,
        destination: 'things.changed.v1',
        id: `event-${n}`,
        body: event(n),
      }
      await writeOutbox(tx, message, clock)
      await writeOutbox(tx, { kind: 'command', destination: QUEUE, body: { n } }, clock)
    })
    relay.wake()
  }
  await expect.poll(() => [events.size, commands.size], { timeout: 20_000 }).toEqual([50, 50])
  await expect.poll(() => sql.read.selectFrom('outbox').selectAll().execute()).toEqual([])
}

it('goes through the in-process bus', async () => {
  await using bus = openInProcessBus({ log, metrics: metrics(), clock, commandQueues: [QUEUE] })
  await through(`sqlite:${join(dir, randomUUID())}.db`, bus)
})

await describeServers('the outbox over PostgreSQL and RabbitMQ', () => {
  it('goes through the broker', async () => {
    await using bus = await openRabbitBus({ url: await freshAmqpUrl(), log, metrics: metrics(), clock })
    await through(await freshPostgresUrl(), bus)
  })
})
