import { SEARCH_LIMIT_MAX } from '@mnemosyne/contracts'
import { type Command, InvalidArgumentError } from 'commander'
import { connect } from '../connect.ts'
import { findLibrary } from '../find-library.ts'
import { Output } from '../output.ts'
import { hitLines } from '../show-hits.ts'
import { type GlobalOptions, withSystem } from './shared-options.ts'

interface SearchOptions extends GlobalOptions {
  library?: string
  limit: number
  explain?: boolean
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
    .action(async (query: string, options: SearchOptions) => {
      const output = new Output(options)
      const system = await connect(options, process.env)
      try {
        const library_uid = options.library ? (await findLibrary(system, options.library)).uid : undefined
        const answer = await system.search.search({
          query,
          library_uid,
          limit: options.limit,
          explain: options.explain ?? false,
        })
        output.result(answer, hitLines(answer, options))
      } finally {
        await system.close()
      }
    })
}

function asLimit(text: string): number {
  const limit = Number(text)
  if (!Number.isInteger(limit) || limit < 1 || limit > SEARCH_LIMIT_MAX)
    throw new InvalidArgumentError(`It has to be a whole number from 1 to ${SEARCH_LIMIT_MAX}.`)
  return limit
}
