import type { ServiceName, Surface } from '@mnemosyne/contracts'

/** A service that stands behind the gateway. */
export type Target = Exclude<ServiceName, 'gateway'>

/** Which bound on the body's size holds. */
export type BodyKind = 'json' | 'login' | 'upload' | 'mcp'

export interface Route {
  /** Whole path segments, without a slash at the end; `*` stands for any one. */
  prefix: string
  target: Target
  body: BodyKind
  /** The service is told the client's address, too. */
  withAddress?: boolean
}

/** The prefix of most segments wins. Nothing under `/internal` stands here, so nothing there is ever reached. */
export const ROUTES: readonly Route[] = [
  { prefix: '/library/api', target: 'library', body: 'json' },
  { prefix: '/library/api/ingest', target: 'ingest', body: 'json' },
  { prefix: '/library/api/jobs', target: 'ingest', body: 'json' },
  { prefix: '/library/api/items/upload', target: 'ingest', body: 'upload' },
  { prefix: '/library/api/search', target: 'search', body: 'json' },
  { prefix: '/library/api/libraries/*/members', target: 'auth', body: 'json' },
  { prefix: '/library/api/libraries/*/tokens', target: 'auth', body: 'json' },
  { prefix: '/accounts/api', target: 'auth', body: 'json' },
  { prefix: '/profile/api', target: 'auth', body: 'json' },
  { prefix: '/profile/api/password', target: 'auth', body: 'json', withAddress: true },
  { prefix: '/admin/api', target: 'auth', body: 'json' },
  { prefix: '/admin/api/libraries', target: 'library', body: 'json' },
  { prefix: '/admin/api/jobs', target: 'ingest', body: 'json' },
  { prefix: '/mcp_server/api', target: 'auth', body: 'json' },
  { prefix: '/mcp', target: 'mcp', body: 'mcp' },
]

/** Signing in by password. */
export const LOGIN_PATH = '/accounts/api/login'

const READ = ['GET', 'HEAD']

/**
 * Paths that are answered to these methods without a credential, written without the slash at the end; both forms are
 * served. Every other path, and every other method, needs one, whether it exists or not.
 */
export const PUBLIC_PATHS: readonly { path: string; methods: readonly string[] }[] = [
  { path: '/live', methods: READ },
  { path: '/ready', methods: READ },
  { path: '/metrics', methods: READ },
  { path: '/', methods: READ },
  { path: '/api/schema', methods: READ },
  { path: '/api/docs', methods: READ },
  { path: '/static/page.css', methods: READ },
  { path: '/static/icon.svg', methods: READ },
  { path: '/static/home.js', methods: READ },
  { path: '/static/docs.js', methods: READ },
  { path: '/mcp/health', methods: READ },
  { path: '/healthz', methods: READ },
  { path: '/.well-known/oauth-protected-resource/mcp', methods: READ },
  { path: LOGIN_PATH, methods: ['POST'] },
]

export function isPublic(method: string, path: string): boolean {
  const plain = path.replace(/(.)\/$/, '$1')
  return PUBLIC_PATHS.some((known) => known.path === plain && known.methods.includes(method))
}

const depth = ({ prefix }: Route) => prefix.split('/').length
const BY_LENGTH = [...ROUTES].sort((a, b) => depth(b) - depth(a))

/**
 * POSTs that do something anew each time, such as to count a failed login, or to mint a token that ends the one before
 * (whose answer may be the one that arrives); or that are refused the second time, such as to create a user; or that
 * cost much, such as to replay golden queries. All others
 * have an effect once: by a key in the body, or none at all.
 */
const NOT_REPEATABLE = [
  '/profile/api/tokens',
  '/profile/api/password',
  '/admin/api/users',
  '/mcp_server/api/teams/*/rotate',
  '/library/api/libraries/*/golden-queries/run',
  LOGIN_PATH,
]

/** Whether a request may reach a service twice, when its connection broke off without an answer. */
export function isRepeatable({ method, url }: Pick<Request, 'method' | 'url'>): boolean {
  const path = new URL(url).pathname.replace(/\/$/, '')
  const isThis = (known: string) => matches(path, known) && path.split('/').length === known.split('/').length
  return method !== 'POST' || !NOT_REPEATABLE.some(isThis)
}

/** The route of a plain path, or undefined. */
export function routeOf(path: string): Route | undefined {
  return BY_LENGTH.find(({ prefix }) => matches(path, prefix))
}

export function surfaceOf(path: string | undefined): Surface {
  return path !== undefined && isWithin(path, '/mcp') ? 'mcp' : 'rest'
}

/**
 * The path of a URL when two readers can't take it for two different paths: no empty segment, no encoded
 * slash, backslash or NUL, no dot segment after decoding, no broken escape. Otherwise undefined.
 */
export function plainPath(url: URL): string | undefined {
  const { pathname } = url
  if (pathname.includes('//') || /%(2f|5c|00)/i.test(pathname)) return undefined
  try {
    const segments = pathname.split('/').map(decodeURIComponent)
    return segments.some((segment) => segment === '.' || segment === '..') ? undefined : pathname
  } catch {
    return undefined
  }
}

function matches(path: string, prefix: string): boolean {
  if (!prefix.includes('*')) return isWithin(path, prefix)
  const segments = path.split('/')
  return prefix
    .split('/')
    .every((part, index) => part === segments[index] || (part === '*' && segments[index]))
}

function isWithin(path: string, prefix: string): boolean {
  return path === prefix || path.startsWith(`${prefix}/`)
}
