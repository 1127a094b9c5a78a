import { randomUUID } from 'node:crypto'
import { describePostgres } from '@mnemosyne/platform/testing'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Ground, manual, World } from './world.ts'

let ground: Ground
beforeAll(async () => {
  ground = await Ground.open()
})
afterAll(() => ground[Symbol.asyncDispose]())

describe('on SQLite', () => suite(() => World.open(ground)))
await describePostgres('on PostgreSQL', (freshUrl) => {
  suite(async () => World.open(ground, { sqlUrl: await freshUrl() }))
})

function suite(open: () => Promise<World>): void {
  let world: World
  beforeAll(async () => {
    world = await open()
    await world.start()
  })
  afterAll(() => world?.[Symbol.asyncDispose]())

  const as = (staff: 'none' | 'view' | 'change' | 'delete') => {
    world.caller = { id: randomUUID(), username: 'root', staff }
  }
  const list = (query = '') => world.call('GET', `/admin/api/jobs/${query}`)

  test('staff see the jobs of every library, newest first, by state and library, page by page', async () => {
    const [own, other] = world.libraries
    const jobs = [
      await world.completed(manual('valve', 'pump'), { library_uid: own, source_ref: 'a' }),
      await world.completed(manual('valve', 'pump'), { library_uid: other, source_ref: 'b' }),
      await world.completed(manual('pump', 'motor'), { library_uid: other, source_ref: 'c' }),
    ]
    const uids = jobs.map(({ job_id }) => job_id).reverse()
    as('view')
    world.scope = []
    const listed = async (query?: string) =>
      (await list(query)).body.map(({ job_id }: { job_id: string }) => job_id)
    expect(await listed()).toEqual(uids)
    expect(await listed(`?library_uid=${other}`)).toEqual(uids.slice(0, 2))
    expect(await listed('?status=failed')).toEqual([])
    expect(await listed('?status=completed&limit=1&offset=1')).toEqual(uids.slice(1, 2))
    expect(await listed(`?library_uid=${randomUUID()}`)).toEqual([])
    const answer = await world.respond('GET', '/admin/api/jobs/?limit=1')
    expect(answer.headers.get('x-total-count')).toBe('3')
    expect((await world.call('GET', '/library/api/jobs/')).body).toEqual([])
  })

  test.each([
    ['none', 403],
    ['view', 200],
    ['change', 200],
    ['delete', 200],
  ] as const)('who has the level %s: %i', async (level, status) => {
    as(level)
    const answer = await list()
    expect(answer.status).toBe(status)
    if (status === 403) expect(answer.body).toEqual({ detail: 'Only staff may do this.' })
  })
}
