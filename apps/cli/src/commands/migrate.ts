import type { Command } from 'commander'
import { Output } from '../output.ts'
import { reachRunning } from '../system/control.ts'
import { openForAdministration, standsApart } from '../system/open-for-administration.ts'
import { readSettings } from '../system/settings.ts'
import { type GlobalOptions, withGlobals } from './shared-options.ts'

export function migrateCommand(program: Command): void {
  withGlobals(
    program.command('migrate').description('bring the stores to the layout of this version'),
  ).action(async (options: GlobalOptions) => {
    const settings = readSettings(process.env, options)
    const running = standsApart(settings) ? undefined : await reachRunning(settings.MNEMOSYNE_DATA_DIR)
    await running?.close()
    // Every service migrates its store when it starts, so a start is the migration.
    if (!running) await (await openForAdministration(settings, process.env)).close()
    const note = running
      ? 'The running process has migrated its stores at its start.'
      : 'The stores are up to date.'
    new Output(options).result({ migrated: true, running: running !== undefined }, [note])
  })
}
