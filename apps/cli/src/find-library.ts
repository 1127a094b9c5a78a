import type { Library } from '@mnemosyne/contracts'
import type { Connection } from './connect.ts'
import { CommandError } from './output.ts'

const PAGE = 200

/** The library with this uid or name among those that the caller may read. */
export async function findLibrary(system: Connection, nameOrUid: string): Promise<Library> {
  const found = await lookForLibrary(system, nameOrUid)
  if (!found) throw new CommandError(`There is no library ${JSON.stringify(nameOrUid)}.`)
  return found
}

/** As `findLibrary`, but undefined when there is none. Throws when a name stands for several. */
export async function lookForLibrary(system: Connection, nameOrUid: string): Promise<Library | undefined> {
  const matches: Library[] = []
  for (let offset = 0; ; offset += PAGE) {
    const { body, headers } = await system.library.libraries.list({ limit: PAGE, offset })
    matches.push(...body.filter(({ uid, name }) => uid === nameOrUid || name === nameOrUid))
    if (offset + PAGE >= Number(headers['x-total-count'])) break
  }
  if (matches.length > 1) {
    throw new CommandError(
      `Several libraries are called ${JSON.stringify(nameOrUid)}; use a uid: ${matches.map(({ uid }) => uid).join(', ')}.`,
    )
  }
  return matches[0]
}
