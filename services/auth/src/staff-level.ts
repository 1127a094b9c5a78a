import type { Group, StaffLevel } from '@mnemosyne/contracts'
import type { UserRow } from './users.ts'

const LEVEL_OF = {
  'View Only': 'view',
  Staff: 'change',
  SME: 'change',
  Admin: 'delete',
} as const satisfies Record<Group, StaffLevel>

const LEVELS: readonly StaffLevel[] = ['none', 'view', 'change', 'delete']

/**
 * What a user may do on staff surfaces: by their groups the most of them; superusers, and staff whom somebody made
 * so without a group, everything.
 */
export function staffLevel(
  user: Pick<UserRow, 'is_staff' | 'is_superuser'>,
  groups: readonly Group[],
): StaffLevel {
  if (user.is_superuser === 1) return 'delete'
  if (groups.length === 0) return user.is_staff === 1 ? 'delete' : 'none'
  const highest = Math.max(...groups.map((group) => LEVELS.indexOf(LEVEL_OF[group])))
  return LEVELS[highest]!
}
