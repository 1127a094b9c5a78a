import { Agent, type Dispatcher, request } from 'undici'
import { addressHint } from './address.ts'
import { EndpointMisconfigured, EndpointReplyInvalid, EndpointUnavailable } from './errors.ts'
import { type Answer, refusalOf, refusesDimensions } from './refusal.ts'
import { vectorsIn } from './reply.ts'

export interface EndpointClientOptions {
  /** With `/embeddings`. */
  url: URL
  model: string
  apiKey: string | undefined
  /** Length that every vector must have; undefined until it is known. */
  dimensions: number | undefined
  /** Milliseconds for one request, from connecting to the last byte of the answer. */
  timeoutMs: number
}

const CONNECT_TIMEOUT_MS = 10_000
const KEEP_ALIVE_MS = 30_000
const ERROR_BYTES = 65_536
const BYTES_PER_NUMBER = 40
const MOST_DIMENSIONS = 16_384

/** One request at a time to `POST {base}/embeddings`, over connections that are kept. */
export class EndpointClient {
  readonly #options: EndpointClientOptions
  readonly #agent: Agent
  /** Only some models can be asked for a length; the others refuse it, or ignore it. */
  #asksDimensions = true
  dimensions: number | undefined

  constructor(options: EndpointClientOptions) {
    this.#options = options
    this.dimensions = options.dimensions
    this.#agent = new Agent({
      connect: { timeout: CONNECT_TIMEOUT_MS },
      keepAliveTimeout: KEEP_ALIVE_MS,
      // The whole request has one limit, see `#send`.
      headersTimeout: 0,
      bodyTimeout: 0,
    })
  }

  /**
   * The normalised vectors of `texts`, in order. Throws one of the errors in `errors.ts`, or the signal's reason.
   */
  async embed(texts: readonly string[], signal: AbortSignal): Promise<Float32Array[]> {
    const asksDimensions = this.#asksDimensions && this.#options.dimensions !== undefined
    const answer = await this.#send(texts, asksDimensions, signal)
    if (answer.status === 200) return this.#read(answer, texts.length)
    if (asksDimensions && refusesDimensions(answer)) {
      this.#asksDimensions = false
      return this.embed(texts, signal)
    }
    throw refusalOf(answer, { ...this.#options, texts })
  }

  async close(): Promise<void> {
    await this.#agent.destroy()
  }

  #read(answer: Answer, count: number): Float32Array[] {
    const type = String(answer.headers['content-type'] ?? '')
    if (/html/i.test(type)) {
      const { url } = this.#options
      throw new EndpointMisconfigured(
        `At ${url.href} a web page answers and no embedding endpoint. ${addressHint(url) || 'Check EMBEDDING_BASE_URL.'}`,
      )
    }
    return vectorsIn(answer.body, count, this.dimensions)
  }

  async #send(texts: readonly string[], asksDimensions: boolean, signal: AbortSignal): Promise<Answer> {
    const { url, model, apiKey, dimensions, timeoutMs } = this.#options
    const late = new AbortController()
    // Not AbortSignal.timeout: combined with others it stays in memory until the time is over.
    const timer = setTimeout(() => late.abort(), timeoutMs)
    try {
      const { statusCode, headers, body } = await request(url, {
        dispatcher: this.#agent,
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          accept: 'application/json',
          ...(apiKey && { authorization: `Bearer ${apiKey}` }),
        },
        body: JSON.stringify({ model, input: texts, ...(asksDimensions && { dimensions }) }),
        signal: AbortSignal.any([signal, late.signal]),
      })
      const length = this.dimensions ?? MOST_DIMENSIONS
      const most = statusCode === 200 ? ERROR_BYTES + texts.length * length * BYTES_PER_NUMBER : ERROR_BYTES
      return { status: statusCode, headers, body: await read(body, most, statusCode === 200) }
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof EndpointReplyInvalid) throw error
      const isLate = late.signal.aborted
      const how = isLate
        ? `did not answer within ${timeoutMs / 1000} s`
        : `cannot be reached (${codeOf(error)})`
      throw new EndpointUnavailable(`The embedding endpoint ${url.origin} ${how}. Try again later.`, {
        sendAgain: !isLate,
        cause: error,
      })
    } finally {
      clearTimeout(timer)
    }
  }
}

/** The body as text, at most `most` bytes: what is longer is cut, or refused where it matters. */
async function read(body: Dispatcher.ResponseData['body'], most: number, isWhole: boolean): Promise<string> {
  const parts: Buffer[] = []
  let size = 0
  for await (const part of body as AsyncIterable<Buffer>) {
    parts.push(part)
    size += part.length
    if (size <= most) continue
    if (isWhole)
      throw new EndpointReplyInvalid('The embedding endpoint sent far more than the vectors asked for.')
    break
  }
  return Buffer.concat(parts).toString('utf8', 0, most)
}

function codeOf(error: unknown): string {
  const { code, name } = error as NodeJS.ErrnoException
  return code ?? name
}
