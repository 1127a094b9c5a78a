import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import type { Embedder } from '../port.ts'
import { hashedVector } from './hashed-vectors.ts'

export interface EmbeddingServerOptions {
  /** Whose vectors are served; without it `dimensions` hashed ones. */
  embedder?: Embedder
  dimensions?: number
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
export type Fault =
  | { status: number; headers?: Record<string, string>; body?: string | object }
  /** `hang` answers nothing, `close` breaks the connection off, `cut-off` does so amid the answer. */
  | 'hang'
  | 'close'
  | 'cut-off'
  /** An answer in another shape. */
  | { reply: (data: Item[]) => unknown }

export interface Item {
  object: 'embedding'
  index: number
  embedding: number[] | string
}

export interface RecordedRequest {
  texts: string[]
  model: string
  dimensions: number | undefined
  authorization: string | undefined
}

export interface EmbeddingServer extends AsyncDisposable {
  /** Root with `/v1`. */
  url: string
  readonly requests: RecordedRequest[]
  /** Requests being answered, and the most that ever were. */
  readonly inHand: number
  readonly mostInHand: number
  /** Connections that were ever made. */
  readonly connections: number
  /** Lets the next `times` requests go wrong; all from now on without `times`. */
  fail(fault: Fault, times?: number): void
  /** Answers well again. */
  recover(): void
  close(): Promise<void>
}

/**
 * A small server of OpenAI's protocol for embeddings, for tests and measurements.
 *
 * It answers `POST /v1/embeddings`, keeps what it was asked, and goes wrong in the ways it is told to.
 */
export async function startEmbeddingServer(options: EmbeddingServerOptions): Promise<EmbeddingServer> {
  const { port = 0 } = options
  const requests: RecordedRequest[] = []
  let inHand = 0
  let mostInHand = 0
  let connections = 0
  let fault: { fault: Fault; times: number } | undefined

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
    if (incoming.method !== 'POST' || incoming.url !== '/v1/embeddings') {
      return sendError(response, 404, 'Not Found')
    }
    const asked = await readRequest(incoming)
    requests.push(asked)
    const now = nextFault()
    if (options.latencyMs) await delay(options.latencyMs, undefined, { signal: gone.signal }).catch(() => {})
    if (gone.signal.aborted) return
    if (options.apiKey && asked.authorization !== `Bearer ${options.apiKey}`) {
      return sendError(response, 401, `Incorrect API key provided: ${asked.authorization?.slice(7)}.`)
    }
    if (isTooLarge(asked.texts)) {
      const { status, message } = options.refusal ?? { status: 413, message: 'Payload Too Large' }
      return sendError(response, status, message)
    }
    if (now && !(typeof now === 'object' && 'reply' in now)) return goWrong(response, now)
    const vectors = await vectorsOf(asked.texts, gone.signal)
    const data = vectors.map(
      (vector, index): Item => ({ object: 'embedding', index, embedding: [...vector] }),
    )
    const usage = { prompt_tokens: 0, total_tokens: 0 }
    sendJson(response, 200, now ? now.reply(data) : { object: 'list', model: asked.model, data, usage })
  }

  function nextFault(): Fault | undefined {
    if (!fault || fault.times === 0) return undefined
    fault.times--
    return fault.fault
  }

  function isTooLarge(texts: string[]): boolean {
    const { maxTexts = Number.POSITIVE_INFINITY, maxCharacters = Number.POSITIVE_INFINITY } = options
    return texts.length > maxTexts || texts.some((text) => text.length > maxCharacters)
  }

  async function vectorsOf(texts: string[], signal: AbortSignal): Promise<Float32Array[]> {
    const { embedder, dimensions = 384 } = options
    if (embedder) return embedder.embedPassages(texts, { signal })
    return texts.map((text) => hashedVector(text, dimensions))
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

async function readRequest(incoming: IncomingMessage): Promise<RecordedRequest> {
  let body = ''
  for await (const part of incoming.setEncoding('utf8')) body += part
  const { input, model, dimensions } = JSON.parse(body) as {
    input: string | string[]
    model: string
    dimensions?: number
  }
  return { texts: [input].flat(), model, dimensions, authorization: incoming.headers.authorization }
}

function goWrong(response: ServerResponse, fault: Exclude<Fault, { reply: unknown }>): void {
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
