import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { Library, SearchAnswer } from '@mnemosyne/contracts'
import {
  Client as NewClient,
  StreamableHTTPClientTransport as NewTransport,
} from '@modelcontextprotocol/client'
import { Client as OldClient } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport as OldTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { type SystemInMode, startInMode } from '../mode.ts'

let system: SystemInMode
/** One library that the narrow token is allowed, and one that it is not. */
let open: Library
let closed: Library
let narrowToken: string

beforeAll(async () => {
  system = await startInMode()
  const make = async (name: string, text: string): Promise<Library> => {
    const request = { name, library_type: 'technical' }
    const library = (await system.call('POST', '/library/api/libraries/', request)).body as Library
    const file = { name: `${name}.md`, content: `# ${name}\n\n${text}\n` }
    await system.ended((await system.upload({ library_uid: library.uid }, file)).body.job_id)
    return library
  }
  open = await make('Open', 'The sheet anchor is kept on the lee side.')
  closed = await make('Closed', 'The sheet anchor of the flagship is kept under the stairs.')
  const { stdout } = await system.command([
    ...['create-user-token', '--user', (await me()).username, '--name', 'agent'],
    ...['--allowed-libraries', open.uid],
  ])
  narrowToken = (JSON.parse(stdout) as { token: string }).token
})
afterAll(() => system?.[Symbol.asyncDispose]())

const me = async () => (await system.call('GET', '/profile/api/me/')).body as { username: string }

test('the curl line works as it is pasted', async () => {
  const { stdout } = await promisify(execFile)('sh', ['-c', system.announced.curl])
  const answer = JSON.parse(stdout) as SearchAnswer
  expect(answer.candidates.map(({ library_uid }) => library_uid).sort()).toEqual(
    [open.uid, closed.uid].sort(),
  )
})

interface Answer {
  structuredContent: Record<string, unknown>
  isError?: boolean
}

interface McpClient {
  tools(): Promise<string[]>
  call(name: string, args?: Record<string, unknown>): Promise<Answer>
}

/** Connected with the URL and the headers of the printed snippet, its token replaced. */
const clients: [string, (token?: string) => Promise<McpClient>][] = [
  [
    '@modelcontextprotocol/client',
    async (token) => {
      const client = new NewClient({ name: 'test', version: '1' })
      await client.connect(new NewTransport(...snippet(token)))
      onTestFinished(() => client.close())
      return {
        tools: async () => (await client.listTools()).tools.map(({ name }) => name),
        call: async (name, args = {}) =>
          (await client.callTool({ name, arguments: args })) as unknown as Answer,
      }
    },
  ],
  [
    '@modelcontextprotocol/sdk',
    async (token) => {
      const client = new OldClient({ name: 'test', version: '1' })
      await client.connect(new OldTransport(...snippet(token)))
      onTestFinished(() => client.close())
      return {
        tools: async () => (await client.listTools()).tools.map(({ name }) => name),
        call: async (name, args = {}) =>
          (await client.callTool({ name, arguments: args })) as unknown as Answer,
      }
    },
  ],
]

function snippet(token?: string): [URL, { requestInit: { headers: Record<string, string> } }] {
  const { url, headers } = system.announced.mcp.mcpServers.mnemosyne
  const shown = token === undefined ? headers : { Authorization: `Bearer ${token}` }
  return [new URL(url), { requestInit: { headers: shown } }]
}

describe.each(clients)('%s', (_, connect) => {
  test('the printed snippet works', async () => {
    const client = await connect()
    expect((await client.tools()).sort()).toEqual(
      expect.arrayContaining(['get_chunk', 'get_health', 'list_items', 'list_libraries', 'search']),
    )
    const { structuredContent: health } = await client.call('get_health')
    expect(health).toMatchObject({ status: 'ok' })
    const { structuredContent } = await client.call('list_libraries')
    expect((structuredContent.libraries as Library[]).map(({ uid }) => uid).sort()).toEqual(
      [open.uid, closed.uid].sort(),
    )
  })

  test('a token sees the libraries that it is allowed, by every tool', async () => {
    const [agent, owner] = [await connect(narrowToken), await connect()]
    const found = async (client: McpClient) =>
      (await client.call('search', { query: 'where is the sheet anchor kept?' })).structuredContent
        .candidates as { chunk_uid: string; item_title: string; text_preview: string }[]
    const mine = await found(agent)
    expect(mine.map(({ item_title }) => item_title)).toEqual(['Open'])
    const foreign = (await found(owner)).find(({ item_title }) => item_title === 'Closed')!
    const chunk = await agent.call('get_chunk', { chunk_uid: mine[0]!.chunk_uid })
    expect(chunk.structuredContent.text).toContain('lee side')
    expect((await agent.call('get_chunk', { chunk_uid: foreign.chunk_uid })).isError).toBe(true)

    const { structuredContent: libraries } = await agent.call('list_libraries')
    expect((libraries.libraries as Library[]).map(({ uid }) => uid)).toEqual([open.uid])
    const { structuredContent: items } = await agent.call('list_items')
    expect((items.items as { title: string }[]).map(({ title }) => title)).toEqual(['Open'])
    const outside = await agent.call('list_items', { library_uid: closed.uid })
    expect(JSON.stringify(outside)).not.toContain('"title":"Closed"')
    const widened = await agent.call('search', { query: 'sheet anchor', library_uid: closed.uid })
    expect(JSON.stringify(widened)).not.toContain('stairs')
  })
})

test('without a credential there is health, and for the rest 401', async () => {
  const health = await system.call('GET', '/mcp/health', undefined, { token: null })
  expect(health).toMatchObject({ status: 200, body: { status: 'ok' } })
  const tool = (name: string, token: string | null) =>
    system.mcp('tools/call', { name, arguments: name === 'search' ? { query: 'anchor' } : {} }, { token })
  expect((await tool('get_health', null)).status).toBe(200)
  for (const name of ['search', 'list_libraries', 'list_items']) {
    const answer = await tool(name, null)
    expect(answer.status).toBe(401)
    expect(answer.headers.get('www-authenticate')).toMatch(/^Bearer/)
    expect(answer.text).not.toContain('anchor')
  }
  expect((await tool('get_health', 'mnem_wrong')).status).toBe(401)
})
