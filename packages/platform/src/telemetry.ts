import { AsyncLocalStorage } from 'node:async_hooks'
import {
  type Attributes,
  context,
  propagation,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

const tracer = trace.getTracer('mnemosyne')
const requests = new AsyncLocalStorage<{ request_id: string }>()

/** Runs `work` with a request id that every log line inside it carries. */
export function inRequest<T>(requestId: string, work: () => T): T {
  return requests.run({ request_id: requestId }, work)
}

/** `{request_id}` of the request being served, or `{}`. */
export function currentRequest(): { request_id?: string } {
  return requests.getStore() ?? {}
}

/** `{trace_id}` of the active span, or `{}`. */
export function currentTrace(): { trace_id?: string } {
  const active = trace.getActiveSpan()?.spanContext()
  return active ? { trace_id: active.traceId } : {}
}

/**
 * Runs `work` in a span. A throw is recorded (class name only: messages may quote text) and passes on.
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
      active.setStatus({ code: SpanStatusCode.ERROR, message: error instanceof Error ? error.name : 'error' })
      throw error
    } finally {
      active.end()
    }
  })
}

/** W3C trace context of the active span as headers (`traceparent`, …), to cross a process, a queue or an outbox row. */
export function traceHeaders(): Record<string, string> {
  const carrier: Record<string, string> = {}
  propagation.inject(context.active(), carrier)
  return carrier
}

/** Runs `work` as a child of the trace context in `headers`. */
export function withTrace<T>(headers: Record<string, string | undefined>, work: () => T): T {
  return context.with(propagation.extract(context.active(), headers), work)
}

export { SpanKind }

/** A registry with the process's own metrics: memory, CPU, event-loop delay. */
export function createRegistry(): Registry {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  return registry
}

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
