import type { MembershipRole } from '@mnemosyne/contracts'

export interface Membership {
  library_uid: string
  role: MembershipRole
}

/** In `allowed_libraries`: every library that the user is a member of, and the global ones, live. */
export const ALL_LIBRARIES = '*'

/** On REST a token acts as its user: all that they read, and all that they may ingest into. Sorted. */
export function restScope(memberships: readonly Membership[], global: readonly string[]) {
  const writable = memberships.filter(({ role }) => role !== 'reader')
  const owned = memberships.filter(({ role }) => role === 'owner')
  return {
    resolved_libraries: union(memberships, global),
    writable_libraries: union(writable, global),
    owned_libraries: union(owned, []),
  }
}

/** On MCP a token sees what it allows of what its user still reads, in the token's order. */
export function mcpScope(
  allowed: readonly string[],
  memberships: readonly Membership[],
  global: readonly string[],
) {
  const readable = union(memberships, global)
  if (allowed.includes(ALL_LIBRARIES)) return readOnly(readable)
  const known = new Set(readable)
  return readOnly([...new Set(allowed)].filter((uid) => known.has(uid)))
}

/** What is read on MCP: nothing is changed there. */
export function readOnly(uids: string[]) {
  return { resolved_libraries: uids, writable_libraries: [], owned_libraries: [] }
}

function union(memberships: readonly Membership[], global: readonly string[]): string[] {
  return [...new Set([...memberships.map(({ library_uid }) => library_uid), ...global])].sort()
}
