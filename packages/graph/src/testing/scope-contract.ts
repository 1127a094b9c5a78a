import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { queryTerms } from '../analysis/query.ts'
import type { GraphStore, Scope } from '../port.ts'
import type { OpenGraph } from './graph-contract.ts'
import { cosine, LargeStore, meanOf, type PartOfStore } from './large-store.ts'
import { answersOf, type Question } from './scope-answers.ts'
import { COLLECTIONS, LIBRARIES, StoreHistory, TYPES, WORDS } from './scope-history.ts'

const ALL: Scope = { libraries: 'all' }

/**
 * What a graph store answers in a scope, against a store that holds that scope alone. `subject` is the store under test,
 * empty between tests; `openSecond` opens another beside it. See `GraphContractOptions`.
 */
export function scopeContract(
  subject: () => GraphStore,
  openSecond: () => Promise<OpenGraph>,
  { approximates, rounds }: { approximates: boolean; rounds: number },
): void {
  describe('in any scope', { timeout: 180_000 }, () => {
    it('answers as a store that holds that scope alone, also after deletions and replacements', async () => {
      const graph = subject()
      const alone = await openSecond()
      try {
        await fc.assert(
          fc.asyncProperty(history(), scope(), question(), async (writes, asked, question) => {
            // Also after a run that failed: a smaller one is looked for.
            await clear(graph)
            const store = new StoreHistory(graph)
            const compare = async () => {
              await clear(alone.graph)
              const inside = await store.copyOf(asked, alone.graph)
              const here = await answersOf(graph, asked, question, store.chunks)
              const there = await answersOf(alone.graph, ALL, question, store.chunks)
              expect(here.vectors).toEqual(nearestOf(inside, question.vector))
              expect(here.exact).toEqual(there.exact)
              expect(here.nearest).toEqual(there.nearest.map(close))
              expect(here.means).toEqual(there.means.map(close))
              expect(here.scores).toEqual(scoresOf(inside, store.chunks, question.vector))
              expect(here.scoredOtherwise).toEqual([])
              // Only the order differs: how rare a word is counts over all of a store.
              expect(here.texts).toEqual(there.texts)
              expect(here.concepts).toEqual(there.concepts)
              expect(here.chunks).toEqual(there.chunks)
            }
            await store.write(writes.before)
            await compare()
            await store.write(writes.after)
            await compare()
          }),
          { numRuns: rounds },
        )
        await clear(graph)
      } finally {
        await alone.dispose()
      }
    })

    it('tells the truth of `exact` in a large store, and finds the nearest of the scope either way', async () => {
      const graph = subject()
      const store = new LargeStore()
      await store.fill(graph)
      // A new index is being filled for a while; until then every vector is compared.
      if (approximates) {
        const isExact = async () => (await graph.vectorCandidates(ALL, store.question(0), 10)).exact
        await vi.waitFor(async () => expect(await isExact()).toBe(false), { timeout: 30_000, interval: 200 })
      }
      const recalls: number[] = []
      for (const part of store.scopes()) {
        const found: number[] = []
        for (const [n, k] of [10, 1, 50, 10, 120, 10, 400, 10].entries()) {
          const recall = await expectNearest(graph, store, part, n, k)
          if (recall !== null) found.push(recall)
          await expectScores(graph, store, part, n)
          await expectTexts(graph, store, part, n, k)
        }
        if (found.length === 0) continue
        const mean = found.reduce((sum, recall) => sum + recall, 0) / found.length
        expect(mean, part.name).toBeGreaterThanOrEqual(0.99)
        recalls.push(mean)
      }
      expect(recalls.length > 0).toBe(approximates)
    })
  })
}

/**
 * The `k` nearest are those that brute force finds, or the answer says that it may miss some.
 * @returns the recall@10 of such an answer, else null
 */
async function expectNearest(
  graph: GraphStore,
  store: LargeStore,
  { name, scope, inside }: PartOfStore,
  n: number,
  k: number,
): Promise<number | null> {
  const query = store.question(n)
  const nearest = store.nearest(query, inside)
  const { hits, exact, scope_size, mean } = await graph.vectorCandidates(scope, query, k)
  expect(scope_size, name).toBe(nearest.length)
  expect(hits, name).toHaveLength(Math.min(k, nearest.length))
  const cosines = hits.map((hit) => hit.cosine)
  const cosineOf = new Map(nearest.map((one) => [one.uid, one.cosine]))
  // Each of the scope, with its own cosine.
  expect(cosines, name).toEqual(hits.map((hit) => close(cosineOf.get(hit.chunk_uid)!)))
  expect(Math.abs(mean - meanOf(nearest)), name).toBeLessThan(0.05)
  if (exact) {
    expect(cosines, name).toEqual(nearest.slice(0, k).map((one) => close(one.cosine)))
    return null
  }
  const wanted = nearest.slice(0, Math.min(k, 10))
  const last = wanted.at(-1)!.cosine - 1e-6
  return cosines.slice(0, wanted.length).filter((found) => found >= last).length / wanted.length
}

/** Of chunks from all over the store those of the scope are scored. */
async function expectScores(
  graph: GraphStore,
  store: LargeStore,
  { name, scope, inside }: PartOfStore,
  n: number,
): Promise<void> {
  const [query, some] = [store.question(n), store.some()]
  const scored = await graph.scoreChunks(scope, some, { vector: query, terms: [] })
  const found = scored.map(({ chunk_uid, cosine }) => [chunk_uid, cosine])
  expect(found, name).toEqual(scoresOf(new Map(inside.map(({ uid, vector }) => [uid, vector])), some, query))
}

/** So many of those in the scope that hold a word as were asked for, and no other. */
async function expectTexts(
  graph: GraphStore,
  store: LargeStore,
  { name, scope, inside }: PartOfStore,
  n: number,
  k: number,
): Promise<void> {
  const words = store.words(n)
  const holding = store.holding(words, inside)
  const hits = await graph.fullTextCandidates(scope, queryTerms(words), k)
  expect(hits, name).toHaveLength(Math.min(k, holding.size))
  const others = hits.filter((hit) => !holding.has(hit.chunk_uid))
  expect(others, name).toEqual([])
}

const close = (value: number) => expect.closeTo(value, 5)

/** By uid, each compared here. */
function nearestOf(inside: Map<string, ArrayLike<number> | null>, query: number[]) {
  return [...inside]
    .flatMap(([uid, vector]) => (vector ? [[uid, close(cosine(query, vector))] as const] : []))
    .sort(([a], [b]) => (a < b ? -1 : 1))
}

/** In the order asked. */
function scoresOf(inside: Map<string, ArrayLike<number> | null>, asked: string[], query: ArrayLike<number>) {
  return asked.flatMap((uid) => {
    const vector = inside.get(uid)
    return vector === undefined ? [] : [[uid, vector && close(cosine(query, vector))]]
  })
}

async function clear(graph: GraphStore): Promise<void> {
  for (const { uid } of (await graph.libraries(ALL)).libraries) await graph.deleteLibrary(uid)
}

const words = fc.array(fc.constantFrom(...WORDS), { minLength: 1, maxLength: 6 })
const number = fc.integer({ min: -8, max: 8 })
const vector = fc.tuple(number, number, number)
const passages = fc.array(fc.record({ words, vector: fc.option(vector, { freq: 5 }) }), {
  minLength: 1,
  maxLength: 5,
})
const place = fc.constantFrom(...COLLECTIONS, ...LIBRARIES)
const title = fc.constantFrom('Note', 'Red fox', 'The bear', 'Green (colour)')
/** Few, so that many a write replaces one. */
const anyItem = fc.nat({ max: 2 })

function history() {
  const item = fc.record({ write: fc.constant('put' as const), item: anyItem, place, title, passages })
  const change = fc.oneof(
    { weight: 3, arbitrary: item },
    fc.record({ write: fc.constant('move' as const), item: anyItem, place }),
    fc.record({ write: fc.constant('delete item' as const), item: anyItem }),
    fc.record({
      write: fc.constant('delete collection' as const),
      collection: fc.constantFrom(...COLLECTIONS),
    }),
    fc.record({ write: fc.constant('delete library' as const), library: fc.constantFrom(...LIBRARIES) }),
    fc.record({
      write: fc.constant('call library' as const),
      library: fc.constantFrom(...LIBRARIES),
      type: fc.constantFrom(...TYPES),
    }),
  )
  return fc.record({
    before: fc.array(item, { minLength: 2, maxLength: 8 }),
    after: fc.array(change, { minLength: 1, maxLength: 4 }),
  })
}

/** Every way to narrow, alone and together; most hold something. */
function scope(): fc.Arbitrary<Scope> {
  const all = fc.constant('all' as const)
  const some = fc.oneof(
    all,
    fc.constantFrom(...LIBRARIES).map((one) => [one]),
    fc.subarray([...LIBRARIES, 'unknown'], { minLength: 2 }),
  )
  const collection = fc.constantFrom(...COLLECTIONS)
  const library_type = fc.constantFrom(...TYPES)
  return fc.oneof(
    { weight: 3, arbitrary: fc.record({ libraries: some }) },
    { weight: 4, arbitrary: fc.record({ libraries: all, collection }) },
    { weight: 2, arbitrary: fc.record({ libraries: all, library_type }) },
    { weight: 2, arbitrary: fc.record({ libraries: some, library_type }) },
    { weight: 2, arbitrary: fc.record({ libraries: some, collection }) },
    { weight: 1, arbitrary: fc.record({ libraries: some, collection, library_type }) },
    {
      weight: 1,
      arbitrary: fc.constantFrom<Scope>({ libraries: 'all', collection: 'unknown' }, { libraries: [] }),
    },
  )
}

function question(): fc.Arbitrary<Question> {
  const phrase = words.map((some) => `"${some.slice(0, 2).join(' ')}"`)
  return fc.record({
    vector,
    text: fc.tuple(words, fc.option(phrase)).map(([some, quoted]) => `${quoted ?? ''} ${some.join(' ')}`),
    k: fc.integer({ min: 1, max: 8 }),
    others: fc.integer({ min: 0, max: 4 }),
    depth: fc.integer({ min: 1, max: 3 }),
  })
}
