import {
  type Credential,
  CSRF_HEADER,
  type Resolution,
  SESSION_COOKIE,
  type Surface,
} from '@mnemosyne/contracts'

type Refused = Extract<Resolution, { outcome: 'refused' }>

/** Longer than any credential that is issued; auth refuses to read more. */
const AUTHORIZATION_MAX = 16_384
const SESSION_MAX = 512

const SAFE_METHODS = new Set(['GET', 'HEAD', 'OPTIONS'])

/**
 * What a request presents: a bearer, or else a browser's session, which counts on REST only. Null: nothing. What
 * cannot be good is refused without asking.
 */
export function credentialOf(
  { method, headers }: Pick<Request, 'method' | 'headers'>,
  surface: Surface,
): Credential | Refused | null {
  const authorization = headers.get('authorization')
  if (authorization !== null) {
    if (authorization.length > AUTHORIZATION_MAX) return refused('unknown_token', 'Invalid MCP token.')
    return { kind: 'bearer', authorization }
  }
  return surface === 'rest' ? sessionOf({ method, headers }) : null
}

/** The session that a browser presents. */
export function sessionOf({
  method,
  headers,
}: Pick<Request, 'method' | 'headers'>): Credential | Refused | null {
  const [session, other] = new Set(cookiesNamed(SESSION_COOKIE, headers.get('cookie') ?? ''))
  if (session === undefined) return null
  if (other !== undefined) {
    // One of them may be planted, by whoever has a subdomain: nobody knows which.
    return refused(
      'bad_session',
      "Two different session cookies were sent. Clear this site's cookies, then sign in again.",
    )
  }
  if (session.length > SESSION_MAX) return refused('bad_session', 'Your session has ended. Sign in again.')
  const csrf = headers.get(CSRF_HEADER)
  return {
    kind: 'session',
    session,
    csrf_token: csrf !== null && csrf.length <= SESSION_MAX ? csrf : null,
    safe: SAFE_METHODS.has(method),
  }
}

/** RFC 6265, section 5.4: `a=1; b=2`. */
function cookiesNamed(name: string, header: string): string[] {
  return header.split(';').flatMap((pair) => {
    const at = pair.indexOf('=')
    return at > 0 && pair.slice(0, at).trim() === name ? [pair.slice(at + 1).trim()] : []
  })
}

function refused(reason: Refused['reason'], detail: string): Refused {
  return { outcome: 'refused', reason, detail }
}
