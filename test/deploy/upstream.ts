import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** What a service was asked. */
export interface Seen {
  method: string
  url: string
  headers: IncomingHttpHeaders
}

export interface Upstream extends AsyncDisposable {
  readonly url: string
  /** Requests so far. */
  readonly seen: Seen[]
  close(): Promise<void>
}

type Answer = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>

/** An HTTP server that stands where a service stands. By default it answers with what it was asked, in JSON. */
export async function startUpstream(
  options: { name?: string; host?: string; port?: number; answer?: Answer } = {},
): Promise<Upstream> {
  const { name = 'gateway', host = '127.0.0.1', port = 0, answer } = options
  const seen: Seen[] = []
  const server = createServer(async (request, response) => {
    const { method = '', url = '', headers } = request
    seen.push({ method, url, headers })
    try {
      await answer?.(request, response)
    } catch {
      // The caller went away in the middle of its body.
      response.destroy()
    }
    if (response.headersSent || response.destroyed) return
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ name, method, url, headers }))
  })
  server.listen(port, host)
  await once(server, 'listening')
  const upstream: Upstream = {
    url: `http://${host}:${(server.address() as AddressInfo).port}`,
    seen,
    async close() {
      server.close()
      server.closeAllConnections()
      if (server.listening) await once(server, 'close')
    },
    [Symbol.asyncDispose]: () => upstream.close(),
  }
  return upstream
}
