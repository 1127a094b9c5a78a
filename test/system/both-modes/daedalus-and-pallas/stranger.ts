import { randomUUID } from 'node:crypto'
import type { Item, Job, Team, UserToken } from '@mnemosyne/contracts'
import { expect } from 'vitest'
import type { Answer, Daedalus } from './daedalus.ts'
import { NOTHING, Pallas } from './pallas.ts'
import { COMMON_WORD, page, type Story, TEAM_PATH } from './story.ts'

/** Names of somebody's things; or of nothing, in the same shape. */
interface Ids {
  workspace: string
  library: string
  collection: string
  item: string
  chunk: string
  job: string
  failedJob: string
  team: string
  token: string
  user: string
}

interface Attempt {
  status: number
  method: string
  path: (ids: Ids) => string
  body?: (ids: Ids) => unknown
}

const attempt = (status: number, method: string, path: Attempt['path'], body?: Attempt['body']): Attempt => ({
  status,
  method,
  path,
  body,
})

const LIBRARY = '/library/api'

/** A request to ingest what is in nobody's library. */
export const FILE = {
  s3_key: 'bay.md',
  title: 'Theirs',
  file_type: 'text/markdown',
  file_size: 1,
  content_hash: '0'.repeat(64),
  source: 'daedalus',
  source_ref: 'theirs',
}

/** What is answered alike for what is another's and for what does not exist. */
const ATTEMPTS: readonly Attempt[] = [
  attempt(404, 'GET', ({ workspace }) => `${LIBRARY}/workspaces/${workspace}/`),
  attempt(204, 'DELETE', ({ workspace }) => `${LIBRARY}/workspaces/${workspace}/`),
  attempt(
    404,
    'POST',
    () => `${LIBRARY}/ingest/`,
    ({ workspace: workspace_id }) => ({ ...FILE, workspace_id }),
  ),
  attempt(
    404,
    'POST',
    () => `${LIBRARY}/ingest/`,
    ({ library: library_uid }) => ({ ...FILE, library_uid }),
  ),

  attempt(404, 'GET', ({ job }) => `${LIBRARY}/jobs/${job}/`),
  attempt(404, 'GET', ({ job }) => `${LIBRARY}/jobs/${job}/events/`),
  attempt(404, 'POST', ({ job }) => `${LIBRARY}/jobs/${job}/retry/`),
  attempt(404, 'POST', ({ failedJob }) => `${LIBRARY}/jobs/${failedJob}/retry/`),
  attempt(404, 'POST', ({ job }) => `${LIBRARY}/jobs/${job}/cancel/`),
  attempt(200, 'GET', ({ library }) => `${LIBRARY}/jobs/?library_uid=${library}`),

  attempt(404, 'GET', ({ library }) => `${LIBRARY}/libraries/${library}/`),
  attempt(
    404,
    'PATCH',
    ({ library }) => `${LIBRARY}/libraries/${library}/`,
    () => ({ name: 'Mine' }),
  ),
  attempt(
    404,
    'PATCH',
    ({ library }) => `${LIBRARY}/libraries/${library}/`,
    () => ({ owner_username: 'rival' }),
  ),
  attempt(404, 'DELETE', ({ library }) => `${LIBRARY}/libraries/${library}/`),
  attempt(200, 'GET', ({ library }) => `${LIBRARY}/collections/?library_uid=${library}`),
  attempt(
    404,
    'POST',
    () => `${LIBRARY}/collections/`,
    ({ library: library_uid }) => ({ library_uid, name: 'Mine' }),
  ),

  attempt(200, 'GET', ({ library }) => `${LIBRARY}/items/?library_uid=${library}`),
  attempt(200, 'GET', ({ collection }) => `${LIBRARY}/items/?collection_uid=${collection}`),
  attempt(404, 'GET', ({ item }) => `${LIBRARY}/items/${item}/`),
  attempt(404, 'GET', ({ item }) => `${LIBRARY}/items/${item}/chunks/`),
  attempt(404, 'DELETE', ({ item }) => `${LIBRARY}/items/${item}/`),
  attempt(404, 'GET', ({ chunk }) => `${LIBRARY}/chunks/${chunk}/?before=1&after=1`),
  attempt(
    404,
    'POST',
    () => `${LIBRARY}/search/`,
    ({ library: library_uid }) => ({ query: COMMON_WORD, library_uid }),
  ),
  attempt(
    404,
    'POST',
    () => `${LIBRARY}/search/`,
    ({ collection: collection_uid }) => ({
      query: COMMON_WORD,
      collection_uid,
    }),
  ),

  attempt(404, 'GET', ({ library }) => `${LIBRARY}/libraries/${library}/members/`),
  attempt(
    404,
    'POST',
    ({ library }) => `${LIBRARY}/libraries/${library}/members/`,
    () => ({
      username: 'rival',
      role: 'owner',
    }),
  ),
  attempt(404, 'DELETE', ({ library }) => `${LIBRARY}/libraries/${library}/members/daedalus/owner/`),
  attempt(404, 'PUT', ({ library, token }) => `${LIBRARY}/libraries/${library}/tokens/${token}/`),
  attempt(404, 'DELETE', ({ library, token }) => `${LIBRARY}/libraries/${library}/tokens/${token}/`),

  attempt(404, 'GET', ({ token }) => `/profile/api/tokens/${token}/`),
  attempt(
    404,
    'PATCH',
    ({ token }) => `/profile/api/tokens/${token}/`,
    () => ({ name: 'Mine' }),
  ),
  attempt(404, 'POST', ({ token }) => `/profile/api/tokens/${token}/revoke/`),

  attempt(404, 'GET', ({ team }) => `${TEAM_PATH}${team}/`),
  attempt(404, 'DELETE', ({ team }) => `${TEAM_PATH}${team}/`),
  attempt(
    404,
    'PUT',
    ({ team }) => `${TEAM_PATH}${team}/workspaces/`,
    () => ({ workspace_ids: [] }),
  ),

  attempt(403, 'GET', ({ user }) => `/admin/api/users/${user}/`),
  attempt(
    403,
    'PATCH',
    ({ user }) => `/admin/api/users/${user}/`,
    () => ({ is_active: false }),
  ),
  attempt(403, 'DELETE', ({ user }) => `/admin/api/users/${user}/?delete_libraries=true`),
  attempt(403, 'POST', ({ user }) => `/admin/api/users/${user}/logout-everywhere/`),
  attempt(
    403,
    'PATCH',
    ({ token }) => `/admin/api/tokens/${token}/`,
    () => ({ allowed_libraries: [] }),
  ),
  attempt(403, 'POST', ({ token }) => `/admin/api/tokens/${token}/revoke/`),
  attempt(
    403,
    'PATCH',
    ({ team }) => `/admin/api/teams/${team}/`,
    () => ({ active: false }),
  ),
  attempt(403, 'GET', ({ library }) => `/admin/api/jobs/?library_uid=${library}`),
]

/** The second user tries whatever takes an id on the first one's things. */
export async function tryEverything(story: Story): Promise<void> {
  const { rival, daedalus } = story
  const failedJob = await makeFailedJob(story)
  const theirs = await idsOf(story, failedJob)
  const before = await allOf(daedalus, theirs)
  const nothing = Object.fromEntries(
    Object.keys(theirs).map((name) => [name, randomUUID()]),
  ) as unknown as Ids
  for (const { status, method, path, body } of ATTEMPTS) {
    const [one, other] = await Promise.all(
      [theirs, nothing].map(async (ids) => bare(await rival.call(method, path(ids), body?.(ids)), ids)),
    )
    const what = `${method} ${path(theirs)}: ${one!.text}`
    expect(one!.status, what).toBe(status)
    expect(one, what).toEqual(other)
  }
  await tryUploads(story, theirs, nothing)
  await tryTakenIds(rival, theirs)
  await tryOverMcp(story, theirs, nothing)
  expect(await allOf(daedalus, theirs)).toEqual(before)
}

async function makeFailedJob(story: Story): Promise<string> {
  const request = await story.file('never.md', page('never'), { workspace_id: 'harbour' })
  const job = await story.daedalus.ingest({ ...request, content_hash: 'f'.repeat(64) })
  expect(job).toMatchObject({ status: 'failed', error: expect.stringContaining('SHA-256') })
  return job.job_id
}

async function idsOf(story: Story, failedJob: string): Promise<Ids> {
  const { daedalus, teamId: team } = story
  const library = story.libraryOf('foundry')
  const [item] = await daedalus.read<Item[]>(`${LIBRARY}/items/?library_uid=${library}`)
  const [job] = await daedalus.read<Job[]>(`${LIBRARY}/jobs/?library_uid=${library}`)
  const [chunk] = await daedalus.chunksOf(item!.uid)
  const [token] = await daedalus.read<UserToken[]>('/profile/api/tokens/')
  const { id: user } = await daedalus.read<{ id: string }>('/profile/api/me/')
  const collection = { library_uid: library, name: 'Bells' }
  const made = await daedalus.call('POST', `${LIBRARY}/collections/`, collection)
  expect(made.status, made.text).toBe(201)
  return {
    workspace: 'foundry',
    library,
    collection: (made.body as { uid: string }).uid,
    item: item!.uid,
    chunk: chunk!.chunk_uid,
    job: job!.job_id,
    failedJob,
    team,
    token: token!.id,
    user,
  }
}

/** An answer without what it says of when, and of which of its requests it is for. */
function bare({ status, headers, text }: Answer, ids: Ids) {
  const named = Object.entries(ids).reduce((left, [name, id]) => left.replaceAll(id, `{${name}}`), text)
  const kept = [...headers].filter(([name]) => !['date', 'x-request-id', 'content-length'].includes(name))
  return { status, text: named, headers: kept }
}

/** All that somebody has, as they see it themselves. */
async function allOf(owner: Daedalus, { library, team }: Ids): Promise<unknown> {
  const lists = ['jobs', 'libraries', 'collections', 'items'].map((what) => `${LIBRARY}/${what}/?limit=200`)
  const paths = [
    ...lists,
    `${LIBRARY}/libraries/${library}/members/`,
    '/profile/api/tokens/',
    `${TEAM_PATH}${team}/`,
    TEAM_PATH,
  ]
  const all = await Promise.all(paths.map((path) => owner.read<Record<string, unknown>[]>(path)))
  return JSON.parse(JSON.stringify(all), (name, value) => (name === 'last_used_at' ? undefined : value))
}

async function tryUploads({ rival }: Story, theirs: Ids, nothing: Ids): Promise<void> {
  for (const [field, name] of [
    ['workspace_id', 'workspace'],
    ['library_uid', 'library'],
  ] as const) {
    const [one, other] = await Promise.all(
      [theirs, nothing].map((ids) => rival.upload({ [field]: ids[name] }, { name: 'x.md', content: '# X' })),
    )
    expect(one!.status, one!.text).toBe(404)
    expect(one).toEqual(other)
  }
}

/** What would be made if the id were free. */
async function tryTakenIds(rival: Daedalus, { workspace, team }: Ids): Promise<void> {
  const missing = await rival.call('GET', `${LIBRARY}/workspaces/${randomUUID()}/`)
  const request = { workspace_id: workspace, name: 'Mine', library_type: 'technical' }
  const made = await rival.write('POST', `${LIBRARY}/workspaces/`, request, [404, 404])
  expect(made.first.text).toBe(missing.text)
  const taken = { detail: 'Team id is already in use.' }
  const created = await rival.write('POST', TEAM_PATH, { id: team, name: 'Mine' }, [409, 409])
  expect(created.first.body).toEqual(taken)
  const rotated = await rival.write('POST', `${TEAM_PATH}${team}/rotate/`, undefined, [409, 409])
  expect(rotated.first.body).toEqual(taken)
}

/** With a token that is allowed all that its user is a member of, and as a team that is attached to everything. */
async function tryOverMcp(story: Story, theirs: Ids, nothing: Ids): Promise<void> {
  const { rival, system } = story
  const id = randomUUID()
  const made = await rival.write('POST', TEAM_PATH, { id, name: 'Wreckers, too' }, [201, 200])
  const { jwt } = made.first.body as Team & { jwt: string }
  story.secrets.push(jwt)
  const workspace_ids = ['cellar', 'foundry', 'harbour']
  await rival.write('PUT', `${TEAM_PATH}${id}/workspaces/`, { workspace_ids }, [200, 200])
  await using team = await Pallas.deploy(system.url, jwt)
  expect(await team.sees(COMMON_WORD)).toEqual(NOTHING)
  await using person = await Pallas.deploy(system.url, rival.token)
  expect((await person.sees(COMMON_WORD)).libraries).toEqual(['Of attic', 'Of bay'])
  for (const agent of [team, person]) {
    const both = (args: (ids: Ids) => Record<string, unknown>) => [args(theirs), args(nothing)] as const
    await agent.expectAlike('get_chunk', ...both(({ chunk }) => ({ chunk_uid: chunk })))
    await agent.expectAlike('list_items', ...both(({ library }) => ({ library_uid: library })))
    await agent.expectAlike('list_items', ...both(({ collection }) => ({ collection_uid: collection })))
    await agent.expectAlike(
      'search',
      ...both(({ library }) => ({ query: COMMON_WORD, library_uid: library })),
    )
  }
  story.rivalTeam = { id, jwt }
}

/** Of two who ask for the same id at the same moment one has it, and the other is told so. */
export async function raceForIds({ daedalus, rival }: Story): Promise<void> {
  const both = async (path: string, request: Record<string, unknown>) => {
    const answers = await Promise.all([daedalus, rival].map((client) => client.call('POST', path, request)))
    return {
      statuses: answers.map(({ status }) => status).sort(),
      won: answers[0]!.status === 201 ? daedalus : rival,
    }
  }
  const workspace_id = randomUUID()
  const workspaces = `${LIBRARY}/workspaces/`
  const forWorkspace = await both(workspaces, { workspace_id, name: 'Race', library_type: 'fiction' })
  expect(forWorkspace.statuses).toEqual([201, 404])
  await forWorkspace.won.write('DELETE', `${workspaces}${workspace_id}/`, undefined, [204, 204])
  const id = randomUUID()
  const forTeam = await both(TEAM_PATH, { id, name: 'Race' })
  expect(forTeam.statuses).toEqual([201, 409])
  await forTeam.won.write('DELETE', `${TEAM_PATH}${id}/`, undefined, [204, 204])
}
