import {
  authInternalContract,
  type Credential,
  createClient,
  DELEGATION_HEADER,
  type FetchHandler,
  PRINCIPAL_HEADER,
  type Principal,
  REQUEST_ID_HEADER,
  type Resolution,
  readResolution,
  type Surface,
  servicePrincipal,
} from '@mnemosyne/contracts'
import { currentRequest, traceHeaders, within } from '@mnemosyne/platform'
import type { Assert } from './assertions.ts'

/** Milliseconds for auth to resolve a credential, so that the caller has an answer within two seconds. */
const PATIENCE_MS = 1_500

/** Auth is down, slow, or answers something else than a resolution. */
export class AuthUnavailableError extends Error {
  readonly code = 'AUTH_UNAVAILABLE'

  constructor(options?: ErrorOptions) {
    super('Credentials cannot be checked right now. Try again shortly.', options)
    this.name = 'AuthUnavailableError'
  }
}

export type Authenticate = (credential: Credential, surface: Surface) => Promise<Resolution>

/**
 * Asks auth who presents a credential. Whatever keeps auth from answering in time and in shape is an
 * AuthUnavailableError, never a principal.
 */
export function createAuthenticate(options: { auth: FetchHandler; assert: Assert }): Authenticate {
  const client = createClient(authInternalContract, {
    fetch: async (request) => {
      const own = await options.assert(servicePrincipal('rest'), 'auth')
      request.headers.set(PRINCIPAL_HEADER, own.principal)
      request.headers.set(DELEGATION_HEADER, own.delegations)
      return options.auth(request)
    },
    headers: () => ({ [REQUEST_ID_HEADER]: currentRequest().request_id ?? '', ...traceHeaders() }),
  })

  return async (credential, surface) => {
    try {
      const answer = await within(PATIENCE_MS, (signal) =>
        client.resolve({ credential, surface }, { signal }),
      )
      return readResolution(answer, surface)
    } catch (cause) {
      throw new AuthUnavailableError({ cause })
    }
  }
}

/** Who presents no credential. */
export function anonymous(surface: Surface): Principal {
  return { ...servicePrincipal(surface), kind: 'anonymous' }
}
