import { type FetchHandler, PRINCIPAL_HEADER, servicePrincipal } from '@mnemosyne/contracts'
import { DomainError } from '@mnemosyne/platform'
import {
  Client as NewClient,
  StreamableHTTPClientTransport as NewTransport,
} from '@modelcontextprotocol/client'
import { Client as OldClient } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport as OldTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { afterEach, describe, expect, test } from 'vitest'
import { ada, CHUNK, MINE, NEXT_CHUNK, openTestMcp, type TestMcp, THEIRS, TOKEN } from './stand-ins.ts'

const closers: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

async function open(options?: Parameters<typeof openTestMcp>[0]): Promise<TestMcp> {
  const mcp = await openTestMcp(options)
  closers.push(() => mcp.close())
  return mcp
}

interface Answer {
  content?: unknown
  structuredContent?: unknown
  isError?: boolean | undefined
}

/** The little that the tests need of a client, the same for both generations. */
interface AnyClient {
  protocol: string | undefined
  call(name: string, args?: Record<string, unknown>): Promise<Answer>
  tools(): Promise<
    {
      name: string
      description?: string | undefined
      annotations?: object | undefined
      outputSchema?: object | undefined
      title?: string | undefined
    }[]
  >
  read(uri: string): Promise<unknown>
  resources(): Promise<string[]>
}

const headersOf = (token: string | null): Record<string, string> =>
  token === null ? {} : { Authorization: `Bearer ${token}` }

async function newest(url: string, token: string | null = TOKEN): Promise<AnyClient> {
  const client = new NewClient(
    { name: 'test', version: '1' },
    { versionNegotiation: { mode: { pin: '2026-07-28' } } },
  )
  await client.connect(
    new NewTransport(new URL(`${url}/mcp/`), { requestInit: { headers: headersOf(token) } }),
  )
  closers.push(() => client.close())
  return {
    protocol: client.getNegotiatedProtocolVersion(),
    call: (name, args = {}) => client.callTool({ name, arguments: args }) as Promise<Answer>,
    tools: async () => (await client.listTools()).tools,
    read: async (uri) => parsed((await client.readResource({ uri })).contents[0]),
    resources: async () => (await client.listResources()).resources.map(({ uri }) => uri),
  }
}

async function older(url: string, token: string | null = TOKEN): Promise<AnyClient> {
  const client = new OldClient({ name: 'test', version: '1' })
  const transport = new OldTransport(new URL(`${url}/mcp`), { requestInit: { headers: headersOf(token) } })
  await client.connect(transport)
  closers.push(() => client.close())
  return {
    protocol: transport.protocolVersion,
    call: (name, args = {}) => client.callTool({ name, arguments: args }) as Promise<Answer>,
    tools: async () => (await client.listTools()).tools,
    read: async (uri) => parsed((await client.readResource({ uri })).contents[0]),
    resources: async () => (await client.listResources()).resources.map(({ uri }) => uri),
  }
}

function parsed(content: unknown): unknown {
  return JSON.parse((content as { text: string }).text)
}

function textOf(answer: Answer): string {
  return (answer.content as { text: string }[]).map(({ text }) => text).join('\n')
}

function post(url: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${url}/mcp/`, {
    method: 'POST',
    body: typeof body === 'string' ? body : JSON.stringify(body),
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      ...headers,
    },
  })
}

const rpc = (method: string, params: object = {}) => ({ jsonrpc: '2.0', id: 1, method, params })

describe.each([
  ['of the newest revision', newest, '2026-07-28'],
  ['of the first generation', older, '2025-11-25'],
])('a client %s', (_, connect, protocol) => {
  test('negotiates, and sees five read-only tools with titles and schemas', async () => {
    const client = await connect((await open()).url)
    expect(client.protocol).toBe(protocol)
    const tools = await client.tools()
    expect(tools.map(({ name }) => name).sort()).toEqual([
      'get_chunk',
      'get_health',
      'list_items',
      'list_libraries',
      'search',
    ])
    for (const tool of tools) {
      expect(tool).toMatchObject({ annotations: { readOnlyHint: true }, title: expect.any(String) })
      expect(tool.description!.length).toBeGreaterThan(80)
      expect(JSON.stringify(tool.outputSchema)).not.toContain('"additionalProperties":false')
    }
  })

  test('searches under its own libraries, and gets evidence to cite', async () => {
    const { url, world } = await open()
    const client = await connect(url)
    await client.tools()
    const answer = await client.call('search', { query: 'how to start a pump', limit: 500 })
    expect(answer.isError).toBeFalsy()
    expect(answer.structuredContent).toMatchObject({
      candidates: [{ chunk_uid: CHUNK, item_title: 'Pumps', source: 'vector' }],
      total_candidates: 1,
      reranker_used: false,
      reranker_model: null,
      search_types_used: ['vector', 'fulltext', 'graph'],
      images: [],
    })
    const text = textOf(answer)
    for (const part of [CHUNK, 'Pumps › Starting, page 3', 'Prime the pump', 'Manuals: follow']) {
      expect(text).toContain(part)
    }
    expect(text).toContain('(2 more say nearly the same.)')
    expect(world.asked).toMatchObject([{ request: { limit: 100 }, libraries: [MINE] }])
  })

  test('chooses what of the found passages is shown', async () => {
    const { url, world } = await open()
    const client = await connect(url)
    const choice = { fold_duplicates: false, join_neighbours: true, max_per_item: 2 }
    const text = textOf(await client.call('search', { query: 'pump', ...choice }))
    expect(text).toContain(`chunk_uid: ${CHUNK} (with its neighbours ${NEXT_CHUNK})\n`)
    expect(text).not.toContain('nearly the same')
    expect(world.asked).toMatchObject([{ request: choice }])
    const refused = await client.call('search', { query: 'pump', max_per_item: 0 })
    expect(textOf(refused)).toContain('max_per_item: ')
  })

  test('reads a passage, lists libraries and items, and reads the resources', async () => {
    const client = await connect((await open()).url)
    await client.tools()
    expect((await client.call('get_chunk', { chunk_uid: CHUNK })).structuredContent).toMatchObject({
      chunk_uid: CHUNK,
      chunk_index: 0,
      item_title: 'Pumps',
      library_type: 'technical',
      text: 'Prime the pump before the first start.',
    })
    expect((await client.call('list_libraries', { limit: 1000 })).structuredContent).toEqual({
      libraries: [{ uid: MINE, name: 'Notes', library_type: 'technical', description: 'What we know.' }],
      limit: 200,
      offset: 0,
      total: 1,
    })
    expect((await client.call('list_items')).structuredContent).toMatchObject({
      items: [{ title: 'Pumps', chunk_count: 1, embedding_status: 'completed' }],
      limit: 50,
      offset: 0,
    })
    expect(await client.resources()).toEqual(['mnemosyne://library-types', 'mnemosyne://libraries'])
    expect(await client.read('mnemosyne://libraries')).toMatchObject({ libraries: [{ uid: MINE }] })
    expect(await client.read('mnemosyne://library-types')).toMatchObject({
      library_types: [{ library_type: 'technical', llm_context_prompt: expect.stringContaining('steps') }],
    })
  })

  test('is told in words what is wrong', async () => {
    const { url, world } = await open()
    const client = await connect(url)
    const say = async (name: string, args: Record<string, unknown>) => {
      const answer = await client.call(name, args)
      expect(answer.isError).toBe(true)
      return textOf(answer)
    }
    expect(await say('search', { query: 'x', library_uid: THEIRS })).toMatch(
      /^Library not found\. Check the uid/,
    )
    expect(await say('get_chunk', { chunk_uid: MINE })).toMatch(/^Chunk not found\./)
    expect(await say('get_chunk', { chunk_uid: 'no uid' })).toContain('chunk_uid: Must be a uid')
    expect(await say('search', {})).toContain('query: ')
    expect(await say('search', { query: 'x', search_types: ['magic'] })).toContain('search_types.0: ')
    expect(await say('search', { query: '  ' })).toContain('query: May not be empty.')
    world.searchFails = new DomainError('SEARCH_UNAVAILABLE', 'Nothing could be searched.')
    expect(await say('search', { query: 'x' })).toMatch(/Nothing could be searched\..*try again/)
    world.searchFails = new Error('the password is hunter2')
    const bland = await say('search', { query: 'x' })
    expect(bland).toContain('Something went wrong')
    expect(bland).not.toContain('hunter2')
  })

  test('without a credential reaches get_health and nothing else', async () => {
    const { url } = await open()
    const client = await connect(url, null)
    expect((await client.call('get_health')).structuredContent).toMatchObject({
      status: 'ok',
      checks: {
        neo4j: { status: 'ok', duration_ms: expect.any(Number) },
        s3: { status: 'ok', duration_ms: expect.any(Number) },
        embedding: { status: 'ok', model: 'bge-small', duration_ms: expect.any(Number) },
      },
    })
    await expect(client.tools()).rejects.toThrow()
    await expect(client.call('search', { query: 'x' })).rejects.toThrow()
  })
})

describe('scope', () => {
  test('of a token without libraries is empty, and the call succeeds', async () => {
    const { url } = await open({ principal: { ...ada, resolved_libraries: [] } })
    const client = await newest(url)
    const answer = await client.call('search', { query: 'pump' })
    expect(answer.structuredContent).toMatchObject({ candidates: [], total_candidates: 0 })
    expect((await client.call('list_libraries')).structuredContent).toMatchObject({ libraries: [], total: 0 })
  })

  test('is not widened by anything that the caller sends', async () => {
    const { url, world } = await open()
    const client = await newest(url)
    await client.call('search', { query: 'x', resolved_libraries: [THEIRS], libraries: 'all' })
    expect(world.asked).toMatchObject([{ libraries: [MINE] }])
  })

  test('of tools: one that the token may not use is an error, counted', async () => {
    const { url, registry, world } = await open({ principal: { ...ada, allowed_tools: ['get_chunk'] } })
    const client = await newest(url)
    const refused = await client.call('search', { query: 'pump' })
    expect(refused.isError).toBe(true)
    expect(textOf(refused)).toContain('may not use the tool search. It may use: get_chunk.')
    expect((await client.call('get_chunk', { chunk_uid: CHUNK })).isError).toBeFalsy()
    expect(world.asked).toEqual([])
    expect(await registry.metrics()).toContain(
      'mnemosyne_mcp_calls_total{component="mcp",tool="search",outcome="forbidden"} 1',
    )
  })
})

describe('the door', () => {
  test.each([
    ['a list of tools', rpc('tools/list')],
    ['a search', rpc('tools/call', { name: 'search', arguments: { query: 'x' } })],
    ['a resource', rpc('resources/read', { uri: 'mnemosyne://libraries' })],
    ['a batch with one of them', [rpc('ping'), rpc('tools/list')]],
    ['an empty batch', []],
    ['no JSON', '{'],
    ['a lone string', '"tools/list"'],
  ])('is shut to %s without a credential', async (_, body) => {
    const { url, registry } = await open()
    const response = await post(url, body)
    expect(response.status).toBe(401)
    expect(response.headers.get('www-authenticate')).toBe(
      `Bearer resource_metadata="${url}/.well-known/oauth-protected-resource/mcp"`,
    )
    expect(await response.json()).toEqual({ detail: expect.stringContaining('Authorization: Bearer') })
    expect(await registry.metrics()).toContain('mcp_auth_failures_total{component="mcp",reason="missing"} 1')
  })

  test('is shut to an assertion that is forged or for another service, even beside a good bearer', async () => {
    const { url, sign } = await open({ direct: true })
    for (const bad of ['x.y.z', await sign(ada, 'search')]) {
      const response = await post(url, rpc('ping'), {
        [PRINCIPAL_HEADER]: bad,
        authorization: `Bearer ${TOKEN}`,
      })
      expect(response.status).toBe(401)
      expect(response.headers.get('www-authenticate')).toContain('error="invalid_token"')
    }
  })

  test('resolves a bearer itself when called past the gateway', async () => {
    const { url } = await open({ direct: true })
    const client = await newest(url)
    expect((await client.call('search', { query: 'pump' })).isError).toBeFalsy()
    const refused = await post(url, rpc('ping'), { authorization: 'Bearer wrong' })
    expect(refused.status).toBe(401)
    expect(await refused.json()).toEqual({ detail: 'Invalid MCP token.' })
  })

  const rubbish = (principal: unknown) => async () => Response.json({ outcome: 'resolved', principal })
  const unusable: [string, FetchHandler][] = [
    ['is unreachable', async () => Promise.reject(new Error('ECONNREFUSED'))],
    ['never answers', () => new Promise(() => {})],
    ['fails', async () => Response.json({ detail: 'no database' }, { status: 500 })],
    ['does not trust mcp', async () => Response.json({ detail: '?' }, { status: 401 })],
    ['answers a page', async () => new Response('<html>', { headers: { 'content-type': 'text/html' } })],
    ['answers nothing', async () => new Response(null, { status: 204 })],
    ['answers something else', async () => Response.json({ hello: 'world' })],
    ['answers an outcome of its own', async () => Response.json({ outcome: 'anonymous' })],
    ['resolves nobody', rubbish(undefined)],
    ['resolves half a principal', rubbish({ kind: 'user_token', resolved_libraries: [MINE] })],
    ['resolves for another surface', rubbish({ ...ada, surface: 'rest' })],
    ['resolves a service', rubbish({ ...ada, kind: 'service' })],
    [
      'answers half',
      async () => new Response('{"outcome":"resol', { headers: { 'content-type': 'application/json' } }),
    ],
  ]
  test.each(unusable)('past the gateway is 503 within two seconds when auth %s', async (_, auth) => {
    for (const requireAuth of [true, false]) {
      const { url, world } = await open({ direct: true, auth, requireAuth })
      const started = performance.now()
      const answer = await post(url, rpc('tools/call', { name: 'search', arguments: { query: 'pump' } }), {
        authorization: `Bearer ${TOKEN}`,
      })
      expect(performance.now() - started).toBeLessThan(2_000)
      expect(answer.status).toBe(503)
      expect(world.asked).toEqual([])
    }
  })

  test('with MCP_REQUIRE_AUTH off serves everybody, who then sees nothing', async () => {
    const { url, lines, world } = await open({ requireAuth: false })
    expect(lines.join()).toContain('MCP_REQUIRE_AUTH is false')
    const client = await newest(url, null)
    expect((await client.call('search', { query: 'pump' })).structuredContent).toMatchObject({
      candidates: [],
    })
    expect(world.asked).toMatchObject([{ libraries: [] }])
  })

  test('refuses a body that is too large before reading it', async () => {
    const { url } = await open()
    const response = await post(url, rpc('ping', { x: 'y'.repeat(4_300_000) }), {
      authorization: `Bearer ${TOKEN}`,
    })
    expect(response.status).toBe(413)
  })
})

describe('health', () => {
  test.each([
    ['ok', {}, 200],
    ['degraded', { embedding: { status: 'degraded', detail: 'No model was found.', model: null } }, 200],
    ['error', { blobs: { status: 'error', detail: 'The folder is gone.' } }, 503],
  ] as const)('is %s at /mcp/health without a credential', async (status, change, code) => {
    const mcp = await open()
    Object.assign(mcp.world, change)
    for (const path of ['/mcp/health', '/mcp/health/']) {
      const response = await fetch(mcp.url + path)
      expect(response.status).toBe(code)
      expect(await response.json()).toMatchObject({ status })
    }
  })
})

test('a call leaves a line in the log: who, what, how many, and never the text', async () => {
  const { url, lines } = await open()
  const client = await newest(url)
  await client.call('search', { query: 'a private question' })
  const line = JSON.parse(lines.find((candidate) => candidate.includes('mcp tool call'))!)
  expect(line).toMatchObject({
    tool: 'search',
    outcome: 'ok',
    principal: 'user_token',
    user: 'ada',
    libraries: 1,
    counts: { candidates: 1 },
    request_id: expect.any(String),
  })
  expect(lines.join()).not.toMatch(/private question|Prime the pump/)
})

test('an assertion of a service is no anonymous caller', async () => {
  const { url, sign } = await open({ direct: true })
  const response = await post(url, rpc('tools/list'), {
    [PRINCIPAL_HEADER]: await sign({ ...servicePrincipal('mcp'), kind: 'anonymous' }, 'mcp'),
  })
  expect(response.status).toBe(401)
})
