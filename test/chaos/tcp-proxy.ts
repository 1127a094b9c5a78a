import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

/**
 * Stands before a server and can be made a bad network: refusing, silent, slow. Its address stays, as a load
 * balancer's does, whatever becomes of the server.
 */
export class TcpProxy {
  readonly #target: { host: string; port: number }
  readonly #pairs = new Set<[Socket, Socket]>()
  readonly #server: Server
  #delayMs = 0
  #silent = false
  #refusing = false

  private constructor(target: { host: string; port: number }) {
    this.#target = target
    this.#server = createServer((client) => this.#connect(client))
  }

  static async start(url: string): Promise<TcpProxy> {
    const { hostname, port } = new URL(url)
    const proxy = new TcpProxy({ host: hostname, port: Number(port) })
    proxy.#server.listen(0, '127.0.0.1')
    await once(proxy.#server, 'listening')
    return proxy
  }

  /** `url` with this proxy's address in place of the server's. */
  through(url: string): string {
    const changed = new URL(url)
    changed.hostname = '127.0.0.1'
    changed.port = String((this.#server.address() as AddressInfo).port)
    return changed.href.replace(/\/$/, '')
  }

  /** Every connection breaks, and new ones are closed at once. */
  refuse(): void {
    this.#refusing = true
    this.cut()
  }

  /** Connections stand, and nothing passes. */
  silence(): void {
    this.#silent = true
  }

  /** Whatever passes comes so much later. */
  slow(delayMs: number): void {
    this.#delayMs = delayMs
  }

  /** Every connection breaks once. */
  cut(): void {
    for (const pair of this.#pairs) for (const socket of pair) socket.resetAndDestroy()
  }

  heal(): void {
    // What was held back belongs to connections that nobody waits for any more.
    if (this.#silent) this.cut()
    this.#refusing = false
    this.#silent = false
    this.#delayMs = 0
  }

  async close(): Promise<void> {
    this.#server.close()
    this.cut()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #connect(client: Socket): void {
    client.on('error', () => {})
    if (this.#refusing) {
      client.resetAndDestroy()
      return
    }
    const server = connect(this.#target)
    const pair: [Socket, Socket] = [client, server]
    this.#pairs.add(pair)
    const end = () => {
      this.#pairs.delete(pair)
      client.destroy()
      server.destroy()
    }
    for (const [from, to] of [pair, pair.toReversed()] as [Socket, Socket][]) {
      from.setNoDelay(true)
      from.on('error', () => {})
      from.on('close', end)
      from.on('data', (bytes) => this.#pass(bytes, to))
    }
  }

  #pass(bytes: Buffer, to: Socket): void {
    if (this.#silent) return
    if (this.#delayMs === 0) to.write(bytes)
    else setTimeout(() => !to.destroyed && to.write(bytes), this.#delayMs)
  }
}
