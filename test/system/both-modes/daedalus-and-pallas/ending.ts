import { createHash } from 'node:crypto'
import type { Job } from '@mnemosyne/contracts'
import { expect } from 'vitest'
import { inventedDocument } from '../../stores.ts'
import { NOTHING } from './pallas.ts'
import { graphLeft, rowCounts, rowsIn } from './remains.ts'
import { COMMON_WORD, type Story, TEAM_PATH } from './story.ts'

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
    await expect.poll(status, { message: path }).toBe(404)
  }
  expect(await story.pallas.sees(COMMON_WORD)).toEqual(NOTHING)

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
  for (const what of ['libraries']) {
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

export async function readMetrics({ system, refusals }: Story): Promise<void> {
  for (const [reason, atLeast] of refusals) {
    expect(await system.metric('mcp_auth_failures_total', { reason }), reason).toBeGreaterThanOrEqual(atLeast)
  }
  expect(await system.metric('mcp_auth_failures_total', { reason: 'missing' })).toBeGreaterThan(0)
  expect(await system.metric('mnemosyne_team_rotate_upserts_total')).toBe(1)
}

export async function findHealthGood({ polls }: Story): Promise<void> {
  await polls.stop()
  expect(polls.answers.length).toBeGreaterThan(10)
  expect(new Set(polls.answers)).toEqual(new Set(['ok']))
}

/** The last chapter: it may end the system. */
export async function findGraphEmpty({ system }: Story): Promise<void> {
  const { bytes: _, dimensions: __, ...counts } = await graphLeft(system)
  expect(counts).toEqual(Object.fromEntries(Object.keys(counts).map((what) => [what, 0])))
}
