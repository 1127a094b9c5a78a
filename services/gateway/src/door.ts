import type { Principal, RefusalReason, Surface } from '@mnemosyne/contracts'
import { type AppEnv, type Logger, type Metrics, noteActingUser } from '@mnemosyne/platform'
import type { Context } from 'hono'
import { type Authenticate, AuthUnavailableError, anonymous } from './authenticate.ts'
import type { ClientAddress } from './client-address.ts'
import type { GatewayConfig } from './config.ts'
import { credentialOf } from './credential.ts'
import type { Forward } from './forward.ts'
import { createLogin } from './login.ts'
import { isFromOwnSite, outerScheme } from './outer-origin.ts'
import type { RecordRefusals } from './record-refusals.ts'
import { LOGIN_PATH, plainPath, routeOf, surfaceOf } from './routes.ts'

type AppContext = Context<AppEnv>

interface Refusal {
  reason: RefusalReason
  detail: string
}

const MISSING: Refusal = { reason: 'missing', detail: 'Authentication credentials were not provided.' }
const CROSS_SITE: Refusal = {
  reason: 'cross_site',
  detail:
    'This request comes from a page of another site. If that is one of yours, name it in CSRF_TRUSTED_ORIGINS.',
}

/** The caller is known, and refused all the same. */
const FORBIDDEN: readonly RefusalReason[] = ['csrf', 'cross_site']

/** What is done about every request that is not public; and about logins. */
export function createDoor(
  { config, log, metrics }: { config: GatewayConfig; log: Logger; metrics: Metrics },
  parts: {
    authenticate: Authenticate
    forward: Forward
    addressOf: ClientAddress
    refusals: RecordRefusals
  },
) {
  const { authenticate, forward, addressOf, refusals } = parts
  const login = createLogin(parts)
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
  const isOurs = (request: Request) => isFromOwnSite(request, config.CSRF_TRUSTED_ORIGINS ?? [])

  const refuse = (c: AppContext, surface: Surface, { reason, detail }: Refusal): Response => {
    countFailure({ reason, surface })
    refusals.credential(c.req.raw, surface, reason)
    if (surface === 'mcp') countMcpFailure({ reason })
    if (FORBIDDEN.includes(reason)) return c.json({ detail }, 403)
    return c.json({ detail }, 401, { 'www-authenticate': challenge(c, surface) })
  }

  const unavailable = (c: AppContext, error: unknown): Response => {
    if (!(error instanceof AuthUnavailableError)) throw error
    log.error({ err: error }, 'credentials cannot be checked')
    return c.json({ detail: error.message }, 503, { 'retry-after': '1' })
  }

  const whoCalls = async (request: Request, surface: Surface): Promise<Principal | Refusal> => {
    const credential = credentialOf(request, surface)
    if (credential === null) return surface === 'mcp' ? anonymous('mcp') : MISSING
    if ('outcome' in credential) return credential
    if (credential.kind === 'session' && !credential.safe && !isOurs(request)) return CROSS_SITE
    const resolution = await authenticate(credential, surface)
    if (resolution.outcome === 'refused') return resolution
    const { principal } = resolution
    noteActingUser(principal.user)
    log.debug({ kind: principal.kind, libraries: principal.resolved_libraries.length, surface }, 'resolved')
    return principal
  }

  return {
    /** Authenticates, and only then looks where the request wants to go. */
    async enter(c: AppContext): Promise<Response> {
      const { raw: request } = c.req
      const path = plainPath(new URL(request.url))
      const surface = surfaceOf(path)
      let caller: Principal | Refusal
      try {
        caller = await whoCalls(request, surface)
      } catch (error) {
        return unavailable(c, error)
      }
      if ('reason' in caller) return refuse(c, surface, caller)
      const route = path === undefined ? undefined : routeOf(path)
      if (!route) {
        refusals.answer(request, caller, 404)
        return c.notFound() as Response
      }
      c.env.matched.operation = route.target
      c.env.matched.route = `${route.prefix}/*`
      const principal = route.withAddress ? { ...caller, address: addressOf(request.headers) } : caller
      const answer = await forward(request, principal, { ...route, path: path! })
      refusals.answer(request, caller, answer.status)
      return caller.kind === 'session' ? keptNowhere(answer) : answer
    },

    async signIn(c: AppContext): Promise<Response> {
      c.env.matched.operation = 'auth'
      c.env.matched.route = LOGIN_PATH
      if (!isOurs(c.req.raw)) return refuse(c, 'rest', CROSS_SITE)
      try {
        const answer = await login(c.req.raw)
        refusals.answer(c.req.raw, anonymous('rest'), answer.status)
        if (answer.status === 401) answer.headers.set('www-authenticate', challenge(c, 'rest'))
        return keptNowhere(answer)
      } catch (error) {
        return unavailable(c, error)
      }
    },
  }
}

/** What is answered to a cookie looks public to caches, other than what is answered to a bearer (RFC 9111, 3.5). */
function keptNowhere(answer: Response): Response {
  if (!answer.headers.has('cache-control')) answer.headers.set('cache-control', 'no-store')
  return answer
}

/** RFC 6750, and for MCP the pointer of RFC 9728, section 5.1. */
function challenge(c: AppContext, surface: Surface): string {
  if (surface === 'rest') return 'Bearer'
  const { host } = new URL(c.req.url)
  return `Bearer resource_metadata="${outerScheme(c.req.raw)}://${host}/.well-known/oauth-protected-resource/mcp"`
}
