import { type Actor, COMMAND_LINE, DomainError } from '@mnemosyne/platform'
import type { Tx } from './context.ts'
import { isPrivileged, type Standing } from './standing.ts'
import { groupsOf, type UserRow } from './users.ts'

/** Who changes users. */
export interface Administrator {
  by: Actor
  /** Null: the command line, which has the stores in its hands. */
  userId: string | null
}

export const THE_COMMAND_LINE: Administrator = { by: COMMAND_LINE, userId: null }

/** Looked up in the transaction of the change: who is no superuser any more is none for it. */
export async function isSuperuser(tx: Tx, { userId }: Administrator): Promise<boolean> {
  if (userId === null) return true
  const user = await tx
    .selectFrom('user')
    .select(['is_superuser', 'is_active'])
    .where('id', '=', userId)
    .executeTakeFirst()
  return user?.is_superuser === 1 && user.is_active === 1
}

export async function standingOf(tx: Tx, row: UserRow): Promise<Standing> {
  const groups = await groupsOf(tx, row.id)
  return { is_staff: row.is_staff === 1, is_superuser: row.is_superuser === 1, groups }
}

/** Throws DomainError SUPERUSER_ONLY where one of these is, or becomes, staff or a superuser. */
export async function assertMayTouch(
  tx: Tx,
  who: Administrator,
  ...standings: readonly Standing[]
): Promise<void> {
  if (!standings.some(isPrivileged) || (await isSuperuser(tx, who))) return
  throw new DomainError(
    'SUPERUSER_ONLY',
    'Only superusers may do this to staff, superusers and members of groups, or make somebody one.',
  )
}

/** Throws DomainError NOT_TO_YOURSELF. */
export function assertAnother({ userId }: Administrator, id: string, what: string): void {
  if (userId !== id) return
  throw new DomainError('NOT_TO_YOURSELF', `Nobody may ${what} themselves. Ask another superuser.`)
}

/**
 * Throws DomainError LAST_SUPERUSER when `row` is the only active superuser there is. Ask in `changeUsers`: no two of
 * them can go at the same moment.
 */
export async function assertAnotherSuperuser(tx: Tx, row: UserRow): Promise<void> {
  if (row.is_superuser !== 1 || row.is_active !== 1) return
  const another = await tx
    .selectFrom('user')
    .select('id')
    .where('is_superuser', '=', 1)
    .where('is_active', '=', 1)
    .where('id', '!=', row.id)
    .limit(1)
    .executeTakeFirst()
  if (another) return
  throw new DomainError(
    'LAST_SUPERUSER',
    `"${row.username}" is the last active superuser. Make another one first.`,
  )
}
