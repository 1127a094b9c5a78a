import { seeded } from '../random.ts'
import type { StorePlan } from './arrangements.ts'
import type { Document, Query, TestCollection } from './collection.ts'
import { newCollection, newLibrary, nothingYet, takeIn } from './take-in.ts'

/** Scopes of each collection; every second one is a collection in the product's sense, the others are libraries. */
const SCOPES = 24
const QUERIES_A_SCOPE = 5
const SIZES = [30, 50, 100]

/** What is relevant to some queries, and what is not, up to a small number. */
interface SmallScope {
  name: string
  queries: Query[]
  documents: Document[]
}

/** One store of many small libraries and collections, each asked a few queries whose documents it holds. */
export function smallScopes(collections: TestCollection[]): StorePlan {
  const drawn = collections.map((collection) => ({ collection, scopes: draw(collection) }))
  return {
    name: 'small',
    contents: drawn.map(({ scopes }) => scopes),
    fill: async (system) => {
      const taken = nothingYet()
      for (const { collection, scopes } of drawn) {
        await newLibrary(system, taken, collection.name)
        for (const [n, { name, documents }] of scopes.entries()) {
          const isLibrary = n % 2 === 0
          if (isLibrary) await newLibrary(system, taken, name)
          else await newCollection(system, taken, collection.name, name)
          // In one library the same document may come twice.
          const delivery = isLibrary ? { library: name } : { library: collection.name, collection: name }
          await takeIn(system, taken, { ...delivery, documents, prefix: `${name}/` })
        }
      }
      return taken
    },
    tests: (taken) =>
      drawn.map(({ collection, scopes }) => ({
        name: `${collection.name}, small scopes`,
        about: `${scopes.length} scopes of ${SIZES.join(', ')} documents, each with its own queries`,
        questions: scopes.flatMap(({ name, queries }) =>
          queries.map(({ _id, text }) => ({
            ...{ id: `${name}/${_id}`, text, where: taken.places[name]! },
            relevant: collection.judgements.get(_id)!,
          })),
        ),
        judged: ({ item_uid }) => taken.documentOf[item_uid]!,
      })),
  }
}

/** The same in every run. A query may be asked in several scopes, of other noise each. */
function draw({ name, documents, queries, judgements }: TestCollection): SmallScope[] {
  const random = seeded(name.length)
  const byId = new Map(documents.map((document) => [document._id, document]))
  return Array.from({ length: SCOPES }, (_, n) => {
    const size = SIZES[n % SIZES.length]!
    const asked: Query[] = []
    const kept = new Map<string, Document>()
    for (const query of shuffled(queries, random)) {
      if (asked.length === QUERIES_A_SCOPE) break
      const relevant = [...judgements.get(query._id)!.keys()].flatMap((id) => byId.get(id) ?? [])
      const fresh = relevant.filter(({ _id }) => !kept.has(_id))
      // What leaves little room for anything else tells nothing.
      if (kept.size + fresh.length > size / 2) continue
      for (const document of fresh) kept.set(document._id, document)
      asked.push(query)
    }
    for (const document of shuffled(documents, random)) {
      if (kept.size >= size) break
      kept.set(document._id, document)
    }
    return { name: `${name}-${n}`, queries: asked, documents: [...kept.values()] }
  })
}

/** Fisher and Yates. */
export function shuffled<T>(values: readonly T[], random: () => number): T[] {
  const order = [...values]
  for (let n = order.length - 1; n > 0; n--) {
    const other = Math.floor(random() * (n + 1))
    ;[order[n], order[other]] = [order[other]!, order[n]!]
  }
  return order
}
