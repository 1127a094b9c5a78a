import { randomUUID } from 'node:crypto'
import { context, propagation, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { W3CTraceContextPropagator } from '@opentelemetry/core'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { resourceFromAttributes } from '@opentelemetry/resources'
import { BatchSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace'

/** A collector that is away must not hold up the end of the process. */
const PATIENCE_MS = 3_000

/**
 * Sends this process's spans by OTLP over HTTP to `endpoint` (as in OTEL_EXPORTER_OTLP_ENDPOINT, without
 * `/v1/traces`). A caller who does not sample is not traced; whoever comes without a trace is. Returns what stops it,
 * after the last spans have gone out. Call it once a process.
 */
export function startTracing(options: {
  endpoint: string
  serviceName: string
  version: string
}): () => Promise<void> {
  const provider = new TracerProvider({
    resource: resourceFromAttributes({
      'service.namespace': 'mnemosyne',
      'service.instance.id': randomUUID(),
      'service.name': options.serviceName,
      'service.version': options.version,
    }),
    spanProcessors: [
      new BatchSpanProcessor({
        exporter: new OTLPTraceExporter({
          url: `${options.endpoint.replace(/\/$/, '')}/v1/traces`,
          timeoutMillis: PATIENCE_MS,
        }),
        exportTimeoutMillis: PATIENCE_MS,
      }),
    ],
  })
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  propagation.setGlobalPropagator(new W3CTraceContextPropagator())
  trace.setGlobalTracerProvider(provider)
  return async () => {
    await provider.shutdown()
    trace.disable()
    propagation.disable()
    context.disable()
  }
}
