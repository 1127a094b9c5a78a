import { CallError, type ExplainAnswer, SEARCH_LIMIT_MAX } from '@mnemosyne/contracts'
import { type Command, InvalidArgumentError } from 'commander'
import { type Connection, connect } from '../connect.ts'
import { findLibrary } from '../find-library.ts'
import { Output } from '../output.ts'
import { passageLines } from '../show-explanation.ts'
import { hitLines } from '../show-hits.ts'
import { type GlobalOptions, withSystem } from './shared-options.ts'

interface SearchOptions extends GlobalOptions {
  library?: string
  limit: number
  explain?: boolean
  why?: string
}

export function searchCommand(program: Command): void {
  withSystem(
    program
      .command('search')
      .argument('<query>', 'what to look for')
      .description('search, and show the passages found'),
  )
    .option('--library <name|uid>', 'only in this library')
    .option('--limit <n>', 'how many passages', asLimit, 10)
    .option('--explain', 'show how each passage came to its place')
    .option('--why <uid>', 'tell where this chunk or item ranks in each stage, and what drops it')
    .action(async (query: string, options: SearchOptions) => {
      const output = new Output(options)
      const system = await connect(options, process.env)
      try {
        const library_uid = options.library ? (await findLibrary(system, options.library)).uid : undefined
        const request = { query, library_uid, limit: options.limit }
        if (options.why !== undefined) {
          const answer = await why(system, request, options.why)
          output.result(answer, passageLines(answer))
          return
        }
        const answer = await system.search.search({ ...request, explain: options.explain ?? false })
        output.result(answer, hitLines(answer, options))
      } finally {
        await system.close()
      }
    })
}

/** The uid is a chunk's, or else an item's. */
async function why(
  system: Connection,
  request: { query: string; library_uid: string | undefined; limit: number },
  uid: string,
): Promise<ExplainAnswer> {
  try {
    return await system.search.explain({ ...request, chunk_uid: uid })
  } catch (error) {
    if (!(error instanceof CallError) || error.message !== 'Chunk not found.') throw error
    return system.search.explain({ ...request, item_uid: uid })
  }
}

function asLimit(text: string): number {
  const limit = Number(text)
  if (!Number.isInteger(limit) || limit < 1 || limit > SEARCH_LIMIT_MAX)
    throw new InvalidArgumentError(`It has to be a whole number from 1 to ${SEARCH_LIMIT_MAX}.`)
  return limit
}
