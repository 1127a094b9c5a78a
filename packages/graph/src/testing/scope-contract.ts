import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { queryTerms } from '../analysis/query.ts'
import type { GraphStore, Scope } from '../port.ts'
import type { OpenGraph } from './graph-contract.ts'
import { LargeStore } from './large-store.ts'
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
  describe('in any scope', () => {
    it('answers as a store that holds that scope alone, also after deletions and replacements', async () => {
      const graph = subject()
      const alone = await openSecond()
      try {
        await fc.assert(
          fc.asyncProperty(history(), scope(), question(), async (writes, asked, question) => {
            const store = new StoreHistory(graph)
            const compare = async () => {
              const { inside, everything } = await store.copyOf(asked, alone.graph)
              const here = await answersOf(graph, asked, question, everything)
              const there = await answersOf(alone.graph, ALL, question, everything)
              expect(here.scoredOtherwise).toEqual([])
              expect(here.exact).toEqual(there.exact)
              expect(here.vectors).toEqual(there.vectors.map(([uid, cosine]) => [uid, close(cosine)]))
              expect(here.nearest).toEqual(there.nearest.map(close))
              expect(here.spread).toEqual(there.spread.map(close))
              expect(here.cosines).toEqual(there.cosines.map(([uid, x]) => [uid, x === null ? x : close(x)]))
              // Only the order differs: how rare a word is counts over all of a store.
              expect(here.texts).toEqual(there.texts)
              expect(here.concepts).toEqual(there.concepts)
              expect(here.chunks).toEqual(there.chunks)
              expect(here.texts.every((uid) => inside.has(uid))).toBe(true)
              await clear(alone.graph)
            }
            await store.write(writes.before)
            await compare()
            await store.write(writes.after)
            await compare()
            await clear(graph)
          }),
          { numRuns: rounds },
        )
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
      const approximate: string[] = []
      for (const { name, scope, inside } of store.scopes()) {
        const recalls: number[] = []
        for (const [n, k] of [10, 1, 50, 10, 120, 10, 400, 10].entries()) {
          const query = store.question(n)
          const nearest = store.nearest(query, inside)
          const { hits, ...answer } = await graph.vectorCandidates(scope, query, k)
          expect(answer.scope_size, name).toBe(nearest.length)
          expect(hits, name).toHaveLength(Math.min(k, nearest.length))
          const cosineOf = new Map(nearest.map(({ uid, cosine }) => [uid, cosine]))
          // In the scope, with their own cosine.
          expect(hits.map(({ cosine }) => cosine)).toEqual(
            hits.map((hit) => close(cosineOf.get(hit.chunk_uid)!)),
          )
          if (answer.exact) {
            const best = nearest.slice(0, k).map(({ cosine }) => close(cosine))
            expect(
              hits.map(({ cosine }) => cosine),
              name,
            ).toEqual(best)
          } else {
            approximate.push(name)
            const wanted = nearest.slice(0, Math.min(k, 10))
            const last = wanted.at(-1)!.cosine - 1e-6
            recalls.push(
              hits.slice(0, wanted.length).filter((hit) => hit.cosine >= last).length / wanted.length,
            )
          }
          const { mean, deviation } = store.spread(nearest)
          expect(Math.abs(answer.mean - mean), name).toBeLessThan(0.05)
          expect(Math.abs(answer.deviation - deviation), name).toBeLessThan(0.05)
          const words = store.words(n)
          const holding = store.holding(words, inside)
          const texts = await graph.fullTextCandidates(scope, queryTerms(words), k)
          expect(texts, name).toHaveLength(Math.min(k, holding.size))
          expect(
            texts.filter((hit) => !holding.has(hit.chunk_uid)),
            name,
          ).toEqual([])
        }
        const recall = recalls.reduce((sum, one) => sum + one, 0) / recalls.length
        if (recalls.length > 0) expect(recall, name).toBeGreaterThanOrEqual(0.99)
      }
      expect(approximate.length > 0).toBe(approximates)
    })
  })
}

const close = (value: number) => expect.closeTo(value, 5)

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
const anyItem = fc.nat({ max: 5 })

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
    before: fc.array(item, { minLength: 1, maxLength: 6 }),
    after: fc.array(change, { maxLength: 4 }),
  })
}

/** Most of them hold something. */
function scope(): fc.Arbitrary<Scope> {
  const rarely = { weight: 1, arbitrary: fc.constant('unknown') }
  return fc.record(
    {
      libraries: fc.oneof(
        fc.constant('all' as const),
        fc.subarray([...LIBRARIES, 'unknown'], { minLength: 2 }),
        fc.constantFrom(...LIBRARIES).map((one) => [one]),
      ),
      collection: fc.oneof(rarely, { weight: 9, arbitrary: fc.constantFrom(...COLLECTIONS) }),
      library_type: fc.oneof(rarely, { weight: 9, arbitrary: fc.constantFrom(...TYPES) }),
    },
    { requiredKeys: ['libraries'] },
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
