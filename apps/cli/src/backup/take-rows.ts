import {
  NewerSchemaError,
  type SchemaRecord,
  type Sql,
  UNFINISHED_RESTORE,
  UnfinishedRestoreError,
} from '@mnemosyne/platform'
import { type Transaction, sql as text } from 'kysely'
import { type Row, writeLines } from './line-files.ts'
import type { SchemaEntry, TableEntry } from './manifest.ts'
import { tablesOf } from './schema-tables.ts'
import type { Seal } from './sealing.ts'
import { withoutSecrets } from './secret-columns.ts'

type AnyTables = Record<string, Row>
type AnyTransaction = Transaction<AnyTables>

const PAGE = 1_000

export interface TakeRowsOptions {
  /** Is shown the rows. */
  see?: (table: string, rows: readonly Row[]) => void
  /** What secrets are sealed with; without it they are left out. */
  seal?: Seal
}

/**
 * Writes every row of a service's schema, as they are at one moment, into files of `dir`. No secret gets there in the
 * clear. Throws `NewerSchemaError` when the schema has migrations that this program does not know, `UnfinishedRestoreError`.
 */
export async function takeRows<DB>(
  sql: Sql<DB>,
  record: SchemaRecord<DB>,
  dir: string,
  { see = () => {}, seal }: TakeRowsOptions = {},
): Promise<SchemaEntry> {
  const { schema } = record
  return sql.snapshot(async (typed) => {
    const db = typed as unknown as AnyTransaction
    const present = await tablesOf(db, sql.dialect, schema)
    const migrations = present.has('schema_migrations') ? await levelOf(db, record) : []
    const known = Object.entries(record.tables as SchemaRecord<AnyTables>['tables'])
    const expected = new Set([...known.map(([table]) => table), 'schema_migrations'])
    const forgotten = [...present].filter((table) => !expected.has(table))
    if (forgotten.length > 0) {
      throw new Error(`no backup knows what to do with the tables ${forgotten.join(', ')} of ${schema}`)
    }
    const tables: TableEntry[] = []
    for (const [table, how] of known) {
      if (how === 'left out' || !present.has(table)) continue
      const pages = seen(pagesOf(db, table, how.key), (rows) => see(table, rows))
      const secrets = how.secret && { columns: [...how.secret], key: [...how.key], values: 0 }
      const safe = secrets ? withoutSecrets(pages, `${schema}.${table}`, secrets, seal) : pages
      const written = await writeLines(dir, rowsFile(schema, table), safe)
      const { identity } = how
      tables.push({ table, ...written, ...(identity && { identity }), ...(secrets && { secrets }) })
    }
    return { schema, migrations, tables }
  })
}

export const rowsFile = (schema: string, table: string): string => `rows/${schema}.${table}.jsonl.gz`

/** The migrations that were run, in the order of the program. */
async function levelOf<DB>(db: AnyTransaction, { schema, migrations }: SchemaRecord<DB>): Promise<string[]> {
  const rows = await db.selectFrom('schema_migrations').select('name').execute()
  const run = new Set(rows.map(({ name }) => name as string))
  const level = migrations.map(({ name }) => name).filter((name) => run.has(name))
  const unknown = [...run].filter((name) => !level.includes(name))
  if (unknown.some((name) => name.startsWith(UNFINISHED_RESTORE))) throw new UnfinishedRestoreError(schema)
  if (unknown.length > 0) throw new NewerSchemaError(schema, unknown)
  return level
}

async function* pagesOf(db: AnyTransaction, table: string, key: readonly string[]): AsyncGenerator<Row[]> {
  const columns = text.join(key.map((column) => text.ref(column)))
  for (let last: Row | undefined; ; ) {
    let query = db.selectFrom(table).selectAll().limit(PAGE)
    for (const column of key) query = query.orderBy(column)
    if (last) {
      const values = text.join(key.map((column) => text.val(last![column])))
      query = query.where(text<boolean>`(${columns}) > (${values})`)
    }
    const rows = await query.execute()
    if (rows.length > 0) yield rows
    if (rows.length < PAGE) return
    last = rows.at(-1)
  }
}

async function* seen(pages: AsyncIterable<Row[]>, see: (rows: Row[]) => void): AsyncGenerator<Row[]> {
  for await (const rows of pages) {
    see(rows)
    yield rows
  }
}
