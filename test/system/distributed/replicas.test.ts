import { setTimeout as wait } from 'node:timers/promises'
import type { Job } from '@mnemosyne/contracts'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { seeded } from '../../../bench/random.ts'
import { balance } from '../../chaos/ledger.ts'
import { Traffic } from '../../chaos/traffic.ts'
import { SystemClient } from '../client.ts'
import { DistributedSystem } from '../distributed-system.ts'
import { inventedDocument } from '../stores.ts'

let system: DistributedSystem
let clients: SystemClient[]
let library_uid: string

beforeAll(async () => {
  system = await DistributedSystem.start({
    replicas: { gateway: 2, auth: 2, library: 2, search: 2, ingest: 2, mcp: 2 },
    envOf: { ingest: { INGEST_LEASE_SECONDS: '3', WORKER_CONCURRENCY: '1' } },
  })
  clients = system.cluster.processes.gateway.map(({ url }) => new SystemClient(url, system.token))
  library_uid = (await system.createWorkspace('ws')).library_uid
}, 180_000)
afterAll(() => system?.stop())

/** A metric of each replica by itself. */
async function ofEach(service: 'search' | 'ingest' | 'auth', name: string): Promise<number[]> {
  return Promise.all(
    system.cluster.processes[service].map(async ({ url }) => {
      const lines = (await (await fetch(`${url}/metrics`)).text()).split('\n')
      return lines
        .filter((line) => line.startsWith(`${name}{`))
        .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0)
    }),
  )
}

describe('replicas share the work', () => {
  test('of jobs: each is done once, by one of the two', async () => {
    const accepted = await Promise.all(
      Array.from({ length: 16 }, async (_, n) => {
        const file = { name: `Beacon${n}.md`, content: inventedDocument(`Beacon${n}`, 3) }
        return (await clients[n % 2]!.upload({ library_uid, source_ref: `Beacon${n}` }, file)).body
      }),
    )
    const jobs = await Promise.all(accepted.map(({ job_id }) => system.ended(job_id)))
    expect(jobs.map(({ status }) => status)).toEqual(Array(16).fill('completed'))
    const done = () => ofEach('ingest', 'mnemosyne_job_duration_seconds_count')
    await expect.poll(async () => (await done()).reduce((a, b) => a + b)).toBe(16)
    expect(Math.min(...(await done()))).toBeGreaterThan(2)
  })

  test('of searches: both are asked, and answer alike', async () => {
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_, n) =>
        clients[n % 2]!.search('which keeper trimmed lamp 7?', { limit: 5 }),
      ),
    )
    const uids = answers.map(({ candidates }) => candidates.map(({ chunk_uid }) => chunk_uid).join())
    expect(new Set(uids).size).toBe(1)
    const asked = await ofEach('search', 'mnemosyne_search_stage_duration_seconds_count')
    expect(Math.min(...asked)).toBeGreaterThan(0)
  })

  test('of gateways: identical posts to both at once are one job', async () => {
    const request = await system.daedalus.put('twin.md', '# Twin\n\nOne of two.', { workspace_id: 'ws' })
    const posts = await Promise.all(
      Array.from({ length: 12 }, (_, n) => clients[n % 2]!.call('POST', '/library/api/ingest/', request)),
    )
    expect(new Set(posts.map(({ body }) => (body as Job).job_id)).size).toBe(1)
    expect(posts.filter(({ status }) => status === 202)).toHaveLength(1)
    const { body } = posts[0]!
    expect((await system.ended((body as Job).job_id)).status).toBe('completed')
  })

  test('a cancelled job stops, whichever replica has it in hand', async () => {
    for (let n = 0; n < 4; n++) {
      const file = { name: `Long${n}.md`, content: inventedDocument(`Long${n}`, 60) }
      const { body: job } = await system.upload({ library_uid, source_ref: `Long${n}` }, file)
      await expect
        .poll(
          async () => ((await system.call('GET', `/library/api/jobs/${job.job_id}/`)).body as Job).stage,
          {
            timeout: 30_000,
            interval: 20,
          },
        )
        .toBe('embedding')
      expect((await clients[n % 2]!.call('POST', `/library/api/jobs/${job.job_id}/cancel/`)).status).toBe(202)
      expect(await system.ended(job.job_id, 20_000)).toMatchObject({ status: 'failed', error: 'Cancelled.' })
      await system.call('DELETE', `/library/api/items/${job.item_uid}/`)
    }
  })

  test('progress is told by either gateway until the end', async () => {
    const file = { name: 'Told.md', content: inventedDocument('Told', 8) }
    const { body: job } = await system.upload({ library_uid, source_ref: 'Told' }, file)
    const streams = await Promise.all(
      clients.map(async ({ url, token }) => {
        const answer = await fetch(`${url}/library/api/jobs/${job.job_id}/events/`, {
          headers: { authorization: `Bearer ${token}` },
        })
        return answer.text()
      }),
    )
    for (const stream of streams) expect(stream).toContain('"status":"completed"')
  })
})

test('each replica of each service is restarted in turn under traffic: no request fails, no job is lost', async () => {
  const fresh = await system.createWorkspace('rolling')
  const traffic = new Traffic([clients[0]!], fresh.library_uid, seeded(7))
  // A gateway's own clients have no other door here: they keep to the one that stays.
  traffic.start(2, 100)
  for (const name of ['auth', 'library', 'ingest', 'search', 'mcp'] as const) {
    for (const process of system.cluster.processes[name]) {
      expect(await process.stop(), name).toBe(0)
      process.start()
      await process.ready()
      await wait(100)
    }
  }
  const second = system.cluster.processes.gateway[1]!
  await second.stop()
  second.start()
  await second.ready()
  await traffic.stop()
  expect(traffic.refusals).toEqual({ reads: [], writes: [] })
  const ledger = await balance(system, traffic, fresh.library_uid)
  expect(ledger.faults).toEqual([])
  expect(ledger.failed).toEqual({})
  expect(traffic.answered).toBeGreaterThan(30)
}, 300_000)
