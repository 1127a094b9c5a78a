import {
  type authInternalContract,
  type Client,
  DELEGATES,
  PRINCIPAL_HEADER,
  type Principal,
  readResolution,
  servicePrincipal,
} from '@mnemosyne/contracts'
import { AssertionError, type Logger, type Signer, type Verifier, within } from '@mnemosyne/platform'

export type Authentication =
  | { outcome: 'resolved'; principal: Principal }
  /** No credential at all, or one that the gateway let through as such. */
  | { outcome: 'anonymous' }
  | { outcome: 'refused'; reason: string; detail: string }
  /** What resolves credentials does not answer: the door stays shut, for now. */
  | { outcome: 'unavailable' }

/** Milliseconds for auth to resolve a credential, so that the caller has an answer within two seconds. */
const PATIENCE_MS = 1_500

/** Longer than any credential that is issued; cut off, it might be another one. */
const AUTHORIZATION_MAX = 16_384

export interface AuthenticateDeps {
  verify: Verifier
  sign: Signer
  /** Resolves the bearer of calls that come here past the gateway. */
  auth?: Client<typeof authInternalContract>
  log: Logger
}

/**
 * Who is calling. The gateway's assertion counts if there is one, and a bad one is refused even beside a good
 * bearer; else the bearer is resolved, where this service may do that itself.
 */
export async function authenticate(request: Request, deps: AuthenticateDeps): Promise<Authentication> {
  const assertion = request.headers.get(PRINCIPAL_HEADER)
  if (assertion !== null) return verified(assertion, deps)
  const authorization = request.headers.get('authorization')
  if (authorization === null) return { outcome: 'anonymous' }
  if (!deps.auth) {
    return { outcome: 'refused', reason: 'past_gateway', detail: 'Call through the gateway.' }
  }
  if (authorization.length > AUTHORIZATION_MAX) {
    return { outcome: 'refused', reason: 'unknown_token', detail: 'Invalid MCP token.' }
  }
  return resolved(authorization, deps.auth, deps)
}

async function verified(assertion: string, { verify, log }: AuthenticateDeps): Promise<Authentication> {
  try {
    const principal = await verify(assertion)
    log.debug({ kind: principal.kind, libraries: principal.resolved_libraries.length }, 'principal')
    return principal.kind === 'anonymous' ? { outcome: 'anonymous' } : { outcome: 'resolved', principal }
  } catch (error) {
    if (!(error instanceof AssertionError)) throw error
    return { outcome: 'refused', reason: 'bad_assertion', detail: error.message }
  }
}

async function resolved(
  authorization: string,
  auth: Client<typeof authInternalContract>,
  { sign, log }: AuthenticateDeps,
): Promise<Authentication> {
  try {
    const self = servicePrincipal('mcp')
    const [forAuth, ...beyond] = await Promise.all(
      (['auth', ...DELEGATES.auth] as const).map((audience) => sign(self, audience)),
    )
    const context = {
      delegations: { auth: forAuth! },
      handOn: Object.fromEntries(DELEGATES.auth.map((name, index) => [name, beyond[index]!])),
    }
    const credential = { kind: 'bearer' as const, authorization }
    const answer = await within(PATIENCE_MS, (signal) =>
      auth.resolve({ credential, surface: 'mcp' }, { context, signal }),
    )
    const resolution = readResolution(answer, 'mcp')
    if (resolution.outcome === 'resolved') {
      const { kind, resolved_libraries } = resolution.principal
      log.debug({ kind, libraries: resolved_libraries.length }, 'bearer resolved')
    }
    return resolution
  } catch (error) {
    log.error({ err: error }, 'credentials cannot be resolved')
    return { outcome: 'unavailable' }
  }
}

/** The principal of a call without a credential where none is required: it reads nothing. */
export const ANONYMOUS: Principal = { ...servicePrincipal('mcp'), kind: 'anonymous' }

const OPEN_METHODS = new Set(['initialize', 'notifications/initialized', 'ping', 'server/discover'])

/** Whether a JSON-RPC body holds only what is served without a credential: `get_health`, and the way to it. */
export function isOpenToAll(body: string): boolean {
  let messages: unknown[]
  try {
    messages = [JSON.parse(body)].flat()
  } catch {
    return false
  }
  return messages.length > 0 && messages.every(isOpenMessage)
}

function isOpenMessage(message: unknown): boolean {
  if (message === null || typeof message !== 'object' || !('method' in message)) return false
  if (typeof message.method === 'string' && OPEN_METHODS.has(message.method)) return true
  if (message.method !== 'tools/call' || !('params' in message)) return false
  const { params } = message
  return params !== null && typeof params === 'object' && 'name' in params && params.name === 'get_health'
}
