import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { seeded } from '../../../bench/random.ts'
import {
  type Fault,
  frozen,
  killedAtStart,
  killIn,
  MESSAGES,
  network,
  restarted,
} from '../../chaos/faults.ts'
import { balance } from '../../chaos/ledger.ts'
import { openWorld } from '../../chaos/world.ts'

/** One of each kind; `npm run chaos` draws from all of them. */
const FAULTS: Fault[] = [
  killIn('ingest', 'fetching'),
  killIn('ingest', 'parsing'),
  killIn('ingest', 'embedding'),
  killIn('ingest', 'storing'),
  killIn('library', 'parsing'),
  killIn('auth', 'embedding'),
  killIn('gateway', 'storing'),
  killIn('search', 'embedding'),
  killIn('mcp', 'fetching'),
  killedAtStart('library'),
  frozen('ingest'),
  restarted('postgres', 'stop'),
  restarted('rabbitmq', 'kill'),
  restarted('neo4j', 'kill'),
  restarted('s3', 'stop'),
  network('postgres', 'cut'),
  network('rabbitmq', 'silence'),
  network('neo4j', 'slow'),
  network('s3', 'refuse'),
  ...MESSAGES,
]

const closing = new AsyncDisposableStack()
let world: Awaited<ReturnType<typeof openWorld>>

beforeAll(async () => {
  world = await openWorld(seeded(1), closing)
  world.traffic.start(1, 600)
}, 300_000)
afterAll(async () => {
  await world?.traffic.stop()
  await closing.disposeAsync()
}, 60_000)

describe('under traffic', () => {
  test.each(FAULTS)(
    '$name: it comes back, and takes documents',
    async ({ inject }) => {
      await inject(world)
      const job = await world.traffic.write()
      expect((await world.system.ended(job.job_id, 120_000)).status).toBe('completed')
    },
    180_000,
  )

  test('afterwards nothing is lost, doubled or without a true reason', async () => {
    await world.traffic.stop()
    const ledger = await balance(world.system, world.traffic, world.library_uid)
    expect(ledger.faults).toEqual([])
    expect(ledger.accepted).toBeGreaterThan(FAULTS.length)
    const ends =
      ledger.completed + ledger.superseded + Object.values(ledger.failed).reduce((a, b) => a + b, 0)
    expect(ends).toBe(ledger.accepted)
    expect(world.traffic.answered).toBeGreaterThan(FAULTS.length)
  }, 400_000)
})
