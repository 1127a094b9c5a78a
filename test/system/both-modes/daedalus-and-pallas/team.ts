import { randomUUID } from 'node:crypto'
import type { Item, Team } from '@mnemosyne/contracts'
import { expect } from 'vitest'
import { NOTHING, type Sight } from './pallas.ts'
import { COMMON_WORD, type Story, TEAM_PATH } from './story.ts'
import { ANCHOR, HARBOUR } from './taking-in.ts'

/** What a team sees of these workspaces that hold these documents. */
export function sight(workspaces: readonly string[], titles: readonly string[]): Sight {
  const names = workspaces.map((id) => `Of ${id}`).sort()
  return { libraries: names, listed: names, items: titles.toSorted(), found: titles.toSorted() }
}

export async function createTeam(story: Story): Promise<void> {
  const { daedalus } = story
  story.teamId = randomUUID()
  const request = { id: story.teamId, name: 'Wreckers' }
  const { first, again } = await daedalus.write('POST', TEAM_PATH, request, [201, 200])
  const { jwt, ...team } = first.body as Team & { jwt: string }
  expect(team).toMatchObject({ ...request, active: true, workspace_ids: [] })
  expect(again.body).toEqual(team)
  expect(await daedalus.read(story.teamPath)).toEqual(team)
  await story.deploy(jwt)
  expect(await story.pallas.tools()).toEqual(
    expect.arrayContaining(['search', 'get_chunk', 'list_libraries', 'list_items', 'get_health']),
  )
  expect(await story.pallas.use('get_health')).toMatchObject({ status: 'ok' })
  expect(await story.pallas.sees(COMMON_WORD)).toEqual(NOTHING)
}

export async function attachAndDetach(story: Story): Promise<void> {
  const { daedalus, pallas } = story
  const foundry = story.libraryOf('foundry')
  const [casting] = await daedalus.read<Item[]>(`/library/api/items/?library_uid=${foundry}`)
  const [loam] = await daedalus.chunksOf(casting!.uid)

  await story.attach('harbour')
  expect(await pallas.sees(COMMON_WORD)).toEqual(sight(['harbour'], HARBOUR))
  const [anchor] = await pallas.search('where is the emergency anchor?')
  expect(anchor!.text_preview).toContain('sheet anchor')
  expect(await pallas.use('get_chunk', { chunk_uid: anchor!.chunk_uid })).toMatchObject({
    item_title: 'guide.md',
    text: expect.stringContaining(ANCHOR),
  })
  await pallas.expectAlike('get_chunk', { chunk_uid: loam!.chunk_uid }, { chunk_uid: randomUUID() })
  const missing = { query: 'bells', library_uid: randomUUID() }
  await pallas.expectAlike('search', { ...missing, library_uid: foundry }, missing)
  expect(await pallas.use('list_items', { library_uid: foundry })).toMatchObject({ items: [] })

  await story.attach('harbour', 'foundry')
  expect(await pallas.sees(COMMON_WORD)).toEqual(sight(['harbour', 'foundry'], [...HARBOUR, 'casting.md']))
  expect(await pallas.use('get_chunk', { chunk_uid: loam!.chunk_uid })).toMatchObject({
    text: expect.stringContaining('loam'),
  })

  await story.attach('foundry')
  expect(await pallas.sees(COMMON_WORD)).toEqual(sight(['foundry'], ['casting.md']))
  await pallas.expectAlike('get_chunk', { chunk_uid: anchor!.chunk_uid }, { chunk_uid: randomUUID() })
  await story.attach()
  expect(await pallas.sees(COMMON_WORD)).toEqual(NOTHING)
}

export async function attachWhatIsNotTheirs(story: Story): Promise<void> {
  const { daedalus, rival, pallas } = story
  await story.makeFilledWorkspace(rival, 'bay')
  await story.attach('foundry', 'bay', 'cellar', 'attic')
  expect(await pallas.sees(COMMON_WORD)).toEqual(sight(['foundry'], ['casting.md']))
  expect(await daedalus.read(story.teamPath)).toMatchObject({
    workspace_ids: ['attic', 'bay', 'cellar', 'foundry'],
  })
  await story.makeFilledWorkspace(daedalus, 'cellar')
  await story.makeFilledWorkspace(rival, 'attic')
  expect(await pallas.sees(COMMON_WORD)).toEqual(sight(...ATTACHED))
}

/** What the team reads from there on. */
export const ATTACHED = [
  ['cellar', 'foundry'],
  ['casting.md', 'cellar.md'],
] as const
