import type { SearchAnswer, SearchType } from '@mnemosyne/contracts'
import { GraphUnavailableError, type TextHit } from '@mnemosyne/graph'
import type { Service } from '@mnemosyne/platform'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { openWorld, uid, type World, wordEmbedder } from './world.ts'

let world: World
let service: Service
/** What the same question is answered when nothing is out. */
let whole: SearchAnswer

beforeAll(async () => {
  world = await openWorld()
  service = await world.start({ SEARCH_PART_TIMEOUT_MS: '1500' })
  whole = await search()
})
afterAll(() => world.close())

function mend(): void {
  world.broken.clear()
  world.state.current = { embedder: wordEmbedder() }
  world.lines.length = 0
}
beforeEach(mend)

/** As soon as the fault is gone the answer is as it was: nothing has to be started again. */
afterEach(async () => {
  mend()
  const answer = await search()
  expect(answer.degraded).toEqual([])
  expect(answer.candidates).toEqual(whole.candidates)
})

const ALL: SearchType[] = ['vector', 'fulltext', 'graph']
const search = () =>
  world.client(service).search({ query: 'Pump manual: prime the pump, close the drain valve' })
const first = (answer: SearchAnswer) => answer.candidates[0]?.chunk_uid
const out = (...types: SearchType[]) => ALL.filter((type) => !types.includes(type))

const FAULTS: [string, (...args: unknown[]) => Promise<unknown>, RegExp][] = [
  ['refuses', () => Promise.reject(new GraphUnavailableError('A worker died.')), /^A worker died\.$/],
  ['breaks', () => Promise.reject(new TypeError('x is undefined at store.ts')), /The log has the reason/],
  [
    'throws',
    () => {
      throw new RangeError('of the store')
    },
    /The log has the reason/,
  ],
  [
    'hangs',
    () => new Promise(() => {}),
    /^The (graph store|embedding model) gave no answer within 1500 ms\.$/,
  ],
]

describe.each<[question: string, part: string, used: SearchType[]]>([
  ['vectorCandidates', 'vector', out('vector')],
  ['fullTextCandidates', 'fulltext', out('fulltext')],
  ['conceptsNamed', 'graph', out('graph')],
  ['chunksMentioning', 'graph', out('graph')],
  ['titleConcepts', 'graph', ALL],
  ['mentions', 'graph', ALL],
  ['neighbours', 'graph', ALL],
  ['linkedChunks', 'graph', ALL],
  ['scoreChunks', 'fuse', ALL],
])('when %s', (question, part, used) => {
  test.each(FAULTS)('%s, the others answer', async (_, fault, reason) => {
    world.broken.set(question, fault)
    const answer = await search()
    expect(first(answer)).toBe(uid('Pump manual 0'))
    expect(answer.search_types_used).toEqual(used)
    expect(new Set(answer.degraded.map((one) => one.part))).toEqual(new Set([part]))
    for (const one of answer.degraded) expect(one.reason).toMatch(reason)
    expect(JSON.stringify(answer)).not.toContain('store.ts')
    expect(world.lines.join()).toContain('search part failed')
    expect(await world.registry.metrics()).toMatch(
      new RegExp(`mnemosyne_search_part_failures_total\\{component="search",stage="${part}"\\} [1-9]`),
    )
  })
})

describe('when the model', () => {
  test.each<[string, () => Promise<Float32Array>, string, RegExp]>([
    ['fails', () => Promise.reject(new Error('key sk-123')), 'embed', /The log has the reason/],
    [
      'hangs',
      () => new Promise(() => {}),
      'embed',
      /^The (graph store|embedding model) gave no answer within 1500 ms\.$/,
    ],
    ['is another', async () => new Float32Array(8).fill(1), 'vector', /dimensions/],
    ['returns nothing', async () => new Float32Array(0), 'vector', /dimensions/],
    ['returns no numbers', async () => new Float32Array(1024).fill(Number.NaN), 'embed', /no number/],
    [
      'returns infinity',
      async () => new Float32Array(1024).fill(Number.POSITIVE_INFINITY),
      'embed',
      /no number/,
    ],
  ])('%s, full text and graph answer', async (_, embedQuery, part, reason) => {
    world.state.current = { embedder: wordEmbedder({ embedQuery }) }
    const answer = await search()
    expect(first(answer)).toBe(uid('Pump manual 0'))
    expect(answer.search_types_used).toEqual(out('vector'))
    expect(answer.degraded).toEqual([{ part, reason: expect.stringMatching(reason) }])
    expect(answer.exact).toBe(false)
  })
})

describe('without a model', () => {
  const reason = 'No embedding model was found. Run mnemosyne up with internet.'

  test('full text and graph answer, and say what to do', async () => {
    world.state.current = { embedder: null, reason }
    const answer = await search()
    expect(first(answer)).toBe(uid('Pump manual 0'))
    expect(answer).toMatchObject({ search_types_used: out('vector'), exact: false })
    expect(answer.degraded).toEqual([{ part: 'embed', reason }])
  })

  test('vectors alone are a 503 that says why', async () => {
    world.state.current = { embedder: null, reason }
    const response = await world.request(service, { query: 'pump', search_types: ['vector'] })
    expect(response.status).toBe(503)
    expect(await response.json()).toEqual({ detail: `Nothing could be searched. ${reason}` })
  })
})

describe('a store that answers wrongly', () => {
  const own = (name: 'vectorCandidates' | 'fullTextCandidates' | 'scoreChunks' | 'chunkDetails') =>
    world.graph[name].bind(world.graph) as (...args: unknown[]) => Promise<never>
  const BOB = uid('Secret pump 0')
  const NOBODY = uid('nobody')

  test.each<[string, string, (...args: unknown[]) => Promise<unknown>]>([
    [
      'another’s passages by vector',
      'vectorCandidates',
      async (...args) => {
        const found: { hits: object[] } = await own('vectorCandidates')(...args)
        return {
          ...found,
          hits: [{ chunk_uid: BOB, cosine: 1 }, { chunk_uid: NOBODY, cosine: 1 }, ...found.hits],
        }
      },
    ],
    [
      'another’s passages by words',
      'fullTextCandidates',
      async (...args) => {
        const hits: TextHit[] = await own('fullTextCandidates')(...args)
        const others = [
          { chunk_uid: BOB, bm25: 99, ideal: 50 },
          { chunk_uid: NOBODY, bm25: 98, ideal: 50 },
        ]
        return [...others, ...hits]
      },
    ],
    ['no scores', 'scoreChunks', async () => []],
  ])('with %s', async (_, question, wrong) => {
    world.broken.set(question, wrong)
    const answer = await search()
    expect(answer.candidates.length).toBeGreaterThan(0)
    expect(JSON.stringify(answer.candidates)).not.toMatch(/Secret pump|champagne/)
    expect(answer.candidates.map(({ chunk_uid }) => chunk_uid)).not.toContain(NOBODY)
  })

  test('with passages that are gone meanwhile: the answer is full without them', async () => {
    const gone = new Set(whole.candidates.slice(0, 2).map(({ chunk_uid }) => chunk_uid))
    world.broken.set('chunkDetails', async (...args) => {
      const details: { chunk_uid: string }[] = await own('chunkDetails')(...args)
      return details.filter(({ chunk_uid }) => !gone.has(chunk_uid))
    })
    const answer = await world.client(service).search({ query: whole.query, limit: 5 })
    expect(answer.candidates.map(({ chunk_uid }) => chunk_uid)).toEqual(
      whole.candidates.slice(2, 7).map(({ chunk_uid }) => chunk_uid),
    )
  })
})

test('when every part is slow, those that come last are left out, and the answer is in time', async () => {
  const slowly = (name: 'libraries' | 'vectorCandidates' | 'scoreChunks' | 'mentions') => {
    const own = world.graph[name].bind(world.graph) as (...args: unknown[]) => Promise<unknown>
    world.broken.set(name, async (...args) => {
      await new Promise((resolve) => setTimeout(resolve, 1_200))
      return own(...args)
    })
  }
  for (const name of ['libraries', 'vectorCandidates', 'scoreChunks', 'mentions'] as const) slowly(name)
  const started = performance.now()
  const answer = await search()
  expect(performance.now() - started).toBeLessThan(4_000)
  expect(first(answer)).toBe(uid('Pump manual 0'))
  expect(answer.degraded.map(({ part }) => part)).toEqual(expect.arrayContaining(['fuse', 'graph']))
  expect(answer.degraded.map(({ reason }) => reason).join()).toMatch(
    /No time was left|gave no answer within \d+ ms/,
  )
})

test.each([
  ['the passages', ['chunkDetails']],
  ['the scope', ['libraries']],
  ['every retriever', ['vectorCandidates', 'fullTextCandidates', 'conceptsNamed']],
])('without %s it is a 503, in time, and in words', async (_, questions) => {
  for (const [, fault] of FAULTS) {
    for (const question of questions) world.broken.set(question, fault)
    const started = performance.now()
    const response = await world.request(service, { query: 'prime the pump' })
    expect(response.status).toBe(503)
    expect((await response.json()) as object).toEqual({
      detail: expect.stringMatching(/^Nothing could be searched\. /),
    })
    expect(performance.now() - started).toBeLessThan(3_000)
  }
})
