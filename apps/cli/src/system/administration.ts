import { LIBRARY_TYPES } from '@mnemosyne/contracts'
import { DomainError } from '@mnemosyne/platform'
import { z } from 'zod'
import type { Administration } from './open-system.ts'

const CreateUser = z.object({
  username: z.string().min(1).max(150),
  email: z.string().max(254).default(''),
  staff: z.boolean().default(false),
  superuser: z.boolean().default(false),
  password: z.string().min(1).max(1024).nullable(),
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

/** What the command line asks of the process that owns the stores, by the command's name. */
const commands = {
  'create-user': (admin: Administration, input: unknown) => admin.createUser(CreateUser.parse(input)),
  'create-user-token': (admin: Administration, input: unknown) =>
    admin.createUserToken(CreateUserToken.parse(input)),
  'seed-signing-key': (admin: Administration, input: unknown) =>
    admin.seedSigningKey(SeedSigningKey.parse(input)),
  'setup-indexes': (admin: Administration, input: unknown) => admin.setUpIndexes(SetupIndexes.parse(input)),
  // They are part of the program, and the library service answers with them.
  'load-library-types': async () => ({ library_types: [...LIBRARY_TYPES] }),
}

export type AdministrativeCommand = keyof typeof commands

/** Runs an administrative command. Throws DomainError or ZodError when it is refused. */
export async function administer(admin: Administration, command: string, input: unknown): Promise<unknown> {
  if (!Object.hasOwn(commands, command))
    throw new DomainError('UNKNOWN_COMMAND', `There is no command ${command}.`)
  return commands[command as AdministrativeCommand](admin, input)
}
