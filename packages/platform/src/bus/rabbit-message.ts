import type { Message, Options } from 'amqplib'
import { carried } from './delivery.ts'
import { type BusMessage, type DeadLetter, Unprocessable } from './port.ts'

/** How a message looks on the wire: its destination is `type`, its id `message-id`, the bus's own headers `x-…`. */
export interface Wire {
  content: Buffer
  properties: Options.Publish
}

export function encode(message: BusMessage, json: string, appId: string): Wire {
  return {
    content: Buffer.from(json),
    properties: {
      persistent: true,
      contentType: message.kind === 'event' ? 'application/cloudevents+json' : 'application/json',
      messageId: message.id,
      type: message.destination,
      appId,
      headers: message.headers,
    },
  }
}

/** The same message with other bookkeeping; what an earlier round wrote is left behind. */
export function again(raw: Message, bookkeeping: Record<string, string | number>): Wire {
  const { contentType, messageId, type, appId, headers } = raw.properties
  return {
    content: raw.content,
    properties: {
      persistent: true,
      contentType,
      messageId,
      type,
      appId,
      headers: { ...carried(headers), ...bookkeeping },
    },
  }
}

/** Throws `Unprocessable` when it is not one of ours. */
export function decode(raw: Message, kind: BusMessage['kind']): BusMessage {
  const { messageId, type, headers } = raw.properties
  if (typeof messageId !== 'string' || typeof type !== 'string')
    throw new Unprocessable('the message has no id or no type')
  try {
    const body: unknown = JSON.parse(raw.content.toString('utf8'))
    return { kind, destination: type, id: messageId, body, headers: carried(headers) }
  } catch (cause) {
    throw new Unprocessable('the message is not JSON', { cause })
  }
}

export function failuresOf(raw: Message): number {
  return numberOf(raw, 'x-failures') ?? 0
}

/** Epoch milliseconds before which a long delay is not over. */
export function notBefore(raw: Message): number {
  return numberOf(raw, 'x-not-before') ?? 0
}

function numberOf(raw: Message, name: string): number | undefined {
  const value: unknown = raw.properties.headers?.[name]
  return typeof value === 'number' ? value : undefined
}

export function deadHeaders(
  { queue, reason, failures }: { queue: string; reason: string; failures: number },
  now: Date,
): Record<string, string | number> {
  return {
    'x-dead-queue': queue,
    'x-dead-reason': reason,
    'x-dead-at': now.toISOString(),
    'x-failures': failures,
  }
}

/** A message in the dead-letter queue: put there by a consumer, or by the broker at the delivery limit. */
export function decodeDead(raw: Message, commandQueues: string[]): DeadLetter {
  const headers = raw.properties.headers ?? {}
  const death = headers['x-death']?.[0]
  const queue = String(headers['x-dead-queue'] ?? death?.queue ?? raw.fields.routingKey)
  const kind = commandQueues.includes(queue) ? 'command' : 'event'
  const message = decodeLeniently(raw, kind, queue)
  return {
    id: `${queue}:${message.id}`,
    queue,
    message,
    reason: String(headers['x-dead-reason'] ?? brokersReason(death?.reason)),
    attempts: failuresOf(raw),
    diedAt: String(headers['x-dead-at'] ?? new Date((death?.time.value ?? 0) * 1000).toISOString()),
  }
}

function brokersReason(reason: string | undefined): string {
  if (reason === 'delivery_limit')
    return 'delivery-limit: its consumers died or lost their connection before they answered'
  return reason ?? 'unknown'
}

function decodeLeniently(raw: Message, kind: BusMessage['kind'], queue: string): BusMessage {
  try {
    return decode(raw, kind)
  } catch {
    const { messageId, type, headers } = raw.properties
    const body = raw.content.toString('utf8', 0, 10_000)
    return { kind, destination: type ?? queue, id: messageId ?? 'unnamed', body, headers: carried(headers) }
  }
}
