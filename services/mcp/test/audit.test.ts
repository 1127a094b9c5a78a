import { PRINCIPAL_HEADER } from '@mnemosyne/contracts'
import { afterEach, describe, expect, test } from 'vitest'
import { ada, CHUNK, MINE, openTestMcp, type TestMcp, THEIRS, TOKEN } from './stand-ins.ts'

const QUESTION = 'how is the secret pump primed'
const REQUEST_ID = 'audited-1'

let mcp: TestMcp
afterEach(() => mcp?.close())

function post(method: string, params: object, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${mcp.url}/mcp/`, {
    method: 'POST',
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'x-request-id': REQUEST_ID,
      authorization: `Bearer ${TOKEN}`,
      ...headers,
    },
  })
}

const call = async (name: string, args: object = {}, headers?: Record<string, string>) =>
  (await post('tools/call', { name, arguments: args }, headers)).text()

async function told() {
  await mcp.told()
  return mcp.audited
}

describe.each([
  ['through the gateway', false],
  ['past the gateway', true],
])('%s', (_, direct) => {
  test('each call of a tool is a row: who, in how many libraries, how much, how long', async () => {
    mcp = await openTestMcp({ direct })
    for (let n = 0; n < 3; n++) await call('search', { query: QUESTION })
    const rows = await told()
    expect(rows).toHaveLength(3)
    expect(rows[0]).toEqual({
      id: expect.any(String),
      actor: ada.user!.id,
      username: 'ada',
      team_id: null,
      token_id: ada.token_id,
      action: 'mcp.search',
      target: 'search',
      outcome: 'done',
      count: 1,
      detail: { outcome: 'ok', libraries: 1, found_candidates: 1, duration_ms: expect.any(Number) },
      request_id: REQUEST_ID,
      created_at: expect.any(String),
    })
    expect(JSON.stringify(rows)).not.toMatch(/secret|pump|prime/i)
  })

  test('a call for a team is its owner’s, and names the team', async () => {
    mcp = await openTestMcp({
      direct,
      principal: { ...ada, kind: 'team', token_id: null, team_id: THEIRS },
    })
    await call('list_libraries')
    expect(await told()).toMatchObject([
      {
        actor: ada.user!.id,
        username: 'ada',
        team_id: THEIRS,
        token_id: null,
        detail: { found_libraries: 1, libraries: 1 },
      },
    ])
  })

  test.each<[string, string, object, 'done' | 'refused', string]>([
    ['well', 'get_chunk', { chunk_uid: CHUNK }, 'done', 'ok'],
    ['for what is not there, or not theirs', 'get_chunk', { chunk_uid: MINE }, 'refused', 'not_found'],
    ['with arguments that are none', 'search', { query: '' }, 'done', 'invalid'],
  ])('a call %s', async (_case, tool, args, outcome, how) => {
    mcp = await openTestMcp({ direct })
    await call(tool, args)
    expect(await told()).toMatchObject([{ action: `mcp.${tool}`, outcome, detail: { outcome: how } }])
  })

  test('a tool that the token may not use is refused', async () => {
    mcp = await openTestMcp({ direct, principal: { ...ada, allowed_tools: ['get_chunk'] } })
    await call('search', { query: QUESTION })
    expect(await told()).toMatchObject([
      { action: 'mcp.search', outcome: 'refused', detail: { outcome: 'forbidden' } },
    ])
  })

  test('calls without a credential are one row and their number', async () => {
    mcp = await openTestMcp({ direct })
    const anonymously = () =>
      fetch(`${mcp.url}/mcp/`, {
        method: 'POST',
        body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'get_health' } }),
        headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
      })
    for (let n = 0; n < 20; n++) expect((await anonymously()).status).toBe(200)
    const rows = await told()
    expect(rows.length).toBeLessThan(4)
    expect(rows.reduce((sum, { count }) => sum + count, 0)).toBe(20)
    expect(rows[0]).toMatchObject({ actor: 'anonymous', action: 'mcp.get_health', outcome: 'done' })
  })
})

test('what is refused at this door is told with its reason and, past the gateway, the address', async () => {
  mcp = await openTestMcp({ direct: true })
  expect((await post('tools/list', {}, { authorization: 'Bearer wrong' })).status).toBe(401)
  expect((await post('tools/list', {}, { [PRINCIPAL_HEADER]: 'forged' })).status).toBe(401)
  const rows = (await told()).map(({ actor, action, target, outcome, detail, request_id }) => ({
    ...{ actor, action, target, outcome, detail, request_id },
  }))
  const refused = { actor: 'anonymous', action: 'credential.refused', target: 'mcp', outcome: 'refused' }
  expect(rows).toEqual([
    { ...refused, detail: { reason: 'unknown_token', address: '127.0.0.1' }, request_id: REQUEST_ID },
    { ...refused, detail: { reason: 'bad_assertion', address: null }, request_id: REQUEST_ID },
  ])
})

test('listing and reading what there is are no calls of tools', async () => {
  mcp = await openTestMcp()
  await post('tools/list', {})
  await post('resources/read', { uri: 'mnemosyne://libraries' })
  expect(await told()).toEqual([])
})
