import {
  DELEGATION_HEADER,
  type FetchHandler,
  PRINCIPAL_HEADER,
  type Principal,
  REQUEST_ID_HEADER,
} from '@mnemosyne/contracts'
import { currentRequest, type Logger, traceHeaders } from '@mnemosyne/platform'
import type { Assert } from './assertions.ts'
import type { BodyKind, Target } from './routes.ts'

export type Upstreams = Record<Target, FetchHandler>

interface Destination {
  target: Target
  path: string
  body: BodyKind
  /** Ends the call, beside the caller's own. */
  signal?: AbortSignal
}

/** RFC 9110, section 7.6.1, and what the gateway consumes itself. */
const NOT_FORWARDED = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'expect',
  'authorization',
  'cookie',
])
const HOP_BY_HOP_ANSWER = [
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'trailer',
  'upgrade',
]
const OWN_PREFIX = 'x-mnemosyne-'

const ONE_MEBIBYTE = 1_048_576

/** The caller went away before there was an answer: nobody sees this status but the log. */
const CLIENT_CLOSED_REQUEST = 499

class BodyTooLargeError extends Error {
  readonly code = 'BODY_TOO_LARGE'
}

export type Forward = (request: Request, principal: Principal, to: Destination) => Promise<Response>

/**
 * Passes a request on with the principal signed for its target, and the answer back. Answers, uploads and bodies of
 * no declared length stream through unbuffered; other bodies are small, and are held, which costs much less than a
 * stream. The end of the caller's connection ends the call.
 */
export function createForward(options: {
  upstreams: Upstreams
  assert: Assert
  uploadMaxBytes: number
  log: Logger
}): Forward {
  const { upstreams, assert, log } = options
  const limits: Record<BodyKind, number> = {
    json: ONE_MEBIBYTE,
    login: 16_384,
    upload: options.uploadMaxBytes,
    mcp: 4 * ONE_MEBIBYTE,
  }

  return async (request, principal, { target, path, body, signal }) => {
    const limit = limits[body]
    if (Number(request.headers.get('content-length') ?? 0) > limit) return tooLarge(limit)
    const headers = forwardedHeaders(request.headers)
    const assertions = await assert(principal, target)
    headers.set(PRINCIPAL_HEADER, assertions.principal)
    if (assertions.delegations) headers.set(DELEGATION_HEADER, assertions.delegations)
    const url = new URL(request.url)
    url.pathname = path
    const pass = (content?: BodyInit) =>
      upstreams[target](
        new Request(url, {
          method: request.method,
          headers,
          signal: signal ? AbortSignal.any([request.signal, signal]) : request.signal,
          ...(content && { body: content, duplex: 'half' }),
        }),
      )
    try {
      const answer = await passBody(request, body, limit, pass)
      for (const name of HOP_BY_HOP_ANSWER) answer.headers.delete(name)
      return answer
    } catch (error) {
      if (error instanceof BodyTooLargeError) return tooLarge(limit)
      if (request.signal.aborted) return new Response(null, { status: CLIENT_CLOSED_REQUEST })
      log.warn({ err: error, target }, 'a service could not be reached')
      return Response.json(
        { detail: `The ${target} service cannot be reached right now. Try again shortly.` },
        { status: 502, headers: { 'retry-after': '1' } },
      )
    }
  }
}

function tooLarge(limit: number): Response {
  return Response.json({ detail: `The body is larger than ${limit} bytes.` }, { status: 413 })
}

/** What may go on: nothing that ends at this hop, no credential, and no header that only the gateway sets. */
function forwardedHeaders(incoming: Headers): Headers {
  const named = (incoming.get('connection') ?? '').toLowerCase().split(',')
  const dropped = new Set([...NOT_FORWARDED, ...named.map((name) => name.trim())])
  const headers = new Headers()
  for (const [name, value] of incoming) {
    if (!dropped.has(name) && !name.startsWith(OWN_PREFIX)) headers.append(name, value)
  }
  const { request_id } = currentRequest()
  if (request_id) headers.set(REQUEST_ID_HEADER, request_id)
  for (const [name, value] of Object.entries(traceHeaders())) headers.set(name, value)
  return headers
}

/** Passes a body on that may have `limit` bytes, and has no more as far as its head tells. */
async function passBody(
  request: Request,
  kind: BodyKind,
  limit: number,
  pass: (content?: BodyInit) => Promise<Response>,
): Promise<Response> {
  const { method, headers } = request
  if (method === 'GET' || method === 'HEAD') return pass()
  // HTTP holds a body to the length that its head declares.
  const isDeclared = headers.has('content-length') && !headers.has('transfer-encoding')
  if (isDeclared && kind !== 'upload') return pass(await request.arrayBuffer())
  if (!request.body) return pass()
  const bounded = boundedBody(request.body, limit)
  return Promise.race([pass(bounded.body), bounded.exceeded])
}

/** The body, which breaks when it grows beyond `limit` bytes; `exceeded` rejects at that moment. */
function boundedBody(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
  limit: number,
): { body: ReadableStream<Uint8Array<ArrayBuffer>>; exceeded: Promise<never> } {
  const { promise: exceeded, reject } = Promise.withResolvers<never>()
  let seen = 0
  const count = new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
    transform(chunk, controller) {
      seen += chunk.byteLength
      if (seen <= limit) return controller.enqueue(chunk)
      const error = new BodyTooLargeError()
      reject(error)
      controller.error(error)
    },
  })
  return { body: body.pipeThrough(count), exceeded }
}
