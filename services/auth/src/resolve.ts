import type { Credential, Delegations, Principal, Resolution, Surface } from '@mnemosyne/contracts'
import { DomainError, prepared } from '@mnemosyne/platform'
import { type AuthContext, globalLibraries } from './context.ts'
import { classify, refused, UNKNOWN_TOKEN } from './credential.ts'
import type { Uses } from './last-used.ts'
import { membershipsIn } from './memberships.ts'
import { resolveTeam } from './resolve-team.ts'
import { mcpScope, restScope } from './scope.ts'
import { isCsrfToken, sessionBySecret } from './sessions.ts'
import { staffLevel } from './staff-level.ts'
import { groupsOf, type UserRow, userByName } from './users.ts'

export interface ResolveRequest {
  credential: Credential
  surface: Surface
  delegations: Delegations
  signal?: AbortSignal
  /** Told of every use; they don't wait. */
  uses: Uses
}

/**
 * Who presents a credential and what they may see, read anew each time: a revocation acts on the next
 * request. Throws DomainError LIBRARY_UNAVAILABLE when a dependency is down.
 */
export async function resolve(context: AuthContext, request: ResolveRequest): Promise<Resolution> {
  const { credential, surface } = request
  if (credential.kind === 'session') return resolveSession(context, request, credential)
  const classified = classify(credential.authorization, surface)
  if ('outcome' in classified) return classified
  if ('jwt' in classified) return resolveTeam(context, request, classified.jwt)
  return resolveUserToken(context, request, classified.hash)
}

async function resolveUserToken(
  context: AuthContext,
  { surface, delegations, signal, uses }: ResolveRequest,
  hash: string,
): Promise<Resolution> {
  const [found] = await tokensByHash(context.sql.read, hash)
  if (!found) return UNKNOWN_TOKEN
  if (found.token_active !== 1) return refused('inactive_token', 'Token has been deactivated.')
  if (found.expires_at !== null && found.expires_at <= context.clock().toISOString()) {
    return refused('expired', 'Token has expired.')
  }
  if (found.user_active !== 1) return refused('user_disabled', 'User account is disabled.')
  const user = { ...found, id: found.user_id }
  const [person, memberships, global] = await Promise.all([
    actingUser(context, user),
    membershipsIn(context.sql.read, found.user_id),
    globalLibraries(context, delegations, signal),
  ])
  uses.token.note({ id: found.token_id, lastUsedAt: found.last_used_at })
  const principal: Principal = {
    ...NOBODY,
    kind: 'user_token',
    surface,
    user: person,
    token_id: found.token_id,
    allowed_tools: JSON.parse(found.allowed_tools),
    ...(surface === 'rest'
      ? restScope(memberships, global)
      : mcpScope(JSON.parse(found.allowed_libraries), memberships, global)),
  }
  return { outcome: 'resolved', principal }
}

/** A session is good on REST, and changes nothing without its CSRF token. */
async function resolveSession(
  context: AuthContext,
  { surface, delegations, signal, uses }: ResolveRequest,
  { session: secret, csrf_token, safe }: Extract<Credential, { kind: 'session' }>,
): Promise<Resolution> {
  const session = surface === 'rest' ? await sessionBySecret(context, secret) : undefined
  if (!session) return refused('bad_session', 'Your session has ended. Sign in again.')
  if (session.is_active !== 1) return refused('user_disabled', 'User account is disabled.')
  if (!safe && !isCsrfToken(csrf_token, session.csrf_token)) {
    return refused('csrf', 'CSRF token missing or incorrect.')
  }
  const { session_id } = session
  const principal: Principal = {
    ...NOBODY,
    kind: 'session',
    session_id,
    ...(await restOf(context, session, delegations, signal)),
  }
  uses.session.note({ id: session_id, lastUsedAt: session.last_used_at })
  return { outcome: 'resolved', principal }
}

/** A user as they are on REST, for a caller whom the operating system vouches for. */
export async function localPrincipal(
  context: AuthContext,
  username: string,
  delegations: Delegations,
): Promise<Principal> {
  const user = await userByName(context, username)
  if (user.is_active !== 1) throw new DomainError('USER_DISABLED', `The account "${username}" is disabled.`)
  return { ...NOBODY, kind: 'local', ...(await restOf(context, user, delegations)) }
}

/** What a person is on REST, however they came in. */
export async function restOf(
  context: AuthContext,
  user: Pick<UserRow, 'id' | 'username' | 'is_staff' | 'is_superuser'>,
  delegations: Delegations,
  signal?: AbortSignal,
) {
  const [person, memberships, global] = await Promise.all([
    actingUser(context, user),
    membershipsIn(context.sql.read, user.id),
    globalLibraries(context, delegations, signal),
  ])
  return { surface: 'rest' as const, user: person, ...restScope(memberships, global) }
}

/** Who acts, as a principal names them. */
export async function actingUser(
  { sql }: Pick<AuthContext, 'sql'>,
  user: Pick<UserRow, 'id' | 'username' | 'is_staff' | 'is_superuser'>,
): Promise<NonNullable<Principal['user']>> {
  return {
    id: user.id,
    username: user.username,
    staff: staffLevel(user, await groupsOf(sql.read, user.id)),
  }
}

/** What principals of every kind have beside what is theirs. */
export const NOBODY = {
  team_id: null,
  token_id: null,
  session_id: null,
  address: null,
  allowed_tools: [],
} satisfies Partial<Principal>

const tokensByHash = prepared((db: AuthContext['sql']['read'], hash: string) =>
  db
    .selectFrom('user_token')
    .innerJoin('user', 'user.id', 'user_token.user_id')
    .select([
      'user_token.id as token_id',
      'user_token.is_active as token_active',
      'user_token.expires_at',
      'user_token.last_used_at',
      'user_token.allowed_tools',
      'user_token.allowed_libraries',
      'user.id as user_id',
      'user.username',
      'user.is_active as user_active',
      'user.is_staff',
      'user.is_superuser',
    ])
    .where('user_token.token_hash', '=', hash),
)
