import type { LibraryType } from '@mnemosyne/contracts'
import type { SystemClient } from '../../test/system/client.ts'
import type { TestCollection } from './collection.ts'
import { longDocuments } from './long-documents.ts'
import type { Question, Test } from './measure.ts'
import { smallScopes } from './small-scopes.ts'
import { newLibrary, nothingYet, type TakenIn, takeIn, type Where } from './take-in.ts'

/** A store: what goes into it, and what it is asked. */
export interface StorePlan {
  name: string
  /** What makes the store what it is: another value, another store. */
  contents: unknown
  fill: (system: SystemClient) => Promise<TakenIn>
  tests: (taken: TakenIn) => Test[]
}

/** How test collections lie in stores. */
export const ARRANGEMENTS = {
  /** Each in a store of its own, one library of one document an item: as collections are published. */
  apart: (collections) => collections.map(apart),
  /** All in one store, each a library of another type. */
  mixed: (collections) => [mixed(collections)],
  /** Drawn in parts of 30 to 100 documents, each a library or a collection of one store. */
  small: (collections) => [smallScopes(collections)],
  /** Twenty documents an item, in their order. */
  long: (collections) => collections.map((one) => longDocuments(one, 'long')),
  /** Twenty documents an item that have nothing to do with each other, each in passages of its own. */
  sectioned: (collections) => collections.map((one) => longDocuments(one, 'sectioned')),
  /** The same, several of them in one passage. */
  jumbled: (collections) => collections.map((one) => longDocuments(one, 'jumbled')),
} as const satisfies Record<string, (collections: TestCollection[]) => StorePlan[]>
export type Arrangement = keyof typeof ARRANGEMENTS

/** The queries of a collection, judged by document. */
export function questionsOf({ queries, judgements }: TestCollection, where: Where = {}): Question[] {
  return queries.map(({ _id, text }) => ({ id: _id, text, where, relevant: judgements.get(_id)! }))
}

const documents = (count: number, taken: TakenIn) => `${count} documents in ${taken.passages} passages`

// How rare a word is counts over all of a store.
function apart(collection: TestCollection): StorePlan {
  const { name } = collection
  return {
    name,
    contents: collection.documents,
    fill: async (system) => {
      const taken = nothingYet()
      await newLibrary(system, taken, name)
      await takeIn(system, taken, { library: name, documents: collection.documents })
      return taken
    },
    tests: (taken) => [
      {
        name,
        about: documents(collection.documents.length, taken),
        questions: questionsOf(collection, taken.places[name]),
        judged: ({ item_uid }) => taken.documentOf[item_uid]!,
      },
    ],
  }
}

const TYPES: LibraryType[] = ['technical', 'nonfiction', 'journal', 'business', 'finance', 'fiction']

function mixed(collections: TestCollection[]): StorePlan {
  return {
    name: 'mixed',
    contents: collections.map(({ name, documents }) => ({ name, documents })),
    fill: async (system) => {
      const taken = nothingYet()
      for (const [n, { name, documents }] of collections.entries()) {
        await newLibrary(system, taken, name, TYPES[n % TYPES.length]!)
        await takeIn(system, taken, { library: name, documents })
      }
      return taken
    },
    tests: (taken) => {
      const all = collections.reduce((sum, { documents }) => sum + documents.length, 0)
      return collections.flatMap((collection) => {
        const { name } = collection
        const library = taken.places[name]!
        // Ids of two collections may be the same.
        const judged: Test['judged'] = ({ item_uid, library_uid }) =>
          `${library_uid === library.library_uid ? '' : 'elsewhere '}${taken.documentOf[item_uid]}`
        const among = documents(all, taken)
        return [
          {
            ...{ name: `${name}, mixed: over all`, about: `asked over all libraries of the store, ${among}` },
            ...{ questions: questionsOf(collection), judged },
          },
          {
            ...{
              name: `${name}, mixed: in its library`,
              about: `asked in its library of a store of ${among}`,
            },
            ...{ questions: questionsOf(collection, library), judged },
          },
        ]
      })
    },
  }
}
