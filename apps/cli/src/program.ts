import { version } from '@mnemosyne/platform'
import { Command } from 'commander'
import { assertionKeysCommand } from './commands/assertion-keys.ts'
import { backfillMembershipsCommand } from './commands/backfill-memberships.ts'
import { backupCommand } from './commands/backup.ts'
import { goldenQueriesCommand } from './commands/golden-queries.ts'
import { ingestCommand } from './commands/ingest.ts'
import { migrateCommand } from './commands/migrate.ts'
import { rebuildGraphCommand } from './commands/rebuild-graph.ts'
import { restoreCommand } from './commands/restore.ts'
import { searchCommand } from './commands/search.ts'
import { loadLibraryTypesCommand, setupCommand, setupIndexesCommand } from './commands/setup.ts'
import {
  listSigningKeysCommand,
  retireSigningKeyCommand,
  seedSigningKeyCommand,
} from './commands/signing-keys.ts'
import { statusCommand } from './commands/status.ts'
import { disableTeamCommand, listTeamsCommand } from './commands/teams.ts'
import { createUserTokenCommand, listUserTokensCommand, revokeUserTokenCommand } from './commands/tokens.ts'
import { upCommand } from './commands/up.ts'
import {
  createSsoGroupsCommand,
  createUserCommand,
  deleteUserCommand,
  disableUserCommand,
  enableUserCommand,
  listUsersCommand,
  renameUserCommand,
  setPasswordCommand,
} from './commands/users.ts'
import { reportFailure } from './output.ts'

/** Runs the command line to its end; what it amounts to is in `process.exitCode`. */
export async function main(): Promise<void> {
  // `mnemosyne search … | head -1`: who reads no further wants no stack trace, and no server stops for it.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', ignoreBrokenPipe)
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

function ignoreBrokenPipe(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EPIPE') throw error
}

const COMMANDS = [
  upCommand,
  ingestCommand,
  searchCommand,
  goldenQueriesCommand,
  statusCommand,
  createUserCommand,
  listUsersCommand,
  disableUserCommand,
  enableUserCommand,
  setPasswordCommand,
  renameUserCommand,
  deleteUserCommand,
  createSsoGroupsCommand,
  backfillMembershipsCommand,
  createUserTokenCommand,
  listUserTokensCommand,
  revokeUserTokenCommand,
  seedSigningKeyCommand,
  listSigningKeysCommand,
  retireSigningKeyCommand,
  listTeamsCommand,
  disableTeamCommand,
  assertionKeysCommand,
  setupCommand,
  setupIndexesCommand,
  loadLibraryTypesCommand,
  migrateCommand,
  backupCommand,
  restoreCommand,
  rebuildGraphCommand,
]
