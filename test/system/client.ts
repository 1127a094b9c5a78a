import { connect } from 'node:net'
import type { Job, SearchAnswer, Workspace } from '@mnemosyne/contracts'
import { expect } from 'vitest'

/** The product as clients reach it, by its address and a token. */
export class SystemClient {
  readonly url: string
  readonly token: string

  constructor(url: string, token: string) {
    this.url = url
    this.token = token
  }

  async call(
    method: string,
    path: string,
    body?: unknown,
    options: { token?: string | null; headers?: Record<string, string> } = {},
  ) {
    const token = options.token === undefined ? this.token : options.token
    const response = await fetch(`${this.url}${path}`, {
      method,
      headers: {
        ...(token !== null && { authorization: `Bearer ${token}` }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...options.headers,
      },
      body: body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body),
    })
    const text = await response.text()
    return { status: response.status, headers: response.headers, text, body: parse(text) as never }
  }

  async search(query: string, options: Record<string, unknown> = {}, token?: string): Promise<SearchAnswer> {
    const { status, body, text } = await this.call(
      'POST',
      '/library/api/search/',
      { query, ...options },
      { token },
    )
    expect(status, text).toBe(200)
    return body
  }

  async createWorkspace(
    workspace_id: string,
    options: Record<string, unknown> = {},
    token?: string,
  ): Promise<Workspace> {
    const request = { workspace_id, name: workspace_id, library_type: 'technical', ...options }
    const { status, body, text } = await this.call('POST', '/library/api/workspaces/', request, { token })
    expect([200, 201], text).toContain(status)
    return body
  }

  /** The job when it has ended; rejects when that takes longer than `timeout` milliseconds. */
  async ended(jobId: string, timeout = 60_000): Promise<Job> {
    const deadline = performance.now() + timeout
    for (;;) {
      const answer = await this.call('GET', `/library/api/jobs/${jobId}/`).catch((error: Error) => error)
      const job = answer instanceof Error ? undefined : (answer.body as Job | undefined)
      if (job?.status === 'completed' || job?.status === 'failed') return job
      if (performance.now() > deadline) {
        const state = answer instanceof Error ? answer.message : answer.text
        throw new Error(`job ${jobId} has not ended after ${timeout} ms: ${state}`)
      }
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }

  async upload(
    fields: Record<string, string>,
    file: { name: string; content: string | Uint8Array; type?: string },
    token = this.token,
  ) {
    const form = new FormData()
    for (const [name, value] of Object.entries(fields)) form.set(name, value)
    form.set('file', new Blob([file.content as BlobPart], { type: file.type ?? 'text/markdown' }), file.name)
    const response = await fetch(`${this.url}/library/api/items/upload/`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}` },
      body: form,
    })
    const text = await response.text()
    return { status: response.status, text, body: parse(text) as Job }
  }

  /** One JSON-RPC request to the MCP endpoint. */
  async mcp(
    method: string,
    params: Record<string, unknown> = {},
    options: { token?: string | null; headers?: Record<string, string> } = {},
  ) {
    const answer = await this.call(
      'POST',
      '/mcp/',
      { jsonrpc: '2.0', id: 1, method, params },
      { ...options, headers: { accept: 'application/json, text/event-stream', ...options.headers } },
    )
    const data = /^data: (.*)$/m.exec(answer.text)?.[1]
    return { ...answer, body: (data === undefined ? answer.body : parse(data)) as never }
  }

  /**
   * Bytes written to the socket as they are, past the checks of every client. Resolves with what came back when
   * the server closes; with `cut`, closes the connection as soon as the bytes are sent.
   */
  send(bytes: string | Uint8Array, options: { cut?: boolean } = {}): Promise<string> {
    const { hostname, port } = new URL(this.url)
    return new Promise((resolve) => {
      const socket = connect({ host: hostname, port: Number(port) })
      const received = collect(socket)
      socket.on('error', () => undefined)
      socket.on('close', () => resolve(received()))
      socket.write(bytes, () => options.cut && socket.destroySoon())
    })
  }
}

/** The sum of a metric, in the text form of Prometheus, over the series that carry these labels. */
export function sumOf(text: string, name: string, labels: Record<string, string>): number {
  const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`)
  return text
    .split('\n')
    .filter((line) => line.startsWith(`${name}{`) && wanted.every((label) => line.includes(label)))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0)
}

/** What a stream has brought so far, whenever it is asked. */
export function collect(stream: NodeJS.ReadableStream): () => string {
  const pieces: Buffer[] = []
  stream.on('data', (piece: Buffer) => pieces.push(piece))
  return () => Buffer.concat(pieces).toString('utf8')
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
