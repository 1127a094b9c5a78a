import type { GlobalOptions } from '../commands/shared-options.ts'
import { CommandError, EXIT } from '../output.ts'
import { Progress } from '../progress.ts'
import { reachRunning } from '../system/control.ts'
import { standsApart } from '../system/open-for-administration.ts'
import { readSettings, type Settings } from '../system/settings.ts'
import { BackupError } from './errors.ts'
import { type LongCommand, type LongResult, readLong, runLong } from './long-commands.ts'
import { hasStores, openStoresAlone } from './open-stores-alone.ts'
import type { BackupStep } from './take-backup.ts'

/** Runs in the process that owns the data folder, or on the stores directly when there is none. */
export async function runLongCommand<C extends LongCommand>(
  command: C,
  input: unknown,
  options: GlobalOptions,
): Promise<LongResult<C>> {
  const settings = readSettings(process.env, options)
  using steps = new Steps(options.json ?? false)
  const onStep = (step: BackupStep) => steps.show(step)
  const running = await reach(settings)
  if (running) {
    try {
      const body = JSON.stringify(input)
      const request = new Request(`http://mnemosyne/control/${command}`, { method: 'POST', body })
      return await readLong<C>(await running.fetch(request), onStep)
    } finally {
      await running.close()
    }
  }
  if (!(await hasStores(settings))) {
    throw new BackupError(
      'NO_DATA',
      `There is no data folder at ${settings.MNEMOSYNE_DATA_DIR}. Name another with --data-dir.`,
    )
  }
  await using alone = await openStoresAlone(settings)
  return await runLong(alone.stores, command, input, { onStep })
}

/** The process that owns the data folder, unless every store is a server. */
export async function reach(settings: Settings): ReturnType<typeof reachRunning> {
  return standsApart(settings) ? undefined : reachRunning(settings.MNEMOSYNE_DATA_DIR)
}

/** Throws when a process works on the data folder. */
export async function refuseRunning(settings: Settings): Promise<void> {
  const running = await reach(settings)
  if (!running) return
  await running.close()
  const { MNEMOSYNE_DATA_DIR: dir } = settings
  throw new CommandError(`Mnemosyne is running on ${dir}. Stop it first.`, EXIT.unavailable)
}

const LABELS = {
  rows: 'Rows   ',
  files: 'Files  ',
  check: 'Check  ',
  graph: 'Graph  ',
} as const satisfies Record<BackupStep['step'], string>

/** A progress bar for each step. */
export class Steps implements Disposable {
  readonly #quiet: boolean
  #shown: { step: BackupStep['step']; bar: Progress } | undefined

  constructor(quiet: boolean) {
    this.#quiet = quiet
  }

  show({ step, done, of }: BackupStep): void {
    if (this.#shown?.step !== step) {
      this.#shown?.bar.stop()
      this.#shown = { step, bar: new Progress(LABELS[step], of, { quiet: this.#quiet }) }
    }
    this.#shown.bar.update(done, `${done} of ${of}`)
  }

  [Symbol.dispose](): void {
    this.#shown?.bar.stop()
  }
}
