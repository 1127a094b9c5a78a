import type { SearchAnswer, SearchRequest } from '@mnemosyne/contracts'
import type { Service } from '@mnemosyne/platform'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { BOBS, MANUALS, openWorld, SHELF, uid, type World, wordEmbedder } from './world.ts'

let world: World
let service: Service

beforeAll(async () => {
  world = await openWorld()
  service = await world.start()
})
afterAll(() => world.close())
beforeEach(() => {
  world.broken.clear()
  world.state.current = { embedder: wordEmbedder() }
})

/** What a search was answered with, without what differs from time to time. */
async function answered(request: Partial<SearchRequest> & { query: string }) {
  const { search_time_ms, timings_ms, ...answer } = await world.client(service).search(request)
  return { ...answer, stages: Object.keys(timings_ms).sort() }
}

/** How often the store's thread was given whole searches. */
async function searchesNear<T>(work: () => Promise<T>): Promise<{ value: T; count: number }> {
  let count = 0
  const own = world.graph.near!
  world.graph.near = (...args) => {
    count++
    return own(...args)
  }
  try {
    return { value: await work(), count }
  } finally {
    world.graph.near = own
  }
}

describe('a search that is run near the store is answered as one that is run here', () => {
  const withoutModel = () => {
    world.state.current = { embedder: null, reason: 'No embedding model was found.' }
  }
  test.each<[string, Partial<SearchRequest> & { query: string }, (() => void)?]>([
    ['a question', { query: 'How do I prime the pump?' }],
    ['with explanations', { query: 'Kessler gauge of the pump', explain: true }],
    ['quotes', { query: '"pressure switch" of the pump' }],
    ['quotes alone', { query: '"drain valve"' }],
    ['one library', { query: 'pump', library_uid: MANUALS }],
    ['one type', { query: 'pump', library_type: 'fiction' }],
    ['one collection', { query: 'pump', collection_uid: SHELF, explain: true }],
    ['by full text alone', { query: 'ledger night', search_types: ['fulltext'] }],
    ['by vector alone', { query: 'ledger night', search_types: ['vector'] }],
    ['by the graph alone', { query: 'Ulm', search_types: ['graph'] }],
    ['neighbours joined, few of one document', { query: 'pump', join_neighbours: true, max_per_item: 1 }],
    ['nothing that is a word', { query: '… !' }],
    ['without a model', { query: 'prime the pump' }, withoutModel],
    [
      'a model of another length',
      { query: 'prime the pump' },
      () => {
        world.state.current = {
          embedder: wordEmbedder({ embedQuery: async () => new Float32Array(8).fill(1) }),
        }
      },
    ],
  ])('%s', async (_, request, prepare) => {
    prepare?.()
    const near = await searchesNear(() => answered(request))
    expect(near.count).toBe(1)
    // A question that is broken, and never asked, keeps the search here.
    world.broken.set('getChunk', async () => null)
    const here = await searchesNear(() => answered(request))
    expect(here.count).toBe(0)
    expect(near.value).toEqual(here.value)
  })

  test.each<[string, object, number]>([
    ['a library of somebody else', { library_uid: BOBS }, 404],
    ['a library that is not there', { library_uid: uid('nowhere') }, 404],
    ['a collection that is not there', { collection_uid: uid('nowhere') }, 404],
  ])('%s', async (_, scope, status) => {
    const body = { query: 'pump', ...scope }
    const near = await world.request(service, body)
    world.broken.set('getChunk', async () => null)
    const here = await world.request(service, body)
    expect([near.status, await near.text()]).toEqual([here.status, await here.text()])
    expect(near.status).toBe(status)
  })

  test('vectors alone without a model are a 503', async () => {
    withoutModel()
    const response = await world.request(service, { query: 'pump', search_types: ['vector'] })
    expect(response.status).toBe(503)
    expect(await response.json()).toEqual({ detail: expect.stringMatching(/No embedding model was found/) })
  })
})

test('a model that fails is asked once, also when there is nothing but vectors', async () => {
  let asked = 0
  const embedQuery = async () => {
    asked++
    throw new Error('The model is out.')
  }
  world.state.current = { embedder: wordEmbedder({ embedQuery }) }
  const response = await world.request(service, { query: 'pump', search_types: ['vector'] })
  expect(response.status).toBe(503)
  expect(await response.json()).toEqual({ detail: expect.stringMatching(/^Nothing could be searched\. \S/) })
  expect(asked).toBe(1)
})

describe('is run here', () => {
  test.each<[string, () => void]>([
    [
      'where vectors depend on the libraries',
      () => {
        world.state.current = { embedder: wordEmbedder({}, true) }
      },
    ],
    [
      'where a re-ranker is to be asked',
      () => {
        const rerank = async (_: string, documents: string[]) => documents.map((_, index) => index)
        world.state.reranker = { model: { name: 'r' }, fault: null, rerank } as never
      },
    ],
  ])('%s', async (_, prepare) => {
    prepare()
    const own = await world.start()
    const { value, count } = await searchesNear(() => world.client(own).search({ query: 'prime the pump' }))
    expect(count).toBe(0)
    expect(value.degraded).toEqual([])
    world.state.reranker = null
  })
})

describe('when the thread of the store dies with a search in hand', () => {
  test('the search is answered all the same, and the log says why', async () => {
    const own = world.graph.near!
    world.graph.near = () => Promise.reject(new Error('The thread is gone.'))
    world.lines.length = 0
    const answer: SearchAnswer = await world.client(service).search({ query: 'prime the pump' })
    world.graph.near = own
    expect(answer.candidates[0]!.item_title).toBe('Pump manual')
    expect(answer.degraded).toEqual([])
    expect(world.lines.join()).toContain('search near the store failed')
  })
})

test('metrics count the stages and the questions of searches near the store', async () => {
  const of = async (name: string) =>
    Number(new RegExp(`${name}[^\\n]* (\\d+)`).exec(await world.registry.metrics())![1])
  const stage = 'mnemosyne_search_stage_duration_seconds_count\\{[^}]*stage="fuse"'
  const question = 'mnemosyne_graph_query_duration_seconds_count\\{[^}]*query="scoreChunks"'
  const before = [await of(stage), await of(question)]
  await answered({ query: 'prime the pump' })
  const after = [await of(stage), await of(question)]
  expect(after[0]!).toBeGreaterThan(before[0]!)
  expect(after[1]!).toBeGreaterThan(before[1]!)
})
