import {
  accountsContract,
  adminContract,
  authContract,
  authInternalContract,
  hasStaffLevel,
  membersContract,
  type Principal,
  type StaffLevel,
  teamsContract,
} from '@mnemosyne/contracts'
import { DomainError, type RequestContext } from '@mnemosyne/platform'
import { implement } from '@orpc/server'
import type { AuthContext } from './context.ts'
import type { LastUsed } from './last-used.ts'
import { adminTeamRoutes } from './routes/admin-teams.ts'
import { internalRoutes } from './routes/internal.ts'
import { profileRoutes } from './routes/profile.ts'
import { signingKeyRoutes } from './routes/signing-keys.ts'
import { teamRoutes } from './routes/teams.ts'

/** HTTP status of what auth's operations refuse. */
export const errorStatus = {
  NOT_A_PERSON: 403,
  NOT_FOR_ANOTHER: 403,
  NOT_A_SERVICE: 403,
  NOT_STAFF: 403,
  USER_NOT_FOUND: 404,
  TOKEN_NOT_FOUND: 404,
  TEAM_NOT_FOUND: 404,
  SIGNING_KEY_NOT_FOUND: 404,
  TEAM_ID_TAKEN: 409,
  TEAM_INACTIVE: 409,
  SIGNING_KEY_RETIRED: 409,
  USER_DISABLED: 409,
  NO_SIGNING_KEY: 503,
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
    teams: teamRoutes(os, context),
    admin: {
      teams: adminTeamRoutes(os, context),
      signingKeys: signingKeyRoutes(os, context),
    },
    internal: internalRoutes(os, context, lastUsed),
  })
}

/** The person who acts, on REST. */
export function personOf({ user, surface }: Principal): NonNullable<Principal['user']> {
  if (!user || surface !== 'rest')
    throw new DomainError('NOT_A_PERSON', 'Only a person may do this, over REST.')
  return user
}

/** The same, when they may do so much on staff surfaces. */
export function staffOf(
  principal: Principal,
  level: Exclude<StaffLevel, 'none'>,
): ReturnType<typeof personOf> {
  const person = personOf(principal)
  if (!hasStaffLevel(person, level)) throw new DomainError('NOT_STAFF', 'Only staff may do this.')
  return person
}
