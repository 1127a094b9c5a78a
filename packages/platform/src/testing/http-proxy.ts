import { once } from 'node:events'
import { createServer, type IncomingMessage, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { pipeline, Transform } from 'node:stream'

export interface HttpProxy extends AsyncDisposable {
  readonly url: string
  /** Method and path of each request, in order. */
  readonly seen: string[]
  /** Bytes of requests' bodies that have gone through. */
  readonly received: number
  /** What becomes of each chunk on its way to the server (`up`) or back; undefined stops the stream for good. */
  change: (chunk: Buffer, way: 'up' | 'down', method: string) => Buffer | undefined
  close(): Promise<void>
}

/** Stands between a client and the server at `target`, with the requests as they are, to watch and to meddle. */
export async function startHttpProxy(target: string): Promise<HttpProxy> {
  const { hostname, port } = new URL(target)
  const seen: string[] = []
  let received = 0
  const through = (way: 'up' | 'down', method: string) =>
    new Transform({
      transform(chunk: Buffer, _, done) {
        if (way === 'up') received += chunk.length
        const changed = proxy.change(chunk, way, method)
        if (changed) done(null, changed)
      },
    })
  const server = createServer((incoming, reply) => {
    const { method = 'GET', url = '/', rawHeaders } = incoming
    seen.push(`${method} ${url}`)
    const outgoing = request({ hostname, port, method, path: url, headers: rawHeaders, agent: false })
    pipeline(incoming, through('up', method), outgoing, () => {})
    outgoing.on('response', (answer: IncomingMessage) => {
      reply.writeHead(answer.statusCode ?? 502, answer.rawHeaders)
      pipeline(answer, through('down', method), reply, () => {})
    })
    outgoing.on('error', () => reply.destroy())
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const proxy: HttpProxy = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    get received() {
      return received
    },
    change: (chunk) => chunk,
    async close() {
      server.close()
      server.closeAllConnections()
    },
    [Symbol.asyncDispose]: () => proxy.close(),
  }
  return proxy
}
