import { randomUUID } from 'node:crypto'
import { context, propagation, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { type ExportResult, ExportResultCode, W3CTraceContextPropagator } from '@opentelemetry/core'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { resourceFromAttributes } from '@opentelemetry/resources'
import { BatchSpanProcessor, type SpanExporter, TracerProvider } from '@opentelemetry/sdk-trace'
import type { Logger } from './log.ts'

/** For one batch of spans, repetitions included. */
const EXPORT_MS = 2_000
/** For the last spans. A collector that is away must not hold up the end of the process. */
const LAST_MS = 1_000

/**
 * Sends this process's spans by OTLP over HTTP to `endpoint` (as in OTEL_EXPORTER_OTLP_ENDPOINT, without
 * `/v1/traces`). A caller who does not sample is not traced; whoever comes without a trace is. Returns what stops it,
 * after the last spans have gone out. Call it once a process.
 */
export function startTracing(options: {
  endpoint: string
  serviceName: string
  version: string
  /** Told when spans cannot be sent, and when they can again. */
  log?: Logger
}): () => Promise<void> {
  const exporter = new EndableExporter(
    new OTLPTraceExporter({
      url: `${options.endpoint.replace(/\/$/, '')}/v1/traces`,
      timeoutMillis: EXPORT_MS,
    }),
    options.log,
  )
  const provider = new TracerProvider({
    resource: resourceFromAttributes({
      'service.namespace': 'mnemosyne',
      'service.instance.id': randomUUID(),
      'service.name': options.serviceName,
      'service.version': options.version,
    }),
    spanProcessors: [
      new BatchSpanProcessor({
        exporter,
        exportTimeoutMillis: EXPORT_MS,
      }),
    ],
  })
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  propagation.setGlobalPropagator(new W3CTraceContextPropagator())
  trace.setGlobalTracerProvider(provider)
  return async () => {
    const end = setTimeout(() => exporter.end(), LAST_MS)
    // What it rejects with was told already, when the spans could not be sent.
    await Promise.race([provider.shutdown().catch(() => {}), exporter.ended])
    clearTimeout(end)
    trace.disable()
    propagation.disable()
    context.disable()
  }
}

/** An exporter that says when it fails, and can be told to give up: what comes after that is dropped at once. */
class EndableExporter implements SpanExporter {
  readonly #inner: SpanExporter
  readonly #end = Promise.withResolvers<void>()
  readonly ended = this.#end.promise
  readonly #log: Logger | undefined
  #over = false
  #failing = false

  constructor(inner: SpanExporter, log: Logger | undefined) {
    this.#inner = inner
    this.#log = log
  }

  export(...[spans, done]: Parameters<SpanExporter['export']>): void {
    if (this.#over) done({ code: ExportResultCode.FAILED })
    else
      this.#inner.export(spans, (result) => {
        this.#note(result)
        done(result)
      })
  }

  #note({ code, error: err }: ExportResult): void {
    const failed = code === ExportResultCode.FAILED
    if (failed && !this.#failing) this.#log?.warn({ err }, 'spans cannot be sent and are lost')
    if (!failed && this.#failing) this.#log?.info('spans can be sent again')
    this.#failing = failed
  }

  end(): void {
    this.#over = true
    this.#end.resolve()
  }

  forceFlush(): Promise<void> {
    return this.#inner.forceFlush?.() ?? Promise.resolve()
  }

  shutdown(): Promise<void> {
    return this.#inner.shutdown()
  }
}
