import { generateAssertionKeys, publicKeys } from '@mnemosyne/platform'
import type { Command } from 'commander'
import { CommandError, EXIT, Output } from '../output.ts'
import { runAdministrative } from './administration.ts'
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

export function assertionKeysCommand(program: Command): void {
  program
    .command('assertion-keys')
    .description('make a pair of key sets for ASSERTION_KEYS of services that run apart')
    .option('--kid <kid>', 'name of the key', new Date().toISOString().slice(0, 10))
    .option('--json', 'one JSON document on stdout')
    .action(async (options: { kid: string; json?: boolean }) => {
      const keys = await generateAssertionKeys(options.kid)
      const [sign, verify] = [JSON.stringify(keys), JSON.stringify(publicKeys(keys))]
      new Output(options).result({ sign: keys, verify: publicKeys(keys) }, [
        '# gateway and mcp, which sign. Keep it secret.',
        `ASSERTION_KEYS='${sign}'`,
        '# auth, library, ingest and search, which verify.',
        `ASSERTION_KEYS='${verify}'`,
      ])
    })
}
