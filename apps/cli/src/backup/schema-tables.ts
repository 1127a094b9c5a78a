import type { Kysely } from 'kysely'

/** Names of the tables that a service's schema has now. */
export async function tablesOf<DB>(db: Kysely<DB>, schema: string): Promise<Set<string>> {
  const tables = await db.introspection.getTables()
  // SQLite has a file for each schema, and calls it nothing.
  const own = tables.filter((table) => (table.schema ?? schema) === schema && !table.isView)
  return new Set(own.map(({ name }) => name).filter((name) => !name.startsWith('sqlite_')))
}
