import { EVENTS, SUBSCRIPTIONS } from '@mnemosyne/contracts'
import {
  type Bus,
  type BusMessage,
  type Clock,
  DomainError,
  type Logger,
  type Metrics,
  probe,
  type Readiness,
  readEvent,
  readinessOf,
  type Service,
  type Sql,
  serviceApp,
  startRelay,
  untilHandled,
  type Verifier,
} from '@mnemosyne/platform'
import { type AuthAdmin, createAdmin } from './admin.ts'
import { append, serviceActor } from './audit.ts'
import type { AuthContext, LibraryClient } from './context.ts'
import { createLastUsed } from './last-used.ts'
import { forgetLibrary, putOwner } from './memberships.ts'
import { createRouter, errorStatus } from './router.ts'
import { type AuthTables, authMigrations } from './schema.ts'

export interface AuthDeps {
  /** Opened for the schema `auth`; whoever opened it closes it after `stop()`. */
  sql: Sql<AuthTables>
  bus: Bus
  library: LibraryClient
  /** Verifies assertions for the audience `auth`. */
  verify: Verifier
  clock: Clock
  /** Makes a uuid. */
  ids: () => string
  log: Logger
  metrics: Metrics
}

/** Migrates the schema, then serves users, tokens and the resolution of credentials. */
export async function startAuth(deps: AuthDeps): Promise<Service & { admin: AuthAdmin }> {
  const { sql, bus, library, clock, ids, log, metrics } = deps
  await sql.migrate(authMigrations)
  const lastUsed = createLastUsed({ sql, clock, log })
  // Subscribed before the relay starts: an event that nobody hears yet would be gone.
  const wakeable = { wake: () => {} }
  const context: AuthContext = {
    sql,
    library,
    relay: { wake: () => wakeable.wake() },
    clock,
    ids,
    log,
    metrics,
  }
  const events = await bus.subscribe({
    queue: 'auth.library-events',
    topics: [...SUBSCRIPTIONS['auth.library-events']],
    handle: untilHandled((message) => hearLibraryEvent(context, message), log),
  })
  const records = await bus.subscribe({
    queue: 'auth.audit-events',
    topics: [...SUBSCRIPTIONS['auth.audit-events']],
    handle: untilHandled(async (message) => {
      const { data } = readEvent(message, EVENTS['audit.recorded.v1'])
      await sql.transaction((tx) => append(tx, [data]))
    }, log),
  })
  const relay = startRelay({ sql, bus, clock, log, metrics })
  wakeable.wake = () => relay.wake()
  const readiness = () => readinessOfAuth(sql, bus)
  const fetch = serviceApp({
    name: 'auth',
    log,
    metrics,
    readiness,
    verify: deps.verify,
    router: createRouter(context, lastUsed),
    errorStatus,
  })
  return {
    name: 'auth',
    fetch,
    readiness,
    admin: createAdmin(context),
    async stop() {
      await events.close()
      await records.close()
      await relay.stop()
      await lastUsed.stop()
    },
  }
}

/** Keeps memberships in step with the libraries that there are. */
async function hearLibraryEvent(context: AuthContext, message: BusMessage): Promise<void> {
  if (message.destination === 'library.deleted.v1') {
    const { id, data } = readEvent(message, EVENTS['library.deleted.v1'])
    await forgetLibrary(context, serviceActor(id), data.library_uid)
    return
  }
  // The library service asks for the owner's membership before it answers; this heals a crash in between.
  const { id, data } = readEvent(message, EVENTS['library.created.v1'])
  if (data.owner_username === null) return
  const owner = { library_uid: data.library_uid, username: data.owner_username }
  try {
    await putOwner(context, serviceActor(id), owner)
  } catch (error) {
    if (!(error instanceof DomainError) || error.code === 'SQL_UNAVAILABLE') throw error
    context.log.warn(
      { err: error, library_uid: data.library_uid },
      'a library was made for nobody who is here',
    )
  }
}

/** Without its database auth does nothing; without the bus its events wait in the outbox. */
async function readinessOfAuth(sql: AuthDeps['sql'], bus: Bus): Promise<Readiness> {
  const busUp = bus.state() === 'up'
  return readinessOf({
    sql: await probe(() => sql.ping(), "The database can't be reached."),
    bus: busUp ? { status: 'ok' } : { status: 'degraded', detail: 'The bus is down; events wait.' },
  })
}
