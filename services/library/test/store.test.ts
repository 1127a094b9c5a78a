import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Job, WORKSPACES_ASKED_MAX } from '@mnemosyne/contracts'
import type { Sql } from '@mnemosyne/platform'
import { describePostgres } from '@mnemosyne/platform/testing'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { insertCollection, liveCollections } from '../src/store/collections.ts'
import { findItem, markItemDeleted, recordJob } from '../src/store/items.ts'
import {
  doomedLibraries,
  findLibrary,
  globalLibraryUids,
  insertLibrary,
  librariesOfWorkspaces,
  libraryOfWorkspace,
  liveLibrary,
  markLibraryDeleted,
  removeDeletedLibrary,
} from '../src/store/libraries.ts'
import { type LibraryRow, type LibraryTables, libraryMigrations } from '../src/store/tables.ts'
import { job, libraryRow, openLibrarySql } from './stores.ts'

const NOW = '2026-01-05T00:00:00.000Z'

describe('SQLite', () => {
  let dir: string
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'mnemosyne-library-'))
    return () => rm(dir, { recursive: true })
  })
  storeSuite(async () => `sqlite:${join(dir, 'library.db')}`)
})

await describePostgres('PostgreSQL', (freshUrl) => storeSuite(freshUrl))

function storeSuite(freshUrl: () => Promise<string>): void {
  let sql: Sql<LibraryTables>

  beforeAll(async () => {
    sql = await openLibrarySql(await freshUrl())
    await sql.migrate(libraryMigrations)
  })
  afterAll(() => sql?.close())

  const insert = (row: LibraryRow) => sql.transaction((tx) => insertLibrary(tx, row))
  const stored = async (change: Partial<LibraryRow> = {}) => {
    const row = libraryRow(change)
    await insert(row)
    return row
  }

  test('of twenty libraries for one workspace at the same moment one is stored', async () => {
    const rows = Array.from({ length: 20 }, () => libraryRow({ workspace_id: 'race' }))
    const outcomes = await Promise.all(rows.map(insert))
    expect(outcomes.filter((made) => made)).toHaveLength(1)
    expect(await libraryOfWorkspace(sql.read, 'race')).toEqual(rows[outcomes.indexOf(true)])
  })

  test('a library that was handed over meanwhile is not marked for its former owner', async () => {
    const { uid, owner_username } = await stored({ owner_username: 'ada' })
    await sql.transaction((tx) =>
      tx.updateTable('library').set({ owner_username: 'bob' }).where('uid', '=', uid).execute(),
    )
    const mark = (ownedBy: string) => sql.transaction((tx) => markLibraryDeleted(tx, { uid, ownedBy }, NOW))
    expect(await mark(owner_username!)).toBeUndefined()
    expect(await liveLibrary(sql.read, uid)).toMatchObject({ owner_username: 'bob' })
    expect(await mark('bob')).toMatchObject({ uid })
    expect(await liveLibrary(sql.read, uid)).toBeUndefined()
  })

  test('a workspace id is free as soon as its library is marked, and the marked row is kept apart', async () => {
    const first = await stored({ workspace_id: 'again' })
    expect(await sql.transaction((tx) => markLibraryDeleted(tx, { uid: first.uid }, NOW))).toMatchObject({
      workspace_id: 'again',
    })
    expect(await sql.transaction((tx) => markLibraryDeleted(tx, { uid: first.uid }, NOW))).toBeUndefined()
    const second = await stored({ workspace_id: 'again' })
    expect(await libraryOfWorkspace(sql.read, 'again')).toEqual(second)
    expect(await liveLibrary(sql.read, first.uid)).toBeUndefined()
    expect(await doomedLibraries(sql.read, { workspace_id: 'again', owner_username: 'ada' })).toEqual([
      first.uid,
    ])
    expect(await doomedLibraries(sql.read, { workspace_id: 'again', owner_username: 'bob' })).toEqual([])
    await sql.transaction((tx) => removeDeletedLibrary(tx, second.uid))
    expect(await findLibrary(sql.read, second.uid), 'a live library is not removed').toEqual(second)
  })

  test('a library takes its collections, items and tombstones with it', async () => {
    const library = await stored()
    const { uid } = library
    const item_uid = randomUUID()
    const collection = {
      uid: randomUUID(),
      library_uid: uid,
      name: 'c',
      description: '',
      created_at: NOW,
      updated_at: NOW,
    }
    await sql.transaction((tx) => insertCollection(tx, collection))
    expect(await sql.transaction((tx) => insertCollection(tx, collection))).toBe(false)
    await recordJob(sql, job({ library_uid: uid, item_uid }))
    await sql.transaction((tx) => markItemDeleted(tx, { uid: randomUUID(), library_uid: uid }, NOW))
    await sql.transaction((tx) => markLibraryDeleted(tx, { uid }, NOW))
    expect((await liveCollections(sql.read)).some((one) => one.library_uid === uid)).toBe(false)
    await sql.transaction((tx) => removeDeletedLibrary(tx, uid))
    for (const table of ['collection', 'item', 'item_deletion'] as const) {
      const left = await sql.read
        .selectFrom(table)
        .select('library_uid')
        .where('library_uid', '=', uid)
        .execute()
      expect(left, table).toEqual([])
    }
  })

  test('global libraries are those without an owner', async () => {
    const { uid } = await stored({ owner_username: null })
    const doomed = await stored({ owner_username: null })
    await sql.transaction((tx) => markLibraryDeleted(tx, { uid: doomed.uid }, NOW))
    expect(await globalLibraryUids(sql.read)).toEqual([uid])
  })

  test('of workspaces those are found that are live and the owner’s, however many are asked for', async () => {
    const owner_username = 'of-workspaces'
    const [a, b, doomed] = await Promise.all(
      ['ow-a', 'ow-b', 'ow-doomed'].map((workspace_id) => stored({ workspace_id, owner_username })),
    )
    await stored({ workspace_id: 'ow-other', owner_username: 'another' })
    await stored({ workspace_id: 'ow-global', owner_username: null })
    await stored({ workspace_id: 'ow-not-asked', owner_username })
    await stored({ workspace_id: null, owner_username })
    await sql.transaction((tx) => markLibraryDeleted(tx, { uid: doomed!.uid }, NOW))
    const others = Array.from({ length: WORKSPACES_ASKED_MAX - 6 }, (_, n) => `ow-nobody-${n}`)
    const asked = ['ow-b', 'ow-a', 'ow-a', 'ow-doomed', 'ow-other', 'ow-global', ...others]
    const found = await librariesOfWorkspaces(sql.read, owner_username, asked)
    expect(found).toEqual([a!.uid, b!.uid].sort())
    expect(await librariesOfWorkspaces(sql.read, owner_username, [])).toEqual([])
    expect(await librariesOfWorkspaces(sql.read, 'OF-WORKSPACES', asked)).toEqual([])
  })

  describe("an item's record follows its jobs", () => {
    const at = (day: number, hour = 0) => `2026-01-0${day}T0${hour}:00:00.000Z`
    const first = { job_id: randomUUID(), created_at: at(2), title: 'one', content_hash: '1'.repeat(64) }
    const second = { job_id: randomUUID(), created_at: at(3), title: 'two', content_hash: '2'.repeat(64) }
    const done = {
      status: 'completed',
      stage: 'completed',
      chunks_created: 7,
      embedding_model: 'bge',
    } as const
    const failed = { status: 'failed', error: 'The file is encrypted.' } as const

    const cases: [string, Partial<Job>[], Record<string, unknown>][] = [
      ['pending', [first], { embedding_status: 'pending', title: 'one' }],
      [
        'completed',
        [first, { ...first, ...done, completed_at: at(2, 1) }],
        {
          embedding_status: 'completed',
          chunk_count: 7,
          embedding_model: 'bge',
          error: null,
          updated_at: at(2, 1),
        },
      ],
      [
        'failed',
        [first, { ...first, ...failed, completed_at: at(2, 1) }],
        { embedding_status: 'failed', error: 'The file is encrypted.' },
      ],
      [
        'completed after a retry',
        [
          first,
          { ...first, ...failed, completed_at: at(2, 1) },
          { ...first, ...done, retry_count: 1, completed_at: at(2, 2) },
        ],
        { embedding_status: 'completed', error: null },
      ],
      [
        'as it was while a new version is pending or has failed',
        [
          { ...first, ...done, completed_at: at(2, 1) },
          second,
          { ...second, ...failed, completed_at: at(3, 1) },
        ],
        { embedding_status: 'completed', title: 'one', content_hash: first.content_hash, created_at: at(2) },
      ],
      [
        'the new version when that is complete',
        [
          first,
          { ...first, ...done, completed_at: at(3, 2) },
          { ...second, ...done, completed_at: at(3, 1) },
        ],
        { title: 'two', content_hash: second.content_hash, created_at: at(2) },
      ],
      [
        'nothing of a superseded job',
        [
          { ...second, ...done, completed_at: at(3, 1) },
          { ...first, ...done, stage: 'superseded' },
        ],
        { title: 'two', created_at: at(3) },
      ],
    ]

    test.each(cases)('%s, in whatever order and however often its events come', async (_, jobs, expected) => {
      const library_uid = (await stored()).uid
      for (const order of permutations(jobs)) {
        const item_uid = randomUUID()
        for (const change of [...order, order[0]])
          await recordJob(sql, job({ library_uid, item_uid, ...change }))
        expect(await findItem(sql.read, item_uid)).toMatchObject(expected)
      }
    })

    test('nothing of a deleted item, a library that is going, or one that is unknown', async () => {
      const library_uid = (await stored()).uid
      const item_uid = randomUUID()
      await recordJob(sql, job({ library_uid, item_uid }))
      await sql.transaction((tx) => markItemDeleted(tx, { uid: item_uid, library_uid }, at(4)))
      await recordJob(sql, job({ library_uid, item_uid, ...first, ...done, completed_at: at(5) }))
      expect(await findItem(sql.read, item_uid)).toBeUndefined()
      await recordJob(sql, job({ library_uid, item_uid, created_at: at(5) }))
      expect(await findItem(sql.read, item_uid), 'taken in again after its deletion').toBeDefined()

      const other = randomUUID()
      await recordJob(sql, job({ library_uid: randomUUID(), item_uid: other }))
      await sql.transaction((tx) => markLibraryDeleted(tx, { uid: library_uid }, at(5)))
      await recordJob(sql, job({ library_uid, item_uid: other }))
      expect(await findItem(sql.read, other)).toBeUndefined()
    })

    test('an event and a deletion at the same moment never leave a record', async () => {
      const library_uid = (await stored()).uid
      for (let round = 0; round < 20; round++) {
        const item_uid = randomUUID()
        await Promise.all([
          recordJob(sql, job({ library_uid, item_uid, ...first })),
          sql.transaction((tx) => markItemDeleted(tx, { uid: item_uid, library_uid }, at(4)), {
            isolation: 'serializable',
          }),
          recordJob(sql, job({ library_uid, item_uid, ...first, ...done, completed_at: at(2, 1) })),
        ])
        expect(await findItem(sql.read, item_uid)).toBeUndefined()
      }
    })
  })
}

function permutations<T>(of: T[]): T[][] {
  if (of.length < 2) return [of]
  return of.flatMap((one, at) =>
    permutations(of.filter((_, index) => index !== at)).map((rest) => [one, ...rest]),
  )
}
