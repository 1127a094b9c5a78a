import { Agent, request } from 'node:http'
import type { SearchAnswer } from '@mnemosyne/contracts'

/** Hits that every search asks for. */
export const HITS = 10

/** Something that searches over HTTP: the product, or the peer. */
export interface SearchServer {
  url: string
  headers?: Record<string, string>
  /** A body makes it a POST. */
  ask(question: string): { path: string; body?: string }
}

export interface Answered {
  status: number
  /** Milliseconds from the request to the last byte. */
  ms: number
  text: string
  /** Milliseconds after which to come again, where the server says so. */
  retryAfter?: number
}

/** The product, at its gateway. */
export function productAt({ url, token }: { url: string; token: string }): SearchServer {
  return {
    url,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    ask: (query) => ({ path: '/library/api/search/', body: JSON.stringify({ query, limit: HITS }) }),
  }
}

/** Connections to one server that are kept. */
export class HttpSearch implements Disposable {
  readonly #server: SearchServer
  readonly #agent = new Agent({ keepAlive: true })

  constructor(server: SearchServer) {
    this.#server = server
  }

  search(question: string): Promise<Answered> {
    const { url, headers, ask } = this.#server
    const { path, body } = ask(question)
    const started = performance.now()
    return new Promise((resolve, reject) => {
      const sending = request(
        `${url}${path}`,
        { agent: this.#agent, method: body === undefined ? 'GET' : 'POST', headers },
        (response) => {
          const pieces: Buffer[] = []
          response.on('data', (piece: Buffer) => pieces.push(piece))
          response.on('error', reject)
          response.on('end', () => {
            const after = response.headers['retry-after']
            resolve({
              status: response.statusCode!,
              ms: performance.now() - started,
              text: Buffer.concat(pieces).toString('utf8'),
              ...(after && { retryAfter: Number(after) * 1000 }),
            })
          })
        },
      )
      sending.on('error', reject)
      sending.end(body)
    })
  }

  [Symbol.dispose](): void {
    this.#agent.destroy()
  }
}

/** Of the product. Throws when it is not an answer with hits that every part had a share in. */
export function wholeAnswer({ status, text }: Answered): SearchAnswer {
  const answer = status === 200 ? (JSON.parse(text) as SearchAnswer) : undefined
  if (!answer || answer.degraded.length > 0) throw new Error(`The search went wrong: ${status} ${text}`)
  if (answer.candidates.length === 0) throw new Error('The search found nothing.')
  return answer
}
