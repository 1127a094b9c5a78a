import type { LibraryType, SearchAnswer, SearchType } from '@mnemosyne/contracts'
import { conceptKey, type GraphStore } from '@mnemosyne/graph'
import type { Service } from '@mnemosyne/platform'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Document, openWorld, put, uid, type World, wordEmbedder } from './world.ts'

/** Of three types and three instructions, so that the model is asked once for each that is in scope. */
const LIBRARIES = [
  { name: 'manuals', type: 'technical' },
  { name: 'novels', type: 'fiction' },
  { name: 'papers', type: 'technical' },
  { name: 'diaries', type: 'journal' },
] as const
/** In the first two libraries. */
const COLLECTIONS = [
  { name: 'shelf', library: 'manuals' },
  { name: 'drawer', library: 'manuals' },
  { name: 'box', library: 'novels' },
] as const
const NAMES = ['Ulm', 'Danube', 'Kessler gauge', 'Lighthouse', 'Ada', 'Pressure switch']
const WORDS = [...NAMES, 'prime', 'pump', 'valve', 'night', 'keeper', 'the', 'closed']
const NOW = '2026-01-01T00:00:00.000Z'

let world: World
let alone: World
let services: Record<'deep' | 'shallow', { service: Service; reference: Service }>

const NOMINATED = 4

beforeAll(async () => {
  const takesInstructions = { embedder: wordEmbedder({}, true) }
  const nothing = async () => {}
  ;[world, alone] = [await openWorld(nothing), await openWorld(nothing)]
  for (const one of [world, alone]) one.state.current = takesInstructions
  const both = async (env: Record<string, string>) => ({
    service: await world.start(env),
    reference: await alone.start(env),
  })
  services = {
    deep: await both({ SEARCH_FULLTEXT_TOP_K: '1000' }),
    shallow: await both({ SEARCH_VECTOR_TOP_K: String(NOMINATED) }),
  }
})
afterAll(async () => {
  await world.close()
  await alone.close()
})

interface Asked {
  /** What the caller may read. */
  readable: string[]
  narrowed: { library_uid?: string; library_type?: LibraryType; collection_uid?: string }
}

const libraryUid = (name: string) => uid(`library ${name}`)
const collectionUid = (name: string) => uid(`collection ${name}`)

async function fill(graph: GraphStore, documents: Document[]): Promise<void> {
  for (const { uid } of (await graph.libraries({ libraries: 'all' })).libraries) {
    await graph.deleteLibrary(uid)
  }
  const dates = { created_at: NOW, updated_at: NOW }
  for (const { name, type } of LIBRARIES) {
    await graph.putLibrary({
      ...{ uid: libraryUid(name), name, library_type: type, description: '', workspace_id: null },
      ...{ owner_username: 'ada', chunking_config: {}, ...dates },
      ...{
        embedding_instruction: `Find in ${type}.`,
        reranker_instruction: '',
        llm_context_prompt: `A ${name}.`,
      },
    })
  }
  for (const { name, library } of COLLECTIONS) {
    await graph.putCollection({
      ...{ uid: collectionUid(name), library_uid: libraryUid(library), name, description: '', ...dates },
    })
  }
  for (const document of documents) await put(graph, document)
}

const words = (most: number) =>
  fc.array(fc.constantFrom(...WORDS), { minLength: 1, maxLength: most }).map((some) => some.join(' '))

const documents = fc.uniqueArray(
  fc
    .record({
      title: fc.tuple(fc.constantFrom(...NAMES, 'Note', 'Chapter'), fc.nat({ max: 3 })),
      place: fc.constantFrom(...LIBRARIES, ...COLLECTIONS),
      passages: fc.array(words(8), { minLength: 1, maxLength: 3 }),
      unembedded: fc.nat({ max: 5 }).map((n) => n === 0),
    })
    .map(({ title: [name, n], place, ...document }): Document => {
      const inLibrary = { library: libraryUid(place.name) }
      const inCollection = 'library' in place && {
        library: libraryUid(place.library),
        collection: collectionUid(place.name),
      }
      // What makes a concept is known throughout a store; so every document names them all.
      return {
        ...document,
        ...inLibrary,
        ...inCollection,
        title: n === 0 ? name : `${name} ${n}`,
        concepts: NAMES,
      }
    }),
  { selector: ({ title }) => title, minLength: 1, maxLength: 14 },
)

const asked: fc.Arbitrary<Asked> = fc
  .record({
    readable: fc.subarray([...LIBRARIES], { minLength: 1 }),
    way: fc.constantFrom('all', 'library', 'collection', 'collection', 'type', 'type and library'),
    n: fc.nat(),
  })
  .map(({ readable, way, n }) => {
    const uids = readable.map(({ name }) => libraryUid(name))
    const library = readable[n % readable.length]!
    const own = COLLECTIONS.filter((one) => readable.some(({ name }) => name === one.library))
    const collection = own[n % own.length]
    return {
      readable: uids,
      narrowed: {
        ...((way === 'library' || way === 'type and library') && { library_uid: libraryUid(library.name) }),
        ...(way === 'collection' && collection && { collection_uid: collectionUid(collection.name) }),
        ...((way === 'type' || way === 'type and library') && {
          library_type: n % 3 === 0 ? 'technical' : library.type,
        }),
      },
    }
  })

function isInside({ library, collection }: Document, { readable, narrowed }: Asked): boolean {
  const type = LIBRARIES.find(({ name }) => libraryUid(name) === library)!.type
  return (
    readable.includes(library) &&
    (narrowed.library_uid === undefined || narrowed.library_uid === library) &&
    (narrowed.library_type === undefined || narrowed.library_type === type) &&
    (narrowed.collection_uid === undefined || narrowed.collection_uid === collection)
  )
}

test('a search in a scope finds what it finds in a store that holds that scope alone', async () => {
  await fc.assert(
    fc.asyncProperty(documents, asked, words(5), async (all, scope, query) => {
      const inside = all.filter((document) => isInside(document, scope))
      await fill(world.graph, all)
      await fill(alone.graph, inside)
      const ask = async (depth: keyof typeof services, search_types: SearchType[], more: object = {}) => {
        const request = { query, search_types, limit: 100, explain: true, fold_duplicates: false, ...more }
        const { service, reference } = services[depth]
        const everything = LIBRARIES.map(({ name }) => libraryUid(name))
        return {
          here: await world.client(service, scope.readable).search({ ...request, ...scope.narrowed }),
          there: await alone.client(reference, everything).search(request),
        }
      }

      const byVector = await ask('deep', ['vector'])
      expect(byVector.here.exact).toBe(true)
      expect(cosines(byVector.here)).toEqual(cosines(byVector.there))
      expect(byVector.here.degraded).toEqual(byVector.there.degraded)

      const nearest = await ask('shallow', ['vector'])
      const scores = (answer: SearchAnswer) => answer.candidates.map(({ fused_score }) => close(fused_score))
      // Of equal ones either may stand in the last place.
      expect(scores(nearest.here)).toEqual(scores(nearest.there))
      expect(nearest.here.candidates.length).toBeLessThanOrEqual(NOMINATED)

      const byText = await ask('deep', ['fulltext'])
      expect(uidsOf(byText.here)).toEqual(uidsOf(byText.there))

      const byGraph = await ask('deep', ['graph'])
      expect(ranked(byGraph.here)).toEqual(ranked(byGraph.there))

      // Together: what each of them nominates, and what links lead to from the best. Which these are, BM25 decides too.
      const byAll = await ask('deep', ['vector', 'fulltext', 'graph'])
      const passages = new Set(
        inside.flatMap(({ title, passages }) => passages.map((_, n) => uid(`${title} ${n}`))),
      )
      const uids = uidsOf(byAll.here)
      for (const one of [byVector, byText])
        for (const found of uidsOf(one.there)) expect(uids).toContain(found)
      for (const found of uids) expect(passages).toContain(found)
      expect(byAll.here.total_candidates).toBe(uids.size)
      expect(byAll.here.degraded).toEqual(byAll.there.degraded)
      for (const uid of Object.keys(byAll.here.contexts)) {
        expect(inside.map(({ library }) => library)).toContain(uid)
      }

      // What is told of the way there comes from the scope alone.
      const told = inside.map(
        ({ title, passages }) => ` ${conceptKey(title)} ${passages.join(' ').toLowerCase()} `,
      )
      for (const { explanation } of [...byAll.here.candidates, ...byGraph.here.candidates]) {
        for (const { concept, from_chunk_uid } of explanation?.graph?.path ?? []) {
          if (concept !== null)
            expect(told.some((text) => text.includes(` ${conceptKey(concept)} `))).toBe(true)
          if (from_chunk_uid !== null) expect(passages).toContain(from_chunk_uid)
        }
      }

      const folded = (await ask('deep', ['vector', 'fulltext', 'graph'], { fold_duplicates: true })).here
      const counted = folded.candidates.reduce((sum, one) => sum + 1 + one.duplicate_count, 0)
      expect(counted).toBe(byAll.here.candidates.length)
    }),
    { numRuns: 40 },
  )
})

const close = (value: number) => expect.closeTo(value, 6)

const uidsOf = ({ candidates }: SearchAnswer) => new Set(candidates.map(({ chunk_uid }) => chunk_uid))

/** In their order, which by equal scores their uids decide. */
const ranked = ({ candidates }: SearchAnswer) =>
  candidates.map(({ chunk_uid, fused_score }) => [chunk_uid, close(fused_score)])

const cosines = ({ candidates }: SearchAnswer) =>
  candidates.map(({ chunk_uid, fused_score, explanation }) => [
    chunk_uid,
    close(explanation!.vector!.score),
    close(fused_score),
  ])
