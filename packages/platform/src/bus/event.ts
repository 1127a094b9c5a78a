import { z } from 'zod'
import { type BusMessage, InvalidMessage, Unprocessable } from './port.ts'

/** CloudEvents 1.0 in JSON, structured mode, with the extension for distributed tracing. */
export const cloudEventSchema = z.looseObject({
  specversion: z.literal('1.0'),
  id: z.string().min(1).max(200),
  /** Versioned name, `ingest.job.completed.v1`; the routing key. */
  type: z
    .string()
    .regex(/^[a-z0-9_-]+(\.[a-z0-9_-]+)*\.v\d+$/, 'a dotted lower-case name that ends in its version'),
  /** The service that says so, `/ingest`. */
  source: z.string().min(1).max(200),
  time: z.iso.datetime(),
  datacontenttype: z.literal('application/json').optional(),
  traceparent: z.string().max(100).optional(),
  data: z.unknown(),
})

export type CloudEvent<T = unknown> = z.infer<typeof cloudEventSchema> & { data: T }

/** The envelope of an event. `time` comes from the caller's clock, `id` identifies the occurrence. */
export function cloudEvent<T>(event: {
  type: string
  source: string
  id: string
  time: Date
  data: T
  traceparent?: string
}): CloudEvent<T> {
  return {
    specversion: '1.0',
    ...event,
    time: event.time.toISOString(),
    datacontenttype: 'application/json',
  }
}

/** The message that carries an event: its type is the destination, its id the message's. */
export function eventMessage(event: CloudEvent, headers: Record<string, string> = {}): BusMessage {
  return { kind: 'event', destination: event.type, id: event.id, body: event, headers }
}

/** The event in a message received, its data parsed by `schema`. Throws `Unprocessable` for the dead letters. */
export function readEvent<T>(message: BusMessage, schema: z.ZodType<T>): CloudEvent<T> {
  const event = cloudEventSchema.safeParse(message.body)
  if (!event.success) throw new Unprocessable(`not a CloudEvent: ${faults(event.error)}`)
  const data = schema.safeParse(event.data.data)
  if (!data.success) throw new Unprocessable(`data of ${event.data.type}: ${faults(data.error)}`)
  return { ...event.data, data: data.data }
}

/** Checks on both ends, beyond the shape of the envelope: throws when the message breaks its contract. */
export type Validate = (message: BusMessage) => void

/** What both ends check. Throws `InvalidMessage`. */
export function checkMessage(message: BusMessage, validate: Validate | undefined): void {
  if (message.kind === 'event') {
    const event = cloudEventSchema.safeParse(message.body)
    if (!event.success) throw new InvalidMessage(`not a CloudEvent: ${faults(event.error)}`)
    if (event.data.type !== message.destination)
      throw new InvalidMessage(`event ${event.data.type} sent as ${message.destination}`)
  }
  try {
    validate?.(message)
  } catch (cause) {
    const why =
      cause instanceof z.ZodError ? faults(cause) : cause instanceof Error ? cause.message : 'refused'
    throw new InvalidMessage(`${message.destination}: ${why}`, { cause })
  }
}

/** Where and what, without the values: those may be a person's text. */
function faults(error: z.ZodError): string {
  return error.issues.map((issue) => `${issue.path.join('.') || 'it'}: ${issue.message}`).join('; ')
}
