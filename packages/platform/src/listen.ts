import type { IncomingMessage, Server } from 'node:http'
import { type AddressInfo, Server as NetServer } from 'node:net'
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
  /**
   * Takes no new connections, and tells those that are there to end: a caller who is about to use one again does not
   * run into its end. After `drainMs` idle ones are closed; those with a request in hand are given `graceMs` in all,
   * then cut.
   */
  close(graceMs?: number, drainMs?: number): Promise<void>
}

/** The address of whoever is connected, to the handler; what a client writes into it is gone. Absent on socket files. */
export const PEER_HEADER = 'x-mnemosyne-peer'

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

/**
 * Serves `fetch` on a port (0: any free one) or on a socket file. While `admits` says no, a caller who asks first
 * (`Expect: 100-continue`) is answered before the body is sent.
 */
export async function listen(
  fetch: FetchHandler,
  where: { host: string; port: number } | { path: string },
  admits: () => boolean = () => true,
): Promise<Listener> {
  let closing = false
  const server = createAdaptorServer({
    fetch: (request, env) => {
      const { incoming, outgoing } = env as HttpBindings
      outgoing.once('finish', () => dropRest(incoming))
      if (closing) outgoing.setHeader('connection', 'close')
      const { remoteAddress } = incoming.socket
      if (remoteAddress) request.headers.set(PEER_HEADER, remoteAddress)
      else request.headers.delete(PEER_HEADER)
      return fetch(request)
    },
    serverOptions: { maxHeaderSize: MAX_HEADER_BYTES, requestTimeout: 0 },
  }) as Server
  server.on('checkContinue', (incoming, outgoing) => {
    if (admits()) outgoing.writeContinue()
    server.emit('request', incoming, outgoing)
  })
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
    close: (graceMs = 5_000, drainMs = 0) =>
      new Promise((resolve) => {
        closing = true
        const cut = setTimeout(() => server.closeAllConnections(), graceMs)
        const drained = setTimeout(() => server.closeIdleConnections(), drainMs)
        // Not http's own `close`, which closes idle connections at once.
        NetServer.prototype.close.call(server, () => {
          clearTimeout(cut)
          clearTimeout(drained)
          resolve()
        })
      }),
  }
}
