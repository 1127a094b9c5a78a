import { randomUUID } from 'node:crypto'
import type { SigningKey, Team } from '@mnemosyne/contracts'
import { StreamableHTTPError } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { expect } from 'vitest'
import { NOTHING, Pallas } from './pallas.ts'
import { COMMON_WORD, type Story, TEAM_PATH } from './story.ts'
import { ATTACHED, sight } from './team.ts'

const INVALID = 'Invalid MCP token.'
const jwtOf = ({ body }: { body: unknown }) => (body as { jwt: string }).jwt
const kidOf = (jwt: string) =>
  (JSON.parse(Buffer.from(jwt.split('.')[0]!, 'base64url').toString()) as { kid: string }).kid

export async function seedKey(story: Story): Promise<void> {
  const { operator, daedalus, system } = story
  const keys = (await operator.call('GET', '/admin/api/signing-keys/')).body as SigningKey[]
  for (const { kid } of keys) await retire(story, kid)
  const id = randomUUID()
  const { first } = await daedalus.write('POST', TEAM_PATH, { id, name: 'Too early' }, [503, 503])
  expect(first.body).toEqual({ detail: expect.stringContaining('signing key') })
  expect((await daedalus.call('GET', `${TEAM_PATH}${id}/`)).status).toBe(404)
  for (let times = 0; times < 2; times++) {
    const { code, stderr } = await system.command(['seed-signing-key', '--kid', 'spring'])
    expect(code, stderr).toBe(0)
  }
  const { body, text } = await operator.call('GET', '/admin/api/signing-keys/')
  expect(body).toContainEqual(expect.objectContaining({ kid: 'spring', is_current: true, retired_at: null }))
  expect(text).not.toMatch(/secret|[0-9a-f]{64}/)
}

async function retire({ operator }: Story, kid: string): Promise<void> {
  const { status, text } = await operator.call('POST', `/admin/api/signing-keys/${kid}/retire/`)
  expect(status, text).toBe(200)
}

export async function rotateToken(story: Story): Promise<void> {
  const { daedalus } = story
  const { jwt: deployed, pallas } = story
  const path = `${story.teamPath}rotate/`
  const { answers } = await daedalus.write('POST', path, undefined, [200, 200])
  const [one, other, last] = answers.map(jwtOf)
  expect(await pallas.refusal()).toEqual({ status: 401, message: expect.stringContaining(INVALID) })
  for (const jwt of [deployed, one!, other!]) await story.expectRefused(jwt, INVALID, 'stale_jti')
  await story.deploy(last!)
  expect(await story.pallas.sees(COMMON_WORD)).toEqual(sight(...ATTACHED))
}

/** Of a team that Daedalus knows and Mnemosyne does not. It stays, as the second one. */
export async function rotateMissing(story: Story): Promise<void> {
  const { daedalus } = story
  const id = randomUUID()
  const { answers } = await daedalus.write('POST', `${TEAM_PATH}${id}/rotate/`, undefined, [200, 200])
  expect(await daedalus.read<Team>(`${TEAM_PATH}${id}/`)).toMatchObject({
    id,
    name: id,
    active: true,
    workspace_ids: [],
  })
  story.secrets.push(...answers.map(jwtOf))
  story.second = { id, jwt: jwtOf(answers.at(-1)!) }
  await using second = await Pallas.deploy(story.system.url, story.second.jwt)
  expect(await second.sees(COMMON_WORD)).toEqual(NOTHING)
  const drift = story.logLines('team_rotate upserted_missing')
  expect(drift).toEqual([expect.stringContaining(`team_id=${id} owner=`)])
}

export async function deleteAndRevive(story: Story): Promise<void> {
  const { daedalus, operator } = story
  const { jwt: deployed, teamPath: path } = story
  await daedalus.write('DELETE', path, undefined, [204, 204])
  await story.expectRefused(deployed, 'Team JWT references an inactive team.', 'inactive_team')
  const again = await daedalus.write('POST', TEAM_PATH, { id: story.teamId, name: 'Wreckers' }, [200, 200])
  for (const { body } of again.answers) {
    expect(body).toMatchObject({ active: false, active_jti: null })
    expect(body).not.toHaveProperty('jwt')
  }
  const rotated = await daedalus.write('POST', `${path}rotate/`, undefined, [409, 409])
  expect(rotated.first.body).toEqual({ detail: 'Team is inactive; cannot rotate. Recreate it instead.' })

  const mine = `/admin/api/teams/${story.teamId}/`
  expect((await daedalus.call('PATCH', mine, { active: true })).status).toBe(403)
  const revived = await operator.call('PATCH', mine, { active: true })
  expect(revived, revived.text).toMatchObject({ status: 200, body: { active: true, active_jti: null } })
  expect(revived.text).not.toContain('jwt')
  await story.expectRefused(deployed, INVALID, 'stale_jti')
  await story.deploy(await story.rotate())
  expect(await story.pallas.sees(COMMON_WORD)).toEqual(sight(...ATTACHED))
}

export async function rotateKeys(story: Story): Promise<void> {
  const { operator, daedalus, system } = story
  const sees = async () => expect(await story.pallas.sees(COMMON_WORD)).toEqual(sight(...ATTACHED))
  const seed = (kid: string) => operator.call('POST', '/admin/api/signing-keys/', { kid })
  await system.command(['seed-signing-key', '--kid', 'summer'])
  const { id } = story.second
  story.second = { id, jwt: jwtOf(await daedalus.call('POST', `${TEAM_PATH}${id}/rotate/`)) }
  story.secrets.push(story.second.jwt)
  await using second = await Pallas.deploy(system.url, story.second.jwt)
  expect([kidOf(story.jwt), kidOf(story.second.jwt)]).toEqual(['spring', 'summer'])
  await sees()
  expect(await second.sees(COMMON_WORD)).toEqual(NOTHING)

  await retire(story, 'spring')
  await story.expectRefused(story.jwt, INVALID, 'unknown_kid')
  expect(await second.sees(COMMON_WORD)).toEqual(NOTHING)
  await story.deploy(await story.rotate())
  await sees()

  expect((await seed('autumn')).status).toBe(200)
  await retire(story, 'autumn')
  await daedalus.write('POST', `${story.teamPath}rotate/`, undefined, [503, 503])
  await sees()
  expect((await seed('spring')).status, 'a key that is retired stays so').toBe(409)
  expect((await seed('winter')).status).toBe(200)
  await story.deploy(await story.rotate())
  expect(kidOf(story.jwt)).toBe('winter')
  await sees()
}

export async function disableOwner(story: Story): Promise<void> {
  const { operator, daedalus, pallas } = story
  const { id } = await daedalus.read<{ id: string }>('/profile/api/me/')
  const setActive = async (is_active: boolean) => {
    const { status, text } = await operator.call('PATCH', `/admin/api/users/${id}/`, { is_active })
    expect(status, text).toBe(200)
  }
  await setActive(false)
  await story.expectRefused(story.jwt, 'Team owner is disabled.', 'owner_disabled')
  const refused = await daedalus.call('GET', '/library/api/jobs/')
  expect(refused, refused.text).toMatchObject({ status: 401, body: { detail: 'User account is disabled.' } })
  await setActive(true)
  expect(await pallas.sees(COMMON_WORD)).toEqual(sight(...ATTACHED))
  await daedalus.read('/library/api/jobs/')
}

export async function comeByTheWrongDoor(story: Story): Promise<void> {
  const { operator, jwt, system } = story
  for (const path of [
    '/library/api/libraries/',
    '/library/api/workspaces/foundry/',
    story.teamPath,
    '/profile/api/me/',
    '/admin/api/users/',
  ]) {
    const answer = await operator.call('GET', path, undefined, { token: jwt })
    expect(answer.status, answer.text).toBe(401)
    expect(answer.headers.get('www-authenticate')).toMatch(/^Bearer/)
  }
  await using nobody = await Pallas.deploy(system.url)
  expect(await nobody.use('get_health')).toMatchObject({ status: 'ok' })
  expect(await nobody.refusal()).toMatchObject({ status: 401 })
  for (const tool of ['search', 'list_libraries', 'list_items', 'get_chunk']) {
    await expect(nobody.ask(tool, { query: COMMON_WORD })).rejects.toThrow(StreamableHTTPError)
  }
}
