import { randomUUID } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { type AuthAdmin, startAuth } from '@mnemosyne/auth'
import {
  authInternalContract,
  createClient,
  type FetchHandler,
  libraryContract,
  libraryInternalContract,
  REQUEST_ID_HEADER,
  type Resolution,
  SERVICE_NAMES,
  type ServiceName,
  searchContract,
  servicePrincipal,
} from '@mnemosyne/contracts'
import { startGateway, startGoldenSchedule } from '@mnemosyne/gateway'
import { openConfiguredProcessor, openSources, startIngest } from '@mnemosyne/ingest'
import { startLibrary } from '@mnemosyne/library'
import { startMcp } from '@mnemosyne/mcp'
import { type ModelState, openConfiguredEmbedder, openConfiguredReranker } from '@mnemosyne/models'
import {
  createLog,
  createRegistry,
  createSigner,
  createVerifier,
  currentRequest,
  inProcessUpstream,
  type Logger,
  Metrics,
  observeCalls,
  openDataFolder,
  openLogFile,
  publicKeys,
  type Service,
  startAuditRecorder,
  startTracing,
  systemClock,
  traceHeaders,
} from '@mnemosyne/platform'
import { startSearch } from '@mnemosyne/search'
import { loadAssertionKeys } from './assertion-keys.ts'
import { readServiceConfigs } from './configs.ts'
import { openHeldBus } from './open-bus.ts'
import { openStores, type Stores } from './open-stores.ts'
import { createSetUpIndexes } from './set-up-indexes.ts'
import type { Env, Settings } from './settings.ts'

/** Raised when a newer layout of the data folder needs a migration of its own. */
export const DATA_FORMAT = 1

export interface System {
  readonly services: Readonly<Record<ServiceName, Service>>
  /** The gateway: what listens to the world. */
  readonly fetch: FetchHandler
  /** The gateway for whoever may open the data folder: every request is the first user's, without a token. */
  readonly localFetch: FetchHandler
  readonly admin: Administration
  readonly stores: Stores
  readonly model: ModelState
  readonly log: Logger
  close(): Promise<void>
}

/** What may be done with the stores in hand, beside the API. Refusals are DomainErrors. */
export type Administration = ReturnType<typeof administrationOf> & {
  setUpIndexes: ReturnType<typeof createSetUpIndexes>
}

export interface SystemOptions {
  settings: Settings
  env: Env
  version: string
  onModelProgress?: Parameters<typeof openConfiguredEmbedder>[1]['onProgress']
  /** Aborting while the model is being fetched rejects with the signal's reason. */
  signal?: AbortSignal
  /** `administer`: no model, no worker, and no event goes out; those wait in the outbox. */
  purpose?: 'serve' | 'administer'
}

/**
 * Opens the stores that the environment names and starts all six services on them, in this process. They call
 * each other through their fetch handlers; nothing listens yet. `close` ends the services, then the stores.
 */
export async function openSystem(options: SystemOptions): Promise<System> {
  const { settings, env, version, onModelProgress, signal, purpose = 'serve' } = options
  // What is made from here on is the owner's alone.
  process.umask(0o077)
  const configs = readServiceConfigs(env)
  const closing = new AsyncDisposableStack()
  let letGo = () => {}
  try {
    const folder = closing.use(
      await openDataFolder(settings.MNEMOSYNE_DATA_DIR, { formatVersion: DATA_FORMAT }),
    )
    const keys = await loadAssertionKeys(
      settings.ASSERTION_KEYS,
      folder.path('secrets', 'assertion-keys.json'),
    )
    const logFile = openLogFile(folder.path('logs', 'mnemosyne.jsonl'))
    const logOf = (component: string) =>
      createLog({ component, level: settings.LOGGING_LEVEL, destination: logFile })
    const registry = createRegistry()
    const metricsOf = (component: string) => new Metrics(registry, component)
    const log = logOf('mnemosyne')
    const metrics = metricsOf('mnemosyne')
    const clock = systemClock
    const endpoint = settings.OTEL_EXPORTER_OTLP_ENDPOINT
    if (endpoint) closing.defer(startTracing({ endpoint, serviceName: 'mnemosyne', version, log }))

    const stores = await openStores(settings, { folder, logOf, metricsOf, clock, closing })
    const { sql, graph, blobs } = stores
    const { bus, release } = await openHeldBus(settings.AMQP_URL, {
      log,
      metrics,
      clock,
      deadLetterFile: folder.path('dead-letters.json'),
      sends: purpose === 'serve',
    })
    closing.use(bus)
    letGo = release
    const model =
      purpose === 'serve'
        ? await openConfiguredEmbedder(settings, { onProgress: onModelProgress, log, metrics, signal })
        : noModel
    if (model.embedder) closing.use(model.embedder)
    const workDir = folder.path('work')
    await mkdir(workDir, { recursive: true, mode: 0o700 })
    const processor = closing.use(
      openConfiguredProcessor(configs.ingest, {
        workDir,
        tokenizerDir: model.embedder ? model.tokenizerDir : undefined,
        log: logOf('ingest'),
        metrics: metricsOf('ingest'),
      }),
    )

    const verifierOf = (service: ServiceName) => createVerifier(service, publicKeys(keys))
    const services = {} as Record<ServiceName, Service>
    const upstreamOf = (service: ServiceName, caller: ServiceName) =>
      inProcessUpstream(
        (request) => services[service].fetch(request),
        observeCalls(service, metricsOf(caller)),
      )
    const reach = (service: ServiceName, caller: ServiceName) => ({
      fetch: upstreamOf(service, caller),
      audience: service,
      headers: () => ({ [REQUEST_ID_HEADER]: currentRequest().request_id ?? '', ...traceHeaders() }),
    })
    const begin = <S extends Service>(service: S): S => {
      services[service.name] = service
      closing.defer(() => service.stop())
      return service
    }
    const common = async (service: ServiceName) => ({
      clock,
      log: logOf(service),
      metrics: metricsOf(service),
      verify: await verifierOf(service),
    })

    const auth = begin(
      await startAuth({
        ...(await common('auth')),
        sql: sql.auth,
        bus,
        library: createClient(libraryInternalContract, reach('library', 'auth')),
        ids: randomUUID,
      }),
    )
    begin(
      await startLibrary({
        ...(await common('library')),
        sql: sql.library,
        graph,
        bus,
        auth: createClient(authInternalContract, reach('auth', 'library')),
        search: createClient(searchContract, reach('search', 'library')),
        ids: randomUUID,
      }),
    )
    begin(
      await startIngest({
        ...(await common('ingest')),
        config: configs.ingest,
        sql: sql.ingest,
        graph,
        blobs,
        sources: await openSources(configs.ingest, {
          closing,
          log: logOf('ingest'),
          metrics: metricsOf('ingest'),
        }),
        bus,
        processor,
        embedder: () => model.embedder,
        library: createClient(libraryInternalContract, reach('library', 'ingest')),
        workDir,
        soleWorker: !settings.AMQP_URL,
        work: purpose === 'serve',
      }),
    )
    const reranker =
      purpose === 'serve'
        ? openConfiguredReranker(configs.search, { log: logOf('search'), metrics: metricsOf('search') })
        : null
    if (reranker) closing.use(reranker)
    begin(
      await startSearch({
        ...(await common('search')),
        config: configs.search,
        graph,
        embedder: () => model,
        reranker,
      }),
    )
    const sign = await createSigner('gateway', keys)
    const audit = closing.use(
      startAuditRecorder({
        auth: createClient(authInternalContract, reach('auth', 'gateway')),
        ...{ sign, clock, log, metrics, ids: randomUUID },
      }),
    )
    // Without a client of auth's by which to resolve: nobody comes here past the gateway.
    begin(
      await startMcp({
        ...(await common('mcp')),
        config: configs.mcp,
        search: createClient(searchContract, reach('search', 'mcp')),
        library: createClient(libraryContract, reach('library', 'mcp')),
        sign: await createSigner('mcp', keys),
        audit,
        readiness: [() => services.search.readiness(), () => services.ingest.readiness()],
      }),
    )
    const upstreams = Object.fromEntries(
      SERVICE_NAMES.map((name) => [name, upstreamOf(name, 'gateway')]),
    ) as Record<ServiceName, FetchHandler>
    const gatewayDeps = {
      config: configs.gateway,
      upstreams,
      sign,
      audit,
      readyPeers: SERVICE_NAMES.filter((name) => name !== 'gateway'),
      log: logOf('gateway'),
      metrics: metricsOf('gateway'),
      clock,
    }
    const gateway = begin(await startGateway(gatewayDeps))
    if (purpose === 'serve') {
      const everyHours = configs.gateway.GOLDEN_QUERIES_EVERY_HOURS
      const { library } = upstreams
      closing.use(startGoldenSchedule({ everyHours, library, sign, clock, log: gatewayDeps.log }))
    }
    const admin = {
      ...administrationOf(auth.admin, () => sign(servicePrincipal('rest'), 'library')),
      setUpIndexes: createSetUpIndexes({ graph, model, settings, log, metrics }),
    }
    if (purpose === 'serve') {
      await admin.finishUnfinished().catch((err: unknown) => log.warn({ err }, 'is tried again later'))
    }
    const local = await startGateway({
      ...gatewayDeps,
      upstreams: { ...upstreams, auth: asFirstUser(admin, upstreams.auth) },
    })
    release()
    return {
      services,
      fetch: gateway.fetch,
      localFetch: localDoor(admin, local.fetch),
      admin,
      stores,
      model,
      log,
      close: () => closing.disposeAsync(),
    }
  } catch (error) {
    // Or each relay would wait for messages that are held back.
    letGo()
    await closing.disposeAsync().catch(() => undefined)
    throw error
  }
}

const noModel: ModelState = {
  embedder: null,
  reason: 'Not started for an administrative command.',
  whatToDo: '',
}

/** Auth's administration, with the delegation by which auth asks the library service. */
function administrationOf(auth: AuthAdmin, delegate: () => Promise<string>) {
  const call = async () => ({ delegations: { library: await delegate() } })
  return {
    ...auth,
    createUser: async (input: Parameters<AuthAdmin['createUser']>[0]) => auth.createUser(input, await call()),
    renameUser: async (input: Parameters<AuthAdmin['renameUser']>[0]) => auth.renameUser(input, await call()),
    deleteUser: async (input: Parameters<AuthAdmin['deleteUser']>[0]) => auth.deleteUser(input, await call()),
    createUserToken: async (input: Parameters<AuthAdmin['createUserToken']>[0]) =>
      auth.createUserToken(input, await call()),
    backfillMemberships: async () => auth.backfillMemberships(await call()),
    localPrincipal: async (username: string) => auth.localPrincipal(username, await call()),
    finishUnfinished: async () => auth.finishUnfinished(await call()),
  }
}

/** The auth service as the local gateway sees it: whatever credential is shown, it is the first user's. */
function asFirstUser(admin: Administration, auth: FetchHandler): FetchHandler {
  return async (request) => {
    if (!new URL(request.url).pathname.startsWith('/internal/auth/resolve')) return auth(request)
    const user = await admin.firstUser()
    if (!user) throw new Error('there is no user')
    const resolution: Resolution = {
      outcome: 'resolved',
      principal: await admin.localPrincipal(user.username),
    }
    return Response.json(resolution)
  }
}

/** Lets a request into the local gateway without a credential, once there is a first user to take it for. */
function localDoor(admin: Administration, gateway: FetchHandler): FetchHandler {
  return async (request) => {
    if (!(await admin.firstUser())) {
      return Response.json(
        { detail: 'There is no user yet. Make one with "mnemosyne create-user".' },
        { status: 503 },
      )
    }
    const headers = new Headers(request.headers)
    headers.set('authorization', 'Bearer local')
    return gateway(new Request(request, { headers }))
  }
}
