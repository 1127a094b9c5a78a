import { createORPCClient } from '@orpc/client'
import type { StandardLinkClient } from '@orpc/client/standard'
import type { AnyContractRouter, ContractRouterClient } from '@orpc/contract'
import { StandardOpenAPILink } from '@orpc/openapi-client/standard'
import { toFetchBody, toFetchHeaders, toStandardLazyResponse } from '@orpc/standard-server-fetch'
import {
  DELEGATION_HEADER,
  type Delegations,
  encodeDelegations,
  PRINCIPAL_HEADER,
  type ServiceName,
} from './principal.ts'

export type FetchHandler = (request: Request) => Promise<Response>

export interface CallContext {
  /** Presented to the callee: the one for its audience. */
  delegations?: Delegations
  /** Handed on to the callee, to present to others; only who signs has any to hand on. */
  handOn?: Delegations
}

export type Client<C extends AnyContractRouter> = ContractRouterClient<C, CallContext>

/** An answer outside 2xx. `status` and `detail` are as the callee worded them; `fields` on 400. */
export class CallError extends Error {
  readonly status: number
  readonly fields: Record<string, string[]>

  constructor(status: number, detail: string, fields: Record<string, string[]> = {}, options?: ErrorOptions) {
    super(detail, options)
    this.name = 'CallError'
    this.status = status
    this.fields = fields
  }
}

/**
 * A typed client of a contract. `fetch` decides the way: a socket, or the callee's own handler in the same
 * process; encoding, assertion and errors are the same on both. Refusals throw `CallError`.
 */
export function createClient<C extends AnyContractRouter>(
  contract: C,
  options: {
    fetch: FetchHandler
    /** Where the callee listens; only its path part matters in process. */
    url?: string
    /** Whose delegation to present, when the call context holds one. */
    audience?: ServiceName
    headers?: () => Record<string, string>
  },
): Client<C> {
  const link = new StandardOpenAPILink<CallContext>(contract, senderBy(options.fetch), {
    url: options.url ?? 'http://in-process',
    headers: ({ context }) => {
      const assertion = options.audience && context.delegations?.[options.audience]
      return {
        ...options.headers?.(),
        ...(assertion && { [PRINCIPAL_HEADER]: assertion }),
        ...(context.handOn && { [DELEGATION_HEADER]: encodeDelegations(context.handOn) }),
      }
    },
  })
  return createORPCClient(link)
}

/** oRPC's own sender declares no length of bodies: the callee would have to count. */
function senderBy(fetch: FetchHandler): StandardLinkClient<CallContext> {
  return {
    async call({ url, method, signal, ...request }) {
      const headers = toFetchHeaders(request.headers)
      const body = toFetchBody(request.body, headers)
      if (typeof body === 'string') headers.set('content-length', String(Buffer.byteLength(body)))
      const response = await fetch(new Request(url, { method, headers, body, signal }))
      if (response.status < 400) return toStandardLazyResponse(response, { signal })
      throw await callError(response)
    },
  }
}

async function callError(response: Response): Promise<CallError> {
  const body: unknown = await response.json().catch(() => undefined)
  if (body !== null && typeof body === 'object') {
    if ('detail' in body && typeof body.detail === 'string')
      return new CallError(response.status, body.detail)
    const fields = body as Record<string, string[]>
    const detail = Object.entries(fields)
      .map(([field, faults]) => `${field}: ${[faults].flat().join(' ')}`)
      .join('; ')
    return new CallError(response.status, detail, fields)
  }
  return new CallError(response.status, `The service answered ${response.status}.`)
}
