import type {
  Client,
  Delegations,
  EventData,
  EventType,
  libraryInternalContract,
  Principal,
} from '@mnemosyne/contracts'
import {
  type Clock,
  cloudEvent,
  DomainError,
  type Logger,
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
}

/** On whose behalf something is done, for the audit log. */
export interface Actor {
  /** A user's id, or `command-line`, `service`. */
  actor: string
  requestId: string
}

export const COMMAND_LINE: Actor = { actor: 'command-line', requestId: '' }

export function actorOf(context: { principal: Principal; requestId: string }): Actor {
  return { actor: context.principal.user?.id ?? context.principal.kind, requestId: context.requestId }
}

/** Appends to the audit log, in the transaction of the change. */
export async function audit(
  tx: Tx,
  { clock }: Pick<AuthContext, 'clock'>,
  { actor, requestId }: Actor,
  action: string,
  target: string,
): Promise<void> {
  await tx
    .insertInto('audit_log')
    .values({ actor, action, target, request_id: requestId, created_at: clock().toISOString() })
    .execute()
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
