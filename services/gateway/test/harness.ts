import { randomUUID } from 'node:crypto'
import {
  type AuditRecord,
  authInternalContract,
  type Credential,
  createClient,
  type Principal,
  type Resolution,
  servicePrincipal,
} from '@mnemosyne/contracts'
import {
  type AssertionKeys,
  type AuditRecorder,
  createLog,
  createSigner,
  createVerifier,
  generateAssertionKeys,
  Metrics,
  parseConfig,
  publicKeys,
  type Service,
  startAuditRecorder,
} from '@mnemosyne/platform'
import { Registry } from 'prom-client'
import { gatewayConfig, startGateway, type Upstreams } from '../src/index.ts'

export const ALICE: Principal = {
  ...servicePrincipal('rest'),
  kind: 'user_token',
  user: { id: 'u1', username: 'alice', staff: 'none' },
  token_id: 't1',
  resolved_libraries: ['l1', 'l2'],
  writable_libraries: ['l1'],
}

interface Seen {
  target: string
  url: URL
  method: string
  headers: Headers
  body: string
}

export interface World {
  gateway: Service
  /** What reached the services, but for resolutions and probes. */
  seen: Seen[]
  /** What was asked of auth. */
  resolutions: { credential: Credential; surface: string }[]
  keys: AssertionKeys
  registry: Registry
  audit: AuditRecorder
  /** What the audit log was told; all of it after `audit.stop()`. */
  audited: AuditRecord[]
  call(path: string, init?: RequestInit): Promise<Response>
  as(bearer: string | null, path: string, init?: RequestInit): Promise<Response>
}

/** The session of alice, with its CSRF token. */
export const SESSION = { cookie: 'alices-session', csrf: 'alices-csrf', id: 's1' }

const BY_SESSION: Principal = { ...ALICE, kind: 'session', token_id: null, session_id: SESSION.id }

/** What auth answers to a login. */
export const SIGNED_IN = {
  user: {
    id: '00000000-0000-4000-8000-000000000001',
    username: 'alice',
    email: '',
    first_name: '',
    last_name: '',
    organization: '',
    is_active: true,
    is_staff: false,
    is_superuser: false,
    groups: [],
    has_password: true,
    created_at: '2030-01-01T00:00:00.000Z',
    updated_at: '2030-01-01T00:00:00.000Z',
  },
  csrf_token: 'csrf',
  expires_at: '2030-01-01T08:00:00.000Z',
}
export const SET_COOKIE = 'mnemosyne_session=fresh; Path=/; HttpOnly; SameSite=Lax'

/** Credentials by bearer; any other is unknown. */
const REFUSALS: Record<string, Resolution> = {
  old: { outcome: 'refused', reason: 'expired', detail: 'Token has expired.' },
  off: { outcome: 'refused', reason: 'inactive_token', detail: 'Token has been deactivated.' },
}

/** A gateway before services that note what reaches them; auth knows the bearer `alice` and `SESSION`. */
export async function openWorld(
  options: { upstreams?: Partial<Upstreams>; env?: Record<string, string> } = {},
): Promise<World> {
  const keys = await generateAssertionKeys('k1')
  const verify = await createVerifier('auth', publicKeys(keys))
  const seen: Seen[] = []
  const resolutions: World['resolutions'] = []
  const note = (target: string) => async (request: Request) => {
    const url = new URL(request.url)
    if (url.pathname === '/ready/')
      return Response.json({ status: 'ready', checks: { store: { status: 'ok' } } })
    const { method, headers } = request
    seen.push({ target, url, method, headers, body: await request.text() })
    if (url.pathname === '/accounts/api/login/')
      return Response.json(SIGNED_IN, { headers: { 'set-cookie': SET_COOKIE } })
    return Response.json({ from: target })
  }
  const resolve = async (request: Request) => {
    await verify(request.headers.get('x-mnemosyne-principal'))
    const asked = (await request.json()) as World['resolutions'][number]
    resolutions.push(asked)
    return Response.json(resolutionOf(asked))
  }
  const auth = note('auth')
  const registry = new Registry()
  const log = createLog({ component: 'gateway', level: 'silent' })
  const metrics = new Metrics(registry, 'gateway')
  const sign = await createSigner('gateway', keys)
  const clock = () => new Date()
  const audited: AuditRecord[] = []
  const keep = async (request: Request) => {
    audited.push(...((await request.json()) as { records: AuditRecord[] }).records)
    return new Response(null, { status: 204 })
  }
  const audit = startAuditRecorder({
    auth: createClient(authInternalContract, { fetch: keep, audience: 'auth' }),
    ...{ sign, clock, log, metrics, ids: randomUUID, flushMs: 20 },
  })
  const gateway = await startGateway({
    config: parseConfig('gateway', gatewayConfig, options.env ?? {}),
    upstreams: {
      auth: (request) => (request.url.includes('/internal/auth/resolve') ? resolve(request) : auth(request)),
      library: note('library'),
      ingest: note('ingest'),
      search: note('search'),
      mcp: note('mcp'),
      ...options.upstreams,
    },
    sign,
    audit,
    readyPeers: ['gateway', 'auth', 'library', 'ingest', 'search', 'mcp'],
    log,
    metrics,
    clock,
  })
  const call: World['call'] = (path, init) => gateway.fetch(new Request(`http://gate${path}`, init))
  const as: World['as'] = (bearer, path, init = {}) => {
    const headers = new Headers(init.headers)
    if (bearer !== null) headers.set('authorization', `Bearer ${bearer}`)
    return call(path, { ...init, headers })
  }
  return { gateway, seen, resolutions, keys, registry, audit, audited, call, as }
}

function resolutionOf({ credential, surface }: { credential: Credential; surface: string }): Resolution {
  if (credential.kind === 'session') return ofSession(credential)
  const { authorization } = credential
  const [keyword, token = ''] = authorization.split(' ')
  if (keyword !== 'Bearer') return { outcome: 'refused', reason: 'wrong_keyword', detail: 'Use Bearer.' }
  if (token === 'alice') {
    return { outcome: 'resolved', principal: { ...ALICE, surface: surface === 'mcp' ? 'mcp' : 'rest' } }
  }
  return REFUSALS[token] ?? { outcome: 'refused', reason: 'unknown_token', detail: 'Invalid MCP token.' }
}

function ofSession({ session, csrf_token, safe }: Extract<Credential, { kind: 'session' }>): Resolution {
  if (session !== SESSION.cookie)
    return { outcome: 'refused', reason: 'bad_session', detail: 'Sign in again.' }
  if (safe || csrf_token === SESSION.csrf) return { outcome: 'resolved', principal: BY_SESSION }
  return { outcome: 'refused', reason: 'csrf', detail: 'CSRF token missing or incorrect.' }
}
