import type { FetchHandler, ServiceName } from '@mnemosyne/contracts'
import {
  currentRequest,
  type Metrics,
  markFailed,
  SpanKind,
  span,
  traceHeaders,
  untraced,
  withTrace,
} from './telemetry.ts'

/** Spans and metrics of HTTP: https://opentelemetry.io/docs/specs/semconv/http/http-spans/, but no path and no query. */

/** RFC 9110, section 9, and PATCH; any other method is somebody's text. */
const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH'])

/** Asked again and again by machines: they make no spans and no log lines. */
const PROBES: Record<string, string> = {
  '/live': 'live',
  '/ready': 'ready',
  '/metrics': 'metrics',
  '/mcp/health': 'mcp.health',
  '/healthz': 'mcp.health',
}

/** Of a URL as requests have it; without a slash at its end. */
const PATH = /^\w+:\/\/[^/]+(\/[^?#]*?)\/?(?:[?#]|$)/

/** What a request turned out to ask for, noted while it is answered. */
export interface Matched {
  /** For metrics. */
  operation: string
  /** The path as it was declared, for traces. */
  route?: string
}

/** The operation of a probe's path, or undefined. */
export function probeAt(url: string): string | undefined {
  const path = PATH.exec(url)?.[1]
  return path === undefined ? undefined : PROBES[path]
}

/** The method of a request, or `_OTHER`, which is none of HTTP's own. */
export function httpMethod({ method }: Pick<Request, 'method'>): string {
  return METHODS.has(method) ? method : '_OTHER'
}

type Serve = (request: Request, matched: Matched, answer: () => Promise<Response>) => Promise<Response>

/** Times the answers of a service, each in a server span under the caller's trace. */
export function observeServing(metrics: Metrics): Serve {
  const observe = metrics.histogram(
    'mnemosyne_http_request_duration_seconds',
    'Time until requests were answered, by operation.',
    ['method', 'operation', 'status'],
  )
  return async (request, matched, answer) => {
    const started = performance.now()
    const method = httpMethod(request)
    const probe = probeAt(request.url)
    const response = probe
      ? await untraced(answer)
      : await inServerSpan(request, method, metrics.component, matched, answer)
    observe((performance.now() - started) / 1000, {
      method,
      operation: probe ?? matched.operation,
      status: String(response.status),
    })
    return response
  }
}

function inServerSpan(
  { url, headers }: Request,
  method: string,
  component: string,
  matched: Matched,
  answer: () => Promise<Response>,
): Promise<Response> {
  const { hostname, protocol } = new URL(url)
  const attributes = {
    'mnemosyne.component': component,
    'http.request.method': method,
    'url.scheme': protocol.slice(0, -1),
    'server.address': hostname,
  }
  const theirs = {
    traceparent: headers.get('traceparent') ?? undefined,
    tracestate: headers.get('tracestate') ?? undefined,
  }
  return withTrace(theirs, () =>
    span(
      nameOf(method),
      attributes,
      async (active) => {
        const response = await answer()
        const { operation, route } = matched
        const { user_id } = currentRequest()
        active.updateName(nameOf(method, route))
        active.setAttributes({
          'mnemosyne.operation': operation,
          'http.response.status_code': response.status,
          ...(route && { 'http.route': route }),
          ...(user_id && { 'user.id': user_id }),
        })
        if (response.status >= 500) markFailed(active, String(response.status))
        return response
      },
      SpanKind.SERVER,
    ),
  )
}

function nameOf(method: string, target?: string): string {
  return [method === '_OTHER' ? 'HTTP' : method, target].filter(Boolean).join(' ')
}

/** Why a request is sent once more: nobody took it, or the connection broke before an answer. */
export type ResendReason = 'not_taken' | 'broken_off'

/** How calls of one service by another are told of, over a socket or not. */
export interface CallObserver {
  /**
   * Sends a request in a client span, whose trace context goes along in its headers. `resends`: how often it was
   * sent before.
   */
  sent(
    request: Request,
    to: { address: string; port?: number },
    resends: number,
    send: () => Promise<Response>,
  ): Promise<Response>
  resent(request: Request, reason: ResendReason): void
}

export function observeCalls(target: ServiceName, metrics: Metrics): CallObserver {
  const observe = metrics.histogram(
    'mnemosyne_http_client_duration_seconds',
    'Time until a service had answered another, by the service asked; each sending apart.',
    ['target', 'status'],
  )
  const count = metrics.counter(
    'mnemosyne_http_client_resends_total',
    'Requests to a service that were sent once more, to the same replica or another.',
    ['target', 'reason'],
  )
  for (const reason of ['not_taken', 'broken_off']) count({ target, reason }, 0)

  async function timed(send: () => Promise<Response>): Promise<Response> {
    const started = performance.now()
    let status = 'error'
    try {
      const response = await send()
      status = String(response.status)
      return response
    } finally {
      observe((performance.now() - started) / 1000, { target, status })
    }
  }

  return {
    resent(request, reason) {
      if (!probeAt(request.url)) count({ target, reason })
    },
    sent(request, { address, port }, resends, send) {
      if (probeAt(request.url)) return untraced(send)
      const method = httpMethod(request)
      const attributes = {
        'http.request.method': method,
        'url.scheme': 'http',
        'server.address': address,
        ...(port !== undefined && { 'server.port': port, 'server.service.name': `mnemosyne-${target}` }),
        ...(resends > 0 && { 'http.request.resend_count': resends }),
      }
      return span(
        nameOf(method, target),
        attributes,
        async (active) => {
          for (const [name, value] of Object.entries(traceHeaders())) request.headers.set(name, value)
          const response = await timed(send)
          active.setAttribute('http.response.status_code', response.status)
          if (response.status >= 400) markFailed(active, String(response.status))
          return response
        },
        SpanKind.CLIENT,
      )
    },
  }
}

/** A service in the same process, called as over a socket. */
export function inProcessUpstream(serve: FetchHandler, calls: CallObserver): FetchHandler {
  return (request) => calls.sent(request, { address: 'in-process' }, 0, () => serve(request))
}
