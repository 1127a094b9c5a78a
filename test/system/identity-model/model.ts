import type { MembershipRole } from '@mnemosyne/contracts'

/** A library as the rules see it. `owner` is its one principal owner. */
export interface ModelLibrary {
  uid: string
  workspaceId: string
  owner: string
  roles: Map<string, Set<MembershipRole>>
}

export interface ModelUser {
  name: string
  id: string
  active: boolean
}

export interface ModelToken {
  id: string
  secret: string
  user: string
  active: boolean
  allowed: Set<string> | '*'
}

export interface ModelSession {
  cookie: string
  csrf: string
  user: string
  active: boolean
}

export interface ModelTeam {
  id: string
  owner: string
  active: boolean
  workspaces: Set<string>
  /** Every token that was ever minted for it; at most the last one is good. */
  jwts: { jwt: string; kid: string; current: boolean }[]
}

/** What a credential reads: library uids, sorted; or it is refused. */
export type Reads = string[] | 'refused'

/**
 * The rules of who reads what, in as few words as they can be said: no database, no services, no assertions. What
 * the product answers is held against it.
 */
export class Model {
  readonly users = new Map<string, ModelUser>()
  readonly libraries = new Map<string, ModelLibrary>()
  readonly tokens: ModelToken[] = []
  readonly sessions: ModelSession[] = []
  readonly teams: ModelTeam[] = []
  readonly retiredKids = new Set<string>()
  kid = ''

  isActive(user: string): boolean {
    return this.users.get(user)!.active
  }

  /** The highest role of a user on a library. */
  roleOf(library: ModelLibrary, user: string): MembershipRole | undefined {
    const roles = library.roles.get(user)
    return (['owner', 'manager', 'reader'] as const).find((role) => roles?.has(role))
  }

  readable(user: string): string[] {
    return [...this.libraries.values()]
      .filter((library) => this.roleOf(library, user) !== undefined)
      .map(({ uid }) => uid)
      .sort()
  }

  tokenOnRest(token: ModelToken): Reads {
    return token.active && this.isActive(token.user) ? this.readable(token.user) : 'refused'
  }

  tokenOnMcp(token: ModelToken): Reads {
    if (!token.active || !this.isActive(token.user)) return 'refused'
    const { allowed } = token
    const readable = this.readable(token.user)
    return allowed === '*' ? readable : readable.filter((uid) => allowed.has(uid))
  }

  session(session: ModelSession): Reads {
    return session.active && this.isActive(session.user) ? this.readable(session.user) : 'refused'
  }

  team(team: ModelTeam, minted: ModelTeam['jwts'][number]): Reads {
    if (!team.active || !minted.current || this.retiredKids.has(minted.kid)) return 'refused'
    if (!this.isActive(team.owner)) return 'refused'
    return [...this.libraries.values()]
      .filter(({ workspaceId, owner }) => team.workspaces.has(workspaceId) && owner === team.owner)
      .map(({ uid }) => uid)
      .sort()
  }

  addLibrary(uid: string, workspaceId: string, owner: string): void {
    this.libraries.set(uid, { uid, workspaceId, owner, roles: new Map([[owner, new Set(['owner'])]]) })
  }

  removeLibrary(uid: string): void {
    this.libraries.delete(uid)
    for (const { allowed } of this.tokens) if (allowed !== '*') allowed.delete(uid)
  }

  grant(library: ModelLibrary, user: string, role: MembershipRole): void {
    library.roles.set(user, new Set([...(library.roles.get(user) ?? []), role]))
  }

  /** Who has no role left has the library in none of their tokens. */
  ungrant(library: ModelLibrary, user: string, role: MembershipRole): void {
    const roles = library.roles.get(user)
    roles?.delete(role)
    if (roles && roles.size > 0) return
    library.roles.delete(user)
    for (const token of this.tokens) {
      if (token.user === user && token.allowed !== '*') token.allowed.delete(library.uid)
    }
  }

  handOver(library: ModelLibrary, to: string): void {
    const from = library.owner
    this.grant(library, to, 'owner')
    library.owner = to
    if (from === to) return
    this.grant(library, from, 'manager')
    library.roles.get(from)!.delete('owner')
  }

  owners(library: ModelLibrary): string[] {
    return [...library.roles].filter(([, roles]) => roles.has('owner')).map(([user]) => user)
  }
}
