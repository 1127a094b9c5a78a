export interface Asked {
  status: number
  headers: Headers
  text: string
  // biome-ignore lint/suspicious/noExplicitAny: whatever the system answered
  body: any
}

interface Ask {
  token?: string | null
  headers?: Record<string, string>
  /** Sent as it is when it is a string. */
  body?: unknown
  /** The answer is the one place where a secret is shown: to who asked for it. */
  shows?: true
}

/** Asks the system, and keeps every answer but those that are to show a secret. */
export class Recorder {
  readonly #url: string
  readonly #token: string
  readonly answers: string[] = []

  constructor(url: string, token: string) {
    this.#url = url
    this.#token = token
  }

  async ask(method: string, path: string, { token, headers, body, shows }: Ask = {}): Promise<Asked> {
    const bearer = token === undefined ? this.#token : token
    const form = body instanceof FormData
    const response = await fetch(`${this.#url}${path}`, {
      method,
      headers: {
        ...(bearer !== null && { authorization: `Bearer ${bearer}` }),
        ...(body !== undefined && !form && { 'content-type': 'application/json' }),
        accept: 'application/json, text/event-stream',
        ...headers,
      },
      body: form || typeof body === 'string' ? body : JSON.stringify(body),
    })
    const text = await response.text()
    if (!shows) {
      const head = [...response.headers].map(([name, value]) => `${name}: ${value}`).join('\n')
      this.answers.push(`${method} ${response.status}\n${head}\n${text}`)
    }
    return { status: response.status, headers: response.headers, text, body: parsed(text) }
  }

  mcp(method: string, params: object, options: Ask = {}): Promise<Asked> {
    return this.ask('POST', '/mcp/', { ...options, body: { jsonrpc: '2.0', id: 1, method, params } })
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
