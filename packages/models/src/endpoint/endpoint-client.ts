import { Agent, type Dispatcher, request } from 'undici'
import { endpointUrl } from './address.ts'
import { EndpointReplyInvalid, EndpointUnavailable } from './errors.ts'
import type { EndpointKind } from './kind.ts'
import type { Answer, Asked } from './refusal.ts'

export interface EndpointClientOptions {
  kind: EndpointKind
  baseUrl: string
  model: string
  apiKey: string | undefined
}

export interface PostOptions {
  /** Milliseconds from connecting to the last byte of the answer. */
  timeoutMs: number
  /** Bytes that a good answer may have; a longer one is refused. */
  most: number
  signal: AbortSignal
}

const CONNECT_TIMEOUT_MS = 10_000
const KEEP_ALIVE_MS = 30_000
const ERROR_BYTES = 65_536

/** Posts JSON to an endpoint over connections that are kept; one request at a time, and no second try. */
export class EndpointClient {
  readonly kind: EndpointKind
  readonly url: URL
  readonly #options: EndpointClientOptions
  readonly #agent = new Agent({
    connect: { timeout: CONNECT_TIMEOUT_MS },
    keepAliveTimeout: KEEP_ALIVE_MS,
    // The whole request has one limit, see `post`.
    headersTimeout: 0,
    bodyTimeout: 0,
  })

  constructor(options: EndpointClientOptions) {
    this.kind = options.kind
    this.url = endpointUrl(options.kind, options.baseUrl)
    this.#options = options
  }

  get server(): { address: string; port: number } {
    const { hostname, port, protocol } = this.url
    return { address: hostname, port: Number(port) || (protocol === 'https:' ? 443 : 80) }
  }

  /** What a refusal is worded by, when these texts were sent. */
  asked(texts: readonly string[]): Asked {
    const { kind, model, apiKey } = this.#options
    return { kind, url: this.url, model, apiKey, texts }
  }

  /**
   * The answer, whatever its status. Throws `EndpointUnavailable`, `EndpointReplyInvalid` when it is too long, or the
   * signal's reason.
   */
  async post(body: object, { timeoutMs, most, signal }: PostOptions): Promise<Answer> {
    const { kind, model, apiKey } = this.#options
    const late = new AbortController()
    // Not AbortSignal.timeout: combined with others it stays in memory until the time is over.
    const timer = setTimeout(() => late.abort(), timeoutMs)
    try {
      const answer = await request(this.url, {
        dispatcher: this.#agent,
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          accept: 'application/json',
          ...(apiKey && { authorization: `Bearer ${apiKey}` }),
        },
        body: JSON.stringify({ model, ...body }),
        signal: AbortSignal.any([signal, late.signal]),
      })
      const isGood = answer.statusCode === 200
      const text = await read(answer.body, ERROR_BYTES + (isGood ? most : 0))
      if (text === undefined && isGood)
        throw new EndpointReplyInvalid(`The ${kind.name} sent far more than was asked for.`)
      return { status: answer.statusCode, headers: answer.headers, body: text ?? '' }
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof EndpointReplyInvalid) throw error
      const isLate = late.signal.aborted
      const how = isLate
        ? `did not answer within ${Math.round(timeoutMs / 100) / 10} s`
        : `cannot be reached (${codeOf(error)})`
      throw new EndpointUnavailable(`The ${kind.name} ${this.url.origin} ${how}. Try again later.`, {
        sendAgain: !isLate,
        cause: error,
      })
    } finally {
      clearTimeout(timer)
    }
  }

  async close(): Promise<void> {
    await this.#agent.destroy()
  }
}

/** The body as text, or undefined when it has more than `most` bytes. */
async function read(body: Dispatcher.ResponseData['body'], most: number): Promise<string | undefined> {
  const parts: Buffer[] = []
  let size = 0
  for await (const part of body as AsyncIterable<Buffer>) {
    parts.push(part)
    size += part.length
    if (size > most) return undefined
  }
  return Buffer.concat(parts).toString('utf8')
}

function codeOf(error: unknown): string {
  const { code, name } = error as NodeJS.ErrnoException
  return code ?? name
}
