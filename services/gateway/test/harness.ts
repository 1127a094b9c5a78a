import { type Credential, type Principal, type Resolution, servicePrincipal } from '@mnemosyne/contracts'
import {
  type AssertionKeys,
  createLog,
  createSigner,
  createVerifier,
  generateAssertionKeys,
  Metrics,
  parseConfig,
  publicKeys,
  type Service,
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
  call(path: string, init?: RequestInit): Promise<Response>
  as(bearer: string | null, path: string, init?: RequestInit): Promise<Response>
}

/** Credentials by bearer; any other is unknown. */
const REFUSALS: Record<string, Resolution> = {
  old: { outcome: 'refused', reason: 'expired', detail: 'Token has expired.' },
  off: { outcome: 'refused', reason: 'inactive_token', detail: 'Token has been deactivated.' },
}

/** A gateway before services that note what reaches them; auth knows the bearer `alice`. */
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
    sign: await createSigner('gateway', keys),
    readyPeers: ['gateway', 'auth', 'library', 'ingest', 'search', 'mcp'],
    log: createLog({ component: 'gateway', level: 'silent' }),
    metrics: new Metrics(registry, 'gateway'),
    clock: () => new Date(),
  })
  const call: World['call'] = (path, init) => gateway.fetch(new Request(`http://gate${path}`, init))
  const as: World['as'] = (bearer, path, init = {}) => {
    const headers = new Headers(init.headers)
    if (bearer !== null) headers.set('authorization', `Bearer ${bearer}`)
    return call(path, { ...init, headers })
  }
  return { gateway, seen, resolutions, keys, registry, call, as }
}

function resolutionOf({ credential, surface }: { credential: Credential; surface: string }): Resolution {
  const authorization = credential.kind === 'bearer' ? credential.authorization : ''
  const [keyword, token = ''] = authorization.split(' ')
  if (keyword !== 'Bearer') return { outcome: 'refused', reason: 'wrong_keyword', detail: 'Use Bearer.' }
  if (token === 'alice') {
    return { outcome: 'resolved', principal: { ...ALICE, surface: surface === 'mcp' ? 'mcp' : 'rest' } }
  }
  return REFUSALS[token] ?? { outcome: 'refused', reason: 'unknown_token', detail: 'Invalid MCP token.' }
}
