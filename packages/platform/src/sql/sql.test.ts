import { randomUUID } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sql } from 'kysely'
import { Registry } from 'prom-client'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { createLog } from '../log.ts'
import { Metrics } from '../telemetry.ts'
import { startPostgres } from '../testing/postgres-server.ts'
import { describePostgres } from '../testing/servers.ts'
import { describeSmallDisk, mountSmallDisk } from '../testing/small-disk.ts'
import { sqlContract } from '../testing/sql-contract.ts'
import { openSql } from './open.ts'
import { SqlFullError, SqlOpenError, SqlUnavailableError } from './port.ts'

const options = () => ({
  schema: 'contract',
  log: createLog({ component: 'test', level: 'silent' }),
  metrics: new Metrics(new Registry(), 'test'),
})

let dir: string
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'mnemosyne-sql-'))
  return () => rm(dir, { recursive: true })
})

sqlContract(
  'SQLite in a file',
  async () => `sqlite:${join(dir, randomUUID())}.db`,
  (url) => openSql(url, options()),
)

describe('SQLite', () => {
  it('in memory is one database for reads and transactions', async () => {
    await using db = await openSql<{ t: { a: number } }>('sqlite::memory:', options())
    await db.transaction(async (tx) => {
      await sql`create table t (a integer)`.execute(tx)
      await tx.insertInto('t').values({ a: 1 }).execute()
    })
    const reads = Array.from({ length: 3 }, () => db.read.selectFrom('t').selectAll().execute())
    expect((await Promise.all(reads)).flat()).toHaveLength(3)
  })

  it('commits durably and checks references', async () => {
    await using db = await openSql('sqlite::memory:', options())
    const pragma = (name: string) =>
      db.transaction(async (tx) =>
        (await sql.raw<object>(`pragma ${name}`).execute(tx)).rows.map((row) => ({ ...row })),
      )
    expect(await pragma('synchronous')).toEqual([{ synchronous: 2 }])
    expect(await pragma('foreign_keys')).toEqual([{ foreign_keys: 1 }])
  })

  it('says what is wrong with a file that is no database', async () => {
    const file = join(dir, 'text.db')
    await writeFile(file, 'This is no database. '.repeat(100))
    await expect(openSql(`sqlite:${file}`, options())).rejects.toThrow(
      /text\.db cannot be opened.*not a database/,
    )
  })

  it('says that the folder is missing', async () => {
    const refusal = await openSql(`sqlite:${join(dir, 'none', 'x.db')}`, options()).catch((error) => error)
    expect(refusal).toBeInstanceOf(SqlOpenError)
    expect(refusal.message).toContain('Check that its folder exists')
  })
})

await describeSmallDisk('SQLite on a full disk', () => {
  it('says so, loses nothing, and goes on when there is space', async () => {
    const disk = await mountSmallDisk(1_000)
    onTestFinished(() => disk.close())
    const db = await openSql<{ t: { a: string } }>(`sqlite:${join(disk.dir, 'x.db')}`, options())
    await db.transaction((tx) => sql`create table t (a text)`.execute(tx))
    const insert = (a: string) => db.transaction((tx) => tx.insertInto('t').values({ a }).execute())
    await insert('kept')
    const refusal = await insert('x'.repeat(2_000_000)).catch((error) => error)
    expect(refusal).toBeInstanceOf(SqlFullError)
    expect(refusal.message).toContain('No space is left')
    await insert('after')
    const rows = await db.read.selectFrom('t').select('a').execute()
    expect(rows.map(({ a }) => a)).toEqual(['kept', 'after'])
    await db.close()
  })
})

describe('the URL', () => {
  it.each(['', 'sqlite:', 'mysql://u:hunter2@h/d', 'postgres://u:hunter2#x@h:port/d'])(
    '%j is refused, unquoted',
    async (url) => {
      const refusal = await openSql(url, options()).catch((error) => error)
      expect(refusal).toBeInstanceOf(SqlOpenError)
      expect(refusal.message).toMatch(/percent-encoded/)
      expect(refusal.message).not.toContain('hunter2')
    },
  )

  it('of a server that is not there is said to be unreachable', async () => {
    const refusal = await openSql('postgres://u:hunter2@127.0.0.1:1/d', options()).catch((error) => error)
    expect(refusal).toBeInstanceOf(SqlUnavailableError)
    expect(refusal.message).not.toContain('hunter2')
  })
})

await describePostgres('PostgreSQL', (freshUrl) => {
  sqlContract('in a schema', freshUrl, (url) => openSql(url, options()))

  it('keeps services apart by schema', async () => {
    const url = await freshUrl()
    await using one = await openSql<{ t: { a: number } }>(url, { ...options(), schema: 'one' })
    await using two = await openSql<{ t: { a: number } }>(url, { ...options(), schema: 'two' })
    for (const db of [one, two]) {
      await db.migrate([
        { name: '1', up: (tx) => tx.schema.createTable('t').addColumn('a', 'integer').execute() },
      ])
    }
    await one.transaction((tx) => tx.insertInto('t').values({ a: 1 }).execute())
    expect(await two.read.selectFrom('t').selectAll().execute()).toEqual([])
  })

  it('opens ten times at once on a database without the schema', async () => {
    const url = await freshUrl()
    const opened = await Promise.all(Array.from({ length: 10 }, () => openSql(url, options())))
    await Promise.all(opened.map((db) => db.close()))
  })

  it('ends a statement that takes too long', async () => {
    await using db = await openSql(await freshUrl(), { ...options(), statementTimeoutMs: 100 })
    await expect(sql`select pg_sleep(10)`.execute(db.read)).rejects.toThrow('statement timeout')
  })

  it('runs a transaction again after a deadlock', async () => {
    await using db = await openSql<{ t: { id: number; n: number } }>(await freshUrl(), options())
    await db.transaction(async (tx) => {
      await sql`create table t (id integer primary key, n integer not null)`.execute(tx)
      await tx
        .insertInto('t')
        .values([
          { id: 1, n: 0 },
          { id: 2, n: 0 },
        ])
        .execute()
    })
    const add = (ids: number[]) =>
      db.transaction(async (tx) => {
        for (const id of ids) {
          await tx
            .updateTable('t')
            .set((set) => ({ n: set('n', '+', 1) }))
            .where('id', '=', id)
            .execute()
          await sql`select pg_sleep(0.1)`.execute(tx)
        }
      })
    await Promise.all([add([1, 2]), add([2, 1])])
    expect(await db.read.selectFrom('t').select('n').execute()).toEqual([{ n: 2 }, { n: 2 }])
  })

  it('says that the password is wrong, and not which', async () => {
    const url = new URL(await freshUrl())
    url.password = 'hunter2'
    const refusal = await openSql(url.href, options()).catch((error) => error)
    expect(refusal).toBeInstanceOf(SqlOpenError)
    expect(refusal.message).toMatch(/password/)
    expect(refusal.message).not.toContain('hunter2')
  })

  describe('when the server goes away', () => {
    const state: { server?: Awaited<ReturnType<typeof startPostgres>> } = {}
    beforeAll(async () => {
      state.server = await startPostgres()
    })
    afterAll(() => state.server?.close())
    const opened = async () => {
      const db = await openSql(state.server?.url as string, options())
      onTestFinished(() => db.close())
      return db
    }

    it.each(['stop', 'kill'] as const)('(%s) says so, and goes on when it is back', async (how) => {
      const server = state.server as NonNullable<typeof state.server>
      const db = await opened()
      await Promise.all([1, 2, 3].map(() => db.ping()))
      const begun = Promise.withResolvers<void>()
      const gone = Promise.withResolvers<void>()
      const inHand = db.transaction(async (tx) => {
        await sql`select 1`.execute(tx)
        begun.resolve()
        await gone.promise
        await sql`select 1`.execute(tx)
      })
      const refused = expect(inHand).rejects.toThrow(SqlUnavailableError)
      await begun.promise
      await server[how]()
      await expect.poll(() => db.ping().catch((error) => error.code)).toBe('SQL_UNAVAILABLE')
      gone.resolve()
      await refused
      await server.start()
      await db.ping()
      await db.transaction((tx) => sql`select 1`.execute(tx))
    })
  })
})
