import type { Migration } from './port.ts'

/** How a backup takes a table: its rows in the order of `key`, which is unique. */
export interface TableRecord {
  key: readonly string[]
  /** The column that numbers the rows by itself. */
  identity?: string
  /**
   * Columns, of text, that leave the database sealed under a passphrase or not at all. After a restore without them
   * they hold `''`, which the service has to take for no secret.
   */
  secret?: readonly string[]
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
