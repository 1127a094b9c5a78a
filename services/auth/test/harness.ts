import { randomUUID } from 'node:crypto'
import {
  authContract,
  authInternalContract,
  type Client,
  createClient,
  DELEGATION_HEADER,
  type Delegations,
  type EventType,
  encodeDelegations,
  libraryInternalContract,
  PRINCIPAL_HEADER,
  type Principal,
  type Surface,
  servicePrincipal,
} from '@mnemosyne/contracts'
import {
  type Bus,
  type BusMessage,
  cloudEvent,
  createLog,
  createSigner,
  createVerifier,
  eventMessage,
  generateAssertionKeys,
  Metrics,
  openInProcessBus,
  openSql,
  publicKeys,
  type Service,
  type Signer,
  type Sql,
} from '@mnemosyne/platform'
import { Registry } from 'prom-client'
import { type AuthAdmin, type AuthTables, startAuth } from '../src/index.ts'

export const LIBRARY = {
  a: '00000000-0000-4000-8000-00000000000a',
  b: '00000000-0000-4000-8000-00000000000b',
  g: '00000000-0000-4000-8000-0000000000ff',
}

export interface World {
  auth: Service & { admin: AuthAdmin }
  sql: Sql<AuthTables>
  bus: Bus
  /** Events that auth published, by type. */
  events: { type: string; data: unknown }[]
  /** What the library service answers; null: it is down. */
  library: { global: string[] | null }
  /** To move the time on. */
  time: { now: Date }
  sign: Signer
  call: { delegations: Delegations }
  resolve(authorization: string, surface: Surface): ReturnType<Client<typeof authInternalContract>['resolve']>
  internal(as?: Principal): Promise<Client<typeof authInternalContract>>
  /** The public operations as a user on REST. */
  as(username: string): Promise<Client<typeof authContract>>
  publishDeletion(libraryUid: string): Promise<void>
  publishCreation(libraryUid: string, ownerUsername: string | null): Promise<void>
  close(): Promise<void>
}

/** Auth over a real database, a bus of the process, and a library service that says what is global. */
export async function openWorld(url: string): Promise<World> {
  const keys = await generateAssertionKeys('k1')
  const sign = await createSigner('gateway', keys)
  const time = { now: new Date('2030-01-01T00:00:00.000Z') }
  const clock = () => time.now
  const log = createLog({ component: 'auth', level: 'silent' })
  const metrics = new Metrics(new Registry(), 'auth')
  const sql = await openSql<AuthTables>(url, { schema: 'auth', log, metrics })
  const bus = openInProcessBus({ log, metrics, clock })
  const publish = (type: EventType, data: unknown) =>
    bus.publish(
      eventMessage(cloudEvent({ type, source: '/library', id: randomUUID(), time: time.now, data })),
    )
  const events: World['events'] = []
  await bus.subscribe({
    queue: 'test.events',
    topics: ['user.#', 'user_token.#'],
    handle: async (message: BusMessage) => {
      const { type, data } = message.body as World['events'][number]
      events.push({ type, data })
    },
  })
  const library: World['library'] = { global: [LIBRARY.g] }
  const verifyForLibrary = await createVerifier('library', publicKeys(keys))
  const auth = await startAuth({
    sql,
    bus,
    library: createClient(libraryInternalContract, {
      audience: 'library',
      fetch: async (request) => {
        await verifyForLibrary(request.headers.get(PRINCIPAL_HEADER))
        if (!library.global) return Response.json({ detail: 'no database' }, { status: 503 })
        return Response.json(library.global)
      },
    }),
    verify: await createVerifier('auth', publicKeys(keys)),
    clock,
    ids: randomUUID,
    log,
    metrics,
  })
  /** A client that presents `principal`, with the right to call library on its behalf. */
  const clientOf = async <C extends typeof authContract | typeof authInternalContract>(
    contract: C,
    principal: Principal,
  ) => {
    const [own, delegated] = await Promise.all([sign(principal, 'auth'), sign(principal, 'library')])
    return createClient(contract, {
      fetch: auth.fetch,
      headers: () => ({
        [PRINCIPAL_HEADER]: own,
        [DELEGATION_HEADER]: encodeDelegations({ library: delegated }),
      }),
    })
  }
  const call = { delegations: { library: await sign(servicePrincipal('rest'), 'library') } }
  const internal: World['internal'] = (as = servicePrincipal('rest')) => clientOf(authInternalContract, as)
  return {
    auth,
    sql,
    bus,
    events,
    library,
    time,
    sign,
    call,
    internal,
    resolve: async (authorization, surface) =>
      (await internal()).resolve({ credential: { kind: 'bearer', authorization }, surface }),
    as: async (username) => clientOf(authContract, await auth.admin.localPrincipal(username, call)),
    publishDeletion: (library_uid) => publish('library.deleted.v1', { library_uid, workspace_id: null }),
    publishCreation: (library_uid, owner_username) =>
      publish('library.created.v1', { library_uid, owner_username }),
    async close() {
      await auth.stop()
      await bus.close()
      await sql.close()
    },
  }
}
