import { setTimeout as wait } from 'node:timers/promises'
import { REQUEST_ID_HEADER, type ServiceName } from '@mnemosyne/contracts'
import { z } from 'zod'
import {
  type AssertionKeys,
  createVerifier,
  parseAssertionKeys,
  publicKeys,
  type Verifier,
} from './assertion.ts'
import { type Clock, systemClock } from './clock.ts'
import {
  about,
  ConfigError,
  goneVariables,
  LogLevel,
  Port,
  parseConfig,
  printConfig,
  secret,
  withFormerNames,
} from './config.ts'
import { observeCalls } from './http-telemetry.ts'
import { httpUpstream, NOT_SERVING_HEADER, type UpstreamOptions } from './http-upstream.ts'
import { type Listener, listen } from './listen.ts'
import { createLog, type Logger } from './log.ts'
import { noteFatal, untilStopped } from './process-end.ts'
import type { Readiness } from './readiness.ts'
import { type Service, serviceApp } from './service.ts'
import { createRegistry, currentRequest, Metrics, traceHeaders } from './telemetry.ts'
import { startTracing } from './tracing.ts'
import { version } from './version.ts'

/** What a stop may take before the process ends anyway. */
const STOP_MS = 9_500
/** For requests in hand at a stop: more than a search waits for one of its parts. */
const GRACE_MS = 6_000
/** Long enough for a caller's next request to be told that the connection ends. */
const DRAIN_MS = 1_000

const FIRST_WAIT_MS = 200
const LONGEST_WAIT_MS = 5_000

/** The variables of a service that runs as a process of its own, beside those of its work. */
export function processVariables(defaultPort: number) {
  return {
    LISTEN_HOST: about(z.string().default('127.0.0.1'), 'address on which the service listens'),
    LISTEN_PORT: about(Port.default(defaultPort), 'port on which the service listens; 0: any free one'),
    ASSERTION_KEYS: about(
      secret(z.string()),
      'JWK set of Ed25519 keys: with a private part where principals are signed (gateway, mcp), else public',
    ),
    LOGGING_LEVEL: about(LogLevel.default('info'), 'least level that is logged'),
    OTEL_EXPORTER_OTLP_ENDPOINT: about(z.string().optional(), 'where traces go, by OTLP over HTTP'),
  }
}

type ProcessSchema = z.ZodObject<ReturnType<typeof processVariables>>

/** What a service's `start` works with. */
export interface ServiceProcess<C> {
  config: C
  keys: AssertionKeys
  verify: Verifier
  clock: Clock
  log: Logger
  metrics: Metrics
  /** A service at `urls`, for `createClient`: `audience`'s delegation is presented, request id and trace go along. */
  reach: (audience: ServiceName, urls: string, options?: UpstreamOptions) => ReachOptions
  /** Closed, last opened first, after the service has stopped, and when its start fails. */
  closing: AsyncDisposableStack
}

interface ReachOptions {
  fetch: (request: Request) => Promise<Response>
  audience: ServiceName
  headers: () => Record<string, string>
}

export interface ServiceEntry<S extends ProcessSchema> {
  name: ServiceName
  /** Every variable that the process reads. */
  schema: S
  /** Opens what the service stands on, and starts it. What fails is tried again until it works. */
  start: (process: ServiceProcess<z.infer<S>>) => Promise<Service>
}

/**
 * Runs a service as a process of its own until SIGINT or SIGTERM.
 *
 * It listens at once: `/live/` answers, `/ready/` says 503 `starting`, and everything else is answered 503 with the
 * header by which other services ask another replica. What the service stands on is waited for with a backoff, in any
 * order. A configuration that cannot be used, and a store that a newer version has written, end the process with 1.
 * With `--print-config` it prints what it would read, secrets masked, and ends.
 */
export async function runService<S extends ProcessSchema>(entry: ServiceEntry<S>): Promise<void> {
  const config = configOf(entry)
  if (!config) return
  const { LOGGING_LEVEL, OTEL_EXPORTER_OTLP_ENDPOINT, LISTEN_HOST, LISTEN_PORT } = config
  const log = createLog({ component: entry.name, level: LOGGING_LEVEL })
  const metrics = new Metrics(createRegistry(entry.name), entry.name)
  for (const name of goneVariables(process.env))
    log.warn({ variable: name }, 'this variable means nothing any more')
  const stop = untilStopped()
  await using closing = new AsyncDisposableStack()
  let cut: NodeJS.Timeout | undefined
  closing.defer(() => clearTimeout(cut))
  closing.defer(stop.release)
  closing.defer(noteFatal(log))
  if (OTEL_EXPORTER_OTLP_ENDPOINT) {
    const endpoint = OTEL_EXPORTER_OTLP_ENDPOINT
    closing.defer(startTracing({ endpoint, serviceName: `mnemosyne-${entry.name}`, version, log }))
  }
  const starting = new StartingService(entry.name, log, metrics)
  let service: Service = starting
  const listener = await listen(
    (request) => service.fetch(request),
    { host: LISTEN_HOST, port: LISTEN_PORT },
    () => service !== starting,
  )
  log.info({ url: listener.url, version }, 'listening')
  try {
    const running = await startUntilItWorks(entry, { config, log, metrics }, starting, stop.signal)
    if (!running) return
    closing.use(running.closing)
    service = running.service
    log.info({ url: listener.url }, 'serving')
    await stop.asked
    log.info('stopping')
    cut = setTimeout(() => process.exit(1), STOP_MS)
    await endService(listener, running.service)
  } catch (error) {
    process.exitCode = 1
    log.fatal({ err: error }, 'the service cannot be started')
  } finally {
    await listener.close(0)
  }
}

async function endService(listener: Listener, service: Service): Promise<void> {
  // Work goes on while requests in hand end, and is stopped after them: they may still add some.
  await listener.close(GRACE_MS, DRAIN_MS)
  await service.stop()
}

function configOf<S extends ProcessSchema>({ name, schema }: ServiceEntry<S>): z.infer<S> | undefined {
  try {
    const config = parseConfig(name, schema, withFormerNames(process.env))
    if (!process.argv.includes('--print-config')) return config
    process.stdout.write(`${printConfig(schema, config)}\n`)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    process.stderr.write(`${error.message}\n`)
    process.exitCode = 1
  }
  return undefined
}

/** Who signs principals: the door, and the second door. */
const SIGNERS: readonly ServiceName[] = ['gateway', 'mcp']

/** A private key where none is needed is one more place that it can be taken from. */
function keysOf(name: ServiceName, json: string): AssertionKeys {
  const keys = parseAssertionKeys(json)
  const holdsPrivate = keys.keys.some(({ d }) => d !== undefined)
  if (holdsPrivate === SIGNERS.includes(name)) return keys
  throw new ConfigError(name, [
    holdsPrivate
      ? `ASSERTION_KEYS holds a private key ("d"), which ${name} must not have: give it the public set`
      : `ASSERTION_KEYS holds no private key ("d"), with which ${name} signs`,
  ])
}

/** Undefined when it was stopped before it worked. */
async function startUntilItWorks<S extends ProcessSchema>(
  entry: ServiceEntry<S>,
  { config, log, metrics }: { config: z.infer<S>; log: Logger; metrics: Metrics },
  starting: StartingService,
  stop: AbortSignal,
): Promise<{ service: Service; closing: AsyncDisposableStack } | undefined> {
  const keys = keysOf(entry.name, config.ASSERTION_KEYS)
  const verify = await createVerifier(entry.name, publicKeys(keys))
  const reach: ServiceProcess<unknown>['reach'] = (audience, urls, options) => ({
    fetch: httpUpstream(urls, { ...options, calls: observeCalls(audience, metrics) }),
    audience,
    headers: () => ({ [REQUEST_ID_HEADER]: currentRequest().request_id ?? '', ...traceHeaders() }),
  })
  for (let attempt = 0; !stop.aborted; attempt++) {
    await using opened = new AsyncDisposableStack()
    try {
      const context = { config, keys, verify, clock: systemClock, log, metrics, reach, closing: opened }
      return { service: await entry.start(context), closing: opened.move() }
    } catch (error) {
      if (isFinal(error)) throw error
      const waitMs = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** attempt) * (0.75 + Math.random() / 2)
      log.warn({ err: error, wait_ms: Math.round(waitMs) }, 'cannot start yet; it is tried again')
      starting.waitsFor(error)
      await wait(waitMs, undefined, { signal: stop }).catch(() => undefined)
    }
  }
  return undefined
}

/** No waiting mends it. */
function isFinal(error: unknown): boolean {
  if (error instanceof ConfigError) return true
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  return FINAL.has(code.toUpperCase())
}

const FINAL = new Set(['NEWER_SCHEMA', 'SQL_NEWER_SCHEMA', 'INVALID_BROKER_URL', 'INVALID_GRAPH_URL'])

/** Stands in until the service itself is there. */
class StartingService implements Service {
  readonly name: ServiceName
  readonly fetch: Service['fetch']
  #reason = 'It has just begun.'

  constructor(name: ServiceName, log: Logger, metrics: Metrics) {
    this.name = name
    this.fetch = serviceApp({
      name,
      log,
      metrics,
      readiness: () => this.readiness(),
      routes: (app) =>
        app.all('*', (c) =>
          c.json({ detail: `The ${name} service is starting. Try again in a moment.` }, 503, {
            'retry-after': '1',
            [NOT_SERVING_HEADER]: 'starting',
          }),
        ),
    })
  }

  /** Typed errors are worded for whoever operates the system, and name no secret. */
  waitsFor(error: unknown): void {
    const typed = error instanceof Error && 'code' in error
    this.#reason = typed ? error.message : 'What it needs does not answer; the log has the cause.'
  }

  async readiness(): Promise<Readiness> {
    return { status: 'starting', checks: { start: { status: 'error', detail: this.#reason } } }
  }

  async stop(): Promise<void> {}
}
