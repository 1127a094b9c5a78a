import { LOGIN_REFUSED, type Principal, SESSION_COOKIE, Session } from '@mnemosyne/contracts'
import { within } from '@mnemosyne/platform'
import { type Authenticate, AuthUnavailableError, anonymous } from './authenticate.ts'
import type { ClientAddress } from './client-address.ts'
import { sessionOf } from './credential.ts'
import type { Forward } from './forward.ts'

/** Milliseconds for all of a login, so that there is an answer within two seconds. */
const PATIENCE_MS = 1_800

/**
 * Passes a login on to auth, for nobody or, so that it ends with the login, for the session that the browser presents.
 * Whatever else than the answer to a login comes back in time is an AuthUnavailableError.
 */
export function createLogin(options: {
  authenticate: Authenticate
  forward: Forward
  addressOf: ClientAddress
}): (request: Request) => Promise<Response> {
  const { authenticate, forward, addressOf } = options

  const presented = async (request: Request): Promise<Principal> => {
    const nobody = anonymous('rest')
    const session = sessionOf(request)
    if (session === null || !('kind' in session) || session.kind !== 'session') return nobody
    // It gives no right here: to sign in, nobody has to show the session's CSRF token.
    const resolution = await authenticate({ ...session, csrf_token: null, safe: true }, 'rest')
    return resolution.outcome === 'resolved' && resolution.principal.kind === 'session'
      ? resolution.principal
      : nobody
  }

  return async (request) => {
    try {
      return await within(PATIENCE_MS, async (signal) => {
        const principal = { ...(await presented(request)), address: addressOf(request.headers) }
        const to = { target: 'auth', path: '/accounts/api/login/', body: 'login', signal } as const
        const answer = await forward(request, principal, to)
        return request.signal.aborted ? answer : understood(answer)
      })
    } catch (cause) {
      throw cause instanceof AuthUnavailableError ? cause : new AuthUnavailableError({ cause })
    }
  }
}

const REFUSALS = new Set([400, 401, 413, 429, 503])

/** The answer, if auth can have meant it so. */
async function understood(answer: Response): Promise<Response> {
  const { status, headers } = answer
  const body = await answer.text()
  if (!isMeant(answer, JSON.parse(body))) throw new Error(`auth answered ${status} to a login`)
  return new Response(body, { status, headers })
}

function isMeant({ status, headers }: Response, body: unknown): boolean {
  if (status === 200) {
    const cookies = headers.getSetCookie()
    return (
      cookies.length === 1 && cookies[0]!.startsWith(`${SESSION_COOKIE}=`) && Session.safeParse(body).success
    )
  }
  if (!REFUSALS.has(status) || body === null || typeof body !== 'object') return false
  // Any other 401 is about us, whom auth does not trust.
  return status !== 401 || ('detail' in body && body.detail === LOGIN_REFUSED)
}
