import type { SearchAnswer } from '@mnemosyne/contracts'
import type { Service } from '@mnemosyne/platform'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { BOBS, MANUALS, NOVELS, openWorld, put, uid, type World } from './world.ts'

let world: World
let service: Service

const NOTICE =
  'Before the turbine starts, open the bypass, wait for the lamp and read the oil gauge twice; ' +
  'whoever starts it alone must first tell the control room, which writes the name and the hour into the log.'
const LONG = Array.from({ length: 60 }, (_, index) => `step${index}`).join(' ')
const STEPS = ['First', 'Second', 'Third', 'Fourth', 'Fifth'].map(
  (name) => `${name} step of the turbine overhaul: ${name.toLowerCase()} bolts come off.`,
)

beforeAll(async () => {
  world = await openWorld()
  for (const title of ['Turbine notice', 'Copy of the notice']) {
    await put(world.graph, { library: MANUALS, title, passages: [NOTICE] })
  }
  const shouted = NOTICE.toUpperCase().replaceAll(' ', '\n')
  await put(world.graph, { library: NOVELS, title: 'Shouted notice', passages: [shouted] })
  await put(world.graph, { library: BOBS, title: 'Bob’s notice', passages: [NOTICE] })
  await put(world.graph, { library: MANUALS, title: 'Plan A', passages: [`${LONG} turbine plan end`] })
  await put(world.graph, { library: MANUALS, title: 'Plan B', passages: [`${LONG} turbine plan stop`] })
  await put(world.graph, { library: MANUALS, title: 'Overhaul', passages: STEPS })
  service = await world.start()
})
afterAll(() => world.close())

const search = (query: string, more: object = {}) => world.client(service).search({ query, ...more })
const explain = (chunk_uid: string, query: string, more: object = {}) =>
  world.client(service).explain({ query, chunk_uid, ...more })
const titles = (answer: SearchAnswer) => answer.candidates.map(({ item_title }) => item_title)
const NOTICES = ['Turbine notice', 'Copy of the notice', 'Shouted notice']
const QUERY = 'open the bypass and read the oil gauge of the turbine'

describe('near-duplicates', () => {
  test('are counted in the best of them and not shown, and the answer is still full', async () => {
    const answer = await search(QUERY, { limit: 5 })
    expect(answer.candidates).toHaveLength(5)
    expect(answer.candidates[0]!.duplicate_count).toBe(2)
    expect(titles(answer).filter((title) => NOTICES.includes(title))).toHaveLength(1)
    expect(answer.candidates.slice(1).every(({ joined }) => joined.length === 1)).toBe(true)
  })

  test('are counted however short the answer is', async () => {
    const { candidates } = await search(QUERY, { limit: 1 })
    expect(candidates).toMatchObject([{ duplicate_count: 2 }])
  })

  test('of another’s library are not counted', async () => {
    const { candidates } = await search(QUERY, { limit: 1, library_uid: MANUALS })
    expect(candidates).toMatchObject([{ duplicate_count: 1 }])
    const [his] = (await world.client(service, [BOBS]).search({ query: QUERY, limit: 1 })).candidates
    expect(his).toMatchObject({ item_title: 'Bob’s notice', duplicate_count: 0 })
  })

  test('need not be the same to the letter', async () => {
    const { candidates } = await search('turbine plan step7', { limit: 2 })
    const [plan] = candidates.filter(({ item_title }) => item_title.startsWith('Plan'))
    expect(plan!.duplicate_count).toBe(1)
  })

  test('are all shown when they are asked for', async () => {
    const answer = await search(QUERY, { fold_duplicates: false })
    expect(new Set(titles(answer).slice(0, 3))).toEqual(new Set(NOTICES))
    expect(answer.candidates.every(({ duplicate_count }) => duplicate_count === 0)).toBe(true)
  })

  test('are explained by what they were folded into', async () => {
    const [best] = (await search(QUERY)).candidates
    const folded = NOTICES.filter((title) => title !== best!.item_title)
    for (const title of folded) {
      const answer = await explain(uid(`${title} 0`), QUERY)
      expect(answer).toMatchObject({ rank: null, dropped_by: 'fold' })
      expect(answer.stages.at(-1)!.note).toContain(`folded into ${best!.chunk_uid} of "${best!.item_title}"`)
    }
  })
})

describe('neighbours', () => {
  const overhaul = (answer: SearchAnswer) =>
    answer.candidates.filter(({ item_title }) => item_title === 'Overhaul')
  const OVERHAUL = 'turbine overhaul bolts'

  test('stand alone unless they are to be joined', async () => {
    expect(overhaul(await search(OVERHAUL))).toHaveLength(5)
  })

  test('are joined into one, in reading order, with the place of all and the score of the best', async () => {
    const apart = overhaul(await search(OVERHAUL))
    const [whole, ...others] = overhaul(await search(OVERHAUL, { join_neighbours: true }))
    expect(others).toEqual([])
    expect(whole).toMatchObject({
      chunk_uid: apart[0]!.chunk_uid,
      score: apart[0]!.score,
      joined: STEPS.map((_, index) => uid(`Overhaul ${index}`)),
      text_preview: STEPS.join('\n\n'),
      page: 1,
      section_path: ['Part'],
      char_start: 0,
      char_end: STEPS.join('\n\n').length,
    })
    const marked = whole!.highlights.map(([start, end]) => whole!.text_preview.slice(start, end))
    expect(marked.filter((word) => word === 'bolts')).toHaveLength(5)
  })

  test('that are not side by side stay apart', async () => {
    const answer = await search('first fourth', { join_neighbours: true, search_types: ['fulltext'] })
    expect(overhaul(answer).map(({ joined }) => joined.length)).toEqual([1, 1])
  })

  test('leave their place to others', async () => {
    const answer = await search(OVERHAUL, { join_neighbours: true, limit: 4 })
    expect(answer.candidates).toHaveLength(4)
    expect(overhaul(answer)).toHaveLength(1)
  })

  test('are explained by what shows them', async () => {
    const answer = await search(OVERHAUL, { join_neighbours: true })
    const place = titles(answer).indexOf('Overhaul') + 1
    const other = answer.candidates[place - 1]!.joined.find(
      (chunk) => chunk !== answer.candidates[place - 1]!.chunk_uid,
    )!
    expect(await explain(other, OVERHAUL, { join_neighbours: true })).toMatchObject({
      rank: place,
      dropped_by: null,
    })
  })
})

describe('at most so many of one document', () => {
  test.each([1, 2])('%i', async (max_per_item) => {
    const answer = await search('turbine overhaul bolts', { max_per_item, limit: 8 })
    const items = answer.candidates.map(({ item_uid }) => item_uid)
    expect(
      Math.max(
        ...Map.groupBy(items, (item) => item)
          .values()
          .map(({ length }) => length),
      ),
    ).toBe(max_per_item)
    expect(items).toHaveLength(8)
  })

  test('takes the best of each, and explains the others', async () => {
    const query = 'turbine overhaul bolts'
    const all = (await search(query)).candidates.filter(({ item_title }) => item_title === 'Overhaul')
    const one = (await search(query, { max_per_item: 1 })).candidates
    expect(one.find(({ item_title }) => item_title === 'Overhaul')!.chunk_uid).toBe(all[0]!.chunk_uid)
    const answer = await explain(all[1]!.chunk_uid, query, { max_per_item: 1 })
    expect(answer).toMatchObject({ rank: null, dropped_by: 'fold' })
    expect(answer.stages.at(-1)!.note).toContain('max_per_item')
  })

  test('counts what is joined as one', async () => {
    const { candidates } = await search('turbine overhaul bolts', { max_per_item: 1, join_neighbours: true })
    expect(candidates.find(({ item_title }) => item_title === 'Overhaul')!.joined).toHaveLength(5)
  })

  test.each([0, -1, 1.5, 101, 'two'])('is refused when it is %s', async (max_per_item) => {
    const response = await world.request(service, { query: 'turbine', max_per_item })
    expect([response.status, Object.keys((await response.json()) as object)]).toEqual([400, ['max_per_item']])
  })
})
