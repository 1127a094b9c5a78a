import type { CallContext, Principal, User } from '@mnemosyne/contracts'
import { COMMAND_LINE } from './audit.ts'
import { type AuthContext, globalLibraries } from './context.ts'
import { membershipsOf } from './memberships.ts'
import { localPrincipal } from './resolve.ts'
import { seedSigningKey } from './signing-keys.ts'
import { mintToken, type NewToken } from './tokens.ts'
import { createUser, disableUser, firstUser, type NewUser, userByName } from './users.ts'

/**
 * What the command line does beside the API, as somebody who has the stores in their hands. Refusals are
 * DomainErrors. Where a `call` is asked for, its delegations have to hold one for `library`.
 */
export interface AuthAdmin {
  createUser(input: NewUser): Promise<User>
  disableUser(username: string): Promise<void>
  /** The user who was created first, or null on a fresh system. */
  firstUser(): Promise<User | null>
  /** The plaintext is in this answer only. Libraries: those of which the user is a member, global ones, or `*`. */
  createUserToken(
    input: Omit<NewToken, 'userId'> & { username: string },
    call: CallContext,
  ): Promise<{ id: string; token: string }>
  seedSigningKey(input: {
    kid: string
    retireOther: boolean
  }): Promise<{ kid: string; created: boolean; retired: string[] }>
  /** A user as they are on REST, for callers on the local control socket. */
  localPrincipal(username: string, call: CallContext): Promise<Principal>
}

export function createAdmin(context: AuthContext): AuthAdmin {
  return {
    createUser: (input) => createUser(context, COMMAND_LINE, input),
    disableUser: (username) => disableUser(context, COMMAND_LINE, username),
    firstUser: () => firstUser(context),
    async createUserToken({ username, ...input }, { delegations = {} }) {
      const user = await userByName(context, username)
      const [memberships, global] = await Promise.all([
        membershipsOf(context, user.id),
        globalLibraries(context, delegations),
      ])
      const readable = new Set([...memberships.map(({ library_uid }) => library_uid), ...global])
      const { id, token } = await mintToken(context, COMMAND_LINE, { ...input, userId: user.id }, (uid) =>
        readable.has(uid),
      )
      return { id, token }
    },
    seedSigningKey: (input) => seedSigningKey(context, COMMAND_LINE, input),
    localPrincipal: (username, { delegations = {} }) => localPrincipal(context, username, delegations),
  }
}
