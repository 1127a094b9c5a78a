export { type Clock, systemClock } from './clock.ts'
export { createLog, type Logger, type LogOptions } from './log.ts'
export { currentRequest, inRequest, Metrics, SpanKind, span, traceHeaders, withTrace } from './telemetry.ts'
