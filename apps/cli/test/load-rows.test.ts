import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import {
  createLog,
  createRegistry,
  Metrics,
  type Migration,
  openSql,
  type SchemaRecord,
  type Sql,
  UnfinishedRestoreError,
} from '@mnemosyne/platform'
import { describePostgres } from '@mnemosyne/platform/testing'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { beginSchema, endSchema, loadSchema, stateOfSchema } from '../src/backup/load-rows.ts'
import { createSealing, openSealing } from '../src/backup/sealing.ts'
import { takeRows } from '../src/backup/take-rows.ts'

interface Tables {
  shelf: { id: string; label: string | null }
  book: { number?: number; shelf_id: string; title: string; cover: Uint8Array | null; pages: number }
  scratch: { id: string }
  lock: { room: string; door: number; code: string | null }
}

const first: Migration = {
  name: 'shelves-0001',
  async up(db, { text, identity, bigint, blob }) {
    await db.schema
      .createTable('shelf')
      .addColumn('id', text, (column) => column.primaryKey())
      .addColumn('label', text)
      .execute()
    await db.schema
      .createTable('book')
      .addColumn('number', identity)
      .addColumn('shelf_id', text, (column) => column.notNull().references('shelf.id'))
      .addColumn('title', text, (column) => column.notNull())
      .addColumn('cover', blob)
      .addColumn('pages', bigint, (column) => column.notNull())
      .execute()
    await db.schema
      .createTable('lock')
      .addColumn('room', text, (column) => column.notNull())
      .addColumn('door', 'integer', (column) => column.notNull())
      .addColumn('code', text)
      .addPrimaryKeyConstraint('lock_pk', ['room', 'door'])
      .execute()
    await db.schema
      .createTable('scratch')
      .addColumn('id', text, (column) => column.primaryKey())
      .execute()
  },
}

/** What a later version of the program does to rows that are there. */
const second: Migration = {
  name: 'shelves-0002',
  async up(db, { text }) {
    await db.schema.alterTable('shelf').addColumn('room', text).execute()
    await db
      .withTables<{ shelf: { room: string; label: string } }>()
      .updateTable('shelf')
      .set(({ ref }) => ({ room: ref('label') }))
      .execute()
  },
}

const record: SchemaRecord<Tables> = {
  schema: 'shelves',
  migrations: [first],
  tables: {
    shelf: { key: ['id'] },
    book: { key: ['number'], identity: 'number' },
    scratch: 'left out',
    lock: { key: ['room', 'door'], secret: ['code'] },
  },
}
const later = { ...record, migrations: [first, second] }

let home: string
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'mnemosyne-rows-'))
  return () => rm(home, { recursive: true, force: true })
})

type AnySql = Parameters<typeof loadSchema>[0]

async function open(url: string): Promise<Sql<Tables>> {
  const log = createLog({ component: 'test', level: 'silent' })
  const metrics = new Metrics(createRegistry(), 'test')
  const sql = await openSql<Tables>(url, { schema: 'shelves', log, metrics })
  onTestFinished(() => sql.close())
  return sql
}

/** 2,500 rows: several pages in and out. */
const books = Array.from({ length: 2_500 }, (_, n) => ({
  shelf_id: n % 2 ? 'ä/1' : 'b\u2028\n"2"',
  title: `Title ${n} “\u0001 𝕏”`,
  cover: n % 3 ? null : Uint8Array.of(n % 256, 0, 255),
  pages: n === 7 ? 2 ** 53 - 1 : n,
}))

const locks = [
  { room: 'attic', door: 1, code: 'open “sesame”' },
  { room: 'attic', door: 2, code: 'swordfish' },
  { room: 'cellar', door: 1, code: null },
  { room: 'cellar', door: 2, code: '' },
]

async function fill(sql: Sql<Tables>): Promise<void> {
  await sql.migrate(record.migrations)
  await sql.transaction(async (tx) => {
    await tx
      .insertInto('shelf')
      .values([
        { id: 'ä/1', label: 'left' },
        { id: 'b\u2028\n"2"', label: null },
      ])
      .execute()
    for (let at = 0; at < books.length; at += 500)
      await tx
        .insertInto('book')
        .values(books.slice(at, at + 500))
        .execute()
    await tx.insertInto('lock').values(locks).execute()
    await tx.insertInto('scratch').values({ id: 'not worth keeping' }).execute()
    await tx.deleteFrom('book').where('number', '=', 3).execute()
  })
}

function suite(name: string, fresh: () => Promise<string>): void {
  describe(name, () => {
    let count = 0
    const folder = () => join(home, `${name}-${count++}`)

    async function taken(): Promise<{ dir: string; entry: Awaited<ReturnType<typeof takeRows>> }> {
      const sql = await open(await fresh())
      await fill(sql)
      const dir = folder()
      return { dir, entry: await takeRows(sql, record, dir) }
    }

    async function load(
      sql: Sql<Tables>,
      into: typeof record,
      { dir, entry }: Awaited<ReturnType<typeof taken>>,
    ) {
      const any = sql as unknown as AnySql
      await beginSchema(any, into, entry, 'one')
      await loadSchema(any, into, entry, { dir, backupId: 'one' })
    }

    test('rows come back as they were, and numbers go on after the highest', async () => {
      const backup = await taken()
      const sql = await open(await fresh())
      await load(sql, record, backup)
      await expect(takeRows(sql, record, folder())).rejects.toThrow(UnfinishedRestoreError)
      await endSchema(sql as unknown as AnySql, 'one')
      const again = await takeRows(sql, record, folder())
      expect(again.tables.slice(0, -1)).toEqual(backup.entry.tables.slice(0, -1))
      expect(await sql.read.selectFrom('scratch').selectAll().execute()).toEqual([])
      const { number } = await sql.transaction((tx) =>
        tx
          .insertInto('book')
          .values({ shelf_id: 'ä/1', title: 'next', cover: null, pages: 1 })
          .returning('number')
          .executeTakeFirstOrThrow(),
      )
      expect(number).toBe(2_501)
      expect(await sql.migrate(record.migrations)).toEqual([])
    })

    test('an older layout is brought to that of today, also over empty tables of today', async () => {
      const backup = await taken()
      for (const before of ['nothing', 'tables']) {
        const sql = await open(await fresh())
        if (before === 'tables') await sql.migrate(later.migrations)
        await load(sql, later, backup)
        await endSchema(sql as unknown as AnySql, 'one')
        const rows = await sql.read.selectFrom('shelf').selectAll().orderBy('id').execute()
        expect(rows).toEqual([
          { id: 'b\u2028\n"2"', label: null, room: null },
          { id: 'ä/1', label: 'left', room: 'left' },
        ])
        expect(await sql.migrate(later.migrations)).toEqual([])
      }
    })

    test('loaded twice is loaded once, and meanwhile nothing starts on it', async () => {
      const backup = await taken()
      const sql = await open(await fresh())
      await load(sql, later, backup)
      await expect(sql.migrate(later.migrations)).rejects.toMatchObject({ code: 'SQL_UNFINISHED_RESTORE' })
      const any = sql as unknown as AnySql
      expect(await stateOfSchema(any, 'shelves', 'one')).toBe('begun')
      expect(await stateOfSchema(any, 'shelves', 'another')).toBe('filled')
      await loadSchema(any, later, backup.entry, { dir: backup.dir, backupId: 'one' })
      await endSchema(any, 'one')
      expect(await stateOfSchema(any, 'shelves', 'one')).toBe('filled')
      const { total } = await sql.read
        .selectFrom('book')
        .select(({ fn }) => fn.countAll<number>().as('total'))
        .executeTakeFirstOrThrow()
      expect(total).toBe(2_499)
    })

    describe('secrets', () => {
      const locksOf = (sql: Sql<Tables>) =>
        sql.read.selectFrom('lock').selectAll().orderBy('room').orderBy('door').execute()
      const textOf = async (dir: string) =>
        gunzipSync(await readFile(join(dir, 'rows', 'shelves.lock.jsonl.gz'))).toString()

      test('are left out without a key, and nothing stands in their place', async () => {
        const { dir, entry } = await taken()
        expect(await textOf(dir)).not.toMatch(/sesame|swordfish/)
        expect(entry.tables.at(-1)).toMatchObject({ table: 'lock', rows: 4, secrets: { values: 2 } })
        const sql = await open(await fresh())
        await load(sql, record, { dir, entry })
        expect(await locksOf(sql)).toEqual(locks.map(({ code, ...lock }) => ({ ...lock, code: code && '' })))
      })

      test('are sealed with one, and come back with it, and without it as if they were left out', async () => {
        const { sealing, seal } = await createSealing('a long passphrase', 'one')
        const source = await open(await fresh())
        await fill(source)
        const dir = folder()
        const entry = await takeRows(source, record, dir, { seal })
        expect(await textOf(dir)).not.toMatch(/sesame|swordfish/)
        for (const unseal of [await openSealing('a long passphrase', 'one', sealing), undefined]) {
          const sql = await open(await fresh())
          const any = sql as unknown as AnySql
          await beginSchema(any, record, entry, 'one')
          await loadSchema(any, record, entry, { dir, backupId: 'one', unseal })
          const expected = locks.map(({ code, ...lock }) => ({ ...lock, code: unseal ? code : code && '' }))
          expect(await locksOf(sql)).toEqual(expected)
        }
      })
    })

    test('a table that nobody has named is not forgotten silently', async () => {
      const sql = await open(await fresh())
      await sql.migrate([first])
      const { scratch: _, ...tables } = record.tables
      await expect(takeRows(sql, { ...record, tables: tables as never }, folder())).rejects.toThrow('scratch')
    })
  })
}

let files = 0
suite('SQLite', async () => `sqlite:${join(home, `${files++}.db`)}`)
await describePostgres('PostgreSQL', (fresh) => suite('rows', fresh))
