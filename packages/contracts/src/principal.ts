import { z } from 'zod'

export const SERVICE_NAMES = ['gateway', 'auth', 'library', 'ingest', 'search', 'mcp'] as const
export type ServiceName = (typeof SERVICE_NAMES)[number]

/** Where a credential is presented: the library scope of a UserToken differs between the two. */
export const Surface = z.enum(['rest', 'mcp'])
export type Surface = z.infer<typeof Surface>

/**
 * What somebody may do on staff surfaces and with global libraries; each level holds the ones before it. `delete`
 * also for superusers, and for staff who are in no group.
 */
export const STAFF_LEVELS = ['none', 'view', 'change', 'delete'] as const
export const StaffLevel = z.enum(STAFF_LEVELS)
export type StaffLevel = z.infer<typeof StaffLevel>

export function hasStaffLevel(user: { staff: StaffLevel } | null, wanted: StaffLevel): boolean {
  return user !== null && STAFF_LEVELS.indexOf(user.staff) >= STAFF_LEVELS.indexOf(wanted)
}

/**
 * Who is calling, once a credential has been resolved. `resolved_libraries` is the ordered list of library
 * uids that may be read on this surface; an empty list sees nothing. `writable_libraries` (REST) are those
 * into which the caller may ingest, `owned_libraries` (REST) those that the caller owns. An empty `allowed_tools`
 * permits every tool. `user` is who acts: of a team, its owner. `address` is known where it matters, at login.
 */
export const Principal = z.object({
  kind: z.enum(['user_token', 'team', 'session', 'local', 'anonymous', 'service']),
  surface: Surface,
  user: z.object({ id: z.string(), username: z.string(), staff: StaffLevel }).nullable(),
  team_id: z.string().nullable(),
  token_id: z.string().nullable(),
  session_id: z.string().nullable(),
  address: z.string().nullable(),
  resolved_libraries: z.array(z.string()),
  writable_libraries: z.array(z.string()),
  owned_libraries: z.array(z.string()),
  allowed_tools: z.array(z.string()),
})
export type Principal = z.infer<typeof Principal>

/** The headers that only the gateway (or, for direct calls, the MCP service) may set. */
export const PRINCIPAL_HEADER = 'x-mnemosyne-principal'
export const DELEGATION_HEADER = 'x-mnemosyne-delegation'
export const REQUEST_ID_HEADER = 'x-request-id'

/**
 * Whom each service may call on a caller's behalf. Whoever signs the caller for a service (the gateway, or mcp for
 * direct calls) hands it assertions for these beside, and no others.
 */
export const DELEGATES: Readonly<Record<Exclude<ServiceName, 'gateway'>, readonly ServiceName[]>> = {
  auth: ['library'],
  library: ['auth', 'search'],
  ingest: ['library'],
  search: [],
  mcp: ['search', 'library'],
}

/** Assertions that the caller's signer made for the services that may be called on its behalf. */
export type Delegations = Partial<Record<ServiceName, string>>

/** `library=<jws>,auth=<jws>`: the value of the delegation header. */
export function encodeDelegations(delegations: Delegations): string {
  return Object.entries(delegations)
    .map(([service, assertion]) => `${service}=${assertion}`)
    .join(',')
}

export function parseDelegations(header: string | null): Delegations {
  if (!header) return {}
  return Object.fromEntries(header.split(',').map((part) => part.split('=', 2) as [string, string]))
}

/** The caller that a service is when no person is behind a call: it reads nothing and owns nothing. */
export function servicePrincipal(surface: Surface): Principal {
  return {
    kind: 'service',
    surface,
    user: null,
    team_id: null,
    token_id: null,
    session_id: null,
    address: null,
    resolved_libraries: [],
    writable_libraries: [],
    owned_libraries: [],
    allowed_tools: [],
  }
}
