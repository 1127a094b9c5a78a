import type { ExplainAnswer } from '@mnemosyne/contracts'
import { GraphUnavailableError } from '@mnemosyne/graph'
import { openEndpointReranker } from '@mnemosyne/models'
import { startRerankerServer } from '@mnemosyne/models/testing'
import { createLog, Metrics, type Service } from '@mnemosyne/platform'
import { Registry } from 'prom-client'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  BOBS,
  BOBS_SHELF,
  MANUALS,
  NOVELS,
  openWorld,
  put,
  SHELF,
  uid,
  vectorOf,
  type World,
  wordEmbedder,
} from './world.ts'

let world: World
let service: Service
/** Each retriever nominates one passage alone, and no links are followed. */
let narrow: Service

const PUMP = uid('Pump manual 0')
const SWITCH = uid('Pump manual 1')
const STORE = uid('Pump manual 2')
const GAUGE = uid('Kessler gauge 0')
const RIVER = uid('The Danube 0')
const CHAPTER = uid('Chapter 7 0')
const UNREAD = uid('Unread letter 0')
const SECRET = uid('Secret pump 0')

beforeAll(async () => {
  world = await openWorld()
  await put(world.graph, {
    ...{ library: NOVELS, title: 'Unread letter', passages: ['The pump is in the cellar.'] },
    unembedded: true,
  })
  service = await world.start()
  narrow = await world.start({
    SEARCH_VECTOR_TOP_K: '1',
    SEARCH_FULLTEXT_TOP_K: '1',
    SEARCH_GRAPH_MAX_DEPTH: '1',
  })
})
afterAll(() => world.close())
beforeEach(() => {
  world.broken.clear()
  world.lines.length = 0
  world.state.current = { embedder: wordEmbedder() }
})

const QUERY = 'prime the pump'
const explain = (chunk_uid: string, more: object = {}, of = service) =>
  world.client(of).explain({ query: QUERY, chunk_uid, ...more })
const stage = (answer: ExplainAnswer, name: string) => answer.stages.find((verdict) => verdict.stage === name)
const stagesOf = (answer: ExplainAnswer) => answer.stages.map(({ stage }) => stage)

describe('a hit', () => {
  test('is followed through every stage to its place', async () => {
    const answer = await explain(PUMP)
    expect(answer).toMatchObject({
      query: QUERY,
      chunk_uid: PUMP,
      item_uid: uid('item Pump manual'),
      item_title: 'Pump manual',
      rank: 1,
      dropped_by: null,
      exact: true,
    })
    expect(stagesOf(answer)).toEqual(['scope', 'vector', 'fulltext', 'graph', 'fusion', 'rerank', 'limit'])
    expect(answer.stages.every(({ dropped, note }) => !dropped && note !== '')).toBe(true)
    expect(answer.stages).toMatchObject([
      { rank: null, note: 'It is in the library "Manuals", which is searched.' },
      { rank: 1, score: expect.any(Number), note: expect.stringMatching(/^The 1st of the \d+ nearest/) },
      {
        rank: 1,
        note: expect.stringMatching(/^The 1st of the \d+ that are nominated\. It holds prime, pump\./),
      },
      { note: expect.stringContaining('from which links are followed, and keeps') },
      {
        rank: 1,
        note: expect.stringMatching(/^The 1st of \d+ candidates: vector .*, full text .*, graph .*, lead/),
      },
      { rank: null, note: 'Nothing was re-ranked. No re-ranker is configured.' },
      { rank: 1, note: expect.stringMatching(/^Shown as the 1st of \d+\.$/) },
    ])
  })

  test('has the ranks and scores that a search explains', async () => {
    const { candidates } = await world.client(service).search({ query: QUERY, explain: true, limit: 100 })
    for (const [index, candidate] of candidates.entries()) {
      const answer = await explain(candidate.chunk_uid, { limit: 100 })
      const { vector, fulltext, graph } = candidate.explanation!
      expect(answer.rank).toBe(index + 1)
      expect(stage(answer, 'fusion')).toMatchObject({ rank: index + 1, score: candidate.fused_score })
      expect(stage(answer, 'vector')!.rank).toBe(vector?.rank ?? null)
      expect(stage(answer, 'fulltext')!.rank).toBe(fulltext?.rank ?? null)
      if (graph) expect(stage(answer, 'graph')).toMatchObject({ rank: graph.rank, score: graph.score })
    }
  })

  test.each<[string, string, string, object, RegExp]>([
    [
      'by the title of its document',
      GAUGE,
      'pressure switch four bar',
      { search_types: ['fulltext', 'graph'] },
      /^A passage of "Pump manual", one of the best, mentions its title "Kessler gauge"\.$/,
    ],
    [
      'by its neighbour',
      STORE,
      'pressure switch four bar',
      { search_types: ['fulltext', 'graph'] },
      /^It stands next to one of the best passages\.$/,
    ],
    [
      'by a concept of the query',
      SWITCH,
      'what does a Kessler gauge show',
      {},
      /mentions "Kessler gauge", which the query names/,
    ],
  ])('that the graph reached %s says so', async (_, chunk, query, more, note) => {
    const answer = await explain(chunk, { query, ...more })
    expect(stage(answer, 'graph')).toMatchObject({
      rank: expect.any(Number),
      note: expect.stringMatching(note),
    })
  })
})

describe('a miss', () => {
  test.each<[string, string, object, string, RegExp]>([
    [
      'the library that was asked for',
      RIVER,
      { library_uid: MANUALS },
      'scope',
      /It is in the library "Novels"; library_uid narrows/,
    ],
    [
      'the type that was asked for',
      RIVER,
      { library_type: 'technical' },
      'scope',
      /"Novels" is of the type fiction; library_type narrows the search to technical/,
    ],
    ['the collection that was asked for', GAUGE, { collection_uid: SHELF }, 'scope', /not in the collection/],
    ['the limit', CHAPTER, { limit: 1 }, 'limit', /^The limit is 1, and it is the \d+(st|nd|rd|th)\.$/],
    [
      'a quoted phrase',
      CHAPTER,
      { query: '"drain valve"', search_types: ['fulltext'] },
      'fusion',
      /^No retriever nominated it/,
    ],
  ])('for %s', async (_, chunk, more, dropped_by, note) => {
    const answer = await explain(chunk, more)
    expect(answer).toMatchObject({ rank: null, dropped_by, chunk_uid: chunk })
    expect(answer.stages.filter(({ dropped }) => dropped)).toHaveLength(1)
    expect(answer.stages.at(-1)).toMatchObject({ stage: dropped_by, note: expect.stringMatching(note) })
  })

  test.each<[string, string, string, object, string, RegExp]>([
    ['words', CHAPTER, 'fulltext', {}, QUERY, /^It holds none of the words prime, pump\.$/],
    [
      'a phrase',
      CHAPTER,
      'fulltext',
      {},
      'the "drain valve" of it',
      /^It does not hold "drain valve", which the query demands by quotes\.$/,
    ],
    ['anything to look for', CHAPTER, 'fulltext', {}, '?!', /^The query holds no word to look for\.$/],
    ['a vector', UNREAD, 'vector', {}, QUERY, /^It has no vector yet/],
    [
      'a concept of the query',
      CHAPTER,
      'graph',
      {},
      'the Kessler gauge',
      /^It mentions none of the concepts that the query names \("Kessler gauge"\), and no link from the first \d passages reaches it\.$/,
    ],
    ['any concept in the query', CHAPTER, 'graph', {}, 'xylophone', /^The query names no concept/],
    [
      'a retriever that was not asked',
      PUMP,
      'vector',
      { search_types: ['fulltext'] },
      QUERY,
      /^Not asked: search_types leaves vector out\.$/,
    ],
  ])('of %s is told by the retriever', async (_, chunk, name, more, query, note) => {
    const verdict = stage(await explain(chunk, { query, ...more }), name)
    expect(verdict).toMatchObject({ dropped: false, note: expect.stringMatching(note) })
    expect(verdict!.score === null || name === 'graph').toBe(true)
  })

  test('beyond what is nominated has its true rank', async () => {
    const query = 'nothing happened on a day by the river, said the pump'
    const wanted = vectorOf(query)
    const ada = [MANUALS, NOVELS]
    const all = await world.client(narrow, ada).search({ query, limit: 100, search_types: ['vector'] })
    expect(all.candidates).toHaveLength(1)
    const cosines = await world.graph.vectorCandidates({ libraries: ada }, wanted, 1_000)
    const texts = await world.client(service).search({ query, limit: 100, explain: true })
    const bm25 = texts.candidates
      .flatMap(({ chunk_uid, explanation }) =>
        explanation!.fulltext ? [{ chunk_uid, score: explanation!.fulltext.score }] : [],
      )
      .sort((a, b) => b.score - a.score)
    for (const [index, hit] of cosines.hits.entries()) {
      const answer = await explain(hit.chunk_uid, { query }, narrow)
      const vector = stage(answer, 'vector')!
      expect([vector.rank, vector.score]).toEqual([index + 1, expect.closeTo(hit.cosine, 5)])
      if (index > 0) {
        expect(vector.note).toMatch(
          /^Not among the 1 nearest by vector\. It is the \d+\w\w: its cosine is 0\.\d{3}, the 1st has 0\.\d{3}\.$/,
        )
      }
      const better = bm25.findIndex(({ chunk_uid }) => chunk_uid === hit.chunk_uid)
      const fulltext = stage(answer, 'fulltext')!
      if (better < 0)
        expect(fulltext).toMatchObject({ rank: null, note: expect.stringContaining('none of the words') })
      else {
        expect(fulltext.score).toBeCloseTo(bm25[better]!.score, 5)
        // Equal scores are ranked by uid.
        const score = bm25[better]!.score
        expect(fulltext.rank).toBeGreaterThan(bm25.filter((other) => other.score > score + 1e-9).length)
        expect(fulltext.rank).toBeLessThanOrEqual(bm25.filter((other) => other.score > score - 1e-9).length)
      }
    }
  })

  test('that no retriever nominated is told what its scores would have come to', async () => {
    const answer = await explain(CHAPTER, {}, narrow)
    expect(answer).toMatchObject({ rank: null, dropped_by: 'fusion' })
    expect(stage(answer, 'fusion')).toMatchObject({
      rank: null,
      score: null,
      note: expect.stringMatching(
        /^No retriever nominated it, so it was not fused\. By its scores it would have had -?\d+\.\d\d points; the \d\w\w has \d+\.\d\d\.$/,
      ),
    })
    expect(stagesOf(answer)).toEqual(['scope', 'vector', 'fulltext', 'graph', 'fusion'])
  })
})

describe('a re-ranked passage', () => {
  test('is told its place before and after, and one beyond the first that it was not', async () => {
    await using server = await startRerankerServer({
      score: (_, document) => (document.includes('winter') ? 9 : -document.length),
    })
    await using reranker = openEndpointReranker({
      ...{ baseUrl: server.url, model: 'opinionated' },
      log: createLog({ component: 'test', level: 'silent' }),
      metrics: new Metrics(new Registry(), 'test'),
    })
    world.state.reranker = reranker
    const three = await world.start({ RERANKER_MAX_CANDIDATES: '3' })
    world.state.reranker = null
    const { candidates } = await world.client(three).search({ query: QUERY, rerank: false, limit: 100 })
    const [, , third, fourth] = candidates.map(({ chunk_uid }) => chunk_uid)
    const reranked = await explain(third!, {}, three)
    expect(stage(reranked, 'rerank')).toMatchObject({
      rank: expect.any(Number),
      score: expect.any(Number),
      note: expect.stringMatching(/^The \d\w\w of 3; by fusion it was the 3rd\.$/),
    })
    expect(reranked.rank).toBe(stage(reranked, 'rerank')!.rank)
    expect(stage(await explain(fourth!, {}, three), 'rerank')).toMatchObject({
      rank: null,
      note: 'Only the first 3 by fusion are re-ranked; it follows these.',
    })
    expect(stage(await explain(third!, { rerank: false }, three), 'rerank')!.note).toBe(
      'Nothing was re-ranked. Not requested.',
    )
  })
})

describe('an item', () => {
  const item = (title: string, more: object = {}, of = service) =>
    world.client(of).explain({ query: QUERY, item_uid: uid(`item ${title}`), ...more })

  test.each<[string, string, object, string]>([
    ['that is shown first', 'Pump manual', {}, PUMP],
    ['that is shown first, for another query', 'Pump manual', { query: 'pressure switch' }, SWITCH],
    [
      'that fusion has first, when none is shown',
      'Pump manual',
      { query: 'Calibrate Ulm mercury', limit: 1 },
      SWITCH,
    ],
  ])('is told of by the passage %s', async (_, title, more, chunk) => {
    expect((await item(title, more)).chunk_uid).toBe(chunk)
  })

  test('is told of by the one that its scores favour, when none was nominated', async () => {
    const answer = await item('Pump manual', { query: 'winter nothing day nobody minded number 7' }, narrow)
    expect(answer).toMatchObject({ chunk_uid: STORE, dropped_by: 'fusion' })
  })

  test('out of the scope is told so by its first passage', async () => {
    const answer = await item('Pump manual', { library_uid: NOVELS })
    expect(answer).toMatchObject({ chunk_uid: PUMP, dropped_by: 'scope' })
    expect(stagesOf(answer)).toEqual(['scope'])
  })

  test('without passages is told that it has none', async () => {
    await put(world.graph, { library: MANUALS, title: 'Empty', passages: [] })
    await expect(item('Empty')).rejects.toMatchObject({
      status: 409,
      message: expect.stringContaining('has no passages'),
    })
  })
})

describe('what the caller may not read', () => {
  const missing = uid('nowhere')
  test.each<[string, object, object]>([
    ['a passage', { chunk_uid: SECRET }, { chunk_uid: missing }],
    ['an item', { item_uid: uid('item Secret pump') }, { item_uid: missing }],
    ['a library', { chunk_uid: PUMP, library_uid: BOBS }, { chunk_uid: PUMP, library_uid: missing }],
    [
      'a collection',
      { chunk_uid: PUMP, collection_uid: BOBS_SHELF },
      { chunk_uid: PUMP, collection_uid: missing },
    ],
  ])('%s is answered exactly as one that is not there', async (_, theirs, nowhere) => {
    const ask = async (body: object) => {
      const response = await world.request(
        ...([
          service,
          { query: 'champagne', ...body },
          {},
          undefined,
          '/library/api/search/explain/',
        ] as const),
      )
      return [response.status, await response.text()]
    }
    expect(await ask(theirs)).toEqual(await ask(nowhere))
    expect((await ask(theirs))[0]).toBe(404)
  })

  test('shows in no note: neither its concepts, nor its rank', async () => {
    for (const chunk of [PUMP, GAUGE, CHAPTER]) {
      const mine = await explain(chunk, { query: 'Bob primes a Kessler gauge with champagne', limit: 3 })
      expect(JSON.stringify(mine.stages.map(({ note }) => note))).not.toMatch(/Secret|fake/)
    }
  })
})

describe('a request', () => {
  test.each<[string, object, string]>([
    ['for nothing', {}, 'chunk_uid'],
    ['for both', { chunk_uid: PUMP, item_uid: uid('item Pump manual') }, 'chunk_uid'],
    ['for a malformed passage', { chunk_uid: 'that one' }, 'chunk_uid'],
    ['without a query', { chunk_uid: PUMP, query: ' ' }, 'query'],
  ])('%s is refused with the field named', async (_, body, field) => {
    const response = await world.request(
      ...([service, { query: QUERY, ...body }, {}, undefined, '/library/api/search/explain/'] as const),
    )
    expect([response.status, Object.keys((await response.json()) as object)]).toEqual([400, [field]])
  })

  test('is answered without a part that is out, which is named', async () => {
    world.state.current = { embedder: null, reason: 'No embedding model was found.' }
    const answer = await explain(PUMP)
    expect(stage(answer, 'vector')).toMatchObject({
      rank: null,
      note: 'It is out. No embedding model was found.',
    })
    expect(answer).toMatchObject({ rank: 1, exact: false, degraded: [{ part: 'embed' }] })
  })

  test('is answered when how far behind a passage is cannot be told', async () => {
    const asked = world.graph.vectorCandidates.bind(world.graph)
    world.broken.set('vectorCandidates', (...args) =>
      args[2] === 1
        ? asked(...(args as Parameters<typeof asked>))
        : Promise.reject(new GraphUnavailableError('Gone.')),
    )
    const answer = await explain(CHAPTER, {}, narrow)
    expect(stage(answer, 'vector')).toMatchObject({
      rank: null,
      score: expect.any(Number),
      note: expect.stringContaining('How far behind it is could not be told'),
    })
    expect(answer.degraded).toContainEqual({ part: 'explain', reason: 'Gone.' })
  })

  test('puts neither the query nor a passage into the log', async () => {
    world.broken.set('neighbours', () => Promise.reject(new GraphUnavailableError('Gone.')))
    await explain(PUMP, { query: 'xylophone quarrel' })
    expect(world.lines.join()).not.toMatch(/xylophone|quarrel|drain/)
  })
})
