import type { Attributes } from '@opentelemetry/api'
import type { Logger } from '../log.ts'
import { markFailed, SpanKind, span, traceHeaders, withTrace } from '../telemetry.ts'
import { checkMessage, type Validate } from './event.ts'
import type { BusMetrics } from './metrics.ts'
import {
  type BusMessage,
  type Handle,
  InvalidMessage,
  RetryLater,
  type RetryPolicy,
  retryDelay,
  Unprocessable,
} from './port.ts'

const DAY_MS = 86_400_000
const MAX_BODY_BYTES = 1 << 20
const NAME = /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/

/** What is to become of a delivery. */
export type Outcome =
  | { kind: 'done' }
  | { kind: 'again'; delayMs: number; failures: number }
  | { kind: 'dead'; reason: string; failures: number }
  | { kind: 'hand-back' }

export interface Delivery {
  queue: string
  message: BusMessage
  /** Counted failures so far. */
  failures: number
  /** It was delivered before, and not answered. */
  redelivered: boolean
  signal: AbortSignal
}

export interface Handling {
  handle: Handle
  retry: RetryPolicy
}

/** `messaging.system` of the semantic conventions; for a bus without a broker there is no word there. */
export type MessagingSystem = 'rabbitmq' | 'in_process'

interface Surroundings {
  system: MessagingSystem
  log: Logger
  metrics: BusMetrics
  validate: Validate | undefined
}

/** Runs the handler once, in a consumer span under the message's trace. Never throws. */
export async function deliver(
  delivery: Delivery,
  handling: Handling,
  { system, log, metrics, validate }: Surroundings,
): Promise<Outcome> {
  const { queue, message, signal, failures } = delivery
  const started = performance.now()
  metrics.inHand(queue, 1)
  if (delivery.redelivered) metrics.redelivered(queue)
  try {
    const failure = await withTrace(message.headers, () =>
      span(
        `process ${queue}`,
        attributesOf(system, 'process', 'process', queue, message),
        async (active) => {
          try {
            checkMessage(message, validate)
            await handling.handle(message, { signal, attempt: failures + 1 })
            return undefined
          } catch (error) {
            // What only came too early did not fail.
            const fault = error instanceof RetryLater ? error.cause : error
            if (fault !== undefined) markFailed(active, fault)
            return { error }
          }
        },
        SpanKind.CONSUMER,
      ),
    )
    if (!failure) return { kind: 'done' }
    const outcome = outcomeOf(failure.error, delivery, handling.retry)
    report(outcome, failure.error, delivery, log)
    return outcome
  } finally {
    metrics.inHand(queue, -1)
    metrics.consumed(queue, (performance.now() - started) / 1000)
  }
}

/** https://opentelemetry.io/docs/specs/semconv/messaging/, with one name for a destination on every bus. */
function attributesOf(
  system: MessagingSystem,
  type: 'send' | 'process',
  name: string,
  destination: string,
  { id }: BusMessage,
): Attributes {
  return {
    'messaging.system': system,
    'messaging.operation.type': type,
    'messaging.operation.name': name,
    'messaging.destination.name': destination,
    'messaging.message.id': id,
  }
}

/** What a handler's error means. Once the consumer closes, a failure may be the closing's and is not counted. */
function outcomeOf(error: unknown, { failures, signal }: Delivery, policy: RetryPolicy): Outcome {
  if (error instanceof Unprocessable || error instanceof InvalidMessage)
    return { kind: 'dead', reason: reasonOf(error), failures: failures + 1 }
  if (error instanceof RetryLater)
    return { kind: 'again', delayMs: Math.min(Math.max(0, error.delayMs), DAY_MS), failures }
  if (signal.aborted) return { kind: 'hand-back' }
  const delayMs = retryDelay(policy, failures + 1)
  if (delayMs === undefined) return { kind: 'dead', reason: reasonOf(error), failures: failures + 1 }
  return { kind: 'again', delayMs, failures: failures + 1 }
}

function reasonOf(error: unknown): string {
  return (error instanceof Error ? error.message || error.name : String(error)).slice(0, 1000)
}

function report(outcome: Outcome, error: unknown, { queue, message }: Delivery, log: Logger): void {
  const about = { queue, message_id: message.id, err: error }
  if (outcome.kind === 'dead') log.error(about, 'message dead-lettered')
  else if (outcome.kind === 'again' && error instanceof RetryLater)
    log.debug({ queue, message_id: message.id, delay_ms: outcome.delayMs }, 'message put off')
  else if (outcome.kind === 'again')
    log.warn({ ...about, delay_ms: outcome.delayMs, failures: outcome.failures }, 'message will be retried')
  else log.info({ queue, message_id: message.id }, 'message handed back')
}

/**
 * Checks a message, then sends it in a producer span under the trace in its headers (the request that wrote
 * the outbox row) or else the active one. `send` gets the body as JSON. Throws `InvalidMessage`.
 */
export async function publishTraced(
  message: BusMessage,
  { system, validate }: Pick<Surroundings, 'system' | 'validate'>,
  send: (message: BusMessage, json: string) => Promise<void>,
): Promise<void> {
  const json = JSON.stringify(message.body)
  checkShape(message, json)
  checkMessage(message, validate)
  await withTrace(message.headers, () =>
    span(
      `publish ${message.destination}`,
      attributesOf(system, 'send', 'publish', message.destination, message),
      () => send({ ...message, headers: { ...carried(message.headers), ...traceHeaders() } }, json),
      SpanKind.PRODUCER,
    ),
  )
}

function checkShape({ kind, destination, id, delayMs }: BusMessage, json: string | undefined): void {
  checkName(destination)
  if (id.length === 0 || id.length > 200) throw new InvalidMessage('a message id has 1 to 200 characters')
  if (json === undefined) throw new InvalidMessage(`the body of ${destination} is not JSON`)
  if (Buffer.byteLength(json) > MAX_BODY_BYTES)
    throw new InvalidMessage(`the body of ${destination} is over 1 MiB: send an id, not the thing`)
  if (delayMs === undefined) return
  if (kind === 'event') throw new InvalidMessage('an event can not be delayed')
  if (!(delayMs >= 0 && delayMs <= DAY_MS)) throw new InvalidMessage('a delay is 0 to 86400000 ms')
}

/** Queue names and routing keys are short dotted words, so that they can be part of one another. */
export function checkName(name: string): void {
  if (name.length > 120 || !NAME.test(name))
    throw new InvalidMessage(`"${name.slice(0, 120)}" is not a name of words (A-Z a-z 0-9 _ -) and dots`)
}

/** The headers that are the publisher's. */
export function carried(headers: Record<string, unknown> | undefined): Record<string, string> {
  const text = Object.entries(headers ?? {}).filter(
    (header): header is [string, string] => typeof header[1] === 'string' && !header[0].startsWith('x-'),
  )
  return Object.fromEntries(text)
}
