import type { Delegations, Group, User } from '@mnemosyne/contracts'
import type { Actor } from '@mnemosyne/platform'
import {
  type Administrator,
  assertAnother,
  assertAnotherSuperuser,
  assertMayTouch,
  standingOf,
} from './administrators.ts'
import { audit } from './audit.ts'
import { changeUsers } from './change-users.ts'
import { type AuthContext, announce, type Tx } from './context.ts'
import { checkEmail, checkPassword } from './create-user.ts'
import { putGroups } from './groups.ts'
import { hashPassword } from './passwords.ts'
import { beginRename, followRename, type Rename } from './rename-user.ts'
import { endSessions } from './sessions.ts'
import { type Standing, standingAfter } from './standing.ts'
import { checkUsername } from './username.ts'
import { settleBeforeTaking } from './usernames.ts'
import { groupsOf, type UserRow, userOf, userWithId } from './users.ts'

/** What is left out stays as it is. */
export interface UserChanges {
  username?: string
  email?: string
  first_name?: string
  last_name?: string
  is_active?: boolean
  is_staff?: boolean
  is_superuser?: boolean
  groups?: Group[]
  /** Null: none to sign in with. */
  password?: string | null
}

/**
 * Changes a user, all or nothing; a new name comes last, when the library service has followed it. Throws FieldError,
 * or DomainError USER_NOT_FOUND, SUPERUSER_ONLY, NOT_TO_YOURSELF, LAST_SUPERUSER, USERNAME_TAKEN, USERNAME_BUSY,
 * RENAME_UNDER_WAY, LIBRARY_UNAVAILABLE.
 */
export async function changeUser(
  context: AuthContext,
  who: Administrator,
  { id, changes, delegations = {} }: { id: string; changes: UserChanges; delegations?: Delegations },
): Promise<User> {
  const { username, email, password } = changes
  if (email !== undefined) checkEmail(email)
  if (typeof password === 'string') checkPassword(password)
  if (username !== undefined) {
    checkUsername(username)
    await settleBeforeTaking(context, username, delegations, { forId: id })
  }
  const password_hash = typeof password === 'string' ? await hashPassword(password) : password
  const rename = await changeUsers(context, (tx) =>
    changeInTransaction(tx, context, who, { id, changes, password_hash }),
  )
  context.relay.wake()
  if (rename) await followRename(context, who.by, rename, delegations)
  return readUser(context, id)
}

async function readUser({ sql }: AuthContext, id: string): Promise<User> {
  const row = await userWithId(sql.read, id)
  return userOf(row, await groupsOf(sql.read, id))
}

interface Change {
  id: string
  changes: UserChanges
  /** Undefined: as it is. */
  password_hash: string | null | undefined
}

async function changeInTransaction(
  tx: Tx,
  context: AuthContext,
  who: Administrator,
  { id, changes, password_hash }: Change,
): Promise<Rename | undefined> {
  const row = await userWithId(tx, id)
  const before = await standingOf(tx, row)
  const after = standingAfter(before, changes)
  await assertMayTouch(tx, who, before, after)
  const disabled = changes.is_active === false && row.is_active === 1
  const demoted = before.is_superuser && !after.is_superuser
  if (disabled) assertAnother(who, id, 'disable')
  if (demoted) assertAnother(who, id, 'demote')
  if (disabled || demoted) await assertAnotherSuperuser(tx, row)

  await changeDetails(tx, context, who.by, row, changes)
  await changeStanding(tx, context, who.by, row, { before, after })
  if (password_hash !== undefined) await putPassword(tx, context, who.by, row, password_hash)
  if (disabled) await disable(tx, context, who.by, row)
  if (changes.is_active && row.is_active === 0) {
    await update(tx, context, id, { is_active: 1 })
    await audit(tx, context, who.by, { action: 'user.enabled', target: id })
  }
  if (changes.username === undefined) return undefined
  return beginRename(tx, context, who.by, row, changes.username)
}

const DETAILS = ['email', 'first_name', 'last_name'] as const

async function changeDetails(
  tx: Tx,
  context: AuthContext,
  by: Actor,
  row: UserRow,
  changes: UserChanges,
): Promise<void> {
  const changed = DETAILS.filter((field) => changes[field] !== undefined && changes[field] !== row[field])
  if (changed.length === 0) return
  await update(tx, context, row.id, Object.fromEntries(changed.map((field) => [field, changes[field]])))
  await audit(tx, context, by, {
    action: 'user.changed',
    target: row.id,
    detail: { fields: changed.join(', ') },
  })
}

async function changeStanding(
  tx: Tx,
  context: AuthContext,
  by: Actor,
  { id }: UserRow,
  { before, after }: { before: Standing; after: Standing },
): Promise<void> {
  const { is_staff, is_superuser, groups } = after
  const sameGroups = groups.join() === before.groups.join()
  if (sameGroups && is_staff === before.is_staff && is_superuser === before.is_superuser) return
  await update(tx, context, id, { is_staff: is_staff ? 1 : 0, is_superuser: is_superuser ? 1 : 0 })
  if (!sameGroups) await putGroups(tx, context, by, { userId: id, groups })
  await audit(tx, context, by, {
    action: 'user.standing_changed',
    target: id,
    detail: { is_staff, is_superuser, groups: groups.join(', ') },
  })
}

async function putPassword(
  tx: Tx,
  context: AuthContext,
  by: Actor,
  { id }: UserRow,
  password_hash: string | null,
): Promise<void> {
  await update(tx, context, id, { password_hash })
  const sessions_ended = await endSessions(tx, id)
  const action = password_hash === null ? 'user.password_removed' : 'user.password_set'
  await audit(tx, context, by, { action, target: id, detail: { sessions_ended } })
}

/** None of the user's credentials is good from the next request on. */
export async function disable(
  tx: Tx,
  context: AuthContext,
  by: Actor,
  { id, username }: UserRow,
): Promise<void> {
  await update(tx, context, id, { is_active: 0 })
  const sessions_ended = await endSessions(tx, id)
  await announce(tx, context, 'user.disabled.v1', { user_id: id })
  await audit(tx, context, by, { action: 'user.disabled', target: id, detail: { username, sessions_ended } })
}

/** Ends all sessions of somebody. Throws DomainError USER_NOT_FOUND, SUPERUSER_ONLY. */
export async function endSessionsOf(context: AuthContext, who: Administrator, id: string): Promise<void> {
  await context.sql.transaction(async (tx) => {
    const row = await userWithId(tx, id)
    if (who.userId !== id) await assertMayTouch(tx, who, await standingOf(tx, row))
    await update(tx, context, id, {})
    const sessions_ended = await endSessions(tx, id)
    await audit(tx, context, who.by, {
      action: 'user.sessions_ended',
      target: id,
      detail: { sessions_ended },
    })
  })
}

async function update(tx: Tx, { clock }: AuthContext, id: string, values: Partial<UserRow>): Promise<void> {
  await tx
    .updateTable('user')
    .set({ ...values, updated_at: clock().toISOString() })
    .where('id', '=', id)
    .execute()
}
