import type { ServiceName } from '@mnemosyne/contracts'
import {
  type AppEnv,
  type AuditRecorder,
  type Clock,
  type Logger,
  type Metrics,
  type Service,
  type Signer,
  serviceApp,
} from '@mnemosyne/platform'
import type { Hono } from 'hono'
import { createAssert } from './assertions.ts'
import { anonymous, createAuthenticate } from './authenticate.ts'
import { createClientAddress } from './client-address.ts'
import type { GatewayConfig } from './config.ts'
import { createDoor } from './door.ts'
import { createForward, type Upstreams } from './forward.ts'
import { hostAllowed } from './hosts.ts'
import { outerScheme } from './outer-origin.ts'
import { servePages } from './pages.ts'
import { readinessOf } from './readiness.ts'
import { createRecordRefusals } from './record-refusals.ts'
import { isPublic, LOGIN_PATH } from './routes.ts'

export interface GatewayDeps {
  config: GatewayConfig
  /** The services behind the gateway: their own handlers in one process, `httpUpstream` apart. */
  upstreams: Upstreams
  sign: Signer
  /** Is told of refusals. */
  audit: AuditRecorder
  /** Whose readiness is the gateway's own: every service in one process, its own needs apart. */
  readyPeers: readonly ServiceName[]
  log: Logger
  metrics: Metrics
  clock: Clock
}

/** An uploaded original may be a page with scripts: whatever comes from a service runs nothing here. */
const PASSIVE_CONTENT = "default-src 'none'; frame-ancestors 'self'; sandbox"

/** The one public door: resolves the credential, signs the principal, routes. It keeps nothing. */
export async function startGateway(deps: GatewayDeps): Promise<Service> {
  const { config, upstreams, log, metrics } = deps
  const assert = createAssert(deps.sign, deps.clock)
  const readiness = () => readinessOf(upstreams, deps.readyPeers)
  const forward = createForward({ upstreams, assert, uploadMaxBytes: config.UPLOAD_MAX_BYTES, log })
  const authenticate = createAuthenticate({ auth: upstreams.auth, assert })
  const addressOf = createClientAddress(config.TRUSTED_PROXIES ?? [])
  const refusals = createRecordRefusals({ audit: deps.audit, addressOf })
  const door = createDoor(deps, { authenticate, forward, addressOf, refusals })
  const pages = await servePages()
  const fetch = serviceApp({
    name: 'gateway',
    log,
    metrics,
    readiness,
    routes(app) {
      atTheEdge(app, config.ALLOWED_HOSTS)
      app.use('*', async (c, next) => (isPublic(c.req.method, c.req.path) ? next() : door.enter(c)))
      pages(app)
      app.on(['GET', 'HEAD'], ['/mcp/health', '/healthz'], (c) => {
        c.env.matched.operation = 'mcp'
        return forward(c.req.raw, anonymous('mcp'), { target: 'mcp', path: '/mcp/health', body: 'mcp' })
      })
      app.post(LOGIN_PATH, door.signIn)
    },
  })
  return { name: 'gateway', fetch, readiness, stop: async () => {} }
}

/** What holds for every answer but the probes, which are asked by address. */
function atTheEdge(app: Hono<AppEnv>, allowedHosts: readonly string[] | undefined): void {
  app.use('*', async (c, next) => {
    const host = c.req.header('host') ?? new URL(c.req.url).host
    if (!hostAllowed(host, allowedHosts)) {
      return c.json({ detail: 'This host name is not served here. Set ALLOWED_HOSTS to allow it.' }, 400)
    }
    await next()
    const { headers } = c.res
    if (outerScheme(c.req.raw) === 'https') secureCookies(headers)
    headers.set('x-content-type-options', 'nosniff')
    headers.set('referrer-policy', 'same-origin')
    headers.set('x-frame-options', 'SAMEORIGIN')
    if (!headers.has('content-security-policy')) headers.set('content-security-policy', PASSIVE_CONTENT)
  })
}

/** A cookie that was set by https is sent by https only. */
function secureCookies(headers: Headers): void {
  const cookies = headers.getSetCookie()
  headers.delete('set-cookie')
  for (const cookie of cookies) headers.append('set-cookie', `${cookie}; Secure`)
}
