import type { Team } from '@mnemosyne/contracts'
import { type Actor, DomainError } from '@mnemosyne/platform'
import { type AuthContext, announce, type Tx } from './context.ts'
import { currentKey } from './signing-keys.ts'
import {
  assign,
  checkedId,
  detach,
  insertTeam,
  lockOwn,
  lockTeam,
  type TeamRow,
  teamNotFound,
  teamOf,
  updateTeam,
  workspacesOf,
} from './team-rows.ts'
import { signTeamToken } from './team-token.ts'
import { type Happened, logTrail, recordTrail } from './team-trail.ts'

/** Refused in words of its own, and kept in the log and the audit log. */
class TeamRefusedError extends DomainError {
  readonly happened: Happened

  constructor(code: 'TEAM_ID_TAKEN' | 'NO_SIGNING_KEY', message: string, happened: Happened) {
    super(code, message)
    this.name = 'TeamRefusedError'
    this.happened = happened
  }
}

/** As staff see it. */
export type OwnedTeam = Team & { owner_username: string }

const NO_KEY = 'There is no signing key to mint with. Make one: mnemosyne seed-signing-key --kid NAME'

/**
 * Creates a team and mints its token; a team that its owner has already is answered as it is, without one. Throws
 * DomainError TEAM_ID_TAKEN, and NO_SIGNING_KEY, after which there is no team.
 */
export function createTeam(
  context: AuthContext,
  by: Actor,
  { id, name, ownerId }: { id: string; name: string; ownerId: string },
): Promise<{ team: Team; jwt?: string }> {
  return change(context, by, async (tx, trail) => {
    const jti = context.ids()
    const created = await insertTeam(tx, context, { id, name, ownerId, jti })
    if (created) {
      const jwt = await mint(tx, context, trail, { id, jti, failed: 'not_created_no_key' })
      trail.push({ what: 'created', teamId: id, fields: { name, jti } })
      await announce(tx, context, 'team.changed.v1', { team_id: id })
      return { team: teamOf(created, []), jwt }
    }
    const known = await tx.selectFrom('team').selectAll().where('id', '=', id).executeTakeFirstOrThrow()
    if (known.owner_id !== ownerId) throw takenBy(ownerId, id, 'not_created_another_owner')
    trail.push({ what: 'created_again', teamId: id, fields: { active: known.active === 1 } })
    return { team: teamOf(known, await workspacesOf(tx, id)) }
  })
}

/** A user's own team. Throws DomainError TEAM_NOT_FOUND, also for another's. */
export async function ownTeam(
  { sql }: Pick<AuthContext, 'sql'>,
  { id, ownerId }: { id: string; ownerId: string },
): Promise<Team> {
  const row = await sql.read
    .selectFrom('team')
    .selectAll()
    .where('id', '=', checkedId(id))
    .where('owner_id', '=', ownerId)
    .executeTakeFirst()
  if (!row) throw teamNotFound()
  return teamOf(row, await workspacesOf(sql.read, id))
}

/** Deactivates a user's own team: its token is worthless from the next request on. Idempotent. */
export function deleteTeam(
  context: AuthContext,
  by: Actor,
  { id, ownerId }: { id: string; ownerId: string },
): Promise<void> {
  return change(context, by, async (tx, trail) => {
    const team = await lockOwn(tx, id, ownerId)
    const wasActive = team.active === 1
    if (wasActive) {
      await updateTeam(tx, context, id, { active: 0, active_jti: null })
      await announce(tx, context, 'team.changed.v1', { team_id: id })
    }
    trail.push({ what: 'deleted', teamId: id, fields: { was_active: wasActive } })
  })
}

/** Makes `workspaceIds` the workspaces of a user's own team, touching only what differs. Returns them sorted. */
export function putWorkspaces(
  context: AuthContext,
  by: Actor,
  { id, ownerId, workspaceIds }: { id: string; ownerId: string; workspaceIds: readonly string[] },
): Promise<string[]> {
  return change(context, by, async (tx, trail) => {
    await lockOwn(tx, id, ownerId)
    const before = new Set(await workspacesOf(tx, id))
    const wanted = new Set(workspaceIds)
    const added = [...wanted].filter((workspace) => !before.has(workspace))
    const removed = [...before].filter((workspace) => !wanted.has(workspace))
    await assign(tx, context, id, added)
    await detach(tx, id, removed)
    if (added.length + removed.length > 0) {
      await updateTeam(tx, context, id, {})
      await announce(tx, context, 'team.changed.v1', { team_id: id })
    }
    const fields = { added: added.length, removed: removed.length, total: wanted.size }
    trail.push({ what: 'workspaces_updated', teamId: id, fields })
    return workspacesOf(tx, id)
  })
}

/**
 * Mints a team's token anew; the one before is worthless from the next request on. A team that is missing is created
 * for the caller, which says that they and we do not know the same teams. Throws DomainError TEAM_ID_TAKEN,
 * TEAM_INACTIVE, and NO_SIGNING_KEY, after which all is as before.
 */
export function rotateTeam(
  context: AuthContext,
  by: Actor,
  { id, ownerId }: { id: string; ownerId: string },
): Promise<{ jwt: string; wasMissing: boolean }> {
  return change(context, by, async (tx, trail) => {
    const jti = context.ids()
    const created = await insertTeam(tx, context, { id, name: id, ownerId, jti })
    const team = created ?? (await lockTeam(tx, id))!
    if (team.owner_id !== ownerId) throw takenBy(ownerId, id, 'not_rotated_another_owner')
    if (team.active !== 1) {
      throw new DomainError('TEAM_INACTIVE', 'Team is inactive; cannot rotate. Recreate it instead.')
    }
    if (created) trail.push({ what: 'created_by_rotation', teamId: id, fields: { owner: ownerId } })
    else await updateTeam(tx, context, id, { active_jti: jti })
    const jwt = await mint(tx, context, trail, { id, jti, failed: 'not_rotated_no_key' })
    trail.push({ what: 'rotated', teamId: id, fields: { new_jti: jti } })
    await announce(tx, context, 'team.changed.v1', { team_id: id })
    return { jwt, wasMissing: created !== undefined }
  })
}

/** Teams with their owners, newest first, and how many there are in all: everybody's, or one owner's. */
export async function listTeams(
  { sql }: Pick<AuthContext, 'sql'>,
  wanted: { ownerId?: string; owner?: string; limit: number; offset: number },
): Promise<{ teams: OwnedTeam[]; total: number }> {
  let found = withOwners(sql.read)
  if (wanted.ownerId !== undefined) found = found.where('team.owner_id', '=', wanted.ownerId)
  if (wanted.owner !== undefined) found = found.where('user.username', '=', wanted.owner)
  const [rows, { total }] = await Promise.all([
    found
      .orderBy('team.created_at', 'desc')
      .orderBy('team.id')
      .limit(wanted.limit)
      .offset(wanted.offset)
      .execute(),
    found
      .clearSelect()
      .select((select) => select.fn.countAll<number>().as('total'))
      .executeTakeFirstOrThrow(),
  ])
  const teams = await Promise.all(rows.map((row) => ownedTeamOf(sql.read, row)))
  return { teams, total }
}

/**
 * Renames, deactivates or reactivates anybody's team. What is left out stays as it is. A team that is active again
 * has no token before its owner rotates it. Throws DomainError TEAM_NOT_FOUND.
 */
export function editTeam(
  context: AuthContext,
  by: Actor,
  id: string,
  { name, active }: { name?: string; active?: boolean },
): Promise<OwnedTeam> {
  return change(context, by, async (tx, trail) => {
    const team = await lockTeam(tx, checkedId(id))
    if (!team) throw teamNotFound()
    const isRenamed = name !== undefined && name !== team.name
    const isSwitched = active !== undefined && active !== (team.active === 1)
    if (isRenamed || isSwitched) {
      await updateTeam(tx, context, id, {
        ...(isRenamed && { name }),
        ...(isSwitched && { active: active ? 1 : 0, active_jti: null }),
      })
      await announce(tx, context, 'team.changed.v1', { team_id: id })
    }
    if (isRenamed) trail.push({ what: 'renamed', teamId: id, fields: { name } })
    if (isSwitched) trail.push({ what: active ? 'reactivated' : 'deactivated', teamId: id, fields: {} })
    const edited = await withOwners(tx).where('team.id', '=', id).executeTakeFirstOrThrow()
    return ownedTeamOf(tx, edited)
  })
}

function withOwners(db: Tx | AuthContext['sql']['read']) {
  return db
    .selectFrom('team')
    .innerJoin('user', 'user.id', 'team.owner_id')
    .selectAll('team')
    .select('user.username as owner_username')
}

async function ownedTeamOf(
  db: Tx | AuthContext['sql']['read'],
  row: TeamRow & { owner_username: string },
): Promise<OwnedTeam> {
  return { ...teamOf(row, await workspacesOf(db, row.id)), owner_username: row.owner_username }
}

/**
 * Runs `work` in a transaction, and keeps with it what `work` says has happened; of a refusal, that it was refused.
 * Log lines are written after the commit: before it nothing is so.
 */
async function change<T>(
  context: AuthContext,
  by: Actor,
  work: (tx: Tx, trail: Happened[]) => Promise<T>,
): Promise<T> {
  try {
    const { result, trail } = await context.sql.transaction(async (tx) => {
      const trail: Happened[] = []
      const result = await work(tx, trail)
      await recordTrail(tx, context, by, trail)
      return { result, trail }
    })
    logTrail(context.log, trail)
    context.relay.wake()
    return result
  } catch (error) {
    if (!(error instanceof TeamRefusedError)) throw error
    await context.sql.transaction((tx) => recordTrail(tx, context, by, [error.happened]))
    logTrail(context.log, [error.happened])
    throw error
  }
}

async function mint(
  tx: Tx,
  context: AuthContext,
  trail: Happened[],
  { id, jti, failed }: { id: string; jti: string; failed: Happened['what'] },
): Promise<string> {
  const key = await currentKey(tx)
  if (!key) {
    const happened: Happened = { what: failed, teamId: id, fields: { reason: NO_KEY } }
    throw new TeamRefusedError('NO_SIGNING_KEY', NO_KEY, happened)
  }
  trail.push({ what: 'jwt_minted', teamId: id, fields: { kid: key.kid, jti } })
  return signTeamToken(key, { teamId: id, jti }, context.clock())
}

function takenBy(caller: string, teamId: string, what: Happened['what']): TeamRefusedError {
  const happened: Happened = { what, teamId, fields: { caller } }
  return new TeamRefusedError('TEAM_ID_TAKEN', 'Team id is already in use.', happened)
}
