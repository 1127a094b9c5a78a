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
import type { FollowUp } from './follow-up.ts'
import type { Uses } from './last-used.ts'
import type { CheckPassword } from './password-check.ts'
import { accountRoutes } from './routes/accounts.ts'
import { adminTeamRoutes } from './routes/admin-teams.ts'
import { adminUserRoutes } from './routes/admin-users.ts'
import { auditRoutes } from './routes/audit.ts'
import { internalRoutes } from './routes/internal.ts'
import { memberRoutes } from './routes/members.ts'
import { passwordRoutes } from './routes/password.ts'
import { profileRoutes } from './routes/profile.ts'
import { signingKeyRoutes } from './routes/signing-keys.ts'
import { teamRoutes } from './routes/teams.ts'

/** HTTP status of what auth's operations refuse. */
export const errorStatus = {
  LOGIN_REFUSED: 401,
  NOT_A_PERSON: 403,
  NOT_FOR_ANOTHER: 403,
  NOT_A_SERVICE: 403,
  NOT_STAFF: 403,
  NOT_A_SHARER: 403,
  GLOBAL_LIBRARY: 403,
  SUPERUSER_ONLY: 403,
  USER_NOT_FOUND: 404,
  TOKEN_NOT_FOUND: 404,
  LIBRARY_NOT_FOUND: 404,
  SESSION_NOT_FOUND: 404,
  TEAM_NOT_FOUND: 404,
  SIGNING_KEY_NOT_FOUND: 404,
  USERNAME_TAKEN: 409,
  USERNAME_BUSY: 409,
  RENAME_UNDER_WAY: 409,
  NOT_TO_YOURSELF: 409,
  LAST_SUPERUSER: 409,
  OWNS_LIBRARIES: 409,
  TEAMS_ACTIVE: 409,
  TEAM_ID_TAKEN: 409,
  LAST_OWNER: 409,
  PRINCIPAL_OWNER: 409,
  TOKEN_REVOKED: 409,
  TOKEN_ALLOWS_ALL: 409,
  TOKEN_FULL: 409,
  TEAM_INACTIVE: 409,
  SIGNING_KEY_RETIRED: 409,
  USER_DISABLED: 409,
  LOGIN_LOCKED: 429,
  TOO_BUSY: 503,
  NO_SIGNING_KEY: 503,
  LIBRARY_UNAVAILABLE: 503,
  RENAME_NOT_FOLLOWED: 503,
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

export function createRouter(
  context: AuthContext,
  uses: Uses,
  checkPassword: CheckPassword,
  followUp: FollowUp,
) {
  const os = implementAuth()
  return os.router({
    ...profileRoutes(os, context),
    ...passwordRoutes(os, context, checkPassword),
    accounts: accountRoutes(os, context, checkPassword),
    teams: teamRoutes(os, context),
    members: memberRoutes(os, context),
    admin: {
      ...adminUserRoutes(os, context),
      teams: adminTeamRoutes(os, context),
      signingKeys: signingKeyRoutes(os, context),
      audit: auditRoutes(os, context),
    },
    internal: internalRoutes(os, context, uses, followUp),
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
