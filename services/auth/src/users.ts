import { GROUPS, type Group, type User } from '@mnemosyne/contracts'
import { DomainError, prepared } from '@mnemosyne/platform'
import { type Selectable, sql } from 'kysely'
import type { AuthContext, Tx } from './context.ts'
import { groupsOfMany } from './groups.ts'
import type { AuthTables } from './schema.ts'
import { usernameKey } from './username.ts'

export type UserRow = Selectable<AuthTables['user']>

type Db = Tx | AuthContext['sql']['read']

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

/** Throws DomainError USER_NOT_FOUND. */
export function userById({ sql }: Pick<AuthContext, 'sql'>, id: string): Promise<UserRow> {
  return userWithId(sql.read, id)
}

/** Throws DomainError USER_NOT_FOUND. */
export async function userWithId(db: Db, id: string): Promise<UserRow> {
  const row = await db.selectFrom('user').selectAll().where('id', '=', id).executeTakeFirst()
  if (!row) throw new DomainError('USER_NOT_FOUND', 'There is no such user.')
  return row
}

/** The user who was created first, of those who are not disabled while there are such; or null. */
export async function firstUser({ sql }: Pick<AuthContext, 'sql'>): Promise<User | null> {
  const row = await sql.read
    .selectFrom('user')
    .selectAll()
    .orderBy('is_active', 'desc')
    .orderBy('created_at')
    .orderBy('id')
    .limit(1)
    .executeTakeFirst()
  return row ? userOf(row, await groupsOf(sql.read, row.id)) : null
}

export interface UserFilter {
  /** A part of the name, the e-mail address, or the first or last name, in either case. */
  q?: string
  is_active?: boolean
}

/** Users by name, and how many there are in all. */
export async function listUsers(
  context: Pick<AuthContext, 'sql'>,
  { q, is_active, limit, offset }: UserFilter & { limit: number; offset: number },
): Promise<{ users: User[]; total: number }> {
  const db = context.sql.read
  let matching = db.selectFrom('user')
  if (is_active !== undefined) matching = matching.where('is_active', '=', is_active ? 1 : 0)
  if (q !== undefined && q.trim() !== '') {
    const part = `%${usernameKey(q.trim()).replace(/[\\%_]/g, '\\$&')}%`
    matching = matching.where((where) =>
      where.or([
        sql<boolean>`username_key like ${part} escape '\\'`,
        ...(['email', 'first_name', 'last_name'] as const).map(
          (column) => sql<boolean>`lower(${sql.ref(column)}) like ${part} escape '\\'`,
        ),
      ]),
    )
  }
  const [rows, { total }] = await Promise.all([
    matching.selectAll().orderBy('username').orderBy('id').limit(limit).offset(offset).execute(),
    matching.select((select) => select.fn.countAll<number>().as('total')).executeTakeFirstOrThrow(),
  ])
  const groups = await groupsOfMany(
    db,
    rows.map(({ id }) => id),
  )
  return { users: rows.map((row) => userOf(row, groups.get(row.id) ?? [])), total }
}

/** The groups that a user is in, in their order. */
export async function groupsOf(db: Db, userId: string): Promise<Group[]> {
  const rows = await groupRowsOf(db, userId)
  return GROUPS.filter((group) => rows.some(({ group_name }) => group_name === group))
}

const groupRowsOf = prepared((db: Db, userId: string) =>
  db.selectFrom('group_membership').select('group_name').where('user_id', '=', userId),
)

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
