import { GROUPS, type Group, type User } from '@mnemosyne/contracts'
import { type Command, InvalidArgumentError } from 'commander'
import { asColumns } from '../columns.ts'
import { CommandError, EXIT, Output } from '../output.ts'
import { list, readPassword, runAdministrative } from './run-administrative.ts'
import { type GlobalOptions, withGlobals } from './shared-options.ts'

interface CreateUserOptions extends GlobalOptions {
  email?: string
  staff?: boolean
  superuser?: boolean
  groups?: Group[]
  passwordStdin?: boolean
  password: boolean
}

export function createUserCommand(program: Command): void {
  withGlobals(program.command('create-user').argument('<username>').description('make a user'))
    .option('--email <address>')
    .option('--staff', 'may administer')
    .option('--superuser', 'may do everything')
    .option('--groups <names>', `groups, by comma: ${GROUPS.join(', ')}`, asGroups)
    .option('--password-stdin', 'read the password from standard input')
    .option('--no-password', 'a user who calls by token only')
    .action(async (username: string, options: CreateUserOptions) => {
      const password = await readPassword(options)
      const { email, staff, superuser, groups } = options
      const input = { username, email, staff, superuser, groups, password }
      const user = await runAdministrative<User>('create-user', input, options)
      new Output(options).result(user, [`User ${user.username} is made.`])
    })
}

function asGroups(text: string): Group[] {
  const names = list(text)
  const unknown = names.find((name) => !(GROUPS as readonly string[]).includes(name))
  if (unknown === undefined) return names as Group[]
  throw new InvalidArgumentError(`There is no group ${unknown}: ${GROUPS.join(', ')}.`)
}

export function listUsersCommand(program: Command): void {
  withGlobals(program.command('list-users').description('users with their rights'))
    .option('--q <part>', 'a part of the name, the address or the first or last name')
    .action(async (options: GlobalOptions & { q?: string }) => {
      const { q } = options
      const answer = await runAdministrative<{ users: User[] }>('list-users', { q }, options)
      new Output(options).result(
        answer,
        asColumns(answer.users.map((user) => [user.username, rightsOf(user), user.email])),
      )
    })
}

function rightsOf({ is_active, is_superuser, is_staff, groups }: User): string {
  const rights = [
    ...(is_active ? [] : ['disabled']),
    ...(is_superuser ? ['superuser'] : is_staff && groups.length === 0 ? ['staff'] : []),
    ...groups,
  ]
  return rights.join(', ')
}

export function disableUserCommand(program: Command): void {
  withGlobals(
    program
      .command('disable-user')
      .argument('<username>')
      .description(
        "disable a user: none of their credentials is good from the next request on; it's safe to run again",
      ),
  ).action(async (username: string, options: GlobalOptions) => {
    const user = await runAdministrative<User>('disable-user', { username }, options)
    new Output(options).result(user, [`User ${username} is disabled.`])
  })
}

export function enableUserCommand(program: Command): void {
  withGlobals(
    program.command('enable-user').argument('<username>').description('enable a disabled user again'),
  ).action(async (username: string, options: GlobalOptions) => {
    const user = await runAdministrative<User>('enable-user', { username }, options)
    new Output(options).result(user, [`User ${username} is enabled.`])
  })
}

export function setPasswordCommand(program: Command): void {
  withGlobals(
    program
      .command('set-password')
      .argument('<username>')
      .description("set a user's password; their sessions end"),
  )
    .option('--password-stdin', 'read the password from standard input')
    .option('--no-password', 'take it away: a user who calls by token only')
    .action(
      async (username: string, options: GlobalOptions & { passwordStdin?: boolean; password: boolean }) => {
        const password = await readPassword(options)
        const user = await runAdministrative<User>('set-password', { username, password }, options)
        new Output(options).result(user, [
          `The password of ${username} is ${password === null ? 'taken away' : 'set'}; their sessions have ended.`,
        ])
      },
    )
}

export function renameUserCommand(program: Command): void {
  withGlobals(
    program
      .command('rename-user')
      .argument('<username>')
      .argument('<new-username>')
      .description('give a user another name; libraries, tokens and teams stay theirs'),
  ).action(async (username: string, to: string, options: GlobalOptions) => {
    const user = await runAdministrative<User>('rename-user', { username, to }, options)
    new Output(options).result(user, [`User ${username} is ${user.username} now.`])
  })
}

interface DeleteUserOptions extends GlobalOptions {
  handOverTo?: string
  deleteLibraries?: boolean
}

export function deleteUserCommand(program: Command): void {
  withGlobals(
    program
      .command('delete-user')
      .argument('<username>')
      .description('delete a user with tokens, memberships and sessions; gone on with when run again'),
  )
    .option('--hand-over-to <username>', 'who owns their libraries from now on')
    .option('--delete-libraries', 'delete their libraries with all in them')
    .action(async (username: string, options: DeleteUserOptions) => {
      const { handOverTo, deleteLibraries } = options
      if (handOverTo !== undefined && deleteLibraries)
        throw new CommandError('Give one of --hand-over-to and --delete-libraries.', EXIT.usage)
      const answer = await runAdministrative(
        'delete-user',
        { username, handOverTo, deleteLibraries },
        options,
      )
      new Output(options).result(answer, [`User ${username} is deleted.`])
    })
}

export function createSsoGroupsCommand(program: Command): void {
  withGlobals(
    program
      .command('create-sso-groups')
      .description(`make the groups ${GROUPS.join(', ')}; safe to run again`),
  ).action(async (options: GlobalOptions) => {
    const answer = await runAdministrative<{
      created: Group[]
      groups: { name: Group; user_count: number }[]
    }>('create-sso-groups', {}, options)
    new Output(options).result(
      answer,
      answer.groups.map(({ name, user_count }) => `${name}: ${user_count} members`),
    )
  })
}
