import { randomUUID } from 'node:crypto'
import {
  DELEGATION_HEADER,
  type Delegations,
  type FetchHandler,
  PRINCIPAL_HEADER,
  type Principal,
  parseDelegations,
  REQUEST_ID_HEADER,
  type ServiceName,
} from '@mnemosyne/contracts'
import { OpenAPIHandler } from '@orpc/openapi/fetch'
import { ORPCError, type Router, ValidationError } from '@orpc/server'
import { type Context, Hono, type MiddlewareHandler } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { routePath } from 'hono/route'
import { AssertionError, type Verifier } from './assertion.ts'
import { DomainError, FieldError } from './errors.ts'
import { httpMethod, type Matched, observeServing, probeAt } from './http-telemetry.ts'
import type { Logger } from './log.ts'
import type { Readiness } from './readiness.ts'
import { inRequest, type Metrics, noteActingUser } from './telemetry.ts'

/** A running service: a fetch handler and its end. In one process it is called, apart it is listened for. */
export interface Service {
  readonly name: ServiceName
  readonly fetch: FetchHandler
  readiness(): Promise<Readiness>
  /** Finishes or hands back the work in hand. Closes only what the service itself opened. */
  stop(): Promise<void>
}

/** What a typed operation is given beside its input. */
export interface RequestContext {
  principal: Principal
  /** Assertions to present to the services that may be called on the principal's behalf. */
  delegations: Delegations
  requestId: string
  signal: AbortSignal
}

/** Bindings of a service's Hono app: what was matched, noted for metrics and traces. */
export interface AppEnv {
  Bindings: { matched: Matched }
}

export interface ServiceAppOptions {
  name: ServiceName
  log: Logger
  metrics: Metrics
  readiness: () => Promise<Readiness>
  /** Verifies the principal assertion of every request to a typed operation. */
  verify?: Verifier
  // biome-ignore lint/suspicious/noExplicitAny: a router of any contract
  router?: Router<any, RequestContext>
  /** HTTP status of each domain error code that this service's operations throw. */
  errorStatus?: Record<string, number>
  /** Routes beside the typed operations (streams, pages), matched before them. */
  routes?: (app: Hono<AppEnv>, principalOf: (request: Request) => Promise<RequestContext>) => void
  /** Largest JSON body in bytes. */
  maxBodyBytes?: number
}

const MAX_BODY = 1_048_576
const REQUEST_ID = /^[A-Za-z0-9._:-]{1,128}$/

/**
 * The fetch handler of a service: probes, metrics, request ids, spans, the principal, typed operations, and
 * errors in the one shape `{"detail": …}` or 400 `{field: […]}`. An unexpected error reaches the log with its
 * cause and tells the caller only the request id.
 */
export function serviceApp(options: ServiceAppOptions): FetchHandler {
  const { log, metrics } = options
  const app = routed(options)
  const observed = observeServing(metrics)

  return async (request) => {
    const requestId = requestIdOf(request)
    request.headers.set(REQUEST_ID_HEADER, requestId)
    const matched: Matched = { operation: 'other' }
    const answer = async () => {
      const started = performance.now()
      const response = await app.fetch(request, { matched })
      if (!probeAt(request.url)) log.debug(lineOf(request, matched, response, started), 'request')
      response.headers.set(REQUEST_ID_HEADER, requestId)
      return response
    }
    return inRequest(requestId, () => observed(request, matched, answer))
  }
}

/** Not the path: it may hold a credential that was put into the wrong place, or people's own words. */
function lineOf(request: Request, { route = 'none' }: Matched, { status }: Response, started: number) {
  return { method: httpMethod(request), route, status, duration_ms: Math.round(performance.now() - started) }
}

function routed(options: ServiceAppOptions): Hono<AppEnv> {
  const { metrics, verify } = options
  const app = new Hono<AppEnv>({ strict: false })
  const principalOf = async (request: Request): Promise<RequestContext> => {
    if (!verify) throw new AssertionError()
    const principal = await verify(request.headers.get(PRINCIPAL_HEADER))
    noteActingUser(principal.user)
    return {
      principal,
      delegations: parseDelegations(request.headers.get(DELEGATION_HEADER)),
      requestId: request.headers.get(REQUEST_ID_HEADER) ?? '',
      signal: request.signal,
    }
  }

  app.use('*', async (c, next) => {
    await next()
    const path = routePath(c)
    if (!path.includes('*')) c.env.matched.route ??= path
  })
  app.get('/live', (c) => c.json({ status: 'live' }))
  app.get('/ready', async (c) => {
    const readiness = await options.readiness()
    return c.json(readiness, readiness.status === 'ready' || readiness.status === 'degraded' ? 200 : 503)
  })
  app.get('/metrics', async () => {
    const { registry } = metrics
    return new Response(await registry.metrics(), { headers: { 'content-type': registry.contentType } })
  })
  options.routes?.(app, principalOf)
  if (options.router) {
    const operations = typedOperations(options)
    app.all('*', boundedBody(options.maxBodyBytes ?? MAX_BODY), async (c) => {
      const refusal: OperationContext['refusal'] = {}
      const context = { ...(await principalOf(c.req.raw)), matched: c.env.matched, refusal }
      const { matched, response } = await operations.handle(c.req.raw, { context })
      if (!matched) return c.notFound()
      for (const [name, value] of Object.entries(headersOf(refusal.error))) response.headers.set(name, value)
      return response
    })
  }
  app.notFound((c) => c.json({ detail: 'Not found.' }, 404))
  app.onError((error, c) => errorAnswer(error, options, c))
  return app
}

/** HTTP holds a body to the length that it declares; what declares none is counted while it is read. */
function boundedBody(maxSize: number): MiddlewareHandler<AppEnv> {
  const tooLarge = (c: Context) => c.json({ detail: `The body is larger than ${maxSize} bytes.` }, 413)
  const counted = bodyLimit({ maxSize, onError: tooLarge })
  return async (c, next) => {
    const declared = c.req.header('content-length')
    if (declared === undefined || c.req.header('transfer-encoding') !== undefined) return counted(c, next)
    return Number(declared) <= maxSize ? next() : tooLarge(c)
  }
}

interface OperationContext extends RequestContext {
  matched: Matched
  /** What the operation threw, for the headers of its answer: oRPC's errors have none. */
  refusal: { error?: unknown }
}

function typedOperations(options: ServiceAppOptions): OpenAPIHandler<OperationContext> {
  return new OpenAPIHandler<OperationContext>(options.router as never, {
    clientInterceptors: [
      async ({ path, procedure, context, next }) => {
        context.matched.operation = path.join('.')
        context.matched.route = procedure['~orpc'].route.path
        try {
          return await next()
        } catch (error) {
          context.refusal.error = error
          throw asOrpcError(error, options)
        }
      },
    ],
    customErrorResponseBodyEncoder(error) {
      if (error.cause instanceof ValidationError && error.code === 'BAD_REQUEST')
        return fieldFaults(error.cause)
      if (error.cause instanceof FieldError) return { [error.cause.field]: [error.cause.message] }
      if (error.code === 'BAD_REQUEST' && error.message.startsWith('Malformed request')) {
        return {
          detail: 'The request could not be read: send well-formed JSON with Content-Type application/json.',
        }
      }
      return { detail: error.message }
    },
  })
}

/** What a thrown error means to the caller. Anything unexpected is logged here, with its cause. */
function asOrpcError(error: unknown, { errorStatus = {}, log }: ServiceAppOptions): unknown {
  if (error instanceof FieldError)
    return new ORPCError('BAD_REQUEST', { status: 400, message: error.message, cause: error })
  if (error instanceof DomainError) {
    const status = errorStatus[error.code]
    if (status !== undefined)
      return new ORPCError(error.code, { status, message: error.message, cause: error })
  }
  if (error instanceof ORPCError && error.status < 500) return error
  log.error({ err: error }, 'unexpected error in an operation')
  return new ORPCError('INTERNAL_SERVER_ERROR', { message: INTERNAL, cause: error })
}

/** Seen by nobody but the log and the metrics. */
const CLIENT_CLOSED_REQUEST = 499

const INTERNAL = 'Something went wrong here. The log has it under this request id.'

function errorAnswer(error: Error, { errorStatus = {}, log }: ServiceAppOptions, c: Context): Response {
  if (error instanceof AssertionError) return c.json({ detail: error.message }, 401)
  if (error instanceof FieldError) return c.json({ [error.field]: [error.message] }, 400)
  if (error instanceof DomainError && errorStatus[error.code] !== undefined) {
    return c.json({ detail: error.message }, errorStatus[error.code] as 400, headersOf(error))
  }
  if (c.req.raw.signal.aborted) {
    log.info({ reason: error.name }, 'the caller went away')
    return new Response(null, { status: CLIENT_CLOSED_REQUEST })
  }
  log.error({ err: error }, 'unexpected error in a route')
  return c.json({ detail: INTERNAL }, 500)
}

/** What an answer says beside the words of a refusal. */
function headersOf(error: unknown): Record<string, string> {
  if (!(error instanceof DomainError) || error.retryAfterSeconds === undefined) return {}
  return { 'retry-after': String(error.retryAfterSeconds) }
}

function fieldFaults(error: ValidationError): Record<string, string[]> {
  const faults: Record<string, string[]> = {}
  for (const { path, message } of error.issues) {
    const field =
      path?.map((part) => String(typeof part === 'object' ? part.key : part)).join('.') || 'non_field_errors'
    const words = message.endsWith('received undefined') ? 'Is required.' : message
    faults[field] = [...(faults[field] ?? []), words]
  }
  return faults
}

function requestIdOf(request: Request): string {
  const given = request.headers.get(REQUEST_ID_HEADER)
  return given && REQUEST_ID.test(given) ? given : randomUUID()
}
