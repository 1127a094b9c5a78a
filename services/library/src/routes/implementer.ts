import {
  goldenQueriesContract,
  goldenQueriesInternalContract,
  libraryAdminContract,
  libraryContract,
  libraryInternalContract,
} from '@mnemosyne/contracts'
import { DomainError, type RequestContext } from '@mnemosyne/platform'
import { implement } from '@orpc/server'
import { explainGraphError } from '../errors.ts'

const contract = {
  ...libraryContract,
  goldenQueries: goldenQueriesContract,
  admin: libraryAdminContract,
  internal: libraryInternalContract,
  goldenSchedule: goldenQueriesInternalContract,
}

/** `onGraphAway` is told when the graph failed an operation, which may have been left half done. */
export function implementLibrary(onGraphAway: () => void) {
  return implement(contract)
    .$context<RequestContext>()
    .use(async ({ next }) => {
      try {
        return await next()
      } catch (error) {
        const explained = explainGraphError(error)
        if (explained instanceof DomainError && explained.code.startsWith('GRAPH_')) onGraphAway()
        throw explained
      }
    })
}

export type LibraryImplementer = ReturnType<typeof implementLibrary>
