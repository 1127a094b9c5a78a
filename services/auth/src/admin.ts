import {
  type CallContext,
  LIST_LIMIT_MAX,
  type Principal,
  type SigningKey,
  type User,
} from '@mnemosyne/contracts'
import { COMMAND_LINE } from './audit.ts'
import { type AuthContext, globalLibraries } from './context.ts'
import { localPrincipal } from './resolve.ts'
import { listSigningKeys, retireSigningKey, seedSigningKey } from './signing-keys.ts'
import { editTeam, listTeams, type OwnedTeam } from './teams.ts'
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
  listSigningKeys(): Promise<SigningKey[]>
  /** For good; a key that is retired stays so. */
  retireSigningKey(kid: string): Promise<SigningKey>
  /** Everybody's, newest first; `owner`: of that user. */
  listTeams(of?: { owner?: string }): Promise<OwnedTeam[]>
  /** Its token is worthless at once; staff may activate it again. Idempotent. */
  disableTeam(id: string): Promise<OwnedTeam>
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
      const global = await globalLibraries(context, delegations)
      const wanted = { ...input, userId: user.id }
      const { id, token } = await mintToken(context, COMMAND_LINE, wanted, { libraries: 'read', global })
      return { id, token }
    },
    seedSigningKey: (input) => seedSigningKey(context, COMMAND_LINE, input),
    listSigningKeys: () => listSigningKeys(context),
    retireSigningKey: (kid) => retireSigningKey(context, COMMAND_LINE, kid),
    async listTeams({ owner } = {}) {
      const all: OwnedTeam[] = []
      for (;;) {
        const page = { owner, limit: LIST_LIMIT_MAX, offset: all.length }
        const { teams, total } = await listTeams(context, page)
        all.push(...teams)
        if (teams.length === 0 || all.length >= total) return all
      }
    },
    disableTeam: (id) => editTeam(context, COMMAND_LINE, id, { active: false }),
    localPrincipal: (username, { delegations = {} }) => localPrincipal(context, username, delegations),
  }
}
