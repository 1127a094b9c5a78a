import { AsyncLocalStorage } from 'node:async_hooks'
import {
  type Attributes,
  context,
  propagation,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api'
import { suppressTracing } from '@opentelemetry/core'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { version } from './version.ts'

const tracer = trace.getTracer('mnemosyne')
const requests = new AsyncLocalStorage<{ request_id: string; user_id?: string }>()

/** Runs `work` with a request id that every log line inside it carries. */
export function inRequest<T>(requestId: string, work: () => T): T {
  return requests.run({ request_id: requestId }, work)
}

/** Whoever acts in the request being served: log lines from here on, and its span, carry the id. */
export function noteActingUser(user: { id: string } | null): void {
  const request = requests.getStore()
  if (request && user) request.user_id = user.id
}

/** `{request_id, user_id}` of the request being served, as far as they are known. */
export function currentRequest(): { request_id?: string; user_id?: string } {
  return requests.getStore() ?? {}
}

/** `{trace_id}` of the active span, or `{}`. */
export function currentTrace(): { trace_id?: string } {
  const active = trace.getActiveSpan()?.spanContext()
  return active ? { trace_id: active.traceId } : {}
}

/**
 * Runs `work` in a span. A throw is recorded (class or code only: messages may quote text) and passes on.
 * Without an exporter this costs next to nothing. Attributes never hold document text or secrets.
 */
export async function span<T>(
  name: string,
  attributes: Attributes,
  work: (span: Span) => Promise<T>,
  kind: SpanKind = SpanKind.INTERNAL,
): Promise<T> {
  return tracer.startActiveSpan(name, { attributes, kind }, async (active) => {
    try {
      return await work(active)
    } catch (error) {
      markFailed(active, error)
      throw error
    } finally {
      active.end()
    }
  })
}

/** A span that is not around one piece of work: begun here, ended by what is returned. */
export function beginSpan(name: string, attributes: Attributes): { end(error?: unknown): void } {
  const begun = tracer.startSpan(name, { attributes })
  return {
    end(error) {
      if (error !== undefined) markFailed(begun, error)
      begun.end()
    },
  }
}

/** A span of work that was done elsewhere: from a time of the epoch in milliseconds, so many seconds long. */
export function pastSpan(name: string, from: number, seconds: number): void {
  tracer.startSpan(name, { startTime: from }).end(from + seconds * 1000)
}

/** Marks a span as failed, by an error or by a word for it that is one of few: a status code, for one. */
export function markFailed(failed: Span, why: unknown): void {
  failed.setAttribute('error.type', typeof why === 'string' ? why : errorType(why))
  failed.setStatus({ code: SpanStatusCode.ERROR })
}

/** What kind of error it is, in a word that quotes nothing: its code, or the name of its class. */
function errorType(error: unknown): string {
  if (!(error instanceof Error)) return '_OTHER'
  const code = 'code' in error ? error.code : undefined
  return typeof code === 'string' && /^\w{1,60}$/.test(code) ? code : error.name
}

/** Runs `work` without spans: probes, and the polling of a process that has nothing to do. */
export function untraced<T>(work: () => T): T {
  return context.with(suppressTracing(context.active()), work)
}

/** Runs `work` in no trace, so that it begins its own: it was set in motion by something that it is no part of. */
export function outsideTrace<T>(work: () => T): T {
  return context.with(ROOT_CONTEXT, work)
}

/** W3C trace context of the active span as headers (`traceparent`, …), to cross a process, a queue or an outbox row. */
export function traceHeaders(): Record<string, string> {
  const carrier: Record<string, string> = {}
  propagation.inject(context.active(), carrier)
  return carrier
}

/** Runs `work` as a child of the trace context in `headers`; of the active one when they hold none. */
export function withTrace<T>(headers: Record<string, string | undefined>, work: () => T): T {
  const theirs = propagation.extract(ROOT_CONTEXT, headers)
  return trace.getSpanContext(theirs) ? context.with(theirs, work) : work()
}

export { type Span, SpanKind }

/** A registry with the metrics of the process itself: version, memory, CPU, event-loop delay, garbage collection. */
export function createRegistry(component = 'mnemosyne'): Registry {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry, labels: { component } })
  new Metrics(registry, component).gauge('mnemosyne_build_info', 'Always 1; the version that runs.', [
    'version',
  ])(1, { version })
  return registry
}

/** Values of a gauge, each with its labels. */
export type Reading = Iterable<[value: number, labels?: Record<string, string>]>

/** Who is asked, by name of the gauge, when its metrics are fetched. */
const readers = new WeakMap<Registry, Map<string, Set<(set: Gauge) => void>>>()

/**
 * Prometheus metrics of one component in a registry that several components may share (one process).
 * Every metric has the label `component`, so that names and labels are the same in both modes.
 * `counter`, `gauge` and `histogram` return the same metric when asked again by name.
 */
export class Metrics {
  readonly registry: Registry
  readonly component: string

  constructor(registry: Registry, component: string) {
    this.registry = registry
    this.component = component
  }

  /** A counter's increment function. Names end in `_total`. */
  counter(
    name: string,
    help: string,
    labels: string[] = [],
  ): (values?: Record<string, string>, by?: number) => void {
    const metric = this.#named(
      name,
      () => new Counter({ name, help, labelNames: ['component', ...labels], registers: [this.registry] }),
    )
    // What has not happened yet is 0, not missing, or the first time would be no increase.
    if (labels.length === 0) metric.inc({ component: this.component }, 0)
    return (values = {}, by = 1) => metric.inc({ component: this.component, ...values }, by)
  }

  /** A gauge's set function. */
  gauge(
    name: string,
    help: string,
    labels: string[] = [],
  ): (value: number, values?: Record<string, string>) => void {
    const metric = this.#named(
      name,
      () => new Gauge({ name, help, labelNames: ['component', ...labels], registers: [this.registry] }),
    )
    return (value, values = {}) => metric.set({ component: this.component, ...values }, value)
  }

  /** A gauge that is read whenever the metrics are fetched. Returns what ends that. */
  reading(name: string, help: string, labels: string[], read: () => Reading): () => void {
    const named = readers.get(this.registry) ?? new Map<string, Set<(gauge: Gauge) => void>>()
    readers.set(this.registry, named)
    const asked = named.get(name) ?? new Set()
    named.set(name, asked)
    this.#named(
      name,
      () =>
        new Gauge({
          name,
          help,
          labelNames: ['component', ...labels],
          registers: [this.registry],
          collect() {
            // What is told of no more is gone.
            this.reset()
            for (const ask of asked) ask(this)
          },
        }),
    )
    const ask = (gauge: Gauge) => {
      for (const [value, values] of read()) gauge.set({ component: this.component, ...values }, value)
    }
    asked.add(ask)
    return () => asked.delete(ask)
  }

  /** A histogram's observe function. Durations are in seconds and names end in `_seconds`. */
  histogram(
    name: string,
    help: string,
    labels: string[] = [],
    buckets?: number[],
  ): (value: number, values?: Record<string, string>) => void {
    const metric = this.#named(
      name,
      () =>
        new Histogram({
          name,
          help,
          labelNames: ['component', ...labels],
          registers: [this.registry],
          ...(buckets && { buckets }),
        }),
    )
    return (value, values = {}) => metric.observe({ component: this.component, ...values }, value)
  }

  #named<M extends Counter | Gauge | Histogram>(name: string, make: () => M): M {
    return (this.registry.getSingleMetric(name) as M | undefined) ?? make()
  }
}
