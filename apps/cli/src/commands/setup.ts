import type { Command } from 'commander'
import { CommandError, EXIT, Output } from '../output.ts'
import { runAdministrative } from './run-administrative.ts'
import { type GlobalOptions, withGlobals } from './shared-options.ts'

interface IndexState {
  /** Null: no embedding model is configured whose dimensions are known. */
  dimensions: number | null
  model: string | null
  reason: string
}

export function setupCommand(program: Command): void {
  withGlobals(
    program
      .command('setup')
      .description(
        'make what the stores need: schemas, constraints, bucket, and indexes where a model is set',
      ),
  ).action(async (options: GlobalOptions) => {
    // To open the stores is to bring them to the layout of this version.
    const indexes = await runAdministrative<IndexState>('setup-indexes', { onlyIfKnown: true }, options)
    const { library_types } = await runAdministrative<{ library_types: string[] }>(
      'load-library-types',
      {},
      options,
    )
    new Output(options).result({ set_up: true, library_types, vector_index: indexes }, [
      'The stores are up to date.',
      `Library types: ${library_types.join(', ')}.`,
      indexes.dimensions === null
        ? `Vector indexes are left alone: ${indexes.reason}`
        : `Vector indexes hold ${indexes.dimensions} dimensions (${indexes.model}).`,
    ])
  })
}

export function setupIndexesCommand(program: Command): void {
  withGlobals(
    program
      .command('setup-indexes')
      .description("make the vector indexes for the configured model's dimensions"),
  )
    .option('--drop', 'drop them first, and make them anew from the vectors that are stored')
    .option('--yes', 'with --drop: do it without asking')
    .action(async (options: GlobalOptions & { drop?: boolean; yes?: boolean }) => {
      if (options.drop && !options.yes) {
        throw new CommandError(
          'Search finds nothing by meaning while indexes are made anew. Add --yes to do it.',
          EXIT.usage,
        )
      }
      const made = await runAdministrative<IndexState>(
        'setup-indexes',
        { drop: options.drop ?? false },
        options,
      )
      if (made.dimensions === null) throw new CommandError(`No index was made: ${made.reason}`)
      new Output(options).result(made, [`Vector indexes hold ${made.dimensions} dimensions (${made.model}).`])
    })
}

export function loadLibraryTypesCommand(program: Command): void {
  withGlobals(
    program.command('load-library-types').description('name the library types; they come with the program'),
  ).action(async (options: GlobalOptions) => {
    const answer = await runAdministrative<{ library_types: string[] }>('load-library-types', {}, options)
    new Output(options).result(answer, answer.library_types)
  })
}
