import type { Item, Library } from '@mnemosyne/contracts'
import { expect } from 'vitest'
import type { Daedalus } from './daedalus.ts'
import { NOTHING, Pallas } from './pallas.ts'
import { COMMON_WORD, type Story } from './story.ts'
import { FILE } from './stranger.ts'
import { ATTACHED, sight } from './team.ts'

/** Daedalus lets the second user read a library, and then no more. */
export async function share(story: Story): Promise<void> {
  const { daedalus, rival, system } = story
  const library = story.libraryOf('foundry')
  const members = `/library/api/libraries/${library}/members/`
  await using agent = await Pallas.deploy(system.url, rival.token)
  await using team = await Pallas.deploy(system.url, story.rivalTeam.jwt)
  const reader = { username: 'rival', role: 'reader' }
  const { first } = await daedalus.write('POST', members, reader, [201, 200])
  expect(first.body).toMatchObject(reader)

  const libraries = await rival.read<Library[]>(`/library/api/libraries/`)
  expect(libraries.map(({ name }) => name).sort()).toEqual(['Of attic', 'Of bay', 'Of foundry'])
  const [item] = await rival.read<Item[]>(`/library/api/items/?library_uid=${library}`)
  const [chunk] = await rival.chunksOf(item!.uid)
  expect(chunk!.text).toContain('loam')
  const found = async () => (await system.search('bells', { library_uid: library }, rival.token)).candidates
  expect((await found()).map(({ item_title }) => item_title)).toEqual(['casting.md'])
  expect((await agent.sees(COMMON_WORD)).found).toEqual(['attic.md', 'bay.md', 'casting.md'])
  expect(await team.sees(COMMON_WORD)).toEqual(NOTHING)

  for (const [method, path, body] of [
    ['DELETE', `/library/api/libraries/${library}/`],
    ['DELETE', `/library/api/items/${item!.uid}/`],
    ['POST', `/library/api/ingest/`, { ...FILE, library_uid: library }],
    ['POST', members, { username: 'rival', role: 'manager' }],
  ] as const) {
    const { status, text } = await rival.call(method, path, body)
    expect([403, 404], `${method} ${path}: ${text}`).toContain(status)
  }

  await daedalus.write('DELETE', `${members}rival/reader/`, undefined, [204, 204])
  for (const path of [`libraries/${library}`, `items/${item!.uid}`, `chunks/${chunk!.chunk_uid}`]) {
    expect((await rival.call('GET', `/library/api/${path}/`)).status, path).toBe(404)
  }
  expect((await agent.sees(COMMON_WORD)).found).toEqual(['attic.md', 'bay.md'])
  expect((await daedalus.read<Library>(`/library/api/libraries/${library}/`)).item_count).toBe(1)
}

/** To the second user, and back: whose a library is decides which teams read it, from the next call on. */
export async function handOver(story: Story): Promise<void> {
  const { daedalus, rival, pallas, system } = story
  const library = `/library/api/libraries/${story.libraryOf('cellar')}/`
  const workspace = '/library/api/workspaces/cellar/'
  await using team = await Pallas.deploy(system.url, story.rivalTeam.jwt)
  const give = async (from: Daedalus, to: Daedalus) => {
    const answer = await from.call('PATCH', library, { owner_username: to.username })
    expect(answer, answer.text).toMatchObject({ status: 200, body: { owner_username: to.username } })
    // A manager from now on, who gives away nothing.
    expect((await from.call('PATCH', library, { owner_username: from.username })).status).toBe(403)
    await from.read(library)
    expect((await from.call('GET', workspace)).status).toBe(404)
    await from.write('DELETE', workspace, undefined, [204, 204])
    await to.read(workspace)
  }
  await give(daedalus, rival)
  expect(await pallas.sees(COMMON_WORD)).toEqual(sight(['foundry'], ['casting.md']))
  expect(await team.sees(COMMON_WORD)).toEqual(sight(['cellar'], ['cellar.md']))
  await give(rival, daedalus)
  expect(await pallas.sees(COMMON_WORD)).toEqual(sight(...ATTACHED))
  expect(await team.sees(COMMON_WORD)).toEqual(NOTHING)
  await daedalus.write('DELETE', `${library}members/rival/manager/`, undefined, [204, 204])
  expect((await rival.call('GET', library)).status).toBe(404)
}
