import { lookup } from 'node:dns/promises'
import http, { type IncomingMessage } from 'node:http'
import https from 'node:https'
import { isIP } from 'node:net'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { ReadableStream as NodeReadableStream } from 'node:stream/web'
import { setTimeout as wait } from 'node:timers/promises'
import type { FetchHandler } from '@mnemosyne/contracts'
import type { CallObserver } from './http-telemetry.ts'

/** Set by a replica that takes no requests yet or no more: nothing was done, so another may be asked. */
export const NOT_SERVING_HEADER = 'x-mnemosyne-not-serving'

export interface UpstreamOptions {
  /**
   * Whether a request that broke off without an answer may be sent again: doing it twice has the effect of doing it
   * once. Default: GET, HEAD, OPTIONS, PUT and DELETE (RFC 9110, section 9.2.2). A request that cannot have been
   * read is sent again in any case.
   */
  isRepeatable?: (request: Request) => boolean
  /** How long replicas are looked for that take the request. Default 2,000 ms. */
  patienceMs?: number
  /** Told of every sending. */
  calls?: CallObserver
}

/** How long a replica that did not take a request is asked last. */
const REST_MS = 1_000
const ADDRESSES_MS = 1_000
const PAUSE_MS = 50
const WITHOUT_BODY = new Set([204, 205, 304])
const IDEMPOTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE'])

/** The connection could not be made, or the replica said that it takes no requests. */
class NotTaken extends Error {}
/** The connection broke after the request had gone out, and before an answer. */
class BrokenOff extends Error {}

/**
 * A service that listens at one or more addresses, as a fetch handler: path, query, headers and body of the request
 * go there over kept connections. `urls` are `http://host:port`, several separated by commas; a host name stands for
 * all the addresses that it has at the moment, so replicas come and go without a restart here.
 *
 * Replicas take turns. One that cannot be connected to, or that is starting or stopping, is passed over, for as long
 * as `patienceMs`. Bodies of JSON are held, so that they can be sent again; any other body streams, and is begun only
 * when the replica has said that it takes it (`Expect: 100-continue`). Unlike the global `fetch` it has no time limit
 * between the parts of a stream, decodes nothing and adds no headers.
 *
 * Rejects when the service can't be reached, and with the reason of the request's signal.
 */
export function httpUpstream(urls: string, options: UpstreamOptions = {}): FetchHandler {
  const { isRepeatable = ({ method }: Request) => IDEMPOTENT.has(method), patienceMs = 2_000 } = options
  const { calls } = options
  const replicas = new Replicas(urls.split(',').map((url) => new URL(url.trim())))
  return async (request) => {
    const body = await heldBody(request)
    const deadline = performance.now() + patienceMs
    for (let attempt = 1; ; attempt++) {
      const replica = await replicas.next()
      try {
        const go = () => send(request, replica, body)
        return await (calls ? calls.sent(request, placeOf(replica), attempt - 1, go) : go())
      } catch (error) {
        request.signal.throwIfAborted()
        const again =
          error instanceof NotTaken ||
          (error instanceof BrokenOff && isRepeatable(request) && body !== 'streams')
        if (error instanceof NotTaken) replicas.rest(replica)
        if (!again || performance.now() > deadline) throw error
        calls?.resent(request, error instanceof NotTaken ? 'not_taken' : 'broken_off')
        // A replica that was not asked yet is asked at once.
        if (attempt >= replicas.count) await wait(PAUSE_MS, undefined, { signal: request.signal })
      }
    }
  }
}

interface Replica {
  base: URL
  /** What to connect to: an IP address. */
  address: string
}

function placeOf({ base }: Replica): { address: string; port: number } {
  return { address: base.hostname, port: Number(base.port || (base.protocol === 'https:' ? 443 : 80)) }
}

/** The addresses behind the URLs, in turn; those that took nothing a moment ago come last. */
class Replicas {
  readonly #bases: URL[]
  readonly #agents = new Map<string, http.Agent>()
  readonly #resting = new Map<string, number>()
  #known: Replica[] = []
  #knownUntil = 0
  #turn = 0

  constructor(bases: URL[]) {
    this.#bases = bases
  }

  get count(): number {
    return this.#known.length
  }

  rest({ base, address }: Replica): void {
    this.#resting.set(`${address} ${base.port}`, performance.now() + REST_MS)
  }

  async next(): Promise<Replica & { agent: http.Agent }> {
    const now = performance.now()
    if (now >= this.#knownUntil) {
      this.#known = (await Promise.all(this.#bases.map(addressesOf))).flat()
      this.#knownUntil = performance.now() + ADDRESSES_MS
    }
    if (this.#known.length === 0) throw new Error(`no address is known of ${this.#bases[0]!.hostname}`)
    const awake = this.#known.filter(
      ({ base, address }) => now >= (this.#resting.get(`${address} ${base.port}`) ?? 0),
    )
    const eligible = awake.length > 0 ? awake : this.#known
    const replica = eligible[this.#turn++ % eligible.length]!
    return { ...replica, agent: this.#agentOf(replica.base) }
  }

  #agentOf({ protocol }: URL): http.Agent {
    const known = this.#agents.get(protocol)
    if (known) return known
    const agent = new (protocol === 'https:' ? https : http).Agent({ keepAlive: true })
    this.#agents.set(protocol, agent)
    return agent
  }
}

/** A name that is not known just now has no addresses: it is asked for again with the next request. */
async function addressesOf(base: URL): Promise<Replica[]> {
  const hostname = base.hostname.replace(/^\[|\]$/g, '')
  if (isIP(hostname)) return [{ base, address: hostname }]
  const found = await lookup(hostname, { all: true }).catch(() => [])
  return found.map(({ address }) => ({ base, address }))
}

type Body = Buffer | undefined | 'streams'

async function heldBody(request: Request): Promise<Body> {
  if (!request.body) return undefined
  if (!request.headers.get('content-type')?.startsWith('application/json')) return 'streams'
  return Buffer.from(await request.arrayBuffer())
}

function send(
  request: Request,
  { base, address, agent }: Replica & { agent: http.Agent },
  body: Body,
): Promise<Response> {
  const { pathname, search } = new URL(request.url)
  const { promise, resolve, reject } = Promise.withResolvers<Response>()
  const outgoing = (base.protocol === 'https:' ? https : http).request({
    agent,
    hostname: address,
    servername: isIP(base.hostname) ? undefined : base.hostname,
    port: base.port,
    path: `${base.pathname.replace(/\/$/, '')}${pathname}${search}`,
    method: request.method,
    headers: { host: base.host, ...Object.fromEntries(request.headers), ...framing(body) },
    signal: request.signal,
  })
  let begun = body !== 'streams'
  outgoing.on('response', (incoming) => {
    // An answer to a body that was never begun: the connection is of no more use.
    if (!begun) incoming.once('close', () => outgoing.destroy())
    if (incoming.headers[NOT_SERVING_HEADER] === undefined) return resolve(responseOf(incoming))
    incoming.resume()
    reject(new NotTaken(`${base.host} takes no requests just now`))
  })
  // Without a connection nothing was read, and a body that was not begun had no effect. Otherwise nobody knows.
  let connected = false
  outgoing.on('socket', (socket) => {
    connected = !socket.connecting
    if (connected) return
    socket.once('connect', () => {
      connected = true
    })
  })
  outgoing.on('error', (cause) => {
    if (request.signal.aborted) reject(cause)
    else if (connected && begun) reject(new BrokenOff(`${base.host} broke the connection off`, { cause }))
    else reject(new NotTaken(`${base.host} cannot be connected to`, { cause }))
  })
  if (body === 'streams') {
    outgoing.once('continue', () => {
      begun = true
      // A failure comes to `outgoing` as well; after the answer has begun it is the answer that counts.
      pipeline(Readable.fromWeb(request.body as NodeReadableStream), outgoing).catch(reject)
    })
    outgoing.flushHeaders()
  } else outgoing.end(body)
  return promise
}

function framing(body: Body): Record<string, string> {
  if (body === 'streams') return { expect: '100-continue' }
  return body ? { 'content-length': String(body.length) } : {}
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
