import { randomUUID } from 'node:crypto'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '@mnemosyne/platform'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openStoresAlone } from '../src/backup/open-stores-alone.ts'
import { agrees } from '../src/backup/rebuild.ts'
import { restoreBackup } from '../src/backup/restore.ts'
import { takeBackup } from '../src/backup/take-backup.ts'
import type { Stores } from '../src/system/open-stores.ts'
import { ended, fill, openIn, settingsOf } from './filled-system.ts'

// The services' rows are read one after the other while the system works. Each case is a state that such reading, or an
// event on its way, can leave in a backup.

let home: string
let original: string
let libraryUid: string
const fresh = () => join(home, randomUUID().slice(0, 8))

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'mnemosyne-agrees-'))
  original = fresh()
  const system = await openIn(original)
  libraryUid = (await fill(system)).libraryUid
  await system.close()
})
afterAll(() => rm(home, { recursive: true, force: true }))

/** Backs up the data folder as `change` has left it, and opens what a restore makes of that. */
async function restored(change: (stores: Stores) => Promise<unknown>) {
  const dataDir = fresh()
  const dir = fresh()
  const target = fresh()
  await cp(original, dataDir, { recursive: true })
  {
    await using alone = await openStoresAlone(settingsOf(dataDir))
    await change(alone.stores)
    await takeBackup(alone.stores, dir, { version: '0', clock: systemClock })
  }
  await using alone = await openStoresAlone(settingsOf(target))
  const report = await restoreBackup(alone.stores, dir, { clock: systemClock, unseal: undefined })
  expect(report.graph.faults).toEqual([])
  expect(agrees(report.graph)).toBe(true)
  const { sql, blobs } = alone.stores
  const keys: string[] = []
  for await (const key of blobs.list('')) keys.push(key)
  return {
    dataDir: target,
    report,
    keys,
    items: await sql.library.read.selectFrom('item').selectAll().orderBy('source_ref').execute(),
    libraries: await sql.library.read.selectFrom('library').selectAll().execute(),
    jobs: await sql.ingest.read.selectFrom('job').selectAll().orderBy('created_at').execute(),
    memberships: await sql.auth.read.selectFrom('library_membership').selectAll().execute(),
    tokens: await sql.auth.read.selectFrom('user_token').selectAll().execute(),
  }
}

const nothing = async () => {}
const refs = (rows: { source_ref: string }[]) => [...new Set(rows.map(({ source_ref }) => source_ref))].sort()

test('an item whose record is ahead of its job, behind it, or not there yet gets the record of its job', async () => {
  const { items: expected } = await restored(nothing)
  const change = { content_hash: 'f'.repeat(64), chunk_count: 99, title: 'other' }
  for (const job_order of ['1|9999', '0|0000']) {
    const { items } = await restored(({ sql }) =>
      sql.library.transaction((tx) =>
        tx
          .updateTable('item')
          .set({ ...change, job_order })
          .execute(),
      ),
    )
    expect(items).toEqual(expected)
  }
  const { items } = await restored(({ sql }) =>
    sql.library.transaction((tx) => tx.deleteFrom('item').execute()),
  )
  expect(items).toEqual(expected)
})

test('an item without a job goes', async () => {
  const { items, jobs } = await restored(({ sql }) =>
    sql.ingest.transaction((tx) => tx.deleteFrom('job').where('source_ref', '=', 'brenna').execute()),
  )
  expect(refs(items)).toEqual(['damaged', 'skerry'])
  expect(refs(jobs)).toEqual(['damaged', 'skerry'])
})

test('an item that was deleted, which ingest had not heard of, goes from everywhere', async () => {
  const { items, jobs, keys } = await restored(async ({ sql }) => {
    const { uid } = await sql.library.read
      .selectFrom('item')
      .select('uid')
      .where('source_ref', '=', 'skerry')
      .executeTakeFirstOrThrow()
    await sql.library.transaction(async (tx) => {
      const deleted_at = new Date().toISOString()
      await tx
        .insertInto('item_deletion')
        .values({ item_uid: uid, library_uid: libraryUid, deleted_at, finished: 1 })
        .execute()
      await tx.deleteFrom('item').where('uid', '=', uid).execute()
    })
  })
  expect(refs(items)).toEqual(['brenna', 'damaged'])
  expect(refs(jobs)).toEqual(['brenna', 'damaged'])
  expect(keys.filter((key) => key.endsWith('content.json.gz'))).toHaveLength(1)
})

test.each([
  [
    'that is gone',
    (tx: Parameters<Parameters<Stores['sql']['library']['transaction']>[0]>[0]) =>
      tx.deleteFrom('library').execute(),
  ],
  [
    'whose deletion was under way',
    (tx: Parameters<Parameters<Stores['sql']['library']['transaction']>[0]>[0]) =>
      tx.updateTable('library').set({ deleted_at: new Date().toISOString() }).execute(),
  ],
])('of a library %s nothing comes back', async (_, remove) => {
  const found = await restored(({ sql }) => sql.library.transaction<unknown>(remove))
  expect(found).toMatchObject({ items: [], jobs: [], keys: [], libraries: [], memberships: [] })
  expect(found.tokens).toMatchObject([{ allowed_libraries: '[]' }])
})

test('an owner whose membership was on its way is a member', async () => {
  const { memberships } = await restored(({ sql }) =>
    sql.auth.transaction((tx) => tx.deleteFrom('library_membership').execute()),
  )
  expect(memberships).toMatchObject([{ library_uid: libraryUid, role: 'owner' }])
})

test.each([
  ['later than', 7, 0],
  ['before', 0, 7],
])(
  'a hand-over that auth knows of %s the library service does not count against a later one',
  async (_, known, counted) => {
    const { memberships, libraries } = await restored(async ({ sql }) => {
      await sql.auth.transaction((tx) =>
        tx.updateTable('library_membership').set({ hand_overs: known }).execute(),
      )
      await sql.library.transaction((tx) => tx.updateTable('library').set({ hand_overs: counted }).execute())
    })
    expect(libraries).toMatchObject([{ hand_overs: counted }])
    expect(memberships).toMatchObject([{ role: 'owner', hand_overs: counted }])
  },
)

test('a job in hand waits again, counts as no interruption, and is done at the next start', async () => {
  const { report, jobs, dataDir } = await restored(({ sql }) =>
    sql.ingest.transaction((tx) =>
      tx
        .updateTable('job')
        .set({ status: 'processing', stage: 'embedding', claim: 'somebody', completed_at: null })
        .where('source_ref', '=', 'brenna')
        .execute(),
    ),
  )
  expect(report.waiting_jobs).toBe(1)
  const job = jobs.find(({ source_ref }) => source_ref === 'brenna')
  expect(job).toMatchObject({ status: 'pending', stage: 'queued', claim: null, interruptions: 0 })
  const system = await openIn(dataDir)
  expect(await ended(system, job!.job_id)).toMatchObject({ status: 'completed', error: null })
  await system.close()
})

test('an upload that was accepted and not begun is taken in after the restore', async () => {
  const { jobs, dataDir, keys } = await restored(async ({ sql, blobs }) => {
    const job = await sql.ingest.read
      .selectFrom('job')
      .selectAll()
      .where('source_ref', '=', 'brenna')
      .executeTakeFirstOrThrow()
    const original = `items/${job.item_uid}/${job.content_hash}/original.md`
    await blobs.put(job.s3_key, await blobs.read(original, 1e6))
    await blobs.deletePrefix(`items/${job.item_uid}/`)
    const waiting = {
      status: 'pending',
      stage: 'queued',
      progress: 0,
      started_at: null,
      completed_at: null,
    } as const
    await sql.ingest.transaction((tx) =>
      tx.updateTable('job').set(waiting).where('job_id', '=', job.job_id).execute(),
    )
  })
  expect(keys.filter((key) => key.startsWith('uploads/'))).not.toEqual([])
  const system = await openIn(dataDir)
  const { job_id } = jobs.find(({ source_ref }) => source_ref === 'brenna')!
  expect(await ended(system, job_id)).toMatchObject({ status: 'completed', error: null })
  await system.close()
})
