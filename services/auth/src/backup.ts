import { randomUUID } from 'node:crypto'
import { type Clock, type SchemaRecord, type Sql, serviceActor } from '@mnemosyne/platform'
import { audit } from './audit.ts'
import { forgetHandOversAfter, forgetLibrary, putOwner } from './memberships.ts'
import { type AuthTables, authMigrations } from './schema.ts'

/** What a backup has to know of the schema `auth`. */
export const authSchema: SchemaRecord<AuthTables> = {
  schema: 'auth',
  migrations: authMigrations,
  tables: {
    user: { key: ['id'] },
    group: { key: ['name'] },
    group_membership: { key: ['user_id', 'group_name'] },
    user_rename: { key: ['from_username'] },
    former_username: { key: ['username'] },
    username_claim: 'left out',
    session: 'left out',
    login_failure: 'left out',
    team: { key: ['id'] },
    team_workspace_assignment: { key: ['team_id', 'workspace_id'] },
    user_token: { key: ['id'] },
    library_membership: { key: ['user_id', 'library_uid', 'role'] },
    signing_key: { key: ['kid'], secret: ['secret'] },
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
  libraries: readonly { uid: string; owner_username: string | null; hand_overs: number }[],
): Promise<void> {
  const by = serviceActor('restore')
  const context = { sql, clock, ids: randomUUID }
  const there = new Set(libraries.map(({ uid }) => uid))
  for (const uid of await namedLibraries(sql)) if (!there.has(uid)) await forgetLibrary(context, by, uid)
  for (const { uid, owner_username, hand_overs } of libraries) {
    if (owner_username === null || !(await isActive(sql, owner_username))) continue
    await sql.transaction((tx) => forgetHandOversAfter(tx, uid, hand_overs))
    await putOwner(context, by, { library_uid: uid, username: owner_username, hand_overs })
  }
}

/**
 * After a restore without secrets: a key that has none signs and verifies nothing, and is retired for good. Returns
 * the kids of all such keys. Idempotent.
 */
export async function retireLostKeys({
  sql,
  clock,
}: {
  sql: Sql<AuthTables>
  clock: Clock
}): Promise<string[]> {
  const context = { clock, ids: randomUUID }
  return sql.transaction(async (tx) => {
    const lost = await tx
      .selectFrom('signing_key')
      .select(['kid', 'retired_at'])
      .where('secret', '=', '')
      .orderBy('kid')
      .execute()
    for (const { kid, retired_at } of lost) {
      if (retired_at !== null) continue
      await tx
        .updateTable('signing_key')
        .set({ is_current: 0, retired_at: clock().toISOString() })
        .where('kid', '=', kid)
        .execute()
      const detail = { reason: 'its secret is not in the backup' }
      await audit(tx, context, serviceActor('restore'), {
        action: 'signing_key.retired',
        target: kid,
        detail,
      })
    }
    return lost.map(({ kid }) => kid)
  })
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
