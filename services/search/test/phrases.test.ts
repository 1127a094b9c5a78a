import type { SearchAnswer } from '@mnemosyne/contracts'
import { GraphUnavailableError } from '@mnemosyne/graph'
import { openEndpointReranker } from '@mnemosyne/models'
import { startRerankerServer } from '@mnemosyne/models/testing'
import { createLog, Metrics, type Service } from '@mnemosyne/platform'
import { Registry } from 'prom-client'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { BOBS, MANUALS, NOVELS, openWorld, put, uid, type World, wordEmbedder } from './world.ts'

let world: World
let service: Service

/** Passages that say the words of the phrase over and over, so that they score better than those that hold it. */
const NOISE = Array.from({ length: 60 }, (_, index) => ({
  title: `Noise ${index}`,
  text: `Golden hour ${index}: gate after gate, golden, shining gates, gate, golden light. Gate ${index} is golden.`,
}))
const HOLDERS: Record<string, string> = {
  Bridge:
    'Among many other things of which nobody asked, the ferry passed below the Golden Gate at dusk, and much more was seen on that day, none of it of any interest to the reader of these lines.',
  'Two lines':
    'A long tale of fog and rust, of riveters and their lunches, begins where the golden\ngate opens to the ocean, and it ends a hundred pages later.',
}
const INFLECTED = 'He built golden gates for a living, in a town so small that it had but one of each thing.'

beforeAll(async () => {
  world = await openWorld()
  for (const { title, text } of NOISE) await put(world.graph, { library: NOVELS, title, passages: [text] })
  for (const [title, text] of Object.entries(HOLDERS)) {
    await put(world.graph, { library: MANUALS, title, passages: [text] })
  }
  await put(world.graph, { library: NOVELS, title: 'Smith', passages: [INFLECTED] })
  await put(world.graph, { library: BOBS, title: 'Bob’s bridge', passages: ['The golden gate of Bob.'] })
  await put(world.graph, {
    library: NOVELS,
    title: 'Soliloquy',
    passages: ['Hamlet: to be, or not to be, that is it.'],
  })
  await put(world.graph, { library: NOVELS, title: 'State of the art', passages: ['It is what it is.'] })
  await put(world.graph, {
    library: NOVELS,
    title: 'Art',
    passages: ['The state pays for art; state art is dull.'],
  })
  await put(world.graph, { library: NOVELS, title: '港', passages: ['请在水泵启动之前检查水位。'] })
  service = await world.start()
})
afterAll(() => world.close())
beforeEach(() => {
  world.broken.clear()
  world.state.current = { embedder: wordEmbedder() }
})

const search = (query: string, more: object = {}, of = service) =>
  world.client(of).search({ query, fold_duplicates: false, ...more })
const titles = (answer: SearchAnswer) => answer.candidates.map(({ item_title }) => item_title)

describe('a phrase in quotes', () => {
  test('puts those that hold it first, whatever scores better, and then those that hold its words in other forms', async () => {
    const plain = titles(await search('golden gate', { limit: 100 }))
    expect(plain.slice(0, 5).every((title) => title.startsWith('Noise'))).toBe(true)
    const quoted = titles(await search('"golden gate"', { limit: 100 }))
    expect(new Set(quoted.slice(0, 2))).toEqual(new Set(Object.keys(HOLDERS)))
    expect(quoted[2]).toBe('Smith')
    expect(quoted.length).toBeGreaterThan(30)
  })

  test.each<[string, string, object]>([
    ['amid other words', 'light below the "Golden Gate"', {}],
    ['in other quotes', '“golden gate”', {}],
    ['in guillemets', '«golden gate»', {}],
    ['in any case', '"GOLDEN   gate"', {}],
    ['with full text alone', '"golden gate"', { search_types: ['fulltext'] }],
    [
      'with vectors alone, among what they nominate',
      '"golden gate" ferry fog',
      { search_types: ['vector'], by: { SEARCH_VECTOR_TOP_K: '200' } },
    ],
    ['fused by rank', '"golden gate"', { by: { SEARCH_FUSION: 'rrf' } }],
    ['that comes with one left open', '"golden gate" and "more', {}],
    ['beside inches', 'pipes of 5" and "golden gate"', {}],
  ])('counts %s', async (_, query, { by, ...more }: { by?: Record<string, string> }) => {
    const found = titles(await search(query, more, by ? await world.start(by) : service))
    expect(new Set(found.slice(0, 2))).toEqual(new Set(Object.keys(HOLDERS)))
  })

  test('that a longer question only names puts the best that holds it first, and ranks the others as ever', async () => {
    const question =
      'which golden hour light stays when the "golden gate" opens to riveters after lunches and fog'
    const found = titles(await search(question))
    expect(found[0]).toBe('Two lines')
    const plain = titles(await search(question.replaceAll('"', '')))
    expect(found.slice(1)).toEqual(plain.filter((title) => title !== 'Two lines').slice(0, found.length - 1))
    const { stages } = await world.client(service).explain({ query: question, chunk_uid: uid('Two lines 0') })
    expect(stages.find(({ stage }) => stage === 'fusion')!.note).toContain(
      'the best that holds what stands in quotes',
    )
  })

  test('and another: those that hold both come first', async () => {
    expect(titles(await search('"golden gate" "riveters and their lunches"'))[0]).toBe('Two lines')
    expect(titles(await search('"below the" "golden gate"'))[0]).toBe('Bridge')
  })

  test.each<[string, string, string]>([
    ['of stop words', '"to be, or not to be" hamlet', 'Soliloquy'],
    ['in a title', '"state of the art"', 'State of the art'],
    ['in a script without spaces', '"水泵启动"', '港'],
  ])('is found %s', async (_, query, title) => {
    expect(titles(await search(query))[0]).toBe(title)
  })

  test('stays before all else when a re-ranker orders', async () => {
    await using server = await startRerankerServer({
      score: (_, text) => (text.includes('Golden hour') ? 9 : text.includes('ferry') ? 1 : 0),
    })
    await using reranker = openEndpointReranker({
      ...{ baseUrl: server.url, model: 'm', metrics: new Metrics(new Registry(), 'test') },
      log: createLog({ component: 'test', level: 'silent' }),
    })
    world.state.reranker = reranker
    const answer = await search('"golden gate"', {}, await world.start())
    world.state.reranker = null
    expect(answer.reranker_used).toBe(true)
    expect(titles(answer).slice(0, 3)).toEqual(['Bridge', 'Two lines', 'Smith'])
    expect(titles(answer)[3]).toMatch(/^Noise/)
  })

  test('is looked for in the texts when full text is out', async () => {
    world.broken.set('fullTextCandidates', () => Promise.reject(new GraphUnavailableError('A worker died.')))
    const answer = await search('"golden gate" ferry fog rust riveters interest reader')
    expect(titles(answer)[0]).toMatch(/Bridge|Two lines/)
    expect(answer.degraded).toEqual([{ part: 'fulltext', reason: 'A worker died.' }])
  })

  test('of another’s library brings nothing of it, and does not count as held', async () => {
    const answer = await search('"golden gate of Bob"', { limit: 100 })
    expect(JSON.stringify(answer.candidates)).not.toContain('Bob’s bridge')
    expect(answer.candidates.length).toBeGreaterThan(0)
  })

  test('that stands nowhere is read as its words, also beside one that stands somewhere', async () => {
    for (const query of ['"ferry gate dusk"', '"golden gate" "ferry gate dusk"']) {
      const quoted = titles(await search(query))
      expect(quoted).toEqual(titles(await search(query.replaceAll('"', ''))))
    }
  })

  test.each([
    ['left open', '"golden gate'],
    ['closed only', 'golden gate"'],
    ['empty', '"" golden gate'],
    ['inches', 'golden 5" gate 6" wide'],
  ])('is none when it is %s', async (_, query) => {
    expect(titles(await search(query))[0]).toMatch(/^Noise/)
  })

  test('is explained', async () => {
    const explain = (title: string, query: string) =>
      world.client(service).explain({ query, chunk_uid: uid(`${title} 0`) })
    const note = async (title: string, stage: string, query = '"golden gate"') =>
      (await explain(title, query)).stages.find((verdict) => verdict.stage === stage)!.note
    expect(await note('Bridge', 'fusion')).toContain('It holds what stands in quotes to the letter')
    expect(await note('Smith', 'fusion')).toContain('those that hold them to the letter come before it')
    expect(await note('Noise 1', 'fulltext')).toContain('It does not hold "golden gate"')
    expect(await note('Bridge', 'fulltext', '"ferry dusk gate"')).toContain(
      'Nothing holds what stands in quotes, so its words are sought.',
    )
  })
})
