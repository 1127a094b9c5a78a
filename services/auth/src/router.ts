import {
  accountsContract,
  adminContract,
  authContract,
  authInternalContract,
  membersContract,
  type Principal,
  teamsContract,
} from '@mnemosyne/contracts'
import { DomainError, type RequestContext } from '@mnemosyne/platform'
import { implement } from '@orpc/server'
import type { AuthContext } from './context.ts'
import type { LastUsed } from './last-used.ts'
import { internalRoutes } from './routes/internal.ts'
import { profileRoutes } from './routes/profile.ts'

/** HTTP status of what auth's operations refuse. */
export const errorStatus = {
  NOT_A_PERSON: 403,
  NOT_FOR_ANOTHER: 403,
  NOT_A_SERVICE: 403,
  USER_NOT_FOUND: 404,
  TOKEN_NOT_FOUND: 404,
  USER_DISABLED: 409,
  LIBRARY_UNAVAILABLE: 503,
  SQL_UNAVAILABLE: 503,
  SQL_FULL: 507,
}

const contract = {
  ...authContract,
  accounts: accountsContract,
  teams: teamsContract,
  members: membersContract,
  admin: adminContract,
  internal: authInternalContract,
}

export type AuthImplementer = ReturnType<typeof implementAuth>

function implementAuth() {
  return implement(contract).$context<RequestContext>()
}

export function createRouter(context: AuthContext, lastUsed: LastUsed) {
  const os = implementAuth()
  return os.router({
    ...profileRoutes(os, context),
    internal: internalRoutes(os, context, lastUsed),
  })
}

/** The person who acts, on REST. */
export function personOf({ user, surface }: Principal): NonNullable<Principal['user']> {
  if (!user || surface !== 'rest')
    throw new DomainError('NOT_A_PERSON', 'Only a person may do this, over REST.')
  return user
}
