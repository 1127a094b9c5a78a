import { hasStaffLevel, type Principal, type StaffLevel } from '@mnemosyne/contracts'
import { NotAllowedError, NotFoundError } from './errors.ts'

/** A library as far as rights go; `owner_username` null: it belongs to everybody. */
export interface Owned {
  uid: string
  owner_username: string | null
}

/** The person behind a call over REST: the only ones who change anything. */
export function callerOf({ surface, user }: Principal): NonNullable<Principal['user']> {
  if (surface !== 'rest' || !user) throw new NotAllowedError('Only a signed-in user may do this, over REST.')
  return user
}

/** Throws NotAllowedError unless a service asks on its own account. */
export function assertService({ kind }: Principal): void {
  if (kind !== 'service') throw new NotAllowedError('Only services may ask this.')
}

/** Throws NotAllowedError unless a service asks, or staff stand behind it, over REST, who may change users. */
export function assertServiceOrStaff({ kind, surface, user }: Principal): void {
  if (kind === 'service' || (surface === 'rest' && hasStaffLevel(user, 'change'))) return
  throw new NotAllowedError('Only services and staff may ask this.')
}

/** An owner member; or the principal owner, when the library was made a moment ago. */
function owns(principal: Principal, { uid, owner_username }: Owned): boolean {
  const { username } = callerOf(principal)
  return owner_username !== null && (owner_username === username || principal.owned_libraries.includes(uid))
}

/** Into what the caller may ingest: what they own or manage, and everybody's. */
export function mayIngest(principal: Principal, library: Owned): boolean {
  return (
    owns(principal, library) ||
    library.owner_username === null ||
    principal.writable_libraries.includes(library.uid)
  )
}

/** Collections and items: owners and managers; in a global library, staff of this level. */
export function assertMayCurate(principal: Principal, library: Owned, level: 'change' | 'delete'): void {
  assertVisible(principal, library)
  if (library.owner_username === null) assertStaff(principal, level)
  else if (!mayIngest(principal, library)) {
    throw new NotAllowedError('You may read this library but not change it: ask its owner.')
  }
}

/** The library itself, its name and whose it is: its owners; a global one, staff. */
export function assertMayOwn(principal: Principal, library: Owned, level: 'change' | 'delete'): void {
  assertVisible(principal, library)
  if (library.owner_username === null) assertStaff(principal, level)
  else if (!owns(principal, library)) {
    throw new NotAllowedError(`Only its owners may ${level} this library.`)
  }
}

/** Throws NotAllowedError unless the caller may do so much with global libraries. */
export function assertStaff(principal: Principal, level: 'change' | 'delete'): void {
  if (hasStaffLevel(callerOf(principal), level)) return
  throw new NotAllowedError(
    level === 'change'
      ? 'Only staff may change a global library.'
      : 'Only staff who may delete may delete a global library, or what is in it.',
  )
}

/** Throws NotAllowedError unless the caller may do so much on staff surfaces. */
export function assertStaffSurface(principal: Principal, level: Exclude<StaffLevel, 'none'>): void {
  if (!hasStaffLevel(callerOf(principal), level)) throw new NotAllowedError('Only staff may do this.')
}

/** A library that was made a moment ago may not be in the principal yet. */
export function assertVisible(principal: Principal, library: Owned): void {
  if (mayIngest(principal, library) || principal.resolved_libraries.includes(library.uid)) return
  throw new NotFoundError('Library')
}
