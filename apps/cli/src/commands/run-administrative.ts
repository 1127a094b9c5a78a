import { text } from 'node:stream/consumers'
import { DomainError } from '@mnemosyne/platform'
import { CommandError, EXIT } from '../output.ts'
import { type AdministrativeCommand, administer } from '../system/administration.ts'
import { reachRunning } from '../system/control.ts'
import { openForAdministration, standsApart } from '../system/open-for-administration.ts'
import { readSettings } from '../system/settings.ts'
import type { GlobalOptions } from './shared-options.ts'

/** Runs in the process that owns the data folder, or else on the stores directly. */
export async function runAdministrative<T>(
  command: AdministrativeCommand,
  input: unknown,
  options: GlobalOptions,
): Promise<T> {
  const settings = readSettings(process.env, options)
  const running = standsApart(settings) ? undefined : await reachRunning(settings.MNEMOSYNE_DATA_DIR)
  if (!running) {
    const system = await openForAdministration(settings, process.env)
    try {
      return (await administer(system.admin, command, input)) as T
    } finally {
      await system.close()
    }
  }
  try {
    const request = new Request(`http://mnemosyne/control/${command}`, {
      method: 'POST',
      body: JSON.stringify(input),
    })
    const response = await running.fetch(request)
    const answer: unknown = await response.json()
    if (!response.ok) throw refusal(answer as { code: string; detail: string })
    return answer as T
  } finally {
    await running.close()
  }
}

/** As it would be thrown here without a running process. */
function refusal({ code, detail }: { code: string; detail: string }): Error {
  if (code === 'INVALID') return new CommandError(detail, EXIT.usage)
  if (code === 'INTERNAL') return new CommandError(detail, EXIT.unavailable)
  return new DomainError(code, detail)
}

/** Words by comma. */
export const list = (text: string): string[] =>
  text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')

/** What `--password-stdin` and `--no-password` say: exactly one of them has to be given. */
export async function readPassword(options: {
  passwordStdin?: boolean
  password: boolean
}): Promise<string | null> {
  if ((options.passwordStdin ?? false) === !options.password) {
    throw new CommandError('Give one of --password-stdin and --no-password.', EXIT.usage)
  }
  const password = options.passwordStdin ? (await text(process.stdin)).replace(/\r?\n$/, '') : null
  if (password === '') throw new CommandError('The password on standard input is empty.', EXIT.usage)
  return password
}
