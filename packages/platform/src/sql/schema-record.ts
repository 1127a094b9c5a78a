import type { Migration } from './port.ts'

/** How a backup takes a table: its rows in the order of `key`, which is unique. */
export interface TableRecord {
  key: readonly string[]
  /** The column that numbers the rows by itself. */
  identity?: string
}

/**
 * A service's schema as a backup sees it: every table of `DB`, each after those that its rows refer to, or
 * `'left out'` where what it holds can be made again.
 */
export interface SchemaRecord<DB = unknown> {
  schema: string
  migrations: readonly Migration[]
  tables: { readonly [Table in keyof DB]: TableRecord | 'left out' }
}
