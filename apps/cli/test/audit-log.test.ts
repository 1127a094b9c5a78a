import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type AuthTables, authSchema } from '@mnemosyne/auth'
import { createLog, createRegistry, Metrics, openSql, type Sql } from '@mnemosyne/platform'
import { describePostgres } from '@mnemosyne/platform/testing'
import { sql as text } from 'kysely'
import { beforeAll, expect, onTestFinished, test } from 'vitest'
import { beginSchema, endSchema, loadSchema } from '../src/backup/load-rows.ts'
import { takeRows } from '../src/backup/take-rows.ts'

let home: string
let count = 0
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'mnemosyne-audit-log-'))
  return () => rm(home, { recursive: true, force: true })
})

const freshFile = async () => `sqlite:${join(home, `${count++}.db`)}`

async function open(url: string): Promise<Sql<AuthTables>> {
  const log = createLog({ component: 'test', level: 'silent' })
  const metrics = new Metrics(createRegistry(), 'test')
  const sql = await openSql<AuthTables>(url, { schema: 'auth', log, metrics })
  onTestFinished(() => sql.close())
  return sql
}

const row = (n: number) => ({
  record_id: n === 0 ? null : `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`,
  actor: 'gone',
  username: n % 2 ? 'ada' : null,
  team_id: null,
  token_id: null,
  action: 'library.deleted',
  target: 'ä',
  outcome: n % 3 ? ('done' as const) : ('refused' as const),
  count: n + 1,
  detail: '{"reason":"“ä” 𝕏"}',
  request_id: `r${n}`,
  created_at: '2030-01-01T00:00:00.000Z',
})

const rows = (sql: Sql<AuthTables>) => sql.read.selectFrom('audit_log').selectAll().orderBy('id').execute()

/** Into a database on which the program has started before: its tables are sealed already. */
async function comesBack(from: string, to: string): Promise<void> {
  const source = await open(from)
  await source.migrate(authSchema.migrations)
  for (let n = 0; n < 3; n++)
    await source.transaction((tx) => tx.insertInto('audit_log').values(row(n)).execute())
  const dir = join(home, `backup-${count++}`)
  const entry = await takeRows(source, authSchema, dir)

  const target = await open(to)
  await target.migrate(authSchema.migrations)
  const any = target as unknown as Parameters<typeof loadSchema>[0]
  await beginSchema(any, authSchema, entry, 'one')
  await loadSchema(any, authSchema, entry, { dir, backupId: 'one' })
  await endSchema(any, 'one')

  expect(await rows(target)).toEqual(await rows(source))
  for (const statement of [text`delete from audit_log`, text`update audit_log set target = 'x'`])
    await expect(target.transaction((tx) => statement.execute(tx))).rejects.toThrow(/append-only/)
  await target.transaction((tx) => tx.insertInto('audit_log').values(row(3)).execute())
  expect((await rows(target)).map(({ request_id }) => request_id)).toEqual(['r0', 'r1', 'r2', 'r3'])
}

test('the audit log comes back from a backup as it was, and sealed', async () =>
  comesBack(await freshFile(), await freshFile()))

await describePostgres('with PostgreSQL', (freshUrl) => {
  test('the audit log comes back from a backup as it was, and sealed', async () =>
    comesBack(await freshUrl(), await freshUrl()))

  test('it moves to a server', async () => comesBack(await freshFile(), await freshUrl()))
})
