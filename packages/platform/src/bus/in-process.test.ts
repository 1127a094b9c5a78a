import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Registry } from 'prom-client'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { systemClock } from '../clock.ts'
import { createLog } from '../log.ts'
import { Metrics } from '../telemetry.ts'
import { busContract, command, event, gate } from '../testing/bus-contract.ts'
import { type InProcessBusOptions, openInProcessBus } from './in-process.ts'
import { BacklogFull, type Bus, BusClosed, Unprocessable } from './port.ts'

const log = createLog({ component: 'test', level: 'silent' })

busContract('in-process bus', async (options) => openInProcessBus({ ...options, log, clock: systemClock }))

describe('in-process bus', () => {
  const WORK = 'ingest.default'
  let dir: string
  let bus: Bus

  const reopen = async (options: Partial<InProcessBusOptions> = {}) => {
    await bus?.close()
    bus = openInProcessBus({
      log,
      clock: systemClock,
      metrics: new Metrics(new Registry(), 'test'),
      ...options,
    })
  }
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'bus-'))
    await reopen()
  })
  afterEach(async () => {
    await bus.close()
    await rm(dir, { recursive: true })
  })

  it('has an event handled by every durable subscriber when publish resolves', async () => {
    const seen: string[] = []
    const retry = { retries: 1, firstDelayMs: 10, maxDelayMs: 10 }
    await bus.subscribe({
      queue: 'a.slow',
      topics: ['#'],
      retry,
      handle: async (_, { attempt }) => {
        seen.push(`slow ${attempt}`)
        if (attempt === 1) throw new Error('once')
      },
    })
    await bus.subscribe({
      queue: 'a.bad',
      topics: ['#'],
      handle: async () => {
        throw new Unprocessable('never')
      },
    })
    await bus.publish(event('one.v1', 'one'))
    expect(seen).toEqual(['slow 1', 'slow 2'])
    expect(await bus.deadLetters().count()).toBe(1)
  })

  it.each([
    ['in hand', async () => new Promise<void>(() => {}), 0],
    ['waiting for a retry', () => Promise.reject(new Error('ill')), 60_000],
  ])('refuses an event whose subscriber stops with it %s', async (_, handle, delay) => {
    await reopen({ drainMs: 10 })
    let begun = false
    const subscriber = await bus.subscribe({
      queue: 'a.events',
      topics: ['#'],
      retry: { retries: 1, firstDelayMs: delay, maxDelayMs: delay },
      handle: () => {
        begun = true
        return handle()
      },
    })
    const published = bus.publish(event('one.v1', 'one'))
    const refused = expect(published).rejects.toThrow(BusClosed)
    await vi.waitFor(() => expect(begun).toBe(true))
    await subscriber.close()
    await refused
    await expect(bus.publish(event('one.v1', 'two'))).rejects.toThrow('a.events has stopped')
  })

  it('refuses an event that is in hand when the bus closes', async () => {
    await reopen({ drainMs: 10 })
    const held = gate()
    await bus.subscribe({ queue: 'a.events', topics: ['#'], handle: () => held.passed })
    const refused = expect(bus.publish(event('one.v1', 'one'))).rejects.toThrow(BusClosed)
    await bus.close()
    await refused
    held.open()
  })

  it('holds no more than its backlog', async () => {
    await reopen({ backlog: 2 })
    await bus.publish(command('one', WORK))
    await bus.publish(command('two', WORK, { delayMs: 60_000 }))
    await expect(bus.publish(command('three', WORK))).rejects.toThrow(BacklogFull)
  })

  it('gives each consumer a body of its own', async () => {
    const body = { list: [1] }
    const seen: unknown[] = []
    await bus.consume(WORK, { concurrency: 1, handle: async (message) => void seen.push(message.body) })
    await bus.publish({ ...command('one', WORK), body })
    body.list.push(2)
    await vi.waitFor(() => expect(seen).toEqual([{ list: [1] }]))
  })

  describe('with a file of dead letters', () => {
    const bury = async () => {
      await bus.consume(WORK, {
        concurrency: 1,
        handle: async () => {
          throw new Unprocessable('never')
        },
      })
      await bus.publish(command('one', WORK))
      await vi.waitFor(async () => expect(await bus.deadLetters().count()).toBe(1))
    }

    it('has them after a restart', async () => {
      const deadLetterFile = join(dir, 'dead-letters.json')
      await reopen({ deadLetterFile })
      await bury()
      await reopen({ deadLetterFile })
      expect(await bus.deadLetters().list()).toMatchObject([{ id: `${WORK}:one`, reason: 'never' }])
      await bus.deadLetters().replay(`${WORK}:one`)
      expect(await bus.deadLetters().count()).toBe(0)
      expect(JSON.parse(await readFile(deadLetterFile, 'utf8'))).toEqual([])
    })

    it('says which one it can not read', async () => {
      const deadLetterFile = join(dir, 'dead-letters.json')
      await writeFile(deadLetterFile, '{')
      await expect(reopen({ deadLetterFile })).rejects.toThrow(deadLetterFile)
    })

    it('does not take an event off its publisher when the file can not be written', async () => {
      await reopen({ deadLetterFile: join(dir, 'no', 'such', 'folder') })
      await bus.subscribe({
        queue: 'a.events',
        topics: ['#'],
        handle: async () => {
          throw new Unprocessable('never')
        },
      })
      await expect(bus.publish(event('one.v1', 'one'))).rejects.toThrow('ENOENT')
    })
  })
})
