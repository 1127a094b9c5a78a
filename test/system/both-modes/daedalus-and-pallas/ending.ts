import { createHash } from 'node:crypto'
import type { AuditRecord, Job } from '@mnemosyne/contracts'
import { expect } from 'vitest'
import { inventedDocument } from '../../stores.ts'
import { NOTHING, Pallas } from './pallas.ts'
import { graphLeft, rowCounts, rowsIn } from './remains.ts'
import { COMMON_WORD, type Story, TEAM_PATH } from './story.ts'
import { sight } from './team.ts'

/** While jobs wait and are worked on. */
export async function deleteEverything(story: Story): Promise<void> {
  const { daedalus, rival, jwt } = story
  const queued = await Promise.all(
    ['long', 'longer', 'longest'].map(async (name) => {
      const file = await story.file(`${name}.md`, inventedDocument(name, 40), { workspace_id: 'harbour' })
      const { first } = await daedalus.write('POST', '/library/api/ingest/', file, [202, 200])
      return (first.body as Job).job_id
    }),
  )
  const statuses = queued.map(async (id) => (await daedalus.read<Job>(`/library/api/jobs/${id}/`)).status)
  expect(await Promise.all(statuses)).not.toEqual(['completed', 'completed', 'completed'])
  const remove = (owner: typeof daedalus, id: string) =>
    owner.write('DELETE', `/library/api/workspaces/${id}/`, undefined, [204, 204])
  await Promise.all([
    ...['harbour', 'foundry', 'cellar'].map((id) => remove(daedalus, id)),
    ...['bay', 'attic'].map((id) => remove(rival, id)),
  ])
  for (const path of [
    ...['harbour', 'foundry', 'cellar'].map((id) => `workspaces/${id}`),
    ...queued.map((id) => `jobs/${id}`),
  ]) {
    const status = async () => (await daedalus.call('GET', `/library/api/${path}/`)).status
    await expect.poll(status, { message: path, timeout: 20_000 }).toBe(404)
  }
  expect(await story.pallas.sees(COMMON_WORD)).toEqual(NOTHING)
  await takeFreeId(story)

  await story.attach()
  await rival.write('PUT', `${TEAM_PATH}${story.rivalTeam.id}/workspaces/`, { workspace_ids: [] }, [200, 200])
  for (const [owner, id] of [
    [daedalus, story.teamId],
    [daedalus, story.second.id],
    [rival, story.rivalTeam.id],
  ] as const) {
    await owner.write('DELETE', `${TEAM_PATH}${id}/`, undefined, [204, 204])
  }
  await story.expectRefused(jwt, 'Team JWT references an inactive team.', 'inactive_team')
}

/** The second user takes an id that is free again, and to which the teams of both are attached. */
async function takeFreeId(story: Story): Promise<void> {
  const { rival, pallas, system } = story
  await story.attach('harbour')
  await using team = await Pallas.deploy(system.url, story.rivalTeam.jwt)
  expect(await team.sees(COMMON_WORD)).toEqual(NOTHING)
  await story.makeFilledWorkspace(rival, 'harbour')
  expect(await pallas.sees(COMMON_WORD)).toEqual(NOTHING)
  expect(await team.sees(COMMON_WORD)).toEqual(sight(['harbour'], ['harbour.md']))
  await rival.write('DELETE', '/library/api/workspaces/harbour/', undefined, [204, 204])
  expect(await team.sees(COMMON_WORD)).toEqual(NOTHING)
}

/** Rows that outlive what they tell of: the audit log, keys, and of a team that it was one. */
const KEPT = ['auth.audit_log', 'auth.signing_key', 'auth.team']

export async function findNothingLeft(story: Story): Promise<void> {
  const { system, operator, rowsBefore } = story
  await expect.poll(() => system.blobs(), { timeout: 30_000 }).toEqual([])
  const others = (counts: Record<string, number>) =>
    Object.fromEntries(Object.entries(counts).filter(([table]) => !KEPT.includes(table)))
  const emptied = { 'auth.outbox': 0, 'library.outbox': 0, 'ingest.outbox': 0 }
  await expect
    .poll(async () => others(await rowCounts(system)), { timeout: 30_000 })
    .toEqual({ ...others(rowsBefore), ...emptied })
  const teams = await rowsIn<{ active: number; active_jti: string | null }>(system, 'auth', 'team')
  expect(teams.map(({ active, active_jti }) => ({ active, active_jti }))).toEqual(
    teams.map(() => ({ active: 0, active_jti: null })),
  )
  for (const what of ['libraries', 'jobs']) {
    expect((await operator.call('GET', `/admin/api/${what}/`)).body, what).toEqual([])
  }
  expect((await operator.search(COMMON_WORD)).candidates).toEqual([])
}

/** Daedalus's store is Daedalus's: it is as Daedalus left it. */
export async function findFilesUntouched({ system, files }: Story): Promise<void> {
  const left = await system.daedalus.contents()
  const put = new Map(
    [...files].map(([key, bytes]) => [key, createHash('sha256').update(bytes).digest('hex')]),
  )
  expect(left).toEqual(put)
}

export async function findNoSecretWrittenDown({ system, secrets }: Story): Promise<void> {
  for await (const [name, bytes] of system.kept()) {
    for (const secret of secrets) expect(bytes.includes(secret), name).toBe(false)
  }
}

/** Staff read who did what and who was refused, how often; nobody else does. */
export async function readAuditLog(story: Story): Promise<void> {
  const { operator, daedalus } = story
  const told = async (query: string) => {
    const { status, body, text } = await operator.call('GET', `/admin/api/audit/?limit=200&${query}`)
    expect(status, text).toBe(200)
    const counts: Record<string, number> = {}
    for (const { username, action, outcome, count } of body as AuditRecord[]) {
      const what = `${username} ${action} ${outcome}`
      counts[what] = (counts[what] ?? 0) + count
    }
    return counts
  }
  const expectTold = (query: string, counts: Record<string, number>) =>
    expect.poll(() => told(query), { timeout: 10_000, message: query }).toMatchObject(counts)
  await expectTold(`target=${story.teamId}`, {
    'daedalus team.created done': 1,
    'daedalus team.created_again done': 5,
    'rival team.created refused': 3,
    'rival team.rotated refused': 3,
  })
  await expectTold(`target=${story.second.id}`, { 'daedalus team.created_by_rotation done': 1 })
  await expectTold(`target=${story.libraryOf('cellar')}`, {
    'daedalus library.created done': 1,
    'daedalus library.handed_over done': 1,
    'rival library.handed_over done': 1,
    'daedalus library.deleted done': 1,
  })
  await expectTold('action=job.retried', { 'daedalus job.retried done': 1 })
  const calls = await told(`team_id=${story.teamId}&action=mcp.search`)
  expect(calls['daedalus mcp.search done']).toBeGreaterThan(10)
  expect((await daedalus.call('GET', '/admin/api/audit/')).status).toBe(403)
}

export async function readMetrics({ system, refusals }: Story): Promise<void> {
  for (const [reason, atLeast] of refusals) {
    expect(await system.metric('mcp_auth_failures_total', { reason }), reason).toBeGreaterThanOrEqual(atLeast)
  }
  expect(await system.metric('mcp_auth_failures_total', { reason: 'missing' })).toBeGreaterThan(0)
  expect(await system.metric('mnemosyne_team_rotate_upserts_total')).toBe(1)
}

/** An operator deletes the two users, and with them goes what is theirs. */
export async function deleteUsers(story: Story): Promise<void> {
  const { operator, daedalus, rival, system, rowsBefore } = story
  for (const person of [daedalus, rival]) {
    const { id } = await person.read<{ id: string }>('/profile/api/me/')
    const { status, text } = await operator.call('DELETE', `/admin/api/users/${id}/`)
    expect(status, text).toBe(204)
    expect((await person.call('GET', '/profile/api/me/')).status).toBe(401)
  }
  await story.expectRefused(story.jwt, 'Invalid MCP token.', 'unknown_team')
  const { 'auth.user': users, 'auth.user_token': tokens, 'auth.team': teams } = await rowCounts(system)
  expect({ users, tokens, teams }).toEqual({
    users: rowsBefore['auth.user']! - 2,
    tokens: rowsBefore['auth.user_token']! - 2,
    teams: 0,
  })
}

/** Pallas calls an operator when three answers in a row are bad. */
export async function findHealthGood({ polls }: Story): Promise<void> {
  await polls.stop()
  const { answers } = polls
  expect(answers.length).toBeGreaterThan(10)
  const alarms = answers.filter((_, at) => at >= 2 && !answers.slice(at - 2, at + 1).includes('ok'))
  expect(alarms).toEqual([])
}

/** The last chapter: it may end the system. */
export async function findGraphEmpty({ system }: Story): Promise<void> {
  const { bytes: _, dimensions: __, ...counts } = await graphLeft(system)
  expect(counts).toEqual(Object.fromEntries(Object.keys(counts).map((what) => [what, 0])))
}
