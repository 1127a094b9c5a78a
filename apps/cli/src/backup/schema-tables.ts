import type { Sql } from '@mnemosyne/platform'
import { type Kysely, sql as text } from 'kysely'

/** Names of the tables that a service's schema has now. */
export async function tablesOf<DB>(
  db: Kysely<DB>,
  dialect: Sql<unknown>['dialect'],
  schema: string,
): Promise<Set<string>> {
  // SQLite has a file for each schema.
  const query =
    dialect === 'sqlite'
      ? text<{
          name: string
        }>`select name from sqlite_schema where type = 'table' and name not like 'sqlite_%'`
      : text<{ name: string }>`select tablename as name from pg_tables where schemaname = ${schema}`
  const { rows } = await query.execute(db)
  return new Set(rows.map(({ name }) => name))
}
