import { createServer as createHttpServer, type ServerResponse } from 'node:http'
import { createServer, type Server, type Socket } from 'node:net'
import { type Principal, servicePrincipal } from '@mnemosyne/contracts'

/** Who listens where a service was; closing it breaks its connections. */
export interface Impostor extends AsyncDisposable {
  /** Requests that came. */
  readonly asked: number
}

/** An answer that the gateway would believe if it came whole, in time, and for a person. */
const principal: Principal = {
  ...servicePrincipal('rest'),
  kind: 'user_token',
  user: { id: '00000000-0000-4000-8000-000000000001', username: 'admin', staff: 'delete' },
}
const resolved = (changes: object = {}) =>
  JSON.stringify({ outcome: 'resolved', principal: { ...principal, ...changes } })

type Answer = (reply: ServerResponse) => void

const answer =
  (status: number, type: string | undefined, body: string): Answer =>
  (reply) =>
    reply.writeHead(status, type ? { 'content-type': type } : {}).end(body)
const json = (status: number, body: unknown) =>
  answer(status, 'application/json', typeof body === 'string' ? body : JSON.stringify(body))

const half = resolved().slice(0, 60)

/** What may stand in the place of auth after somebody's mistake, by what it answers to everything. */
export const RUBBISH: Record<string, Answer> = {
  'a page': answer(200, 'text/html', '<!doctype html><title>Welcome to nginx!</title>'),
  'a page that is said to be JSON': answer(200, 'application/json', '<!doctype html>'),
  'a good answer that is said to be a page': answer(200, 'text/html', resolved()),
  nothing: answer(204, undefined, ''),
  'an empty body': json(200, ''),
  null: json(200, 'null'),
  'another JSON': json(200, { status: 'ok' }),
  'an outcome of its own': json(200, { outcome: 'anonymous' }),
  'no principal': json(200, { outcome: 'resolved' }),
  'a principal of an older shape': json(200, {
    outcome: 'resolved',
    principal: { kind: 'user_token', user: 'admin', libraries: ['*'] },
  }),
  'a principal of a service': json(200, resolved({ kind: 'service', user: null })),
  'a principal that is nobody': json(200, resolved({ kind: 'anonymous', user: null })),
  'an error': json(500, { detail: 'Something went wrong here.' }),
  'a refusal of its own': json(401, { detail: 'The caller could not be verified.' }),
  'a way to elsewhere': (reply) => reply.writeHead(307, { location: 'http://127.0.0.1:9/' }).end(),
  'half a body': (reply) => {
    reply.writeHead(200, { 'content-type': 'application/json', 'content-length': '600' })
    reply.write(half, () => reply.destroy())
  },
  'half a body, and no end': (reply) => {
    reply.writeHead(200, { 'content-type': 'application/json' }).write(half)
  },
  'a byte now and then': (reply) => {
    reply.writeHead(200, { 'content-type': 'application/json' })
    const bytes = [...resolved()]
    const drip = setInterval(() => reply.write(bytes.shift() ?? ' '), 100)
    reply.on('close', () => clearInterval(drip))
  },
  'a body that is larger than memory': (reply) => {
    reply.writeHead(200, { 'content-type': 'application/json' })
    const more = () => {
      while (!reply.destroyed && reply.write(' '.repeat(65_536)));
    }
    reply.on('drain', more)
    more()
  },
}

/** The same below HTTP. */
export const NOISE: Record<string, (socket: Socket) => void> = {
  'another protocol': (socket) => socket.end('SSH-2.0-OpenSSH_9.2\r\n'),
  'its end': (socket) => socket.destroy(),
  'a header without an end': (socket) => {
    socket.write('HTTP/1.1 200 OK\r\n')
    const more = setInterval(() => socket.write('x-more: more\r\n'), 100)
    socket.on('close', () => clearInterval(more))
  },
}

/** Answers with `RUBBISH` or `NOISE` of this name at the port of `url`. */
export async function impersonate(url: string, name: string): Promise<Impostor> {
  let asked = 0
  const server: Server = NOISE[name]
    ? createServer((socket) => {
        socket.on('error', () => {})
        socket.once('data', () => {
          asked++
          NOISE[name]!(socket)
        })
      })
    : createHttpServer((request, reply) => {
        asked++
        request.resume()
        reply.on('error', () => {})
        RUBBISH[name]!(reply)
      })
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(Number(new URL(url).port), '127.0.0.1', resolve)
  })
  return {
    get asked() {
      return asked
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
