import type { Client, Delegations, EventData, EventType, libraryInternalContract } from '@mnemosyne/contracts'
import {
  type Clock,
  cloudEvent,
  DomainError,
  type Logger,
  type Metrics,
  type Relay,
  type Sql,
  writeOutbox,
} from '@mnemosyne/platform'
import type { Transaction } from 'kysely'
import type { AuthTables } from './schema.ts'

export type LibraryClient = Client<typeof libraryInternalContract>
export type Tx = Transaction<AuthTables>

/** What auth's operations work with. */
export interface AuthContext {
  sql: Sql<AuthTables>
  library: LibraryClient
  relay: Pick<Relay, 'wake'>
  clock: Clock
  /** Makes a uuid. */
  ids: () => string
  log: Logger
  metrics: Metrics
}

/** Announces a change, in its transaction. Wake the relay after the commit. */
export async function announce<T extends EventType>(
  tx: Tx,
  { clock, ids }: Pick<AuthContext, 'clock' | 'ids'>,
  type: T,
  data: EventData<T>,
): Promise<void> {
  const id = ids()
  const body = cloudEvent({ type, source: '/auth', id, time: clock(), data })
  await writeOutbox(tx, { kind: 'event', destination: type, id, body }, clock)
}

/** The libraries of everybody, asked for live. Without an answer nothing is resolved: fail closed. */
export async function globalLibraries(
  { library }: Pick<AuthContext, 'library'>,
  delegations: Delegations,
  signal?: AbortSignal,
): Promise<string[]> {
  try {
    return await library.globalLibraries(undefined, { context: { delegations }, signal })
  } catch (cause) {
    throw new DomainError(
      'LIBRARY_UNAVAILABLE',
      'The libraries of everybody cannot be determined right now. Try again shortly.',
      { cause },
    )
  }
}
