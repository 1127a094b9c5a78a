import { randomUUID } from 'node:crypto'
import type { AuditRecord, Job, User } from '@mnemosyne/contracts'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type SystemInMode, startInMode } from '../mode.ts'
import { CHANGES } from './audit/changes.ts'
import { type Made, PASSWORD, Stage } from './audit/stage.ts'
import { OPERATIONS } from './isolation/operations.ts'

const QUESTION = 'does the petrichor linger'
/** Of documents, titles, descriptions, names of files and libraries, and questions. */
const TEXTS = ['corncrake', 'rasps', 'tidal almanac', 'of the sound', 'petrichor']

let system: SystemInMode
let stage: Stage
beforeAll(async () => {
  system = await startInMode()
  stage = await Stage.set(system)
  await stage.have(stage.root, 'POST', '/admin/api/signing-keys/', { kid: 'first' })
})
afterAll(() => system?.[Symbol.asyncDispose]())

const changes = OPERATIONS.flatMap(({ name, method, path }) => {
  const change = CHANGES[name as keyof typeof CHANGES]
  return change === undefined || change === 'reads' ? [] : [{ name, method, path, ...change }]
})

/** POSTs that change nothing. */
const READING_POSTS = ['search.search', 'search.explain']

test('every operation of every contract is known to change something, or to read', () => {
  const named = OPERATIONS.map(({ name }) => name)
  expect(Object.keys(CHANGES).sort()).toEqual([...named].sort())
  const reading = OPERATIONS.filter(({ name }) => CHANGES[name as keyof typeof CHANGES] === 'reads')
  const writing = reading.filter(({ method, name }) => method !== 'GET' && !READING_POSTS.includes(name))
  expect(writing.map(({ name }) => name)).toEqual([])
  expect(changes.filter(({ method }) => method === 'GET').map(({ name }) => name)).toEqual([])
})

describe('what changes something leaves a row with who did it, in which request', () => {
  test.each(changes)('$method $path ($name): $action', async ({ action, make }) => {
    const { answer, actor } = await make(stage)
    expect(answer.status, answer.text).toBeLessThan(300)
    const records = await stage.recordsOf(answer, (record) => record.action === action)
    const record = records.find((one) => one.action === action)!
    const request_id = answer.headers.get('x-request-id')
    expect(record).toMatchObject({ actor, outcome: 'done', count: 1, request_id })
    expect(record.target).not.toBe('')
    expect(Math.abs(Date.parse(record.created_at) - Date.now())).toBeLessThan(120_000)
    expect(records.filter(({ outcome }) => outcome === 'refused')).toEqual([])
  })
})

describe('the acting user', () => {
  test('of a token is its user, of a session too, and the token is named', async () => {
    const { id } = (await stage.mint()) as { id: string }
    const [record] = (await stage.list({ target: id, action: 'user_token.minted' })).records
    expect(record).toMatchObject({ actor: stage.ada.id, username: 'ada', team_id: null })
    expect(record!.token_id).toMatch(/^[0-9a-f-]{36}$/)
    const { ask } = await stage.signIn()
    const { answer, actor } = await ask('PATCH', '/profile/api/me/', { first_name: 'By session' })
    const bySession = await stage.recordsOf(answer)
    expect(bySession).toMatchObject([{ action: 'user.changed', actor, token_id: null }])
  })

  test('of a team is its owner, and each call of a tool is a row', async () => {
    const { id, jwt } = await stage.makeTeam()
    const workspace_id = stage.fresh('ws')
    await system.createWorkspace(workspace_id, {}, stage.ada.token)
    const workspaces = { workspace_ids: [workspace_id] }
    await stage.have(stage.ada, 'PUT', `/mcp_server/api/teams/${id}/workspaces/`, workspaces)
    const call = (name: string, args: object) =>
      system.mcp('tools/call', { name, arguments: args }, { token: jwt })
    const answers = [
      await call('search', { query: QUESTION }),
      await call('search', { query: QUESTION }),
      await call('list_libraries', {}),
      await call('get_chunk', { chunk_uid: randomUUID() }),
    ]
    for (const { status, text } of answers) expect(status, text).toBe(200)
    const rows = []
    for (const answer of answers) rows.push(...(await stage.recordsOf(answer)))
    const by = { actor: stage.ada.id, username: 'ada', team_id: id, token_id: null, count: 1 }
    const ok = { libraries: 1, outcome: 'ok', duration_ms: expect.any(Number) }
    expect(rows).toMatchObject([
      { ...by, action: 'mcp.search', outcome: 'done', detail: { ...ok, found_candidates: 0 } },
      { ...by, action: 'mcp.search', outcome: 'done', detail: { ...ok, found_candidates: 0 } },
      { ...by, action: 'mcp.list_libraries', outcome: 'done', detail: { ...ok, found_libraries: 1 } },
      { ...by, action: 'mcp.get_chunk', outcome: 'refused', detail: { outcome: 'not_found' } },
    ])
    expect((await stage.list({ team_id: id, action: 'mcp.search' })).total).toBe(2)
  })

  test('of the command line is the command line', async () => {
    const name = stage.fresh('console')
    await system.addUser(name)
    const { records } = await stage.list({ actor: 'command-line', action: 'user.created' })
    expect(records.map(({ detail }) => detail.username)).toContain(name)
  })

  test('of a job is who handed it in', async () => {
    const { uid } = await stage.makeLibrary()
    const { answer } = await stage.upload(stage.ada, { library_uid: uid }, '# Corncrake\n\nIt rasps.')
    const { job_id } = answer.body as Job
    await stage.ended(stage.ada, job_id)
    const ended = log().filter((line) => line.msg === 'job completed' && line.job_id === job_id)
    expect(ended.map(({ user_id }) => user_id)).toEqual([stage.ada.id])
  })
})

const log = () =>
  system
    .log()
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Record<string, unknown>)

describe('what is refused leaves a row', () => {
  const refused = (record: AuditRecord) => record.outcome === 'refused'

  test.each<[string, number, string, () => Promise<Made>]>([
    [
      "somebody else's library",
      404,
      'GET /library/api/libraries/',
      async () => stage.ask(stage.bob, 'GET', `/library/api/libraries/${(await stage.makeLibrary()).uid}/`),
    ],
    [
      'the deletion of it',
      404,
      'DELETE /library/api/libraries/',
      async () =>
        stage.ask(stage.bob, 'DELETE', `/library/api/libraries/${(await stage.makeLibrary()).uid}/`),
    ],
    [
      "somebody else's team",
      409,
      'POST /mcp_server/api/teams/',
      async () => {
        const { id } = await stage.makeTeam(stage.ada)
        return stage.ask(stage.bob, 'POST', '/mcp_server/api/teams/', { id, name: 'Scouts' })
      },
    ],
    [
      'what only staff do',
      403,
      'POST /admin/api/users/',
      () => stage.ask(stage.bob, 'POST', '/admin/api/users/', { username: 'mallory' }),
    ],
    [
      'what only staff see',
      403,
      'GET /admin/api/audit/',
      () => stage.ask(stage.bob, 'GET', '/admin/api/audit/'),
    ],
    [
      'a member of a library that is only read',
      403,
      'POST /library/api/collections/',
      async () => {
        const { uid } = await stage.makeLibrary()
        const bob = { username: 'bob', role: 'reader' }
        await stage.have(stage.ada, 'POST', `/library/api/libraries/${uid}/members/`, bob)
        return stage.ask(stage.bob, 'POST', '/library/api/collections/', { library_uid: uid, name: 'x' })
      },
    ],
    [
      'a path that nobody serves, without what was in it',
      404,
      'GET /*',
      () => stage.ask(stage.bob, 'GET', `/petrichor/?q=${encodeURIComponent(QUESTION)}`),
    ],
  ])('%s (%i)', async (_, status, target, make) => {
    const { answer, actor } = await make()
    expect(answer.status, answer.text).toBe(status)
    const records = await stage.recordsOf(answer, (record) => record.action === 'request.refused')
    const record = records.find(({ action }) => action === 'request.refused')!
    expect(record).toMatchObject({ actor, outcome: 'refused', detail: { status } })
    expect(record.target.startsWith(target), record.target).toBe(true)
    expect(record.target).not.toContain('?')
  })

  test('a deletion that looked as if it had been done', async () => {
    const workspace_id = stage.fresh('ws')
    await system.createWorkspace(workspace_id, {}, stage.ada.token)
    const { answer } = await stage.ask(stage.bob, 'DELETE', `/library/api/workspaces/${workspace_id}/`)
    expect(answer.status).toBe(204)
    expect(await stage.recordsOf(answer)).toMatchObject([
      { actor: stage.bob.id, action: 'library.deleted', target: workspace_id, outcome: 'refused' },
    ])
  })

  test('a credential: unknown, missing, of a team on REST, and on MCP', async () => {
    const { jwt } = await stage.makeTeam()
    const presented: [string | null, string, 'rest' | 'mcp'][] = [
      [`mnem_${stage.fresh('guess')}`, 'unknown_token', 'rest'],
      [null, 'missing', 'rest'],
      [jwt, 'team_on_rest', 'rest'],
      [`mnem_${stage.fresh('guess')}`, 'unknown_token', 'mcp'],
      [null, 'missing', 'mcp'],
    ]
    for (const [token, , surface] of presented) {
      const answer =
        surface === 'rest'
          ? await system.call('GET', '/library/api/items/', undefined, { token })
          : await system.mcp('tools/list', {}, { token })
      expect(answer.status).toBe(401)
    }
    const list = async () => (await stage.list({ action: 'credential.refused' })).records
    for (const [, reason, target] of presented)
      await expect.poll(list, { timeout: 20_000 }).toContainEqual(
        expect.objectContaining({
          ...{ actor: 'anonymous', target, outcome: 'refused' },
          detail: expect.objectContaining({ reason }),
        }),
      )
    expect((await list()).map(({ detail }) => detail.address)).toContain('127.0.0.1')
  })

  test('a login with the wrong password, by the user whom it was about', async () => {
    const { id, username } = (await stage.makeUser()) as User
    const login = { username, password: 'wrong petrichor' }
    const answer = await system.call('POST', '/accounts/api/login/', login, { token: null })
    expect(answer.status).toBe(401)
    const records = await stage.recordsOf(answer, ({ action }) => action === 'session.started')
    expect(records).toContainEqual(
      expect.objectContaining({ action: 'session.started', target: id, outcome: 'refused' }),
    )
  })

  test('a tool that the token may not use', async () => {
    const minted = await stage.have<{ token: string }>(stage.ada, 'POST', '/profile/api/tokens/', {
      ...{ name: 'narrow', allowed_tools: ['get_health'], allowed_libraries: ['*'] },
    })
    stage.secrets.push(minted.token)
    const params = { name: 'search', arguments: { query: QUESTION } }
    const answer = await system.mcp('tools/call', params, { token: minted.token })
    expect(await stage.recordsOf(answer, refused)).toMatchObject([
      { actor: stage.ada.id, action: 'mcp.search', outcome: 'refused', detail: { outcome: 'forbidden' } },
    ])
  })

  test('again and again, as one row with their number', async () => {
    const guess = () =>
      system.call('GET', `/${randomUUID()}/index.php`, undefined, {
        token: null,
        headers: { authorization: `Basic ${randomUUID()}` },
      })
    await Promise.all(Array.from({ length: 40 }, guess))
    const rows = async () =>
      (await stage.list({ action: 'credential.refused', actor: 'anonymous' })).records.filter(
        ({ detail, target }) => detail.reason === 'wrong_keyword' && target === 'rest',
      )
    await expect.poll(async () => (await rows()).length, { timeout: 20_000 }).toBeGreaterThan(0)
    // The rest of them are written at the end of their minute.
    expect((await rows()).length).toBeLessThan(4)
  })
})

describe('staff read the log', () => {
  test('newest first, by pages, by what they ask for', async () => {
    const { uid } = await stage.makeLibrary()
    const between = new Date().toISOString()
    await stage.have(stage.ada, 'PATCH', `/library/api/libraries/${uid}/`, { name: 'Changed' })
    await stage.have(stage.ada, 'DELETE', `/library/api/libraries/${uid}/`)
    const actions = async (filter: Record<string, string>) => {
      const { total, records } = await stage.list({ target: uid, ...filter })
      return [total, ...records.map(({ action }) => action)]
    }
    const three = ['library.deleted', 'library.updated', 'library.created']
    const ours = { actor: 'ada' }
    await expect
      .poll(() => actions({ ...ours, action: 'library.deleted' }), { timeout: 20_000 })
      .toEqual([1, 'library.deleted'])
    const all = await stage.list({ target: uid, ...ours })
    expect(all.records.map(({ action }) => action).filter((action) => three.includes(action))).toEqual(three)
    expect(await actions({ ...ours, action: 'library.updated' })).toEqual([1, 'library.updated'])
    expect(await actions({ actor: stage.ada.id, until: between, action: 'library.created' })).toEqual([
      1,
      'library.created',
    ])
    expect(await actions({ since: between, action: 'library.created' })).toEqual([0])
    expect(await actions({ actor: 'bob' })).toEqual([0])
    const page = await stage.list({ ...ours, target: uid, limit: '1', offset: '1' })
    expect([page.total, page.records.length]).toEqual([all.total, 1])
    expect(page.records[0]).toEqual(all.records[1])
  })

  test('and nobody else does', async () => {
    const { answer } = await stage.ask(stage.bob, 'GET', '/admin/api/audit/')
    expect([answer.status, answer.body]).toEqual([403, { detail: 'Only staff may do this.' }])
  })
})

test('no secret, no question and no text stands in any row, and no record stands there twice', async () => {
  const ids = new Set<string>()
  const rows: string[] = []
  const { total } = await stage.list({ limit: '1' })
  for (let offset = 0; offset < total; offset += 200) {
    const { records } = await stage.list({ offset: String(offset), until: new Date().toISOString() })
    for (const record of records) {
      ids.add(record.id)
      rows.push(JSON.stringify(record).toLowerCase())
    }
  }
  expect(rows.length).toBeGreaterThan(100)
  const told = rows.filter((row) =>
    [...TEXTS, ...stage.secrets, PASSWORD].some((word) => row.includes(word.toLowerCase())),
  )
  expect(told).toEqual([])
  expect(rows.filter((row) => /mnem_|eyj[a-z0-9]/.test(row))).toEqual([])
  expect(await system.metrics()).toMatch(/mnemosyne_audit_dropped_total\{component="\w+",reason="full"\} 0/)
})
