import { type Team, Uid } from '@mnemosyne/contracts'
import { DomainError } from '@mnemosyne/platform'
import type { Selectable } from 'kysely'
import type { AuthContext, Tx } from './context.ts'
import type { AuthTables } from './schema.ts'

export type TeamRow = Selectable<AuthTables['team']>

/** Rows that are written by one statement, which takes so many parameters. */
const WRITTEN_AT_ONCE = 5_000

export const teamNotFound = () => new DomainError('TEAM_NOT_FOUND', 'Team not found.')

/** The new row, or undefined when the id is taken, also by somebody who came a moment before. */
export function insertTeam(
  tx: Tx,
  { clock }: Pick<AuthContext, 'clock'>,
  { id, name, ownerId, jti }: { id: string; name: string; ownerId: string; jti: string },
): Promise<TeamRow | undefined> {
  const now = clock().toISOString()
  return tx
    .insertInto('team')
    .values({ id, name, owner_id: ownerId, active: 1, active_jti: jti, created_at: now, updated_at: now })
    .onConflict((conflict) => conflict.column('id').doNothing())
    .returningAll()
    .executeTakeFirst()
}

/** The row, which nobody else changes before this transaction ends. */
export function lockTeam(tx: Tx, id: string): Promise<TeamRow | undefined> {
  return tx
    .updateTable('team')
    .set((row) => ({ updated_at: row.ref('updated_at') }))
    .where('id', '=', id)
    .returningAll()
    .executeTakeFirst()
}

/** As `lockTeam`, of a user's own. Throws DomainError TEAM_NOT_FOUND, in the same time for another's. */
export async function lockOwn(tx: Tx, id: string, ownerId: string): Promise<TeamRow> {
  const row = await tx
    .updateTable('team')
    .set((row) => ({ updated_at: row.ref('updated_at') }))
    .where('id', '=', checkedId(id))
    .where('owner_id', '=', ownerId)
    .returningAll()
    .executeTakeFirst()
  if (!row) throw teamNotFound()
  return row
}

export async function updateTeam(
  tx: Tx,
  { clock }: Pick<AuthContext, 'clock'>,
  id: string,
  change: Partial<Pick<TeamRow, 'name' | 'active' | 'active_jti'>>,
): Promise<void> {
  const updated_at = clock().toISOString()
  await tx
    .updateTable('team')
    .set({ ...change, updated_at })
    .where('id', '=', id)
    .execute()
}

export async function assign(
  tx: Tx,
  { clock }: Pick<AuthContext, 'clock'>,
  team_id: string,
  workspaceIds: readonly string[],
): Promise<void> {
  const created_at = clock().toISOString()
  for (const some of inParts(workspaceIds)) {
    const rows = some.map((workspace_id) => ({ team_id, workspace_id, created_at }))
    await tx.insertInto('team_workspace_assignment').values(rows).execute()
  }
}

export async function detach(tx: Tx, teamId: string, workspaceIds: readonly string[]): Promise<void> {
  for (const some of inParts(workspaceIds)) {
    await tx
      .deleteFrom('team_workspace_assignment')
      .where('team_id', '=', teamId)
      .where('workspace_id', 'in', some)
      .execute()
  }
}

function inParts<T>(list: readonly T[]): T[][] {
  const starts = Array.from(
    { length: Math.ceil(list.length / WRITTEN_AT_ONCE) },
    (_, n) => n * WRITTEN_AT_ONCE,
  )
  return starts.map((start) => list.slice(start, start + WRITTEN_AT_ONCE))
}

/** Sorted. */
export async function workspacesOf(db: Tx | AuthContext['sql']['read'], teamId: string): Promise<string[]> {
  const rows = await db
    .selectFrom('team_workspace_assignment')
    .select('workspace_id')
    .where('team_id', '=', teamId)
    .orderBy('workspace_id')
    .execute()
  return rows.map(({ workspace_id }) => workspace_id)
}

/** In a path, what is no uid is the id of no team. */
export function checkedId(id: string): string {
  if (!Uid.safeParse(id).success) throw teamNotFound()
  return id
}

export function teamOf(row: TeamRow, workspaceIds: string[]): Team {
  const { id, name, active, active_jti, created_at, updated_at } = row
  return { id, name, active: active === 1, active_jti, workspace_ids: workspaceIds, created_at, updated_at }
}
