import type { Group, User } from '@mnemosyne/contracts'
import { DomainError, FieldError, isUniqueViolation } from '@mnemosyne/platform'
import { hash } from '@node-rs/argon2'
import type { Selectable } from 'kysely'
import { type Actor, audit } from './audit.ts'
import { type AuthContext, announce, type Tx } from './context.ts'
import type { AuthTables } from './schema.ts'

export type UserRow = Selectable<AuthTables['user']>

export interface NewUser {
  username: string
  email: string
  staff: boolean
  superuser: boolean
  /** null: the user signs in by token (or single sign-on) only. */
  password: string | null
}

const USERNAME_MAX = 150
const EMAIL_MAX = 254
const PASSWORD_MIN = 8
const PASSWORD_MAX = 1_024

/** OWASP's parameters for argon2id: 19 MiB, two passes, one lane. */
const ARGON2ID = { memoryCost: 19_456, timeCost: 2, parallelism: 1 }

/** Creates a user. Throws FieldError, or DomainError USERNAME_TAKEN. */
export async function createUser(context: AuthContext, by: Actor, input: NewUser): Promise<User> {
  checkNewUser(input)
  const now = context.clock().toISOString()
  const row: UserRow = {
    id: context.ids(),
    username: input.username,
    email: input.email,
    first_name: '',
    last_name: '',
    password_hash: input.password === null ? null : await hash(input.password, ARGON2ID),
    is_active: 1,
    is_staff: input.staff || input.superuser ? 1 : 0,
    is_superuser: input.superuser ? 1 : 0,
    organization: '',
    theme: 'system',
    time_zone: 'UTC',
    date_format: 'iso',
    created_at: now,
    updated_at: now,
  }
  try {
    await context.sql.transaction(async (tx) => {
      await tx.insertInto('user').values(row).execute()
      await audit(tx, context, by, {
        action: 'user.created',
        target: row.id,
        detail: { username: row.username },
      })
    })
  } catch (cause) {
    if (!isUniqueViolation(cause)) throw cause
    throw new DomainError(
      'USERNAME_TAKEN',
      `There is a user "${input.username}" already. Choose another name.`,
      {
        cause,
      },
    )
  }
  return userOf(row, [])
}

/** Disables a user: none of their credentials is good from the next request on. Idempotent. */
export async function disableUser(context: AuthContext, by: Actor, username: string): Promise<void> {
  const { id } = await userByName(context, username)
  await context.sql.transaction(async (tx) => {
    const { numUpdatedRows } = await tx
      .updateTable('user')
      .set({ is_active: 0, updated_at: context.clock().toISOString() })
      .where('id', '=', id)
      .where('is_active', '=', 1)
      .executeTakeFirst()
    if (numUpdatedRows === 0n) return
    await announce(tx, context, 'user.disabled.v1', { user_id: id })
    await audit(tx, context, by, { action: 'user.disabled', target: id, detail: { username } })
  })
  context.relay.wake()
}

/** Throws DomainError USER_NOT_FOUND. */
export async function userByName({ sql }: Pick<AuthContext, 'sql'>, username: string): Promise<UserRow> {
  const row = await sql.read
    .selectFrom('user')
    .selectAll()
    .where('username', '=', username)
    .executeTakeFirst()
  if (!row) throw new DomainError('USER_NOT_FOUND', `There is no user "${username}".`)
  return row
}

export async function userById({ sql }: Pick<AuthContext, 'sql'>, id: string): Promise<UserRow> {
  const row = await sql.read.selectFrom('user').selectAll().where('id', '=', id).executeTakeFirst()
  if (!row) throw new DomainError('USER_NOT_FOUND', 'There is no such user.')
  return row
}

/** The user who was created first, or null. */
export async function firstUser({ sql }: Pick<AuthContext, 'sql'>): Promise<User | null> {
  const row = await sql.read
    .selectFrom('user')
    .selectAll()
    .orderBy('created_at')
    .orderBy('id')
    .limit(1)
    .executeTakeFirst()
  return row ? userOf(row, await groupsOf(sql.read, row.id)) : null
}

/** The groups that a user is in, sorted. */
export async function groupsOf(db: Tx | AuthContext['sql']['read'], userId: string): Promise<Group[]> {
  const rows = await db
    .selectFrom('group_membership')
    .select('group_name')
    .where('user_id', '=', userId)
    .orderBy('group_name')
    .execute()
  return rows.map(({ group_name }) => group_name)
}

export function userOf(row: UserRow, groups: Group[]): User {
  return {
    id: row.id,
    username: row.username,
    email: row.email,
    first_name: row.first_name,
    last_name: row.last_name,
    organization: row.organization,
    is_active: row.is_active === 1,
    is_staff: row.is_staff === 1,
    is_superuser: row.is_superuser === 1,
    groups,
    has_password: row.password_hash !== null,
    created_at: row.created_at,
    updated_at: row.updated_at,
  }
}

function checkNewUser({ username, email, password }: NewUser): void {
  if (username.length === 0 || username.length > USERNAME_MAX || !/^[\p{L}\p{N}@.+_-]+$/u.test(username)) {
    throw new FieldError(
      'username',
      `A user name has 1 to ${USERNAME_MAX} letters, digits and @ . + - _ characters.`,
    )
  }
  if (email !== '' && (email.length > EMAIL_MAX || !/^[^\s@\0]+@[^\s@\0]+$/.test(email))) {
    throw new FieldError('email', 'This is no e-mail address.')
  }
  if (password !== null && (password.length < PASSWORD_MIN || password.length > PASSWORD_MAX)) {
    throw new FieldError('password', `A password has ${PASSWORD_MIN} to ${PASSWORD_MAX} characters.`)
  }
}
