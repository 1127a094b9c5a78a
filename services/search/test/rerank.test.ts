import type { SearchAnswer } from '@mnemosyne/contracts'
import { openEndpointReranker, type Reranker } from '@mnemosyne/models'
import { type RerankerServer, startRerankerServer } from '@mnemosyne/models/testing'
import { createLog, Metrics, type Service } from '@mnemosyne/platform'
import { Registry } from 'prom-client'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { MANUALS, NOVELS, openWorld, uid, type World } from './world.ts'

let world: World
let server: RerankerServer
let reranker: Reranker
let service: Service

/** A model of its own mind: winter first, then the river, and the rest by length. */
const opinion = (_: string, document: string) =>
  document.includes('winter') ? 9 : document.includes('river') ? 5 : -document.length / 1000

beforeAll(async () => {
  world = await openWorld()
  server = await startRerankerServer({ score: opinion })
  reranker = openReranker()
  service = await startWith(reranker)
})
afterAll(async () => {
  await reranker.close()
  await server.close()
  await world.close()
})
/** Calls that were given up may still be on their way: what was sent after them has been answered. */
async function quiet(): Promise<void> {
  await fetch(server.url)
  await expect.poll(() => server.inHand).toBe(0)
  server.requests.length = 0
}

beforeEach(async () => {
  server.recover()
  await quiet()
  world.broken.clear()
  world.lines.length = 0
})

function openReranker(more: { timeoutMs?: number; breakAfter?: number } = {}): Reranker {
  return openEndpointReranker({
    baseUrl: server.url,
    model: 'opinionated',
    firstRetryMs: 5,
    breakAfter: 1_000,
    log: createLog({ component: 'test', level: 'silent' }),
    metrics: new Metrics(new Registry(), 'test'),
    ...more,
  })
}

function startWith(given: Reranker | null, env?: Record<string, string>): Promise<Service> {
  world.state.reranker = given
  return world.start(env)
}

const QUERY = { query: 'prime the pump' }
const search = (more: object = {}, of = service) => world.client(of).search({ ...QUERY, ...more })
const uids = (answer: SearchAnswer) => answer.candidates.map(({ chunk_uid }) => chunk_uid)
const fused = async (more: object = {}) => uids(await search({ ...more, rerank: false }))

describe('a re-ranker', () => {
  test('orders the candidates, and says what it changed', async () => {
    const before = await fused()
    const answer = await search({ explain: true })
    expect(answer).toMatchObject({
      reranker_used: true,
      reranker_model: 'opinionated',
      reranker_skip_reason: null,
      degraded: [],
    })
    expect(uids(answer).slice(0, 2)).toEqual([uid('Pump manual 2'), uid('The Danube 0')])
    expect(new Set(uids(answer))).toEqual(new Set(before))
    for (const { chunk_uid, score, rerank_score, fused_score, explanation } of answer.candidates) {
      expect(score).toBe(rerank_score)
      expect(explanation!.rerank).toEqual({ rank_before: before.indexOf(chunk_uid) + 1, score: rerank_score })
      const { vector, fulltext, graph, lead } = explanation!
      const sum = (vector?.share ?? 0) + (fulltext?.share ?? 0) + (graph?.share ?? 0) + lead
      expect(sum).toBeCloseTo(fused_score)
    }
    const scores = answer.candidates.map(({ score }) => score)
    expect(scores).toEqual(scores.toSorted((a, b) => b - a))
    expect(answer.timings_ms.rerank).toBeGreaterThan(0)
  })

  test('reads each passage whole, under its title and headings', async () => {
    await search()
    const texts = server.requests.flatMap((request) => request.texts)
    expect(texts).toContain(
      'Pump manual › Part\n\nPrime the pump before the first start. Close the drain valve.',
    )
    expect(server.requests.every(({ query }) => query === QUERY.query)).toBe(true)
  })

  test('is asked about the best by fusion; the others follow in their order', async () => {
    const three = await startWith(reranker, { RERANKER_MAX_CANDIDATES: '3' })
    const before = await fused()
    const answer = await search({}, three)
    expect(server.requests.flatMap(({ texts }) => texts)).toHaveLength(3)
    expect(new Set(uids(answer).slice(0, 3))).toEqual(new Set(before.slice(0, 3)))
    expect(uids(answer).slice(3)).toEqual(before.slice(3))
    for (const candidate of answer.candidates.slice(3)) {
      expect(candidate.score).toBe(candidate.fused_score)
      expect(candidate).not.toHaveProperty('rerank_score')
    }
  })

  test('brings a passage into a short answer that fusion had left out', async () => {
    expect(await fused({ limit: 1 })).toEqual([uid('Pump manual 0')])
    expect(uids(await search({ limit: 1 }))).toEqual([uid('Pump manual 2')])
  })

  test('leaves what it scores alike as fusion had it', async () => {
    await using indifferent = await startRerankerServer({ score: () => 0.5 })
    await using even = openEndpointReranker({
      ...{ baseUrl: indifferent.url, model: 'indifferent' },
      log: createLog({ component: 'test', level: 'silent' }),
      metrics: new Metrics(new Registry(), 'test'),
    })
    expect(uids(await search({}, await startWith(even)))).toEqual(await fused())
  })

  test('is given the instruction of each library’s type, in one call for each', async () => {
    await search()
    const asked = server.requests.map(({ instruction, texts }) => [instruction, texts.length])
    expect(asked.map(([instruction]) => instruction).sort()).toEqual(['Which scene?', 'Which step?'])
    const scene = server.requests.find(({ instruction }) => instruction === 'Which scene?')!
    expect(scene.texts.every((text) => /^(The|Chapter)/.test(text))).toBe(true)
    server.requests.length = 0
    await search({ library_uid: MANUALS })
    expect(server.requests.map(({ instruction }) => instruction)).toEqual(['Which step?'])
  })

  test('costs the store no further question: texts are loaded once', async () => {
    let asked = 0
    world.broken.set('chunkDetails', (...args) => {
      asked++
      return world.graph.chunkDetails(...(args as Parameters<typeof world.graph.chunkDetails>))
    })
    await search()
    expect(asked).toBe(1)
  })

  test('is left in peace when the caller leaves', async () => {
    server.fail('hang')
    const caller = new AbortController()
    const pending = world.request(service, QUERY, { signal: caller.signal })
    await expect.poll(() => server.inHand).toBe(2)
    caller.abort()
    expect((await pending).status).toBe(499)
    await expect.poll(() => server.inHand).toBe(0)
  })
})

describe('nothing is re-ranked', () => {
  test.each<[string, object, string]>([
    ['when it is not asked for', { rerank: false }, 'Not requested.'],
    ['when nothing was found', { library_type: 'music' }, 'There was nothing to re-rank.'],
    [
      'when one passage was found',
      { query: '"drain valve"', search_types: ['fulltext'] },
      'There was nothing to re-rank.',
    ],
  ])('%s', async (_, more, reason) => {
    const answer = await search(more)
    expect(answer).toMatchObject({
      reranker_used: false,
      reranker_model: null,
      reranker_skip_reason: reason,
      degraded: [],
    })
    expect(answer.timings_ms).not.toHaveProperty('rerank')
    expect(server.requests).toEqual([])
  })

  test('without a re-ranker, which costs nothing', async () => {
    const answer = await search({}, await startWith(null))
    expect(answer.reranker_skip_reason).toBe('No re-ranker is configured.')
    expect(answer.timings_ms).not.toHaveProperty('rerank')
    expect(answer.degraded).toEqual([])
  })
})

describe('a re-ranker that is out costs only its order', () => {
  const results = (...list: [number, unknown][]) => ({
    results: list.map(([index, relevance_score]) => ({ index, relevance_score })),
  })
  test.each<[string, Parameters<RerankerServer['fail']>[0], RegExp]>([
    ['fails', { status: 500 }, /answered 500/],
    ['refuses the key', { status: 401 }, /RERANKER_API_KEY/],
    ['is not there', 'close', /cannot be reached/],
    ['talks rubbish', { status: 200, body: '<<<' }, /not JSON/],
    ['answers in part', { reply: (list) => ({ results: list.slice(1) }) }, /scores for/],
    [
      'makes passages up',
      { reply: (list) => ({ results: list.map(() => ({ index: 99, relevance_score: 1 })) }) },
      /index/,
    ],
    ['scores one twice', { reply: (list) => ({ results: list.map(() => list[0]) }) }, /twice/],
    [
      'gives no numbers',
      { reply: (list) => ({ results: list.map((one) => ({ ...one, relevance_score: 'high' })) }) },
      /no number/,
    ],
    ['sends an empty list', { reply: () => results() }, /0 scores/],
  ])('when it %s', async (_, fault, reason) => {
    const before = await fused()
    server.fail(fault)
    const answer = await search()
    expect(uids(answer)).toEqual(before)
    expect(answer).toMatchObject({
      reranker_used: false,
      reranker_model: null,
      reranker_skip_reason: expect.stringMatching(reason),
      degraded: [{ part: 'rerank', reason: answer.reranker_skip_reason }],
    })
    for (const candidate of answer.candidates) {
      expect(candidate.score).toBe(candidate.fused_score)
      expect(candidate).not.toHaveProperty('rerank_score')
    }
    expect(await world.registry.metrics()).toMatch(
      /mnemosyne_search_part_failures_total\{component="search",stage="rerank"\} [1-9]/,
    )
    expect(world.lines.join()).not.toMatch(/prime the pump|drain valve/i)
  })

  test('when one of its two calls fails: half an order is none', async () => {
    server.fail({ status: 400, body: { error: 'no' } }, 1)
    const answer = await search()
    expect(answer.reranker_used).toBe(false)
    expect(uids(answer)).toEqual(await fused())
  })

  test('when it is slow', async () => {
    await using hasty = openReranker({ timeoutMs: 200 })
    server.fail('hang')
    const answer = await search({}, await startWith(hasty))
    expect(answer.reranker_skip_reason).toMatch(/did not answer within 0\.2 s/)
    expect(answer.degraded).toEqual([{ part: 'rerank', reason: answer.reranker_skip_reason }])
    expect(uids(answer)).toEqual(await fused())
  })

  test('when it does not keep its own time', async () => {
    server.fail('hang')
    const answer = await search({}, await startWith(reranker, { RERANKER_TIMEOUT: '0.1' }))
    expect(answer.reranker_skip_reason).toBe('The re-ranker gave no answer within 1100 ms.')
  })

  test('and is left alone after a while, which readiness tells', async () => {
    await using failing = openReranker({ breakAfter: 2 })
    const served = await startWith(failing)
    expect(await served.readiness()).toMatchObject({
      status: 'ready',
      checks: { reranker: { status: 'ok', model: 'opinionated' } },
    })
    server.fail({ status: 500 })
    await search({}, served)
    await quiet()
    const answer = await search({}, served)
    expect(server.requests).toEqual([])
    expect(answer.reranker_skip_reason).toMatch(/left alone/)
    expect(await served.readiness()).toMatchObject({
      status: 'degraded',
      checks: { reranker: { status: 'degraded', detail: expect.stringMatching(/left alone/) } },
    })
  })
})

test('a re-ranker sees no passage of another’s', async () => {
  await search({ query: 'Bob primes the secret pump with champagne' })
  expect(server.requests.length).toBeGreaterThan(0)
  expect(JSON.stringify(server.requests)).not.toMatch(/with champagne\. The|Secret pump ›/)
  server.requests.length = 0
  await world.client(service, [NOVELS]).search(QUERY)
  expect(JSON.stringify(server.requests.map(({ texts }) => texts))).not.toContain('drain valve')
})
