import type { authInternalContract, Client, searchContract } from '@mnemosyne/contracts'
import type { GraphStore } from '@mnemosyne/graph'
import type { Clock, Logger, Relay, Sql } from '@mnemosyne/platform'
import type { GoldenMetrics } from './golden/metrics.ts'
import type { LibraryTables } from './store/tables.ts'

/** What the operations work with. */
export interface LibraryContext {
  sql: Sql<LibraryTables>
  graph: GraphStore
  auth: Client<typeof authInternalContract>
  search: Client<typeof searchContract>
  relay: Pick<Relay, 'wake'>
  goldenMetrics: GoldenMetrics
  /** How long one request replays golden queries, in milliseconds. Default 20,000. */
  replayMs?: number
  clock: Clock
  ids: () => string
  log: Logger
}

export type Stores = Pick<LibraryContext, 'sql' | 'graph'>
