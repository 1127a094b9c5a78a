import type { UserToken } from '@mnemosyne/contracts'
import type { Command } from 'commander'
import { asColumns } from '../columns.ts'
import { CommandError, EXIT, Output } from '../output.ts'
import { list, runAdministrative } from './run-administrative.ts'
import { type GlobalOptions, withGlobals } from './shared-options.ts'

interface CreateTokenOptions extends GlobalOptions {
  user: string
  name: string
  expiresAt?: string
  allowedLibraries?: string[]
  allowedTools?: string[]
}

export function createUserTokenCommand(program: Command): void {
  withGlobals(
    program.command('create-user-token').description('mint a token; its plaintext is shown this once'),
  )
    .requiredOption('--user <username>')
    .requiredOption('--name <name>', 'what the token is for')
    .option('--expires-at <iso>', 'when it stops working; never, without it')
    .option(
      '--allowed-libraries <uids>',
      "libraries that agents see over MCP, by comma; '*': all that the user is a member of, and everybody's",
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

type ListedToken = UserToken & { username: string }

export function listUserTokensCommand(program: Command): void {
  withGlobals(program.command('list-user-tokens').description('tokens, masked, newest first'))
    .option('--user <username>', 'of this user only')
    .action(async (options: GlobalOptions & { user?: string }) => {
      const input = { username: options.user }
      const answer = await runAdministrative<{ tokens: ListedToken[] }>('list-user-tokens', input, options)
      new Output(options).result(
        answer,
        asColumns(
          answer.tokens.map((token) => [token.id, token.hint, token.username, token.name, stateOf(token)]),
        ),
      )
    })
}

function stateOf({ is_active, expires_at, last_used_at, allowed_libraries }: ListedToken): string {
  if (!is_active) return 'revoked'
  const libraries = allowed_libraries.includes('*')
    ? 'all libraries'
    : `${allowed_libraries.length} libraries`
  return [
    libraries,
    expires_at ? `until ${expires_at}` : 'does not expire',
    last_used_at ? `last used ${last_used_at}` : 'never used',
  ].join(', ')
}

export function revokeUserTokenCommand(program: Command): void {
  withGlobals(
    program
      .command('revoke-user-token')
      .argument('<id>', 'as list-user-tokens shows it')
      .description('revoke a token for good, from the next request on; safe to run again'),
  ).action(async (id: string, options: GlobalOptions) => {
    const answer = await runAdministrative('revoke-user-token', { id }, options)
    new Output(options).result(answer, [`Token ${id} is revoked.`])
  })
}
