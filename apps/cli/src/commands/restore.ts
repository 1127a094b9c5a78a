import { writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { systemClock } from '@mnemosyne/platform'
import type { Command } from 'commander'
import { readManifest } from '../backup/manifest.ts'
import { openStoresAlone } from '../backup/open-stores-alone.ts'
import { agrees } from '../backup/rebuild.ts'
import { openSecrets, restoreBackup } from '../backup/restore.ts'
import { refuseRunning, Steps } from '../backup/run-long-command.ts'
import { EXIT, Output } from '../output.ts'
import { readSettings } from '../system/settings.ts'
import { PASSPHRASE_HELP, type PassphraseOptions, readPassphrase } from './passphrase.ts'
import { rebuildLines } from './rebuild-graph.ts'
import { type GlobalOptions, withGlobals } from './shared-options.ts'

interface RestoreCommandOptions extends GlobalOptions, PassphraseOptions {
  withoutSecrets?: boolean
}

export function restoreCommand(program: Command): void {
  withGlobals(
    program
      .command('restore')
      .argument('<dir>', 'the folder of a backup')
      .description('bring a backup back into empty stores; run again it goes on')
      .option('--passphrase-file <file>', PASSPHRASE_HELP)
      .option('--without-secrets', 'leave sealed secrets behind: signing keys are retired'),
  ).action(async (given: string, options: RestoreCommandOptions) => {
    const dir = resolve(process.env.INIT_CWD ?? process.cwd(), given)
    const settings = readSettings(process.env, options)
    await refuseRunning(settings)
    // Before a data folder is made for nothing.
    const manifest = await readManifest(dir)
    const { withoutSecrets } = options
    const unseal = await openSecrets(manifest, { passphrase: await readPassphrase(options), withoutSecrets })
    await using alone = await openStoresAlone(settings)
    using steps = new Steps(options.json ?? false)
    const onStep = steps.show.bind(steps)
    const report = await restoreBackup(alone.stores, dir, { clock: systemClock, unseal, onStep })
    // What a first start makes is there.
    const firstRun = JSON.stringify({ token_shown: true, samples: false })
    if (alone.folder) await writeFile(alone.folder.path('first-run.json'), firstRun, { mode: 0o600 })
    steps[Symbol.dispose]()
    const complete = agrees(report.graph)
    new Output(options).result({ dir, complete, ...report }, [
      `Restored ${report.rows} rows and ${report.blobs} files; ${report.waiting_jobs} jobs go on at the next start.`,
      ...rebuildLines(report.graph),
    ])
    if (report.lost_keys.length > 0) process.stderr.write(lostKeys(report.lost_keys))
    if (!complete) process.exitCode = EXIT.failed
  })
}

const lostKeys = (kids: readonly string[]) =>
  `The secrets of the signing keys ${kids.join(', ')} are not there. They are retired, and tokens of teams that they \
signed are good no more. Make a key with "mnemosyne seed-signing-key --kid NAME", then rotate the token of each team \
(POST /mcp_server/api/teams/ID/rotate/).\n`
