import { GROUPS, type Group } from '@mnemosyne/contracts'
import type { Actor } from '@mnemosyne/platform'
import { audit } from './audit.ts'
import type { AuthContext, Tx } from './context.ts'

type Db = Tx | AuthContext['sql']['read']

/** Makes the groups that are missing. Idempotent. Returns those made now. */
export async function ensureGroups(
  tx: Tx,
  context: Pick<AuthContext, 'clock' | 'ids'>,
  by: Actor,
): Promise<Group[]> {
  const created_at = context.clock().toISOString()
  const made = await tx
    .insertInto('group')
    .values(GROUPS.map((name) => ({ name, created_at })))
    .onConflict((conflict) => conflict.column('name').doNothing())
    .returning('name')
    .execute()
  for (const { name } of made) await audit(tx, context, by, { action: 'group.created', target: name })
  return made.map(({ name }) => name)
}

/** The groups with how many are in each, in their order; also before they are made. */
export async function listGroups({
  sql,
}: Pick<AuthContext, 'sql'>): Promise<{ name: Group; user_count: number }[]> {
  const rows = await sql.read
    .selectFrom('group_membership')
    .select((select) => ['group_name', select.fn.countAll<number>().as('count')])
    .groupBy('group_name')
    .execute()
  const counts = new Map(rows.map(({ group_name, count }) => [group_name, count]))
  return GROUPS.map((name) => ({ name, user_count: counts.get(name) ?? 0 }))
}

/** The groups that users are in, in their order. */
export async function groupsOfMany(db: Db, userIds: readonly string[]): Promise<Map<string, Group[]>> {
  const groups = new Map<string, Group[]>()
  if (userIds.length === 0) return groups
  const rows = await db
    .selectFrom('group_membership')
    .select(['user_id', 'group_name'])
    .where('user_id', 'in', userIds)
    .execute()
  for (const group of GROUPS) {
    for (const { user_id, group_name } of rows) {
      if (group_name === group) groups.set(user_id, [...(groups.get(user_id) ?? []), group])
    }
  }
  return groups
}

/** Replaces a user's groups, which are made when they are missing. */
export async function putGroups(
  tx: Tx,
  context: Pick<AuthContext, 'clock' | 'ids'>,
  by: Actor,
  { userId, groups }: { userId: string; groups: readonly Group[] },
): Promise<void> {
  await tx.deleteFrom('group_membership').where('user_id', '=', userId).execute()
  if (groups.length === 0) return
  await ensureGroups(tx, context, by)
  const rows = groups.map((group_name) => ({ user_id: userId, group_name }))
  await tx.insertInto('group_membership').values(rows).execute()
}
