import type { Asked, Question } from './asking.ts'
import type { Person } from './people.ts'
import type { World } from './world.ts'

/** Who asks, in which relation to what is asked for. */
export interface Asker {
  world: World
  person: Person
  relation: string
  /** By session, in place of a token. */
  session: boolean
}

/** One way in which an operation is asked for something, and which line of the tables of access it follows. */
export interface Way {
  /** `<table>: <line>` */
  access: string
  how?: string
  /** Of success, where it is another than the contract's. */
  success?: number
  standing(asker: Asker): Question
  /** Makes what is changed or used up by being asked for; without it the standing one is asked for. */
  fresh?(asker: Asker): Promise<Question>
  contents?: Contents
  /** To make what is asked for takes so long that it is made for every person, but not for each of their credentials. */
  dear?: boolean
}

/** What a list has to hold. */
export interface Contents {
  of(asker: Asker): string[]
  idOf(element: never): string
  /** Others may stand in the list beside those. */
  atLeast?: boolean
  /** Where the list is in the answer, when it is not all of it. */
  within?(body: never): unknown[]
}

/** What is asked for, by its ids. With `headers`, whoever asks is made for it, too. */
type Target<T> = T & { headers?: Record<string, string> }

interface More<T> extends Partial<Pick<Way, 'how' | 'success' | 'contents' | 'dear'>> {
  /** True: as all of the table. */
  fresh?: true | ((asker: Asker) => Promise<Target<T>>)
}

/** Makes the ways that follow one table, in which `T` is asked for. */
export function waysOf<T extends object>(
  table: string,
  makers: { standing(asker: Asker): T; fresh(asker: Asker): Promise<Target<T>> },
) {
  return (
    line: string,
    asking: (target: T, asker: Asker) => Asked,
    { fresh, ...more }: More<T> = {},
  ): Way => {
    const make = fresh === true ? makers.fresh : fresh
    const question = ({ headers, ...target }: Target<T>, asker: Asker): Question => ({
      asked: asking(target as T, asker),
      ids: idsOf(target),
      headers,
    })
    return {
      ...more,
      access: `${table}: ${line}`,
      standing: (asker) => question(makers.standing(asker), asker),
      ...(make && { fresh: async (asker: Asker) => question(await make(asker), asker) }),
    }
  }
}

function idsOf(target: object): Record<string, string> {
  return Object.fromEntries(Object.entries(target).filter(([, value]) => typeof value === 'string'))
}

export const MISSING_ID = '00000000-0000-4000-8000-000000000000'
export const MALFORMED_ID = 'No-uid!'
