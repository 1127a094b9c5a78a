import { type Principal, type ServiceName, servicePrincipal } from '@mnemosyne/contracts'
import {
  type AppEnv,
  type Clock,
  type Logger,
  type Metrics,
  type Service,
  type Signer,
  serviceApp,
} from '@mnemosyne/platform'
import type { Context, Hono } from 'hono'
import { type Assert, createAssert } from './assertions.ts'
import { AuthUnavailableError, createAuthenticate } from './authenticate.ts'
import type { GatewayConfig } from './config.ts'
import { createForward, type Forward, type Upstreams } from './forward.ts'
import { hostAllowed } from './hosts.ts'
import { servePages } from './pages.ts'
import { readinessOf } from './readiness.ts'
import { plainPath, routeOf, surfaceOf } from './routes.ts'

export interface GatewayDeps {
  config: GatewayConfig
  /** The services behind the gateway: their own handlers in one process, `httpUpstream` apart. */
  upstreams: Upstreams
  sign: Signer
  /** Whose readiness is the gateway's own: every service in one process, its own needs apart. */
  readyPeers: readonly ServiceName[]
  log: Logger
  metrics: Metrics
  clock: Clock
}

type AppContext = Context<AppEnv>

/** An uploaded original may be a page with scripts: whatever comes from a service runs nothing here. */
const PASSIVE_CONTENT = "default-src 'none'; frame-ancestors 'self'; sandbox"

/** The one public door: resolves the credential, signs the principal, routes. It keeps nothing. */
export async function startGateway(deps: GatewayDeps): Promise<Service> {
  const { config, upstreams, log, metrics } = deps
  const assert = createAssert(deps.sign, deps.clock)
  const readiness = () => readinessOf(upstreams, deps.readyPeers)
  const forward = createForward({ upstreams, assert, uploadMaxBytes: config.UPLOAD_MAX_BYTES, log })
  const answer = createDoor(deps, assert, forward)
  const pages = await servePages()
  const fetch = serviceApp({
    name: 'gateway',
    log,
    metrics,
    readiness,
    routes(app) {
      atTheEdge(app, config.ALLOWED_HOSTS)
      pages(app)
      app.on(['GET', 'HEAD'], ['/mcp/health', '/healthz'], (c) => {
        c.env.matched.operation = 'mcp'
        return forward(c.req.raw, anonymous(), { target: 'mcp', path: '/mcp/health', body: 'mcp' })
      })
      app.get('/.well-known/oauth-protected-resource/mcp', (c) => c.notFound())
      app.all('*', answer)
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
    headers.set('x-content-type-options', 'nosniff')
    headers.set('referrer-policy', 'same-origin')
    headers.set('x-frame-options', 'SAMEORIGIN')
    if (!headers.has('content-security-policy')) headers.set('content-security-policy', PASSIVE_CONTENT)
  })
}

/** Authenticates, and only then looks where the request wants to go. */
function createDoor({ upstreams, log, metrics }: GatewayDeps, assert: Assert, forward: Forward) {
  const authenticate = createAuthenticate({ auth: upstreams.auth, assert })
  const countFailure = metrics.counter(
    'mnemosyne_gateway_auth_failures_total',
    'Requests refused for their credential.',
    ['reason', 'surface'],
  )
  const countMcpFailure = metrics.counter(
    'mcp_auth_failures_total',
    'MCP requests refused for their credential.',
    ['reason'],
  )

  return async (c: AppContext): Promise<Response> => {
    const url = new URL(c.req.url)
    const path = plainPath(url)
    const surface = surfaceOf(path)
    const authorization = c.req.header('authorization') ?? null
    let principal: Principal
    if (authorization === null && surface === 'mcp') principal = anonymous()
    else {
      try {
        const resolution = await authenticate(authorization, surface)
        if (resolution.outcome === 'refused') {
          countFailure({ reason: resolution.reason, surface })
          if (surface === 'mcp') countMcpFailure({ reason: resolution.reason })
          return c.json({ detail: resolution.detail }, 401, {
            'www-authenticate': challenge(c, url, surface),
          })
        }
        principal = resolution.principal
      } catch (error) {
        if (!(error instanceof AuthUnavailableError)) throw error
        log.error({ err: error }, 'credentials cannot be checked')
        return c.json({ detail: error.message }, 503, { 'retry-after': '1' })
      }
      log.debug({ kind: principal.kind, libraries: principal.resolved_libraries.length, surface }, 'resolved')
    }
    const route = path === undefined ? undefined : routeOf(path)
    if (!route) return c.notFound() as Response
    c.env.matched.operation = route.target
    c.env.matched.route = `${route.prefix}/*`
    return forward(c.req.raw, principal, { target: route.target, path: path!, body: route.body })
  }
}

function anonymous(): Principal {
  return { ...servicePrincipal('mcp'), kind: 'anonymous' }
}

/** RFC 6750, and for MCP the pointer of RFC 9728, section 5.1. */
function challenge(c: AppContext, url: URL, surface: 'rest' | 'mcp'): string {
  if (surface === 'rest') return 'Bearer'
  const scheme = c.req.header('x-forwarded-proto') === 'https' ? 'https' : url.protocol.slice(0, -1)
  return `Bearer resource_metadata="${scheme}://${url.host}/.well-known/oauth-protected-resource/mcp"`
}
