import { randomUUID } from 'node:crypto'
import { Writable } from 'node:stream'
import { type AuditRecord, EVENTS } from '@mnemosyne/contracts'
import { createLog } from '@mnemosyne/platform'
import { describePostgres } from '@mnemosyne/platform/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Ports } from './ports.ts'
import { Ground, manual, World } from './world.ts'

let ground: Ground
beforeAll(async () => {
  ground = await Ground.open()
})
afterAll(() => ground[Symbol.asyncDispose]())

describe('over SQLite', () => {
  suite(() => World.open(ground))
})

await describePostgres('over PostgreSQL', (freshUrl) => {
  suite(async () => World.open(ground, { sqlUrl: await freshUrl() }))
})

/** What a world tells the audit log, as it comes. */
async function recordsOf(world: World, options: Parameters<World['start']>[0] = {}): Promise<AuditRecord[]> {
  const records: AuditRecord[] = []
  const bus = await world.openBus()
  await bus.subscribe({
    queue: 'test.audit',
    topics: ['audit.#'],
    handle: async ({ body }) =>
      void records.push(EVENTS['audit.recorded.v1'].parse((body as { data: unknown }).data)),
  })
  await world.start({ ...options, bus })
  return records
}

const actions = (records: AuditRecord[]) => records.map(({ action, actor }) => [action, actor])
const person = (username: string) => ({ id: randomUUID(), username, staff: 'none' as const })

function suite(open: () => Promise<World>) {
  it('an accepted file is told of with who handed it in, once', async () => {
    await using world = await open()
    const records = await recordsOf(world)
    const job = await world.completed(manual('valve'))
    await world.ingest(manual('valve'))
    const { body: uploaded } = await world.upload(manual('pump'))
    await world.ended(uploaded.job_id)
    await expect.poll(() => records.length).toBe(2)
    const { id: actor, username } = world.caller
    expect(records[0]).toMatchObject({
      actor,
      username,
      action: 'job.accepted',
      target: job.job_id,
      outcome: 'done',
      detail: { library_uid: job.library_uid, item_uid: job.item_uid, source: 'daedalus' },
      request_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
    })
    expect(records[1]).toMatchObject({ target: uploaded.job_id, detail: { source: 'upload' } })
    expect(JSON.stringify(records)).not.toMatch(/valve|pump|manual|\.md/i)
  })

  it('a job runs on the account of who handed it in, and then of who retried it', async () => {
    await using world = await open()
    const [ada, bob] = [person('ada'), person('bob')]
    world.caller = ada
    const records = await recordsOf(world)
    const job = await world.ended((await world.ingest(manual('valve'), { s3_key: 'files/none.md' })).job_id)
    expect(job.status).toBe('failed')
    expect(await world.rows()).toMatchObject([{ acting_user: ada.id }])
    world.caller = bob
    const path = `/library/api/jobs/${job.job_id}/retry/`
    const retried = await world.call('POST', path)
    expect(retried.status).toBe(202)
    expect(retried.body).not.toHaveProperty('acting_user')
    expect((await world.rows())[0]?.acting_user).toBe(bob.id)
    await world.ended(job.job_id)
    await expect
      .poll(() => actions(records))
      .toEqual([
        ['job.accepted', ada.id],
        ['job.retried', bob.id],
      ])
  })

  it('a cancelled job is told of; one that cannot be cancelled or retried is not', async () => {
    await using world = await open()
    const ports = new Ports()
    const records = await recordsOf(world, { ports })
    const { job_id } = await world.completed(manual('valve'))
    for (const what of ['cancel', 'retry'])
      expect((await world.call('POST', `/library/api/jobs/${job_id}/${what}/`)).status).toBe(409)
    const hold = ports.hold('embedder.embedPassages')
    const { job_id: held } = await world.ingest(manual('gauge'), { source_ref: 'gauge' })
    await hold.reached
    expect((await world.call('POST', `/library/api/jobs/${held}/cancel/`)).status).toBe(202)
    hold.release()
    await world.ended(held)
    await expect
      .poll(() => records.map(({ action, target }) => [action, target]))
      .toEqual([
        ['job.accepted', job_id],
        ['job.accepted', held],
        ['job.cancelled', held],
      ])
  })

  it('what the worker logs of a job names the id of the acting user, never their name', async () => {
    await using world = await open()
    const lines: Record<string, unknown>[] = []
    const destination = new Writable({
      write: (line, _, done) => done(void lines.push(JSON.parse(String(line)))),
    })
    await world.start({ log: createLog({ component: 'ingest', level: 'debug', destination }) })
    await world.completed(manual('valve'))
    await expect
      .poll(() => lines.find(({ msg }) => msg === 'job completed'))
      .toMatchObject({ user_id: world.caller.id })
    expect(JSON.stringify(lines)).not.toContain('"ada"')
  })
}
