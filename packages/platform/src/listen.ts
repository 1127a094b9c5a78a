import type { IncomingMessage, Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createAdaptorServer, type HttpBindings } from '@hono/node-server'
import type { FetchHandler } from '@mnemosyne/contracts'

export class PortInUseError extends Error {
  readonly code = 'PORT_IN_USE'

  constructor(port: number, options?: ErrorOptions) {
    super(`Port ${port} is taken by another program. Stop that program, or choose another port.`, options)
    this.name = 'PortInUseError'
  }
}

export interface Listener {
  /** The address that answers, without a slash at its end; empty for a socket file. */
  readonly url: string
  /** Takes no new requests, gives those in hand `graceMs`, then cuts what is left. */
  close(graceMs?: number): Promise<void>
}

/** Principals of callers with very many libraries make long headers. */
const MAX_HEADER_BYTES = 262_144

/**
 * What is left of the body of a request that was answered early, with 413 or 401. The stream that the handler did
 * not read to its end holds it back, and the connection would be cut under the caller's next request; now the
 * adaptor waits half a second for it to run dry.
 */
function dropRest(incoming: IncomingMessage): void {
  if (incoming.complete || incoming.destroyed) return
  incoming.removeAllListeners('data')
  incoming.resume()
}

/** Serves `fetch` on a port (0: any free one) or on a socket file. */
export async function listen(
  fetch: FetchHandler,
  where: { host: string; port: number } | { path: string },
): Promise<Listener> {
  const server = createAdaptorServer({
    fetch: (request, env) => {
      const { incoming, outgoing } = env as HttpBindings
      outgoing.once('finish', () => dropRest(incoming))
      return fetch(request)
    },
    serverOptions: { maxHeaderSize: MAX_HEADER_BYTES, requestTimeout: 0 },
  }) as Server
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(
        error.code === 'EADDRINUSE' && 'port' in where
          ? new PortInUseError(where.port, { cause: error })
          : error,
      )
    })
    server.listen('port' in where ? { host: where.host, port: where.port } : { path: where.path }, resolve)
  })
  const { port } = ('port' in where ? server.address() : { port: 0 }) as AddressInfo
  return {
    url: 'port' in where ? `http://${where.host.includes(':') ? `[${where.host}]` : where.host}:${port}` : '',
    close: (graceMs = 5_000) =>
      new Promise((resolve) => {
        const cut = setTimeout(() => server.closeAllConnections(), graceMs)
        server.close(() => {
          clearTimeout(cut)
          resolve()
        })
        server.closeIdleConnections()
      }),
  }
}
