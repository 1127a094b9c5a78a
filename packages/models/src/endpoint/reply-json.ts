import type { z } from 'zod'
import { EndpointReplyInvalid } from './errors.ts'
import type { EndpointKind } from './kind.ts'

/** The body of an answer, if it is JSON of the shape of `schema`; else it is told as one `without` what. */
export function readReply<S extends z.ZodType>(
  kind: EndpointKind,
  schema: S,
  body: string,
  without: string,
): z.infer<S> {
  let json: unknown
  try {
    json = JSON.parse(body)
  } catch {
    // The parser's own error quotes the body.
    throw invalidReply(kind, 'something that is not JSON')
  }
  const parsed = schema.safeParse(json)
  if (!parsed.success) throw invalidReply(kind, `JSON without ${without}`)
  return parsed.data
}

export function invalidReply({ name }: EndpointKind, what: string): EndpointReplyInvalid {
  return new EndpointReplyInvalid(`The ${name} sent ${what}.`)
}
