import { GROUPS, type Group } from '@mnemosyne/contracts'
import { FieldError } from '@mnemosyne/platform'

/** What somebody is on staff surfaces. */
export interface Standing {
  is_staff: boolean
  is_superuser: boolean
  /** In the order of `GROUPS`. */
  groups: readonly Group[]
}

export const NO_STANDING: Standing = { is_staff: false, is_superuser: false, groups: [] }

const STAFF_GROUPS: readonly Group[] = ['Staff', 'SME', 'Admin']

/**
 * What comes of `wanted`: superusers are staff; of whoever is in a group, the groups say whether they are staff; of
 * others it is said. A superuser who stops being one is no staff unless that is said, too. Throws FieldError.
 */
export function standingAfter(before: Standing, wanted: Partial<Standing>): Standing {
  const is_superuser = wanted.is_superuser ?? before.is_superuser
  const groups = wanted.groups ? GROUPS.filter((group) => wanted.groups?.includes(group)) : before.groups
  return { is_superuser, groups, is_staff: staffAfter(before, wanted, { is_superuser, groups }) }
}

function staffAfter(
  before: Standing,
  wanted: Partial<Standing>,
  { is_superuser, groups }: Omit<Standing, 'is_staff'>,
): boolean {
  if (is_superuser) {
    if (wanted.is_staff === false) throw new FieldError('is_staff', 'A superuser is staff, too.')
    return true
  }
  if (groups.length > 0) {
    const follows = groups.some((group) => STAFF_GROUPS.includes(group))
    if (wanted.is_staff !== undefined && wanted.is_staff !== follows) {
      throw new FieldError(
        'is_staff',
        `It follows the groups: who is in ${STAFF_GROUPS.join(', ')} is staff. Set groups instead.`,
      )
    }
    return follows
  }
  if (wanted.is_staff !== undefined) return wanted.is_staff
  return wanted.groups || before.is_superuser ? false : before.is_staff
}

/** Somebody whom only superusers make, change or delete. */
export function isPrivileged({ is_staff, is_superuser, groups }: Standing): boolean {
  return is_staff || is_superuser || groups.length > 0
}
