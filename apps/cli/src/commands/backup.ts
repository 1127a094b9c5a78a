import { resolve } from 'node:path'
import type { Command } from 'commander'
import { secretsIn } from '../backup/manifest.ts'
import { runLongCommand } from '../backup/run-long-command.ts'
import { EXIT, Output } from '../output.ts'
import { PASSPHRASE_HELP, type PassphraseOptions, readNewPassphrase } from './passphrase.ts'
import { type GlobalOptions, withGlobals } from './shared-options.ts'

export function backupCommand(program: Command): void {
  withGlobals(
    program
      .command('backup')
      .argument(
        '[dir]',
        'a new folder, or one in which a backup was cut short; without it one named by the time',
      )
      .description('write everything into a folder, also while the system runs; run again it goes on')
      .option('--passphrase-file <file>', PASSPHRASE_HELP),
  ).action(async (given: string | undefined, options: GlobalOptions & PassphraseOptions) => {
    const dir = resolve(process.env.INIT_CWD ?? process.cwd(), given ?? nameByTime(new Date()))
    const passphrase = await readNewPassphrase(options)
    const manifest = await runLongCommand('backup', { dir, passphrase }, options)
    const { schemas, blobs, content, problems, newer_items, sealing, ...about } = manifest
    const secrets = secretsIn(manifest) === 0 ? 'none' : sealing ? 'sealed' : 'left out'
    const rows = schemas.flatMap(({ tables }) => tables).reduce((sum, table) => sum + table.rows, 0)
    const { count, total_bytes } = blobs
    const result = {
      dir,
      ...about,
      ...{ rows, blobs: count, bytes: total_bytes, content, secrets, newer_items, problems },
    }
    new Output(options).result(result, [
      `Backed up into ${dir}: ${content.items} documents, ${rows} rows, ${count} files of ${megabytes(total_bytes)}.`,
      'It holds every document, and hashes of passwords and tokens: keep it as safe as the data itself.',
      ...ABOUT_SECRETS[secrets],
      ...problems.map(({ item_uid, problem }) => `  document ${item_uid}: ${problem}`),
    ])
    if (problems.length > 0) {
      process.stderr.write(`${problems.length} documents are not whole in the stores themselves.\n`)
      process.exitCode = EXIT.failed
    }
  })
}

const ABOUT_SECRETS = {
  none: [],
  sealed: ['Secrets of signing keys are sealed with the passphrase. Without it they cannot be restored.'],
  'left out': [
    'Secrets of signing keys are left out: after a restore tokens of teams have to be issued anew. To keep them, give a passphrase (--passphrase-file).',
  ],
}

const nameByTime = (now: Date) => `mnemosyne-backup-${now.toISOString().slice(0, 19).replaceAll(':', '-')}`

const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`
