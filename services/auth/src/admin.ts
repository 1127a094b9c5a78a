import type { CallContext, Group, Principal, SigningKey, User } from '@mnemosyne/contracts'
import { LIST_LIMIT_MAX } from '@mnemosyne/contracts'
import { COMMAND_LINE } from '@mnemosyne/platform'
import { THE_COMMAND_LINE } from './administrators.ts'
import { backfillMemberships } from './backfill-memberships.ts'
import { type AuthContext, globalLibraries } from './context.ts'
import { createUser, type NewUser } from './create-user.ts'
import { deleteUser, type LibraryDecision } from './delete-user.ts'
import { listEverybodysTokens, type OwnedToken, revokeSomebodysToken } from './everybodys-tokens.ts'
import { finishUnfinished } from './follow-up.ts'
import { ensureGroups, listGroups } from './groups.ts'
import { localPrincipal } from './resolve.ts'
import { listSigningKeys, retireSigningKey, seedSigningKey } from './signing-keys.ts'
import { editTeam, listTeams, type OwnedTeam } from './teams.ts'
import { mintToken, type NewToken } from './tokens.ts'
import { changeUser } from './user-changes.ts'
import { firstUser, listUsers, type UserFilter, userByName } from './users.ts'

/**
 * What the command line does beside the API, as somebody who has the stores in their hands. Refusals are
 * DomainErrors. Where a `call` is asked for, its delegations have to hold one for `library`.
 */
export interface AuthAdmin {
  /** The call is needed for a name that was somebody else's. */
  createUser(input: NewUser, call?: CallContext): Promise<User>
  /** All, by name. */
  listUsers(filter?: UserFilter): Promise<User[]>
  /** Idempotent, as is its contrary. */
  disableUser(username: string): Promise<User>
  enableUser(username: string): Promise<User>
  /** Null takes it away. */
  setPassword(input: { username: string; password: string | null }): Promise<User>
  renameUser(input: { username: string; to: string }, call: CallContext): Promise<User>
  deleteUser(input: { username: string } & LibraryDecision, call: CallContext): Promise<void>
  /** The user who was created first, or null on a fresh system. */
  firstUser(): Promise<User | null>
  /** The plaintext is in this answer only. Libraries: those of which the user is a member, global ones, or `*`. */
  createUserToken(
    input: Omit<NewToken, 'userId'> & { username: string },
    call: CallContext,
  ): Promise<{ id: string; token: string }>
  /** Everybody's, newest first; `username`: of that user. */
  listUserTokens(of?: { username?: string }): Promise<OwnedToken[]>
  /** For good. Idempotent. */
  revokeUserToken(id: string): Promise<void>
  /** Those made now, and all with how many are in each. */
  createGroups(): Promise<{ created: Group[]; groups: { name: Group; user_count: number }[] }>
  /** How many libraries there are with an owner, and how many of those owners lacked their membership. */
  backfillMemberships(call: CallContext): Promise<{ libraries: number; added: number }>
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
  /** Finishes what was interrupted; throws what keeps it from that. */
  finishUnfinished(call: CallContext): Promise<void>
}

export function createAdmin(context: AuthContext): AuthAdmin {
  const idOf = async (username: string) => (await userByName(context, username)).id
  const change = async (username: string, changes: Parameters<typeof changeUser>[2]['changes']) =>
    changeUser(context, THE_COMMAND_LINE, { id: await idOf(username), changes })
  return {
    createUser: (input, { delegations } = {}) => createUser(context, THE_COMMAND_LINE, input, delegations),
    listUsers: (filter = {}) =>
      everyPage(async (page) => {
        const { users: rows, total } = await listUsers(context, { ...filter, ...page })
        return { rows, total }
      }),
    disableUser: (username) => change(username, { is_active: false }),
    enableUser: (username) => change(username, { is_active: true }),
    setPassword: ({ username, password }) => change(username, { password }),
    async renameUser({ username, to }, { delegations }) {
      const id = await idOf(username)
      return changeUser(context, THE_COMMAND_LINE, { id, changes: { username: to }, delegations })
    },
    async deleteUser({ username, ...decision }, { delegations = {} }) {
      await deleteUser(context, THE_COMMAND_LINE, { id: await idOf(username), decision, delegations })
    },
    firstUser: () => firstUser(context),
    async createUserToken({ username, ...input }, { delegations = {} }) {
      const user = await userByName(context, username)
      const global = await globalLibraries(context, delegations)
      const wanted = { ...input, userId: user.id }
      const { id, token } = await mintToken(context, COMMAND_LINE, wanted, { libraries: 'read', global })
      return { id, token }
    },
    async listUserTokens({ username } = {}) {
      if (username !== undefined) await idOf(username)
      return everyPage(async (page) => {
        const { tokens: rows, total } = await listEverybodysTokens(context, { username, ...page })
        return { rows, total }
      })
    },
    revokeUserToken: (id) => revokeSomebodysToken(context, THE_COMMAND_LINE, id),
    async createGroups() {
      const created = await context.sql.transaction((tx) => ensureGroups(tx, context, COMMAND_LINE))
      return { created, groups: await listGroups(context) }
    },
    backfillMemberships: ({ delegations = {} }) => backfillMemberships(context, COMMAND_LINE, delegations),
    seedSigningKey: (input) => seedSigningKey(context, COMMAND_LINE, input),
    listSigningKeys: () => listSigningKeys(context),
    retireSigningKey: (kid) => retireSigningKey(context, COMMAND_LINE, kid),
    listTeams: ({ owner } = {}) =>
      everyPage(async (page) => {
        const { teams: rows, total } = await listTeams(context, { owner, ...page })
        return { rows, total }
      }),
    disableTeam: (id) => editTeam(context, COMMAND_LINE, id, { active: false }),
    localPrincipal: (username, { delegations = {} }) => localPrincipal(context, username, delegations),
    finishUnfinished: ({ delegations = {} }) => finishUnfinished(context, delegations),
  }
}

/** All rows of a list that is answered by page. */
async function everyPage<T>(
  list: (page: { limit: number; offset: number }) => Promise<{ rows: T[]; total: number }>,
): Promise<T[]> {
  const all: T[] = []
  for (;;) {
    const { rows, total } = await list({ limit: LIST_LIMIT_MAX, offset: all.length })
    all.push(...rows)
    if (rows.length === 0 || all.length >= total) return all
  }
}
