import http, { type IncomingMessage } from 'node:http'
import https from 'node:https'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { ReadableStream as NodeReadableStream } from 'node:stream/web'
import type { FetchHandler } from '@mnemosyne/contracts'

const WITHOUT_BODY = new Set([204, 205, 304])

/**
 * A service that listens at `baseUrl`, as a fetch handler: path, query, headers and body of the request go
 * there over kept connections. Unlike the global `fetch` it has no time limit between the parts of a stream,
 * decodes nothing and adds no headers. Rejects when the service can't be reached.
 */
export function httpUpstream(baseUrl: string): FetchHandler {
  const base = new URL(baseUrl)
  const scheme = base.protocol === 'https:' ? https : http
  const agent = new scheme.Agent({ keepAlive: true })
  const prefix = base.pathname.replace(/\/$/, '')
  return (request) => {
    const { pathname, search } = new URL(request.url)
    const { promise, resolve, reject } = Promise.withResolvers<Response>()
    const outgoing = scheme.request(
      {
        agent,
        hostname: base.hostname.replace(/^\[|\]$/g, ''),
        port: base.port,
        path: `${prefix}${pathname}${search}`,
        method: request.method,
        headers: { host: base.host, ...Object.fromEntries(request.headers) },
        signal: request.signal,
      },
      (incoming) => resolve(responseOf(incoming)),
    )
    outgoing.on('error', reject)
    if (request.body) {
      // A failure comes to `outgoing` as well; after the answer has begun it is the answer that counts.
      pipeline(Readable.fromWeb(request.body as NodeReadableStream), outgoing).catch(reject)
    } else outgoing.end()
    return promise
  }
}

function responseOf(incoming: IncomingMessage): Response {
  const headers = new Headers()
  for (let index = 0; index < incoming.rawHeaders.length; index += 2) {
    headers.append(incoming.rawHeaders[index]!, incoming.rawHeaders[index + 1]!)
  }
  const status = incoming.statusCode!
  if (WITHOUT_BODY.has(status)) {
    incoming.resume()
    return new Response(null, { status, headers })
  }
  return new Response(Readable.toWeb(incoming) as ReadableStream<Uint8Array<ArrayBuffer>>, {
    status,
    headers,
  })
}
