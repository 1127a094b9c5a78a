/** The scheme by which the client reached the system, whatever ends TLS in front of it. */
export function outerScheme({ url, headers }: Pick<Request, 'url' | 'headers'>): string {
  if (headers.get('x-forwarded-proto') === 'https') return 'https'
  return new URL(url).protocol.slice(0, -1)
}

/**
 * Whether a request that a browser sent comes from a page of our own, or of one of the `trusted` origins. Browsers
 * say where a request that writes comes from (`Origin`, `Sec-Fetch-Site`); other clients say nothing, and are
 * believed: they hold the cookie by their own will.
 * https://cheatsheetseries.owasp.org/cheatsheets/Cross-Site_Request_Forgery_Prevention_Cheat_Sheet.html
 */
export function isFromOwnSite(
  request: Pick<Request, 'url' | 'headers'>,
  trusted: readonly string[],
): boolean {
  const { headers } = request
  if (headers.get('sec-fetch-site')?.toLowerCase() === 'cross-site') return false
  const origin = headers.get('origin')
  return origin === null || origin === ownOrigin(request) || trusted.some((entry) => fits(origin, entry))
}

/** As a browser writes it: in lower case, without the port that the scheme implies. */
function ownOrigin(request: Pick<Request, 'url' | 'headers'>): string | undefined {
  const host = request.headers.get('host') ?? new URL(request.url).host
  return URL.parse(`${outerScheme(request)}://${host}`)?.origin
}

/** `https://*.example.org` stands for every subdomain. */
function fits(origin: string, trusted: string): boolean {
  const [scheme = '', host = ''] = trusted.split('://*.')
  if (host === '') return origin === trusted
  return origin.startsWith(`${scheme}://`) && origin.endsWith(`.${host}`)
}
