import type { Delegations } from '@mnemosyne/contracts'
import { DomainError, FieldError } from '@mnemosyne/platform'
import {
  type Administrator,
  assertAnother,
  assertAnotherSuperuser,
  assertMayTouch,
  standingOf,
} from './administrators.ts'
import { askLibrary } from './ask-library.ts'
import { audit } from './audit.ts'
import { changeUsers } from './change-users.ts'
import type { AuthContext, Tx } from './context.ts'
import { forgetLibrary } from './memberships.ts'
import { putOwnerships } from './ownerships.ts'
import { finishRenames } from './rename-user.ts'
import { disable } from './user-changes.ts'
import { withUsername } from './username-claims.ts'
import { releaseName } from './usernames.ts'
import { type UserRow, userWithId } from './users.ts'

/** What becomes of the libraries that a user owns. Neither: they must own none. */
export interface LibraryDecision {
  /** The user name of who owns them from now on. */
  handOverTo?: string
  /** They go, with all in them. */
  deleteLibraries: boolean
}

/**
 * Deletes a user: disabled first, then their libraries handed over or deleted, then gone with tokens, memberships,
 * sessions and inactive teams. What broke off half way is gone on with when it is asked for again. Records of what
 * they did keep their id.
 *
 * Throws FieldError, or DomainError USER_NOT_FOUND, SUPERUSER_ONLY, NOT_TO_YOURSELF, LAST_SUPERUSER, TEAMS_ACTIVE,
 * OWNS_LIBRARIES, USERNAME_BUSY, RENAME_NOT_FOLLOWED, LIBRARY_UNAVAILABLE.
 */
export async function deleteUser(
  context: AuthContext,
  who: Administrator,
  request: { id: string; decision: LibraryDecision; delegations: Delegations },
): Promise<void> {
  const { id, decision, delegations } = request
  if (decision.handOverTo !== undefined && decision.deleteLibraries) {
    throw new FieldError('hand_over_to', 'Give one of hand_over_to and delete_libraries, not both.')
  }
  await context.sql.transaction((tx) => mayDelete(tx, who, id))
  // Else their libraries might stand under two names.
  await finishRenames(context, delegations, { of: id })
  const { username } = await userWithId(context.sql.read, id)
  await withUsername(context, username, async () => {
    const heir = await heirOf(context, id, decision)
    if (!heir && !decision.deleteLibraries) await assertOwnsNone(context, username, delegations)
    const row = await changeUsers(context, async (tx) => {
      const row = await mayDelete(tx, who, id)
      if (row.is_active === 1) await disable(tx, context, who.by, row)
      return row
    })
    context.relay.wake()
    const libraries = await disposeOfLibraries(context, who, { row, heir, decision, delegations })
    await changeUsers(context, async (tx) => {
      await removeUser(tx, context, row, heir)
      const detail = { username, libraries: libraries.length, handed_over_to: heir?.username ?? null }
      await audit(tx, context, who.by, { action: 'user.deleted', target: id, detail })
    })
  })
}

async function mayDelete(tx: Tx, who: Administrator, id: string): Promise<UserRow> {
  const row = await userWithId(tx, id)
  await assertMayTouch(tx, who, await standingOf(tx, row))
  assertAnother(who, id, 'delete')
  await assertAnotherSuperuser(tx, row)
  await assertNoActiveTeams(tx, row)
  return row
}

async function assertNoActiveTeams(tx: Tx, { id, username }: UserRow): Promise<void> {
  const teams = await tx
    .selectFrom('team')
    .select('name')
    .where('owner_id', '=', id)
    .where('active', '=', 1)
    .execute()
  if (teams.length === 0) return
  throw new DomainError(
    'TEAMS_ACTIVE',
    `"${username}" owns ${counted(teams.length, 'active team')}, which would lose their owner. Deactivate them first.`,
  )
}

async function heirOf(
  { sql }: AuthContext,
  id: string,
  { handOverTo }: LibraryDecision,
): Promise<UserRow | undefined> {
  if (handOverTo === undefined) return undefined
  const heir = await sql.read
    .selectFrom('user')
    .selectAll()
    .where('username', '=', handOverTo)
    .executeTakeFirst()
  if (!heir) throw new FieldError('hand_over_to', `There is no user "${handOverTo}".`)
  if (heir.id === id) throw new FieldError('hand_over_to', 'Name another user.')
  if (heir.is_active !== 1) throw new FieldError('hand_over_to', `The account "${handOverTo}" is disabled.`)
  return heir
}

async function assertOwnsNone(
  { library }: AuthContext,
  username: string,
  delegations: Delegations,
): Promise<void> {
  const owned = await askLibrary(() =>
    library.ownedLibraries({ owner_username: username }, { context: { delegations } }),
  )
  if (owned.length === 0) return
  throw new DomainError(
    'OWNS_LIBRARIES',
    `"${username}" owns ${counted(owned.length, 'library', 'libraries')}. Say what becomes of them: ` +
      'hand_over_to, a user name, or delete_libraries, with all in them.',
  )
}

/** Returns the uids of the libraries that were theirs. */
async function disposeOfLibraries(
  context: AuthContext,
  { by }: Administrator,
  of: { row: UserRow; heir: UserRow | undefined; decision: LibraryDecision; delegations: Delegations },
): Promise<string[]> {
  const { heir, decision, delegations } = of
  const { username } = of.row
  const { library, sql } = context
  const call = { context: { delegations } }
  if (decision.deleteLibraries) {
    const deleted = await askLibrary(() => library.deleteLibrariesOf({ owner_username: username }, call))
    // Library tells of it by events; other members and their tokens need not wait for those.
    for (const uid of deleted) await forgetLibrary(context, by, uid)
    return deleted
  }
  // One that came into being in the moment before they were disabled.
  if (!heir) {
    await assertOwnsNone(context, username, delegations)
    return []
  }
  // Owners first: whatever breaks off, no library is without one.
  const owned = await askLibrary(() => library.ownedLibraries({ owner_username: username }, call))
  const own = (libraries: string[]) =>
    sql.transaction((tx) => putOwnerships(tx, context, by, { userId: heir.id, libraries }))
  await own(owned)
  const moved = await askLibrary(() => library.reassignLibraries({ from: username, to: heir.username }, call))
  await own(moved)
  return moved
}

async function removeUser(
  tx: Tx,
  context: AuthContext,
  row: UserRow,
  heir: UserRow | undefined,
): Promise<void> {
  await assertNoActiveTeams(tx, row)
  await tx.deleteFrom('team').where('owner_id', '=', row.id).execute()
  await tx
    .updateTable('former_username')
    .set({ successor_id: heir?.id ?? null, renamed: 0 })
    .where('successor_id', '=', row.id)
    .execute()
  const released = { username: row.username, successorId: heir?.id ?? null, renamed: false }
  await releaseName(tx, context, released)
  await tx.deleteFrom('user').where('id', '=', row.id).execute()
}

const counted = (count: number, one: string, many = `${one}s`) => `${count} ${count === 1 ? one : many}`
