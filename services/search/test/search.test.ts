import type { SearchAnswer } from '@mnemosyne/contracts'
import { GraphUnavailableError } from '@mnemosyne/graph'
import type { Service } from '@mnemosyne/platform'
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import {
  BOBS,
  BOBS_SHELF,
  MANUALS,
  NOVELS,
  openWorld,
  SHELF,
  uid,
  type World,
  wordEmbedder,
} from './world.ts'

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
  world.lines.length = 0
})

const titles = (answer: SearchAnswer) => answer.candidates.map(({ item_title }) => item_title)
const search = (query: string, more: object = {}) => world.client(service).search({ query, ...more })

describe('an answer', () => {
  test('has the passage first, located, highlighted, with how to read it', async () => {
    const answer = await search('prime the pump')
    expect(answer.candidates[0]).toMatchObject({
      item_title: 'Pump manual',
      library_uid: MANUALS,
      library_type: 'technical',
      section_path: ['Part'],
      page: 1,
      sources: expect.arrayContaining(['vector', 'fulltext']),
    })
    const { text_preview, highlights, score, fused_score } = answer.candidates[0]!
    expect(highlights.map(([start, end]) => text_preview.slice(start, end))).toEqual(['Prime', 'pump'])
    expect(score).toBe(fused_score)
    expect(answer.contexts[MANUALS]).toBe('Follow the order of steps.')
    expect(answer).toMatchObject({
      query: 'prime the pump',
      exact: true,
      degraded: [],
      reranker_used: false,
      reranker_model: null,
      reranker_skip_reason: 'No re-ranker is configured.',
      search_types_used: ['vector', 'fulltext', 'graph'],
    })
    expect(Object.keys(answer.timings_ms).sort()).toEqual(
      ['embed', 'fulltext', 'fuse', 'graph', 'load', 'scope', 'total', 'vector'].sort(),
    )
  })

  test('is the same each time', async () => {
    const [first, second] = [await search('nothing happened'), await search('nothing happened')]
    expect(second.candidates).toEqual(first.candidates)
  })

  test('holds as many as asked for, and says how many there were', async () => {
    const answer = await search('nothing happened on day', { limit: 3 })
    expect(answer.candidates).toHaveLength(3)
    expect(answer.total_candidates).toBeGreaterThan(10)
  })

  test('explains each hit by shares that sum to its score', async () => {
    const answer = await search('set the pressure switch', { explain: true })
    for (const { explanation, fused_score } of answer.candidates) {
      const { vector, fulltext, graph, lead } = explanation!
      const sum = (vector?.share ?? 0) + (fulltext?.share ?? 0) + (graph?.share ?? 0) + lead
      expect(sum).toBeCloseTo(fused_score)
    }
    expect(answer.candidates[0]!.explanation).toMatchObject({ vector: { rank: 1 }, fulltext: { rank: 1 } })
  })

  test('reaches a passage that shares nothing with the query but a link', async () => {
    const answer = await search('pressure switch four bar', {
      explain: true,
      search_types: ['fulltext', 'graph'],
    })
    const gauge = answer.candidates.find(({ item_title }) => item_title === 'Kessler gauge')!
    expect(gauge.sources).toEqual(['graph'])
    expect(gauge.explanation!.graph!.path).toEqual([
      { via: 'title', concept: 'Kessler gauge', from_chunk_uid: uid('Pump manual 1') },
    ])
    const next = answer.candidates.find(({ chunk_uid }) => chunk_uid === uid('Pump manual 2'))!
    expect(next.explanation!.graph!.path).toEqual([
      { via: 'adjacent', concept: null, from_chunk_uid: uid('Pump manual 1') },
    ])
  })

  test('demands what stands in quotes', async () => {
    const answer = await search('"drain valve"', { search_types: ['fulltext'] })
    expect(titles(answer)).toEqual(['Pump manual'])
  })

  test('can be fused by rank', async () => {
    const byRank = await world.start({ SEARCH_FUSION: 'rrf', SEARCH_RRF_K: '10' })
    const answer = await world.client(byRank).search({ query: 'prime the pump', explain: true })
    expect(titles(answer)[0]).toBe('Pump manual')
    expect(answer.candidates[0]!.explanation!.vector!.share).toBeCloseTo(1 / 11)
  })
})

describe('scope', () => {
  test.each([
    ['a library', { library_uid: MANUALS }, [MANUALS]],
    ['a type', { library_type: 'fiction' }, [NOVELS]],
    ['a collection', { collection_uid: SHELF }, [MANUALS]],
    ['a type that no library has', { library_type: 'music' }, []],
  ])('is narrowed by %s', async (_, narrowed, libraries) => {
    const answer = await search('pump', narrowed)
    expect([...new Set(answer.candidates.map(({ library_uid }) => library_uid))]).toEqual(libraries)
    expect(answer.search_types_used).toEqual(['vector', 'fulltext', 'graph'])
  })

  test('of a collection holds only its passages', async () => {
    expect(new Set(titles(await search('Kessler gauge', { collection_uid: SHELF })))).toEqual(
      new Set(['Pump manual']),
    )
  })

  test('never lets another’s passage, concept or count through', async () => {
    for (const query of ['champagne', 'Kessler gauge fake', 'Secret pump', 'Bob primes']) {
      const answer = await search(query, { explain: true, limit: 100 })
      expect(JSON.stringify(answer.candidates)).not.toMatch(/champagne|Secret pump|fake/)
    }
  })

  test.each<[string, object, string]>([
    ['an unknown library', { library_uid: uid('none') }, 'Library not found.'],
    ['another’s library', { library_uid: BOBS }, 'Library not found.'],
    ['an unknown collection', { collection_uid: uid('none') }, 'Collection not found.'],
    ['another’s collection', { collection_uid: BOBS_SHELF }, 'Collection not found.'],
    [
      'a collection of another library',
      { collection_uid: SHELF, library_uid: NOVELS },
      'Collection not found.',
    ],
  ])('refuses %s in the same words', async (_, narrowed, detail) => {
    const response = await world.request(service, { query: 'pump', ...narrowed })
    expect([response.status, await response.json()]).toEqual([404, { detail }])
  })

  test('that is empty succeeds with nothing, even when all else is out', async () => {
    world.state.current = { embedder: null, reason: 'No model.' }
    const answer = await world.client(service, []).search({ query: 'pump' })
    expect(answer).toMatchObject({ candidates: [], total_candidates: 0, degraded: [] })
  })

  test('without an assertion is refused', async () => {
    const response = await world.request(
      service,
      { query: 'pump' },
      { headers: { 'content-type': 'application/json' } },
    )
    expect(response.status).toBe(401)
  })
})

test('when the caller leaves, the work is told and the search ends', async () => {
  let told: AbortSignal | undefined
  world.broken.set('fullTextCandidates', (...args) => {
    told = (args[3] as { signal: AbortSignal }).signal
    return new Promise(() => {})
  })
  const caller = new AbortController()
  const pending = world.request(service, { query: 'pump' }, { signal: caller.signal })
  await vi.waitFor(() => expect(told).toBeDefined())
  caller.abort()
  expect((await pending).status).toBe(499)
  expect(told!.aborted).toBe(true)
  expect(world.lines.join()).not.toContain('unexpected error')
})

test('a model that takes instructions is asked once for each distinct one', async () => {
  const embedder = wordEmbedder({}, true)
  world.state.current = { embedder }
  expect(titles(await search('prime the pump'))[0]).toBe('Pump manual')
  expect(embedder.asked.sort()).toEqual(['Find the scene.', 'Find the step.'])
  embedder.asked.length = 0
  await search('prime the pump', { library_uid: MANUALS })
  expect(embedder.asked).toEqual(['Find the step.'])
})

test('the text of a query stands in no log line and no metric', async () => {
  await search('xylophone quarrel')
  expect(world.lines.join() + (await world.registry.metrics())).not.toMatch(/xylophone|quarrel/)
  expect(await world.registry.metrics()).toContain(
    'mnemosyne_search_stage_duration_seconds_count{component="search",stage="fuse"}',
  )
})

describe('readiness', () => {
  test('is ready with a model, named', async () => {
    expect(await service.readiness()).toMatchObject({
      status: 'ready',
      checks: { graph: { status: 'ok' }, embedding: { status: 'ok', model: 'words' } },
    })
  })

  test('is degraded without one, and says why', async () => {
    world.state.current = { embedder: null, reason: 'No embedding model was found.' }
    expect(await service.readiness()).toMatchObject({
      status: 'degraded',
      checks: { embedding: { status: 'degraded', detail: 'No embedding model was found.' } },
    })
  })

  test('is down without its store', async () => {
    world.broken.set('ping', () => Promise.reject(new GraphUnavailableError('The file is gone.')))
    expect((await service.readiness()).status).toBe('down')
  })
})
