import { type Migration, type SchemaRecord, type Sql, UNFINISHED_RESTORE } from '@mnemosyne/platform'
import { type Transaction, sql as text } from 'kysely'
import { BackupError } from './errors.ts'
import { type Row, readLines } from './line-files.ts'
import type { SchemaEntry, TableEntry } from './manifest.ts'
import { tablesOf } from './schema-tables.ts'
import type { Unseal } from './sealing.ts'
import { withSecrets } from './secret-columns.ts'

type AnyTables = Record<string, Row>
type AnySql = Sql<AnyTables>
type AnyTransaction = Transaction<AnyTables>
type AnyRecord = Pick<SchemaRecord, 'schema' | 'migrations'>

/**
 * Stands among the migrations of a schema while it is being restored. Services refuse a schema with a migration that
 * they do not know, so none starts on half of a restore; and the next attempt knows what it has before it.
 */
const markOf = (backupId: string): Migration => ({
  name: `${UNFINISHED_RESTORE}${backupId}`,
  async up() {},
})

export type SchemaState =
  /** Nothing is in it. */
  | 'empty'
  /** A restore of this very backup was cut short. */
  | 'begun'
  | 'filled'

export async function stateOfSchema(sql: AnySql, schema: string, backupId: string): Promise<SchemaState> {
  const tables = await tablesOf(sql.read, sql.dialect, schema)
  if (tables.has('schema_migrations')) {
    const rows = await sql.read.selectFrom('schema_migrations').select('name').execute()
    const marks = rows.map(({ name }) => name as string).filter((name) => name.startsWith(UNFINISHED_RESTORE))
    if (marks.includes(markOf(backupId).name)) return 'begun'
    if (marks.length > 0) return 'filled'
  }
  tables.delete('schema_migrations')
  return (await holdsRows(sql.read, tables)) ? 'filled' : 'empty'
}

async function holdsRows(db: AnySql['read'] | AnyTransaction, tables: Iterable<string>): Promise<boolean> {
  for (const table of tables) {
    const row = await db.selectFrom(table).select(text`1`.as('one')).limit(1).executeTakeFirst()
    if (row) return true
  }
  return false
}

/** Brings an empty schema to the level of the backup and marks it. */
export async function beginSchema(
  sql: AnySql,
  record: AnyRecord,
  entry: SchemaEntry,
  backupId: string,
): Promise<void> {
  await dropEmptyTables(sql, record.schema)
  await sql.migrate([...levelOf(record, entry), markOf(backupId)])
}

/** What an earlier start of the program has made there may be of another level. */
async function dropEmptyTables(sql: AnySql, schema: string): Promise<void> {
  await sql.transaction(async (tx) => {
    const tables = await tablesOf(tx, sql.dialect, schema)
    if (
      await holdsRows(
        tx,
        [...tables].filter((table) => table !== 'schema_migrations'),
      )
    ) {
      throw new BackupError('STORES_NOT_EMPTY', `Something has been written to the database of ${schema}.`)
    }
    const cascade = sql.dialect === 'postgres' ? text`cascade` : text``
    if (sql.dialect === 'sqlite') await text`pragma defer_foreign_keys = on`.execute(tx)
    for (const table of tables) await text`drop table ${text.table(table)} ${cascade}`.execute(tx)
  })
}

const levelOf = ({ migrations }: AnyRecord, entry: SchemaEntry) =>
  migrations.filter(({ name }) => entry.migrations.includes(name))

export interface LoadOptions {
  dir: string
  backupId: string
  /** Without it secrets that are sealed stay behind. */
  unseal?: Unseal
}

/**
 * Loads the rows into a schema that {@link beginSchema} has marked, all in one transaction, unless they are there;
 * then runs the migrations that came after the backup.
 */
export async function loadSchema(
  sql: AnySql,
  record: AnyRecord,
  entry: SchemaEntry,
  { dir, backupId, unseal }: LoadOptions,
): Promise<void> {
  const { schema } = record
  await sql.transaction(async (tx) => {
    if (
      await holdsRows(
        tx,
        entry.tables.map(({ table }) => table),
      )
    )
      return
    for (const table of entry.tables)
      await loadTable(tx, { dialect: sql.dialect, schema, dir, unseal }, table)
  })
  const level = levelOf(record, entry)
  await sql.migrate([...level, markOf(backupId), ...record.migrations.slice(level.length)])
}

/** A statement's parameters are bounded; with the widest table this stays far below. */
const ROWS_AT_ONCE = 200

interface SchemaPlace {
  dialect: AnySql['dialect']
  schema: string
}

async function loadTable(
  tx: AnyTransaction,
  { dialect, schema, dir, unseal }: Pick<LoadOptions, 'dir' | 'unseal'> & SchemaPlace,
  { table, file, rows: expected, identity, secrets }: TableEntry,
): Promise<void> {
  let loaded = 0
  for await (const rows of readLines(dir, file, ROWS_AT_ONCE)) {
    const whole = secrets ? rows.map((row) => withSecrets(row, `${schema}.${table}`, secrets, unseal)) : rows
    await tx.insertInto(table).values(whole).execute()
    loaded += rows.length
  }
  if (loaded !== expected) {
    throw new BackupError('BACKUP_DAMAGED', `${dir}/${file} holds ${loaded} rows; ${expected} were written.`)
  }
  // SQLite goes on from the highest number by itself.
  if (identity && dialect === 'postgres' && loaded > 0) {
    const highest = tx.selectFrom(table).select(({ fn }) => fn.max(identity).as('id'))
    await text`select setval(pg_get_serial_sequence(${table}, ${identity}), (${highest}))`.execute(tx)
  }
}

/** With this the schema is an ordinary one. */
export async function endSchema(sql: AnySql, backupId: string): Promise<void> {
  await sql.transaction((tx) =>
    tx.deleteFrom('schema_migrations').where('name', '=', markOf(backupId).name).execute(),
  )
}
