import { randomUUID } from 'node:crypto'
import type { Clock, SchemaRecord, Sql } from '@mnemosyne/platform'
import { serviceActor } from './audit.ts'
import { forgetLibrary, putOwner } from './memberships.ts'
import { type AuthTables, authMigrations } from './schema.ts'

/** What a backup has to know of the schema `auth`. It holds secrets of signing keys: guard it like the database. */
export const authSchema: SchemaRecord<AuthTables> = {
  schema: 'auth',
  migrations: authMigrations,
  tables: {
    user: { key: ['id'] },
    group: { key: ['name'] },
    group_membership: { key: ['user_id', 'group_name'] },
    user_rename: { key: ['from_username'] },
    session: 'left out',
    login_failure: 'left out',
    team: { key: ['id'] },
    team_workspace_assignment: { key: ['team_id', 'workspace_id'] },
    user_token: { key: ['id'] },
    library_membership: { key: ['user_id', 'library_uid', 'role'] },
    signing_key: { key: ['kid'] },
    audit_log: { key: ['id'], identity: 'id' },
    outbox: { key: ['id'], identity: 'id' },
  },
}

/**
 * After a restore: memberships and tokens of libraries that are not there go, and every owner is a member, whatever
 * events were on their way when the backup was taken. Idempotent.
 */
export async function agreeWithLibraries(
  { sql, clock }: { sql: Sql<AuthTables>; clock: Clock },
  libraries: readonly { uid: string; owner_username: string | null }[],
): Promise<void> {
  const by = serviceActor('restore')
  const context = { sql, clock, ids: randomUUID }
  const there = new Set(libraries.map(({ uid }) => uid))
  for (const uid of await namedLibraries(sql)) if (!there.has(uid)) await forgetLibrary(context, by, uid)
  for (const { uid, owner_username } of libraries) {
    if (owner_username === null || !(await isActive(sql, owner_username))) continue
    await putOwner(context, by, { library_uid: uid, username: owner_username })
  }
}

/** Libraries that memberships and tokens name. */
async function namedLibraries(sql: Sql<AuthTables>): Promise<Set<string>> {
  const members = await sql.read.selectFrom('library_membership').select('library_uid').distinct().execute()
  const tokens = await sql.read.selectFrom('user_token').select('allowed_libraries').distinct().execute()
  const allowed = tokens.flatMap(({ allowed_libraries }) => JSON.parse(allowed_libraries) as string[])
  return new Set([...members.map(({ library_uid }) => library_uid), ...allowed.filter((uid) => uid !== '*')])
}

async function isActive(sql: Sql<AuthTables>, username: string): Promise<boolean> {
  const user = await sql.read
    .selectFrom('user')
    .select('is_active')
    .where('username', '=', username)
    .executeTakeFirst()
  return user?.is_active === 1
}
