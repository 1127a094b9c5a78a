import type { Principal } from '@mnemosyne/contracts'
import { NotAllowedError, NotFoundError } from './errors.ts'

/** A library as far as rights go; `owner_username` null: it belongs to everybody. */
export interface Owned {
  uid: string
  owner_username: string | null
}

export interface Caller {
  username: string
  isStaff: boolean
}

/** The person behind a call over REST: the only ones who change anything. */
export function callerOf({ surface, user }: Principal): Caller {
  if (surface !== 'rest' || !user) throw new NotAllowedError('Only a signed-in user may do this, over REST.')
  return { username: user.username, isStaff: user.is_staff }
}

function owns(principal: Principal, library: Owned): boolean {
  return library.owner_username !== null && library.owner_username === callerOf(principal).username
}

/** Into what the caller may ingest: theirs, those they manage, and everybody's. */
export function mayIngest(principal: Principal, library: Owned): boolean {
  return (
    owns(principal, library) ||
    library.owner_username === null ||
    principal.writable_libraries.includes(library.uid)
  )
}

/** Collections and items: owners and managers; in a global library, staff. */
export function assertMayCurate(principal: Principal, library: Owned): void {
  const caller = callerOf(principal)
  assertVisible(principal, library)
  if (library.owner_username === null) {
    if (!caller.isStaff) throw new NotAllowedError('Only staff may change a global library.')
  } else if (!mayIngest(principal, library)) {
    throw new NotAllowedError('You may read this library but not change it: ask its owner.')
  }
}

/** The library itself: its owner; a global one, staff. */
export function assertMayDelete(principal: Principal, library: Owned): void {
  const caller = callerOf(principal)
  assertVisible(principal, library)
  if (library.owner_username === null) {
    if (!caller.isStaff) throw new NotAllowedError('Only staff may delete a global library.')
  } else if (!owns(principal, library)) {
    throw new NotAllowedError('Only its owner may delete this library.')
  }
}

/** A library that was made a moment ago may not be in the principal yet. */
function assertVisible(principal: Principal, library: Owned): void {
  if (mayIngest(principal, library) || principal.resolved_libraries.includes(library.uid)) return
  throw new NotFoundError('Library')
}
