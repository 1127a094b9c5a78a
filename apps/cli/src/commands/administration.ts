import { text } from 'node:stream/consumers'
import { DomainError } from '@mnemosyne/platform'
import type { Command } from 'commander'
import { CommandError, EXIT, Output } from '../output.ts'
import { type AdministrativeCommand, administer } from '../system/administration.ts'
import { reachRunning } from '../system/control.ts'
import { openForAdministration, standsApart } from '../system/open-for-administration.ts'
import { readSettings } from '../system/settings.ts'
import { type GlobalOptions, withGlobals } from './shared-options.ts'

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

interface CreateUserOptions extends GlobalOptions {
  email?: string
  staff?: boolean
  superuser?: boolean
  passwordStdin?: boolean
  password: boolean
}

export function createUserCommand(program: Command): void {
  withGlobals(program.command('create-user').argument('<username>').description('make a user'))
    .option('--email <address>')
    .option('--staff', 'may administer')
    .option('--superuser', 'may do everything')
    .option('--password-stdin', 'read the password from standard input')
    .option('--no-password', 'a user who calls by token only')
    .action(async (username: string, options: CreateUserOptions) => {
      if ((options.passwordStdin ?? false) === !options.password) {
        throw new CommandError('Give one of --password-stdin and --no-password.', EXIT.usage)
      }
      const password = options.passwordStdin ? (await text(process.stdin)).replace(/\r?\n$/, '') : null
      if (password === '') throw new CommandError('The password on standard input is empty.', EXIT.usage)
      const { email, staff, superuser } = options
      const user = await runAdministrative<{ id: string; username: string }>(
        'create-user',
        { username, email, staff, superuser, password },
        options,
      )
      new Output(options).result(user, [`User ${user.username} is made.`])
    })
}

interface CreateTokenOptions extends GlobalOptions {
  user: string
  name: string
  expiresAt?: string
  allowedLibraries?: string[]
  allowedTools?: string[]
}

const list = (text: string) =>
  text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')

export function createUserTokenCommand(program: Command): void {
  withGlobals(
    program.command('create-user-token').description('mint a token; its plaintext is shown this once'),
  )
    .requiredOption('--user <username>')
    .requiredOption('--name <name>', 'what the token is for')
    .option('--expires-at <iso>', 'when it stops working; never, without it')
    .option(
      '--allowed-libraries <uids>',
      "libraries that agents see over MCP, by comma; '*': all that the user is a member of",
      list,
    )
    .option('--allowed-tools <names>', 'MCP tools that it may call, by comma; all, without it', list)
    .action(async (options: CreateTokenOptions) => {
      const input = {
        username: options.user,
        name: options.name,
        expiresAt: options.expiresAt ? asTime(options.expiresAt) : null,
        allowedLibraries: options.allowedLibraries,
        allowedTools: options.allowedTools,
      }
      const minted = await runAdministrative<{ token: string; id: string }>(
        'create-user-token',
        input,
        options,
      )
      if (!options.allowedLibraries) {
        process.stderr.write('Over MCP this token sees no library: none was allowed (--allowed-libraries).\n')
      }
      new Output(options).result(minted, [minted.token])
    })
}

function asTime(text: string): string {
  const time = new Date(text)
  if (Number.isNaN(time.getTime()))
    throw new CommandError('--expires-at has to be a time in ISO 8601.', EXIT.usage)
  return time.toISOString()
}

export function seedSigningKeyCommand(program: Command): void {
  withGlobals(
    program.command('seed-signing-key').description('make the key that signs team tokens; safe to run again'),
  )
    .requiredOption('--kid <kid>', 'its name')
    .option('--retire-other', 'retire every other key')
    .action(async (options: GlobalOptions & { kid: string; retireOther?: boolean }) => {
      const { kid, retireOther } = options
      await runAdministrative('seed-signing-key', { kid, retireOther }, options)
      new Output(options).result({ kid }, [kid])
    })
}
