import { type Kysely, sql, type Transaction } from 'kysely'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { isUniqueViolation } from '../sql/open.ts'
import { type Migration, NewerSchemaError, type Sql, SqlMisuseError } from '../sql/port.ts'
import { prepared } from '../sql/prepared.ts'

interface Tables {
  things: Thing
  entries: { id?: number; thing: string; position: number }
}

interface Thing {
  id: string
  owner: string
  name: string | null
  state: 'open' | 'claimed' | 'done'
  body: string
  size: number
  score: number
  vector: Uint8Array | null
  created_at: string
}

const migrations: Migration[] = [
  {
    name: 'contract-0001',
    async up(_db, { text, bigint, double, blob }) {
      await sql`create table things (
        id ${text} primary key,
        owner ${text} not null,
        name ${text},
        state ${text} not null,
        body ${text} not null,
        size ${bigint} not null,
        score ${double} not null,
        vector ${blob},
        created_at ${text} not null
      )`.execute(_db)
      await sql`create unique index things_one_open on things (owner) where state = 'open'`.execute(_db)
    },
  },
  {
    name: 'contract-0002',
    async up(db, { identity, text, bigint }) {
      await db.schema
        .createTable('entries')
        .addColumn('id', identity)
        .addColumn('thing', text, (column) => column.notNull().references('things.id').onDelete('cascade'))
        .addColumn('position', bigint, (column) => column.notNull())
        .execute()
    },
  },
]

/**
 * What the SQL port promises. `fresh` makes the URL of an empty database; `open` opens it, twice at once too,
 * as two processes would.
 */
export function sqlContract(
  name: string,
  fresh: () => Promise<string>,
  open: (url: string) => Promise<Sql<unknown>>,
): void {
  describe(name, () => {
    let url: string
    let db: Sql<Tables>
    const connect = async () => {
      const opened = (await open(url)) as Sql<Tables>
      onTestFinished(() => opened.close())
      return opened
    }
    beforeEach(async () => {
      url = await fresh()
      db = (await open(url)) as Sql<Tables>
      await db.migrate(migrations)
      return () => db.close()
    })
    const add = (...things: Partial<Thing>[]) =>
      db.transaction((tx) => tx.insertInto('things').values(things.map(thing)).execute())
    const names = async () =>
      (await db.read.selectFrom('things').select('name').orderBy('name').execute()).map(({ name }) => name)

    describe('values', () => {
      it('come back as they went in', async () => {
        const stored = thing({
          name: 'Zoë 🦉 "quoted" \\ \n',
          body: JSON.stringify({ nested: [1, 'two', { three: null }] }),
          size: Number.MAX_SAFE_INTEGER,
          score: 0.1,
          vector: new Uint8Array([0, 255, 1, 128]),
        })
        await add(stored)
        const row = await db.read.selectFrom('things').selectAll().executeTakeFirstOrThrow()
        expect({ ...row }).toEqual(stored)
      })

      it('reads a blob into memory of its own, so that numbers may be laid over it', async () => {
        const numbers = Float32Array.from({ length: 384 }, (_, n) => n / 7)
        await add({ vector: new Uint8Array(numbers.buffer) })
        const { vector } = await db.read.selectFrom('things').select('vector').executeTakeFirstOrThrow()
        expect(new Float32Array((vector as Uint8Array).buffer)).toEqual(numbers)
      })

      it('counts, sums and averages in numbers', async () => {
        await add({ size: 2 ** 40 }, { size: 2 ** 40 + 2 })
        const { count, sum, avg } = db.read.fn
        const row = await db.read
          .selectFrom('things')
          .select([count('id').as('count'), sum('size').as('sum'), avg('size').as('avg')])
          .executeTakeFirstOrThrow()
        expect({ ...row }).toEqual({ count: 2, sum: 2 ** 41 + 2, avg: 2 ** 40 + 1 })
      })

      it('throws rather than round an integer beyond 2^53', async () => {
        await add({ size: Number.MAX_SAFE_INTEGER })
        await expect(db.read.selectFrom('things').select(sql`size + 10`.as('n')).execute()).rejects.toThrow(
          RangeError,
        )
      })

      it('sorts text by code point', async () => {
        await add({ name: 'b' }, { name: 'a' }, { name: 'B' }, { name: 'é' }, { name: '_' }, { name: '1' })
        expect(await names()).toEqual(['1', 'B', '_', 'a', 'b', 'é'])
      })

      it.each([
        ['a boolean', true],
        ['a date', new Date()],
        ['an object', { a: 1 }],
        ['undefined', undefined],
        ['text with a NUL', 'a\0b'],
      ])('refuses %s', async (_, value) => {
        const query = db.read
          .selectFrom('things')
          .selectAll()
          .where('name', '=', value as string)
        await expect(query.execute()).rejects.toThrow(SqlMisuseError)
      })

      it('refuses more parameters than both can take', async () => {
        const many = Array.from({ length: 33_000 }, (_, n) => `${n}`)
        const query = db.read.selectFrom('things').selectAll().where('id', 'in', many)
        await expect(query.execute()).rejects.toThrow('smaller batches')
      })
    })

    describe('statements', () => {
      it('bind their values anew each time, when they are prepared', async () => {
        const named = prepared((handle: Kysely<Tables>, state: Thing['state'], owner: string) =>
          handle.selectFrom('things').select('id').where('owner', '=', owner).where('state', '=', state),
        )
        await add({ id: 'a', owner: 'one', state: 'open' }, { id: 'b', owner: 'two', state: 'open' })
        expect(await named(db.read, 'open', 'one')).toEqual([{ id: 'a' }])
        expect(await named(db.read, 'open', 'two')).toEqual([{ id: 'b' }])
        expect(await named(db.read, 'done', 'two')).toEqual([])
        await db.transaction(async (tx) => expect(await named(tx, 'open', 'two')).toEqual([{ id: 'b' }]))
      })

      it('upsert and return', async () => {
        const upsert = (name: string) =>
          db.transaction((tx) =>
            tx
              .insertInto('things')
              .values(thing({ id: 'one', name }))
              .onConflict((conflict) => conflict.column('id').doUpdateSet({ name }))
              .returning(['id', 'name'])
              .executeTakeFirstOrThrow(),
          )
        expect({ ...(await upsert('first')) }).toEqual({ id: 'one', name: 'first' })
        expect({ ...(await upsert('second')) }).toEqual({ id: 'one', name: 'second' })
        expect(await names()).toEqual(['second'])
      })

      it('tell how many rows they changed', async () => {
        await add({ owner: 'a' }, { owner: 'a' }, { owner: 'b' })
        const { numUpdatedRows } = await db.transaction((tx) =>
          tx.updateTable('things').set({ name: 'x' }).where('owner', '=', 'a').executeTakeFirst(),
        )
        const { numDeletedRows } = await db.transaction((tx) =>
          tx.deleteFrom('things').where('owner', '=', 'b').executeTakeFirst(),
        )
        expect([numUpdatedRows, numDeletedRows]).toEqual([2n, 1n])
      })

      it('respect a partial unique index, and name it as the target of a conflict', async () => {
        const insert = (id: string, state: Thing['state']) =>
          db.transaction((tx) =>
            tx
              .insertInto('things')
              .values(thing({ id, owner: 'a', state }))
              .onConflict((conflict) =>
                conflict.column('owner').where('state', '=', sql.lit('open')).doNothing(),
              )
              .returning('id')
              .executeTakeFirst(),
          )
        expect(await insert('one', 'open')).toBeDefined()
        expect(await insert('two', 'open')).toBeUndefined()
        expect(await insert('three', 'done')).toBeDefined()
        expect(await insert('four', 'done')).toBeDefined()
      })

      it('cascade', async () => {
        await add({ id: 'one' })
        await db.transaction((tx) => tx.insertInto('entries').values({ thing: 'one', position: 1 }).execute())
        await db.transaction((tx) => tx.deleteFrom('things').where('id', '=', 'one').execute())
        expect(await db.read.selectFrom('entries').selectAll().execute()).toEqual([])
      })

      it('refuse a reference to nothing', async () => {
        const insert = db.transaction((tx) =>
          tx.insertInto('entries').values({ thing: 'none', position: 1 }).execute(),
        )
        await expect(insert).rejects.toThrow(/foreign key/i)
      })

      it('number rows upwards and use no number twice', async () => {
        await add({ id: 'one' })
        const insert = () =>
          db.transaction((tx) =>
            tx
              .insertInto('entries')
              .values({ thing: 'one', position: 1 })
              .returning('id')
              .executeTakeFirstOrThrow(),
          )
        const first = (await insert()).id as number
        const second = (await insert()).id as number
        await db.transaction((tx) => tx.deleteFrom('entries').where('id', '=', second).execute())
        const third = (await insert()).id as number
        expect(second).toBeGreaterThan(first)
        expect(third).toBeGreaterThan(second)
      })
    })

    describe('transactions', () => {
      it('waits for the disk, unless told that it need not', async () => {
        const ask = db.dialect === 'sqlite' ? sql`pragma synchronous` : sql`show synchronous_commit`
        const value = async (on: typeof db.read) =>
          Object.values((await ask.execute(on)).rows[0] as object)[0]
        const setting = (options?: { durable: boolean }) => db.transaction((tx) => value(tx), options)
        // PostgreSQL's own setting is its administrator's.
        const [waits, goesOn] = db.dialect === 'sqlite' ? [2, 1] : [await value(db.read), 'off']
        expect(await setting()).toBe(waits)
        expect(await setting({ durable: false })).toBe(goesOn)
        expect(await setting()).toBe(waits)
      })

      it('commit what they did, and return what work returned', async () => {
        const result = await db.transaction(async (tx) => {
          await tx
            .insertInto('things')
            .values(thing({ name: 'kept' }))
            .execute()
          return 42
        })
        expect(result).toBe(42)
        expect(await names()).toEqual(['kept'])
      })

      it('roll back when work throws, and pass its error on', async () => {
        const failure = new Error('no')
        const work = db.transaction(async (tx) => {
          await tx.insertInto('things').values(thing({})).execute()
          throw failure
        })
        await expect(work).rejects.toBe(failure)
        expect(await names()).toEqual([])
      })

      it('show nothing outside before the commit', async () => {
        const written = Promise.withResolvers<void>()
        const looked = Promise.withResolvers<void>()
        const other = await connect()
        const work = db.transaction(async (tx) => {
          await tx.insertInto('things').values(thing({})).execute()
          written.resolve()
          await looked.promise
        })
        await written.promise
        expect(await other.read.selectFrom('things').selectAll().execute()).toEqual([])
        looked.resolve()
        await work
        expect(await other.read.selectFrom('things').selectAll().execute()).toHaveLength(1)
      })

      it('can only roll back after a statement failed', async () => {
        await add({ id: 'one' })
        const work = db.transaction(async (tx) => {
          await tx
            .insertInto('things')
            .values(thing({ name: 'lost' }))
            .execute()
          await tx
            .insertInto('things')
            .values(thing({ id: 'one' }))
            .execute()
            .catch(() => {})
        })
        await expect(work).rejects.toThrow('can only be rolled back')
        const more = db.transaction(async (tx) => {
          await tx
            .insertInto('things')
            .values(thing({ id: 'one' }))
            .execute()
            .catch(() => {})
          await tx.selectFrom('things').selectAll().execute()
        })
        await expect(more).rejects.toThrow('can only be rolled back')
        expect(await names()).toEqual([null])
      })

      it('are over when they are over', async () => {
        let leaked: Transaction<Tables> | undefined
        await db.transaction(async (tx) => {
          leaked = tx
        })
        await expect(leaked?.selectFrom('things').selectAll().execute()).rejects.toThrow()
      })

      it('run many at once, each whole', async () => {
        await add({ id: 'sum', size: 0 })
        const increments = Array.from({ length: 40 }, () =>
          db.transaction(async (tx) => {
            await tx
              .insertInto('things')
              .values(thing({ state: 'done' }))
              .execute()
            await tx
              .updateTable('things')
              .set((set) => ({ size: set('size', '+', 1) }))
              .where('id', '=', 'sum')
              .execute()
          }),
        )
        await Promise.all(increments)
        const { size } = await db.read
          .selectFrom('things')
          .select('size')
          .where('id', '=', 'sum')
          .executeTakeFirstOrThrow()
        expect(size).toBe(40)
      })

      it('lose no update between read and write when serializable', async () => {
        await add({ id: 'sum', size: 0 })
        const increment = () =>
          db.transaction(
            async (tx) => {
              const row = tx.selectFrom('things').select('size').where('id', '=', 'sum')
              const { size } = await row.executeTakeFirstOrThrow()
              await tx
                .updateTable('things')
                .set({ size: size + 1 })
                .where('id', '=', 'sum')
                .execute()
            },
            { isolation: 'serializable' },
          )
        await Promise.all([increment(), increment(), increment()])
        const { size } = await db.read.selectFrom('things').select('size').executeTakeFirstOrThrow()
        expect(size).toBe(3)
      })

      it('let exactly one of two claimers win', async () => {
        const other = await connect()
        const things = Array.from({ length: 20 }, (_, n) => ({
          id: `thing-${n}`,
          owner: `${n}`,
          state: 'open' as const,
        }))
        await add(...things)
        const claim = (on: Sql<Tables>, id: string) =>
          on.transaction((tx) =>
            tx
              .updateTable('things')
              .set({ state: 'claimed' })
              .where('id', '=', id)
              .where('state', '=', 'open')
              .returning('id')
              .executeTakeFirst(),
          )
        const claims = await Promise.all(things.flatMap(({ id }) => [claim(db, id), claim(other, id)]))
        expect(claims.flatMap((won) => (won ? [won.id] : [])).sort()).toEqual(
          things.map(({ id }) => id).sort(),
        )
      })
    })

    describe('the guard', () => {
      it('refuses reads outside of the transaction that is open, at any depth', async () => {
        const deep = async () => {
          await Promise.resolve()
          return db.read.selectFrom('things').selectAll().execute()
        }
        await expect(db.transaction(deep)).rejects.toThrow(SqlMisuseError)
      })

      it('refuses a transaction inside of a transaction', async () => {
        await expect(db.transaction(() => db.transaction(async () => {}))).rejects.toThrow(SqlMisuseError)
      })

      it('lets others work meanwhile, and the same caller afterwards', async () => {
        const gate = Promise.withResolvers<void>()
        const open = db.transaction(() => gate.promise)
        expect(await names()).toEqual([])
        gate.resolve()
        await open
        await db.transaction(async () => {})
        expect(await names()).toEqual([])
      })

      it('lets work that was begun in a transaction go on after it', async () => {
        const over = Promise.withResolvers<void>()
        let later: Promise<unknown> | undefined
        await db.transaction(async () => {
          later = over.promise.then(names)
        })
        over.resolve()
        expect(await later).toEqual([])
      })

      it.each<[string, (db: Sql<Tables>) => Promise<unknown>]>([
        ['insert', ({ read }) => read.insertInto('things').values(thing({})).execute()],
        ['update', ({ read }) => read.updateTable('things').set({ size: 1 }).execute()],
        ['delete', ({ read }) => read.deleteFrom('things').execute()],
        ['change of the schema', ({ read }) => read.schema.dropTable('things').execute()],
        ['transaction', ({ read }) => read.transaction().execute(async () => {})],
      ])('refuses to %s by way of read', async (_, write) => {
        await expect(write(db)).rejects.toThrow(SqlMisuseError)
      })
    })

    describe('errors', () => {
      it('know a unique violation from others', async () => {
        await add({ id: 'one', owner: 'a', state: 'open' })
        const sameId = await add({ id: 'one' }).catch((error) => error)
        const sameOwner = await add({ owner: 'a', state: 'open' }).catch((error) => error)
        const noOwner = await add({ owner: null as unknown as string }).catch((error) => error)
        expect([sameId, sameOwner, noOwner].map(isUniqueViolation)).toEqual([true, true, false])
      })

      it('do not quote the values of the row', async () => {
        await add({ id: 'private-value' })
        const error = await add({ id: 'private-value' }).catch((error) => error)
        expect(JSON.stringify({ ...error, message: error.message })).not.toContain('private-value')
      })
    })

    describe('migrations', () => {
      it('run once', async () => {
        expect(await db.migrate(migrations)).toEqual([])
      })

      it('run once when two processes start at the same time', async () => {
        const other = await connect()
        const more: Migration[] = [
          ...migrations,
          {
            name: 'contract-0003',
            up: async (tx) => {
              await sql`alter table things add column extra integer`.execute(tx)
            },
          },
        ]
        const ran = await Promise.all([db.migrate(more), other.migrate(more)])
        expect(ran.flat()).toEqual(['contract-0003'])
      })

      it('leave nothing behind when one fails', async () => {
        const failing: Migration[] = [
          ...migrations,
          {
            name: 'contract-0003',
            up: async (tx) => {
              await sql`create table half (id integer)`.execute(tx)
              throw new Error('half way')
            },
          },
        ]
        await expect(db.migrate(failing)).rejects.toThrow('half way')
        await expect(sql`select * from half`.execute(db.read)).rejects.toThrow(/half/)
        expect(await db.migrate(migrations)).toEqual([])
      })

      it('refuse a database of a newer version', async () => {
        const older = migrations.slice(0, 1)
        const refusal = await db.migrate(older).catch((error) => error)
        expect(refusal).toBeInstanceOf(NewerSchemaError)
        expect(refusal.message).toMatch(/newer version.*contract-0002.*Upgrade Mnemosyne/)
      })

      it('refuse to be reordered', async () => {
        const [first, second] = migrations as [Migration, Migration]
        const between = { name: 'contract-0001b', up: async () => {} }
        await expect(db.migrate([first, between, second])).rejects.toThrow(SqlMisuseError)
      })
    })

    describe('a snapshot', () => {
      it('is one state, while others write', async () => {
        await add({ id: '1', name: 'before' })
        const other = await connect()
        const meanwhile = thing({ id: '2', name: 'meanwhile' })
        const seen = await db.snapshot(async (state) => {
          const first = await state.selectFrom('things').select('name').execute()
          await other.transaction((tx) => tx.insertInto('things').values(meanwhile).execute())
          return [first, await state.selectFrom('things').select('name').execute()]
        })
        expect(seen).toEqual([[{ name: 'before' }], [{ name: 'before' }]])
        expect(await names()).toEqual(['before', 'meanwhile'])
      })

      it('writes nothing', async () => {
        const write = db.snapshot((state) => state.deleteFrom('things').execute())
        await expect(write).rejects.toThrow(/read-?only/)
      })

      it('refuses reads and transactions on the same handle inside of it', async () => {
        await expect(db.snapshot(() => names())).rejects.toThrow(SqlMisuseError)
      })
    })

    it('keeps what was committed when closed and opened again', async () => {
      await add({ name: 'kept' })
      await db.close()
      await db.close()
      await expect(db.ping()).rejects.toThrow('closed')
      db = await connect()
      await db.ping()
      expect(await names()).toEqual(['kept'])
    })

    it('finishes the transaction in hand before it closes', async () => {
      const gate = Promise.withResolvers<void>()
      const begun = Promise.withResolvers<void>()
      const work = db.transaction(async (tx) => {
        begun.resolve()
        await gate.promise
        await tx
          .insertInto('things')
          .values(thing({ name: 'finished' }))
          .execute()
      })
      await begun.promise
      const closed = db.close()
      gate.resolve()
      await Promise.all([work, closed])
      db = await connect()
      expect(await names()).toEqual(['finished'])
    })
  })
}

let made = 0
const thing = (given: Partial<Thing>): Thing => ({
  id: `thing-${++made}`,
  owner: 'someone',
  name: null,
  state: 'done',
  body: '{}',
  size: 0,
  score: 0,
  vector: null,
  created_at: '2026-01-01T00:00:00.000Z',
  ...given,
})
