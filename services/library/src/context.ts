import type { authInternalContract, Client } from '@mnemosyne/contracts'
import type { GraphStore } from '@mnemosyne/graph'
import type { Clock, Logger, Relay, Sql } from '@mnemosyne/platform'
import type { LibraryTables } from './store/tables.ts'

/** What the operations work with. */
export interface LibraryContext {
  sql: Sql<LibraryTables>
  graph: GraphStore
  auth: Client<typeof authInternalContract>
  relay: Pick<Relay, 'wake'>
  clock: Clock
  ids: () => string
  log: Logger
}

export type Stores = Pick<LibraryContext, 'sql' | 'graph'>
