import { Command } from 'commander'
import {
  createUserCommand,
  createUserTokenCommand,
  seedSigningKeyCommand,
} from './commands/administration.ts'
import { ingestCommand } from './commands/ingest.ts'
import { migrateCommand } from './commands/migrate.ts'
import { searchCommand } from './commands/search.ts'
import { statusCommand } from './commands/status.ts'
import { upCommand } from './commands/up.ts'
import { reportFailure } from './output.ts'
import { version } from './version.ts'

/** Runs the command line to its end; what it amounts to is in `process.exitCode`. */
export async function main(): Promise<void> {
  const program = new Command('mnemosyne')
    .description('The memory of everything you know: documents in, ranked and cited evidence out.')
    .version(version)
    .exitOverride()
  for (const add of COMMANDS) add(program)
  try {
    await program.parseAsync()
  } catch (error) {
    process.exitCode = reportFailure(error, process.argv.includes('--json'))
  }
}

const COMMANDS = [
  upCommand,
  ingestCommand,
  searchCommand,
  statusCommand,
  createUserCommand,
  createUserTokenCommand,
  seedSigningKeyCommand,
  migrateCommand,
]
