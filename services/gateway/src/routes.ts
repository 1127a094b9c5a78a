import type { ServiceName, Surface } from '@mnemosyne/contracts'

/** A service that stands behind the gateway. */
export type Target = Exclude<ServiceName, 'gateway'>

/** Which bound on the body's size holds. */
export type BodyKind = 'json' | 'upload' | 'mcp'

export interface Route {
  /** Whole path segments, without a slash at the end; `*` stands for any one. */
  prefix: string
  target: Target
  body: BodyKind
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
  { prefix: '/admin/api', target: 'auth', body: 'json' },
  { prefix: '/admin/api/libraries', target: 'library', body: 'json' },
  { prefix: '/admin/api/jobs', target: 'ingest', body: 'json' },
  { prefix: '/mcp_server/api', target: 'auth', body: 'json' },
  { prefix: '/mcp', target: 'mcp', body: 'mcp' },
]

/**
 * Paths that are answered (GET and HEAD) without a look at the credential, written without the slash at the
 * end; both forms are served. Every other path needs one, whether it exists or not.
 */
export const PUBLIC_PATHS = [
  '/live',
  '/ready',
  '/metrics',
  '/',
  '/api/schema',
  '/api/docs',
  '/static/page.css',
  '/static/icon.svg',
  '/static/home.js',
  '/static/docs.js',
  '/mcp/health',
  '/healthz',
  '/.well-known/oauth-protected-resource/mcp',
] as const

const depth = ({ prefix }: Route) => prefix.split('/').length
const BY_LENGTH = [...ROUTES].sort((a, b) => depth(b) - depth(a))

/** POSTs that make something anew each time. All others have an effect once: by a key in the body, or none at all. */
const NOT_REPEATABLE = new Set(['/profile/api/tokens'])

/** Whether a request may reach a service twice, when its connection broke off without an answer. */
export function isRepeatable({ method, url }: Pick<Request, 'method' | 'url'>): boolean {
  return method !== 'POST' || !NOT_REPEATABLE.has(new URL(url).pathname.replace(/\/$/, ''))
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
