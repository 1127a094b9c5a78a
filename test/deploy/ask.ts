import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'

export interface Question {
  method?: string
  /** Several values go out as several lines. */
  headers?: Record<string, string | string[]>
  /** Address that the request comes from; every address of 127.0.0.0/8 will do on Linux. */
  from?: string
  body?: Iterable<Buffer> | AsyncIterable<Buffer>
}

export interface Reply {
  status: number
  /** Names in lower case; a header that came twice has two values. */
  headers: Record<string, string[]>
  body: string
}

/** One request on a connection of its own. The path goes out as it is written. */
export async function ask(base: string, path: string, question: Question = {}): Promise<Reply> {
  const answer = await open(base, path, question)
  const headers: Record<string, string[]> = {}
  for (const [name, values] of Object.entries(answer.headersDistinct)) headers[name] = values ?? []
  return { status: answer.statusCode as number, headers, body: await text(answer) }
}

/** The same, handed out as soon as the answer's head is there. */
export async function open(base: string, path: string, question: Question = {}): Promise<IncomingMessage> {
  const { method = 'GET', headers = {}, from, body } = question
  const outgoing = request(base, { path, method, headers, localAddress: from, agent: false })
  const answered = once(outgoing, 'response') as Promise<[IncomingMessage]>
  // An answer that comes before the body has gone out is an answer all the same.
  if (body) pipeline(Readable.from(body), outgoing).catch(() => {})
  else outgoing.end()
  const [answer] = await answered
  return answer
}
