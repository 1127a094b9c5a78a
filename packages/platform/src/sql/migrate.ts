import { sql, type Transaction } from 'kysely'
import type { Clock } from '../clock.ts'
import {
  type ColumnTypes,
  type Migration,
  NewerSchemaError,
  SqlMisuseError,
  UNFINISHED_RESTORE,
  UnfinishedRestoreError,
} from './port.ts'

/** Brings the schema up to date within `tx`, which holds the lock. Returns the names of what ran. */
export async function runMigrations(
  tx: Transaction<unknown>,
  types: ColumnTypes,
  migrations: readonly Migration[],
  { schema, clock }: { schema: string; clock: Clock },
): Promise<string[]> {
  const db = tx.withTables<{ schema_migrations: { name: string; applied_at: string } }>()
  await sql`create table if not exists schema_migrations (
    name ${types.text} primary key,
    applied_at ${types.text} not null
  )`.execute(tx)
  const rows = await db.selectFrom('schema_migrations').select('name').execute()
  const applied = new Set(rows.map(({ name }) => name))

  const names = migrations.map(({ name }) => name)
  const unknown = [...applied].filter((name) => !names.includes(name))
  if (unknown.some((name) => name.startsWith(UNFINISHED_RESTORE))) throw new UnfinishedRestoreError(schema)
  if (unknown.length > 0) throw new NewerSchemaError(schema, unknown.sort())
  const pending = migrations.slice(applied.size)
  const outOfOrder = pending.find(({ name }) => applied.has(name))
  if (outOfOrder || new Set(names).size < names.length) {
    throw new SqlMisuseError(
      `The migrations of ${schema} are out of order: add new ones at the end, each name once.`,
    )
  }

  for (const { name, up } of pending) {
    await up(tx, types)
    await db.insertInto('schema_migrations').values({ name, applied_at: clock().toISOString() }).execute()
  }
  return pending.map(({ name }) => name)
}
