import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

export interface ModelServerOptions {
  /** Wait before each answer. */
  latencyMs?: number
  /** Requests without this key are refused. */
  apiKey?: string
  port?: number
  /** Texts that one request may hold, and characters that one text may have; beyond it 413, or as `refusal` says. */
  maxTexts?: number
  maxCharacters?: number
  refusal?: { status: number; message: string }
}

/** What goes wrong with one request. */
export type Fault<Item> =
  | { status: number; headers?: Record<string, string>; body?: string | object }
  /** `hang` answers nothing, `close` breaks the connection off, `cut-off` does so amid the answer. */
  | 'hang'
  | 'close'
  | 'cut-off'
  /** An answer in another shape. */
  | { reply: (items: Item[]) => unknown }

export interface Recorded {
  texts: string[]
  model: string
  authorization: string | undefined
}

/** One operation of a model's server. */
export interface Protocol<Asked, Item> {
  path: string
  /** What was asked, from the body's JSON. */
  read(body: never): Asked & { texts: string[]; model: string }
  /** What a good answer holds for each text. */
  items(asked: Asked & Recorded, signal: AbortSignal): Promise<Item[]>
  /** The body of a good answer. */
  reply(items: Item[], asked: Asked & Recorded): unknown
}

export interface ModelServer<Asked, Item> extends AsyncDisposable {
  /** Root with `/v1`. */
  url: string
  readonly requests: (Asked & Recorded)[]
  /** Requests being answered, and the most that ever were. */
  readonly inHand: number
  readonly mostInHand: number
  /** Connections that were ever made. */
  readonly connections: number
  /** Lets the next `times` requests go wrong; all from now on without `times`. */
  fail(fault: Fault<Item>, times?: number): void
  /** Answers well again. */
  recover(): void
  close(): Promise<void>
}

/** A small server of a model's protocol that keeps what it was asked, and goes wrong in the ways it is told to. */
export async function startModelServer<Asked, Item>(
  protocol: Protocol<Asked, Item>,
  options: ModelServerOptions,
): Promise<ModelServer<Asked, Item>> {
  const { port = 0 } = options
  const requests: (Asked & Recorded)[] = []
  let inHand = 0
  let mostInHand = 0
  let connections = 0
  let fault: { fault: Fault<Item>; times: number } | undefined

  const server = createServer(async (incoming, response) => {
    inHand++
    mostInHand = Math.max(mostInHand, inHand)
    response.once('close', () => inHand--)
    try {
      await answer(incoming, response)
    } catch (error) {
      if (!response.destroyed) sendError(response, 500, (error as Error).message)
    }
  })
  server.on('connection', () => connections++)

  async function answer(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const gone = new AbortController()
    response.once('close', () => gone.abort())
    if (incoming.method !== 'POST' || incoming.url !== protocol.path) {
      return sendError(response, 404, 'Not Found')
    }
    const { authorization } = incoming.headers
    const asked = { ...protocol.read((await jsonOf(incoming)) as never), authorization }
    requests.push(asked)
    const now = nextFault()
    if (options.latencyMs) await delay(options.latencyMs, undefined, { signal: gone.signal }).catch(() => {})
    if (gone.signal.aborted) return
    if (options.apiKey && authorization !== `Bearer ${options.apiKey}`) {
      return sendError(response, 401, `Incorrect API key provided: ${authorization?.slice(7)}.`)
    }
    if (isTooLarge(asked.texts)) {
      const { status, message } = options.refusal ?? { status: 413, message: 'Payload Too Large' }
      return sendError(response, status, message)
    }
    if (now && !(typeof now === 'object' && 'reply' in now)) return goWrong(response, now)
    const items = await protocol.items(asked, gone.signal)
    sendJson(response, 200, now ? now.reply(items) : protocol.reply(items, asked))
  }

  function nextFault(): Fault<Item> | undefined {
    if (!fault || fault.times === 0) return undefined
    fault.times--
    return fault.fault
  }

  function isTooLarge(texts: string[]): boolean {
    const { maxTexts = Number.POSITIVE_INFINITY, maxCharacters = Number.POSITIVE_INFINITY } = options
    return texts.length > maxTexts || texts.some((text) => text.length > maxCharacters)
  }

  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  const close = async () => {
    if (!server.listening) return
    server.close()
    server.closeAllConnections()
    await once(server, 'close')
  }
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    requests,
    get inHand() {
      return inHand
    },
    get mostInHand() {
      return mostInHand
    },
    get connections() {
      return connections
    },
    fail: (what, times = Number.POSITIVE_INFINITY) => {
      fault = { fault: what, times }
    },
    recover: () => {
      fault = undefined
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}

async function jsonOf(incoming: IncomingMessage): Promise<unknown> {
  let body = ''
  for await (const part of incoming.setEncoding('utf8')) body += part
  return JSON.parse(body)
}

function goWrong<Item>(response: ServerResponse, fault: Exclude<Fault<Item>, { reply: unknown }>): void {
  if (fault === 'hang') return
  if (fault === 'close') return void response.socket?.resetAndDestroy()
  if (fault === 'cut-off') {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': 10_000 })
    response.write('{"data": [', () => response.destroy())
    return
  }
  const { status, headers = {}, body = { error: { message: `fault ${status}` } } } = fault
  const content = typeof body === 'string' ? body : JSON.stringify(body)
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(content)
}

/** As OpenAI words it. */
function sendError(response: ServerResponse, status: number, message: string): void {
  sendJson(response, status, { error: { message, type: 'invalid_request_error', param: null, code: null } })
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}
