import { setTimeout as wait } from 'node:timers/promises'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import {
  StreamableHTTPClientTransport,
  StreamableHTTPError,
} from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { expect } from 'vitest'

/** What a team reads, by every way that there is to read. */
export interface Sight {
  libraries: string[]
  /** As the resource `mnemosyne://libraries` has it. */
  listed: string[]
  items: string[]
  /** Titles of the documents that a search finds. */
  found: string[]
}

export const NOTHING: Sight = { libraries: [], listed: [], items: [], found: [] }

export interface Hit {
  chunk_uid: string
  item_uid: string
  item_title: string
  text_preview: string
}

interface ToolAnswer {
  structuredContent: Record<string, unknown>
  content: { text: string }[]
  isError?: boolean
}

/** A deployment of agents: an MCP client that was given one token, and keeps its connection open. */
export class Pallas implements AsyncDisposable {
  readonly #client: Client

  private constructor(client: Client) {
    this.#client = client
  }

  /** Without a token: as somebody who was given none. */
  static async deploy(url: string, token?: string): Promise<Pallas> {
    const client = new Client({ name: 'pallas', version: '1' })
    const headers: Record<string, string> = token === undefined ? {} : { Authorization: `Bearer ${token}` }
    await client.connect(
      new StreamableHTTPClientTransport(new URL(`${url}/mcp/`), { requestInit: { headers } }),
    )
    return new Pallas(client)
  }

  async tools(): Promise<string[]> {
    return (await this.#client.listTools()).tools.map(({ name }) => name)
  }

  async ask(name: string, args: Record<string, unknown> = {}): Promise<ToolAnswer> {
    return (await this.#client.callTool({ name, arguments: args })) as unknown as ToolAnswer
  }

  /** What a tool answers, when it does not say that it failed. */
  async use<T>(name: string, args: Record<string, unknown> = {}): Promise<T> {
    const { isError, structuredContent, content } = await this.ask(name, args)
    expect(isError, `${name}: ${content[0]?.text}`).not.toBe(true)
    return structuredContent as T
  }

  async search(query: string, args: Record<string, unknown> = {}): Promise<Hit[]> {
    return (await this.use<{ candidates: Hit[] }>('search', { query, limit: 100, ...args })).candidates
  }

  /** `query` is a word of every document. */
  async sees(query: string): Promise<Sight> {
    const [{ libraries }, { items }, hits, listed] = await Promise.all([
      this.use<{ libraries: { name: string }[] }>('list_libraries'),
      this.use<{ items: { title: string }[] }>('list_items'),
      this.search(query),
      this.#listed(),
    ])
    return {
      libraries: libraries.map(({ name }) => name).sort(),
      listed: listed.sort(),
      items: items.map(({ title }) => title).sort(),
      found: [...new Set(hits.map(({ item_title }) => item_title))].sort(),
    }
  }

  async #listed(): Promise<string[]> {
    const { contents } = await this.#client.readResource({ uri: 'mnemosyne://libraries' })
    const { libraries } = JSON.parse((contents[0] as { text: string }).text) as {
      libraries: { name: string }[]
    }
    return libraries.map(({ name }) => name)
  }

  /** A tool tells nothing of what the first arguments name: it answers as for the others, which name nothing. */
  async expectAlike(
    name: string,
    args: Record<string, unknown>,
    missing: Record<string, unknown>,
  ): Promise<void> {
    const [one, other] = [await this.ask(name, args), await this.ask(name, missing)]
    const bare = ({ structuredContent, ...answer }: ToolAnswer) => ({
      ...answer,
      structuredContent: { ...structuredContent, search_time_ms: 0 },
    })
    expect(bare(one)).toEqual(bare(other))
  }

  /** How the next request on the open connection is refused. */
  async refusal(): Promise<{ status: number; message: string }> {
    const error = await this.tools().then(
      () => undefined,
      (cause: unknown) => cause,
    )
    if (!(error instanceof StreamableHTTPError)) throw new Error('it is not refused', { cause: error })
    return { status: error.code ?? 0, message: error.message }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.close()
  }
}

/** Asks for the health again and again, without a credential, until it is stopped. */
export class HealthPolls {
  /** `ok`, `degraded`, `error`, or what else came, in order. */
  readonly answers: string[] = []
  readonly #stopping = new AbortController()
  readonly #done: Promise<void>

  constructor(url: string, everyMs: number) {
    this.#done = this.#poll(`${url}/mcp/health`, everyMs)
  }

  async #poll(url: string, everyMs: number): Promise<void> {
    const { signal } = this.#stopping
    while (!signal.aborted) {
      this.answers.push(await healthAt(url))
      await wait(everyMs, undefined, { signal }).catch(() => undefined)
    }
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#done
  }
}

async function healthAt(url: string): Promise<string> {
  try {
    const { status } = (await (await fetch(url)).json()) as { status: string }
    return status
  } catch (error) {
    return String(error)
  }
}
