import type { Session } from '@mnemosyne/contracts'

export interface BrowserAnswer {
  status: number
  headers: Headers
  text: string
  // biome-ignore lint/suspicious/noExplicitAny: whatever the system answered
  body: any
}

/** A browser with a page of ours: it keeps the cookie, and takes the CSRF token along. */
export class Browser {
  readonly #urls: readonly string[]
  #turn = 0
  /** The value of the session's cookie. */
  cookie: string | undefined
  csrf: string | undefined

  /** Of several gateways each request goes to the next. */
  constructor(urls: readonly string[]) {
    this.#urls = urls
  }

  async call(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<BrowserAnswer> {
    const url = this.#urls[this.#turn++ % this.#urls.length]!
    const json = body !== undefined && !(body instanceof FormData)
    const response = await fetch(`${url}${path}`, {
      method,
      headers: {
        ...(this.cookie !== undefined && { cookie: `theme=dark; mnemosyne_session=${this.cookie}` }),
        ...(this.csrf !== undefined && method !== 'GET' && { 'x-csrf-token': this.csrf }),
        ...(method !== 'GET' && { origin: url, 'sec-fetch-site': 'same-origin' }),
        ...(json && { 'content-type': 'application/json' }),
        ...headers,
      },
      body: json ? JSON.stringify(body) : (body as FormData | undefined),
    })
    for (const line of response.headers.getSetCookie()) this.#keep(line)
    const text = await response.text()
    return { status: response.status, headers: response.headers, text, body: parse(text) }
  }

  async signIn(username: string, password: string): Promise<BrowserAnswer> {
    const answer = await this.call('POST', '/accounts/api/login/', { username, password })
    if (answer.status === 200) this.csrf = (answer.body as Session).csrf_token
    return answer
  }

  /** As one who has got hold of the cookie, or had it before. */
  copy(): Browser {
    const other = new Browser(this.#urls)
    other.cookie = this.cookie
    other.csrf = this.csrf
    return other
  }

  #keep(line: string): void {
    const [, value] = /^mnemosyne_session=([^;]*)/.exec(line) ?? []
    if (value !== undefined) this.cookie = /max-age=0/i.test(line) ? undefined : value
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
