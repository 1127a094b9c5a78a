export { type Clock, systemClock } from './clock.ts'
export { createLog, type Logger, type LogOptions } from './log.ts'
export { currentRequest, inRequest, Metrics, SpanKind, span, traceHeaders, withTrace } from './telemetry.ts'
export {
  type CloudEvent,
  cloudEvent,
  cloudEventSchema,
  eventMessage,
  readEvent,
  type Validate,
} from './bus/event.ts'
export {
  BacklogFull,
  type Bus,
  BusClosed,
  type BusMessage,
  BusUnavailable,
  type CommandConsumer,
  type Consumer,
  type DeadLetter,
  DeadLetterNotFound,
  type DeadLetters,
  type DeliveryContext,
  defaultRetry,
  type Handle,
  InvalidBrokerUrl,
  InvalidMessage,
  RetryLater,
  type RetryPolicy,
  type Subscription,
  UnknownQueue,
  Unprocessable,
} from './bus/port.ts'
