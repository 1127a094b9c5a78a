import { request } from 'node:http'
import { text } from 'node:stream/consumers'
import { setTimeout as wait } from 'node:timers/promises'
import type { Operation } from './operations.ts'

/** What one request asks for. */
export interface Asked {
  params?: Record<string, string>
  query?: Record<string, string>
  body?: unknown
  /** In place of `body`. */
  form?: Record<string, string | Blob>
}

/** What is asked for, with the ids in it, which an answer may repeat. */
export interface Question {
  asked: Asked
  ids: Record<string, string>
  /** Of a credential in place of the caller's own. */
  headers?: Record<string, string>
}

export interface Answer {
  status: number
  headers: Headers
  text: string
}

/** Sends one request; a way in of its own, where the gateway is not it. */
export type Send = (request: {
  method: string
  path: string
  headers: Record<string, string>
  body?: string | FormData
}) => Promise<Answer>

/** Of a caller who does not want to be traced. */
export const UNTRACED = { traceparent: `00-${'1'.repeat(32)}-${'2'.repeat(16)}-00` }

export function sendTo(url: string): Send {
  return async ({ method, path, headers, body }) => {
    const response = await fetch(`${url}${path}`, { method, headers: { ...UNTRACED, ...headers }, body })
    return { status: response.status, headers: response.headers, text: await response.text() }
  }
}

/** By a socket in the file system. */
export function sendToSocket(socketPath: string): Send {
  return async ({ method, path, headers, body }) => {
    // Encodes a form as the other way in does.
    const whole = new Request(`http://local${path}`, { method, headers, body })
    const bytes = Buffer.from(await whole.arrayBuffer())
    return new Promise((resolve, reject) => {
      const sent = request(
        {
          socketPath,
          path,
          method,
          headers: { ...Object.fromEntries(whole.headers), 'content-length': bytes.length },
        },
        async (response) => {
          const answered = new Headers(response.headers as Record<string, string>)
          resolve({ status: response.statusCode!, headers: answered, text: await text(response) })
        },
      )
      sent.on('error', reject)
      sent.end(bytes)
    })
  }
}

/** Most tries, at least this many milliseconds apart. */
const PATIENCE = { tries: 10, ms: 200 }

/** Asks again when the product says that it is too busy just now, which is no answer. */
export async function patiently<T extends { status: number; headers: Headers }>(
  question: () => Promise<T>,
): Promise<T> {
  for (let left = PATIENCE.tries; ; left--) {
    const answer = await question()
    if (answer.status !== 503 || !answer.headers.has('retry-after') || left === 0) return answer
    await wait(PATIENCE.ms)
  }
}

/** Asks what is asked for, with a credential; patiently. */
export function ask(send: Send, operation: At, asked: Asked, credential: Record<string, string>) {
  return patiently(() => askOnce(send, operation, asked, credential))
}

/** Where an operation is. */
type At = Pick<Operation, 'method' | 'path'>

export function askOnce(
  send: Send,
  { method, path }: At,
  { params = {}, query, body, form }: Asked,
  credential: Record<string, string>,
): Promise<Answer> {
  const filled = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(params[name]!))
  const json = body !== undefined && { 'content-type': 'application/json' }
  return send({
    method,
    path: query ? `${filled}?${new URLSearchParams(query)}` : filled,
    headers: { ...credential, ...json },
    body: form ? formOf(form) : body === undefined ? undefined : JSON.stringify(body),
  })
}

function formOf(fields: NonNullable<Asked['form']>): FormData {
  const form = new FormData()
  for (const [name, value] of Object.entries(fields)) form.set(name, value)
  return form
}

/** Differ from answer to answer, whatever was asked for. */
const OF_THE_MOMENT = new Set(['date', 'x-request-id', 'keep-alive', 'connection'])

/** The whole answer as text, with placeholders where it repeats what it was asked for. */
export function signatureOf({ status, headers, text }: Answer, ids: Record<string, string>): string {
  const kept = [...headers].filter(([name]) => !OF_THE_MOMENT.has(name)).map((pair) => pair.join(': '))
  let whole = [String(status), text, ...kept.sort()].join('\n')
  for (const [name, id] of Object.entries(ids)) if (id) whole = whole.replaceAll(id, `{${name}}`)
  return whole
}

export function isSafe({ method }: Pick<Operation, 'method'>): boolean {
  return method === 'GET' || method === 'HEAD'
}
