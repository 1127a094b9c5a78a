import { GROUPS, LIBRARY_TYPES } from '@mnemosyne/contracts'
import { DomainError } from '@mnemosyne/platform'
import { z } from 'zod'
import type { Administration } from './open-system.ts'

const Username = z.string().min(1).max(150)
const Password = z.string().min(1).max(1024)

const CreateUser = z.object({
  username: Username,
  email: z.string().max(254).default(''),
  staff: z.boolean().default(false),
  superuser: z.boolean().default(false),
  password: Password.nullable(),
  groups: z.array(z.enum(GROUPS)).default([]),
})

const OneUser = z.object({ username: Username })

const DeleteUser = OneUser.extend({
  handOverTo: Username.optional(),
  deleteLibraries: z.boolean().default(false),
})

const CreateUserToken = z.object({
  username: z.string(),
  name: z.string().min(1).max(100),
  expiresAt: z.iso.datetime({ offset: true }).nullable().default(null),
  allowedLibraries: z.array(z.string()).default([]),
  allowedTools: z.array(z.string()).default([]),
})

const SeedSigningKey = z.object({ kid: z.string().min(1).max(100), retireOther: z.boolean().default(false) })

const SetupIndexes = z.object({ drop: z.boolean().default(false), onlyIfKnown: z.boolean().default(false) })

type Command = (admin: Administration, input: unknown) => Promise<unknown>

const users = {
  'create-user': (admin, input) => admin.createUser(CreateUser.parse(input)),
  'list-users': async (admin, input) => {
    const filter = z.object({ q: z.string().max(200).optional() }).parse(input)
    return { users: await admin.listUsers(filter) }
  },
  'disable-user': (admin, input) => admin.disableUser(OneUser.parse(input).username),
  'enable-user': (admin, input) => admin.enableUser(OneUser.parse(input).username),
  'set-password': (admin, input) =>
    admin.setPassword(OneUser.extend({ password: Password.nullable() }).parse(input)),
  'rename-user': (admin, input) => admin.renameUser(OneUser.extend({ to: Username }).parse(input)),
  'delete-user': async (admin, input) => {
    const { username, handOverTo, deleteLibraries } = DeleteUser.parse(input)
    await admin.deleteUser({ username, handOverTo, deleteLibraries })
    return { username, deleted: true, handed_over_to: handOverTo ?? null }
  },
  'create-sso-groups': (admin) => admin.createGroups(),
} satisfies Record<string, Command>

const credentials = {
  'create-user-token': (admin, input) => admin.createUserToken(CreateUserToken.parse(input)),
  'list-user-tokens': async (admin, input) => {
    const of = z.object({ username: Username.optional() }).parse(input)
    return { tokens: await admin.listUserTokens(of) }
  },
  'revoke-user-token': async (admin, input) => {
    const { id } = z.object({ id: z.string().max(64) }).parse(input)
    await admin.revokeUserToken(id)
    return { id, revoked: true }
  },
  'seed-signing-key': (admin, input) => admin.seedSigningKey(SeedSigningKey.parse(input)),
  'list-signing-keys': async (admin) => ({ keys: await admin.listSigningKeys() }),
  'retire-signing-key': (admin, input) =>
    admin.retireSigningKey(z.object({ kid: z.string().min(1).max(100) }).parse(input).kid),
  'list-teams': async (admin, input) => {
    const of = z.object({ owner: Username.optional() }).parse(input)
    return { teams: await admin.listTeams(of) }
  },
  'disable-team': (admin, input) => admin.disableTeam(z.object({ id: z.string().max(64) }).parse(input).id),
} satisfies Record<string, Command>

/** What the command line asks of the process that owns the stores, by the command's name. */
const commands = {
  ...users,
  ...credentials,
  'backfill-memberships': (admin) => admin.backfillMemberships(),
  'setup-indexes': (admin, input) => admin.setUpIndexes(SetupIndexes.parse(input)),
  // They are part of the program, and the library service answers with them.
  'load-library-types': async () => ({ library_types: [...LIBRARY_TYPES] }),
} satisfies Record<string, Command>

export type AdministrativeCommand = keyof typeof commands

/** Runs an administrative command. Throws DomainError or ZodError when it is refused. */
export async function administer(admin: Administration, command: string, input: unknown): Promise<unknown> {
  if (!Object.hasOwn(commands, command))
    throw new DomainError('UNKNOWN_COMMAND', `There is no command ${command}.`)
  return (commands as Record<string, Command>)[command]!(admin, input)
}
