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
  serviceActor,
  serviceApp,
  startRelay,
  untilHandled,
  type Verifier,
} from '@mnemosyne/platform'
import { type AuthAdmin, createAdmin } from './admin.ts'
import { append } from './audit.ts'
import type { AuthContext, LibraryClient } from './context.ts'
import { createFollowUp } from './follow-up.ts'
import { recordHandOver } from './hand-over.ts'
import { createLastUsed } from './last-used.ts'
import { forgetLibrary, putOwner } from './memberships.ts'
import { createCheckPassword } from './password-check.ts'
import { startPurge } from './purge.ts'
import { createRouter, errorStatus } from './router.ts'
import { type AuthTables, authMigrations } from './schema.ts'
import { slideSession } from './sessions.ts'
import { noteTokenUse } from './tokens.ts'

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
  const uses = {
    token: createLastUsed(context, noteTokenUse),
    session: createLastUsed(context, slideSession),
  }
  const purge = startPurge(context)
  const followUp = createFollowUp(context)
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
    router: createRouter(context, uses, await createCheckPassword(context), followUp),
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
      await followUp.stop()
      await relay.stop()
      await purge.stop()
      await Promise.all(Object.values(uses).map((used) => used.stop()))
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
  if (message.destination === 'library.handed_over.v1') {
    const { id, time, data } = readEvent(message, EVENTS['library.handed_over.v1'])
    await recordHandOver(context, serviceActor(id), { ...data, asOf: time })
    return
  }
  // The library service asks for the owner's membership before it answers; this heals a crash in between.
  const { id, time, data } = readEvent(message, EVENTS['library.created.v1'])
  const { library_uid, owner_username } = data
  if (owner_username === null) return
  const owner = { library_uid, username: owner_username, hand_overs: 0, asOf: time }
  try {
    await putOwner(context, serviceActor(id), owner)
  } catch (error) {
    if (!(error instanceof DomainError) || error.code === 'SQL_UNAVAILABLE') throw error
    context.log.warn({ err: error, library_uid }, 'a library was made for nobody who is here')
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
