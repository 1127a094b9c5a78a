import type { Group, MembershipRole, Preferences } from '@mnemosyne/contracts'
import { type Migration, type OutboxTables, outboxMigration } from '@mnemosyne/platform'
import type { Generated, Transaction } from 'kysely'
import { completeAuditLog } from './audit-log-table.ts'
import { usernameKey } from './username.ts'

/** Booleans are 0 and 1, lists are JSON, times ISO 8601 UTC with milliseconds, so that they compare as text. */
export interface AuthTables extends OutboxTables {
  user: {
    id: string
    username: string
    /** The name in the form in which names that look alike are equal. */
    username_key: string
    /** Since when the user has had this name. */
    named_at: string
    email: string
    first_name: string
    last_name: string
    /** argon2id, in PHC format; null for a user who has no password. */
    password_hash: string | null
    is_active: number
    is_staff: number
    is_superuser: number
    organization: string
    theme: Preferences['theme']
    time_zone: string
    date_format: Preferences['date_format']
    created_at: string
    updated_at: string
  }
  group: { name: Group; created_at: string }
  group_membership: { user_id: string; group_name: Group }
  /** A rename that the library service has not followed yet: both names are taken until it has. */
  user_rename: { user_id: string; from_username: string; to_username: string; created_at: string }
  /** A name that nobody has any more, and whose what was made under it in that moment is: null, it is deleted. */
  former_username: {
    username: string
    successor_id: string | null
    /** 1: they are who had it, by another name. */
    renamed: number
    released_at: string
    /** When libraries that still stand under it are looked for; null: they were. */
    settle_at: string | null
  }
  /** Who just now moves or deletes all that stands under a name, in the library service. Nobody may take it meanwhile. */
  username_claim: { username: string; claim_id: string; until: string }
  session: {
    id: string
    user_id: string
    /** SHA-256 of the cookie's value in hex. */
    secret_hash: string
    csrf_token: string
    created_at: string
    last_used_at: string
    expires_at: string
  }
  /** Failed logins of one user name from one address, known user or not. */
  login_failure: {
    address: string
    /** SHA-256 in hex: people also type passwords there. */
    username_hash: string
    failures: number
    last_failed_at: string
    locked_until: string | null
  }
  team: {
    /** Given by who created it. */
    id: string
    name: string
    owner_id: string
    active: number
    /** Of the one token that is good. */
    active_jti: string | null
    created_at: string
    updated_at: string
  }
  team_workspace_assignment: { team_id: string; workspace_id: string; created_at: string }
  user_token: {
    id: string
    user_id: string
    /** SHA-256 of the plaintext in hex. */
    token_hash: string
    name: string
    is_active: number
    expires_at: string | null
    last_used_at: string | null
    /** JSON list of tool names; empty permits every tool. */
    allowed_tools: string
    /** JSON list of library uids, or `["*"]`; empty sees nothing. */
    allowed_libraries: string
    created_at: string
    updated_at: string
  }
  library_membership: {
    user_id: string
    library_uid: string
    role: MembershipRole
    created_at: string
    /** Of an owner: how often the library had been handed over when they were made one, as far as was known. */
    hand_overs: Generated<number>
  }
  signing_key: {
    kid: string
    /** 256 bits in hex; never leaves this table. */
    secret: string
    /** 1 on the one key that signs. */
    is_current: number
    created_at: string
    retired_at: string | null
  }
  /** Append-only: the database refuses to change or delete a row. */
  audit_log: {
    id: Generated<number>
    /** Of the record, whoever made it; null in rows of before there were such. */
    record_id: string | null
    /** A user's id, or `anonymous`, `command-line`, `service`. */
    actor: string
    username: string | null
    team_id: string | null
    token_id: string | null
    action: string
    target: string
    outcome: 'done' | 'refused'
    count: number
    /** JSON object. */
    detail: string
    request_id: string
    created_at: string
  }
}

const initial: Migration = {
  name: 'auth-0001-users',
  async up(db, { text, identity }) {
    await db.schema
      .createTable('user')
      .addColumn('id', text, (column) => column.primaryKey())
      .addColumn('username', text, (column) => column.notNull().unique())
      .addColumn('email', text, (column) => column.notNull())
      .addColumn('first_name', text, (column) => column.notNull())
      .addColumn('last_name', text, (column) => column.notNull())
      .addColumn('password_hash', text)
      .addColumn('is_active', 'integer', (column) => column.notNull())
      .addColumn('is_staff', 'integer', (column) => column.notNull())
      .addColumn('is_superuser', 'integer', (column) => column.notNull())
      .addColumn('organization', text, (column) => column.notNull())
      .addColumn('created_at', text, (column) => column.notNull())
      .addColumn('updated_at', text, (column) => column.notNull())
      .execute()
    await db.schema
      .createTable('user_token')
      .addColumn('id', text, (column) => column.primaryKey())
      .addColumn('user_id', text, (column) => column.notNull().references('user.id').onDelete('cascade'))
      .addColumn('token_hash', text, (column) => column.notNull().unique())
      .addColumn('name', text, (column) => column.notNull())
      .addColumn('is_active', 'integer', (column) => column.notNull())
      .addColumn('expires_at', text)
      .addColumn('last_used_at', text)
      .addColumn('allowed_tools', text, (column) => column.notNull())
      .addColumn('allowed_libraries', text, (column) => column.notNull())
      .addColumn('created_at', text, (column) => column.notNull())
      .addColumn('updated_at', text, (column) => column.notNull())
      .execute()
    await db.schema
      .createIndex('user_token_by_user')
      .on('user_token')
      .columns(['user_id', 'created_at'])
      .execute()
    await db.schema
      .createTable('library_membership')
      .addColumn('user_id', text, (column) => column.notNull().references('user.id').onDelete('cascade'))
      .addColumn('library_uid', text, (column) => column.notNull())
      .addColumn('role', text, (column) => column.notNull())
      .addColumn('created_at', text, (column) => column.notNull())
      .addPrimaryKeyConstraint('library_membership_pk', ['user_id', 'library_uid', 'role'])
      .execute()
    await db.schema
      .createIndex('library_membership_by_library')
      .on('library_membership')
      .column('library_uid')
      .execute()
    await db.schema
      .createTable('signing_key')
      .addColumn('kid', text, (column) => column.primaryKey())
      .addColumn('secret', text, (column) => column.notNull())
      .addColumn('is_current', 'integer', (column) => column.notNull())
      .addColumn('created_at', text, (column) => column.notNull())
      .addColumn('retired_at', text)
      .execute()
    await db.schema
      .createTable('audit_log')
      .addColumn('id', identity)
      .addColumn('actor', text, (column) => column.notNull())
      .addColumn('action', text, (column) => column.notNull())
      .addColumn('target', text, (column) => column.notNull())
      .addColumn('request_id', text, (column) => column.notNull())
      .addColumn('created_at', text, (column) => column.notNull())
      .execute()
  },
}

const identity: Migration = {
  name: 'auth-0002-identity',
  async up(db, { text, dialect }) {
    const columns = [
      ['username_key', ''],
      ['named_at', ''],
      ['theme', 'system'],
      ['time_zone', 'UTC'],
      ['date_format', 'iso'],
    ] as const
    for (const [name, value] of columns) {
      await db.schema
        .alterTable('user')
        .addColumn(name, text, (column) => column.notNull().defaultTo(value))
        .execute()
    }
    await keyUsernames(db.withTables<Pick<AuthTables, 'user'>>())
    await db.schema.createIndex('user_by_key').on('user').column('username_key').execute()
    await db.schema
      .createTable('group')
      .addColumn('name', text, (column) => column.primaryKey())
      .addColumn('created_at', text, (column) => column.notNull())
      .execute()
    await db.schema
      .createTable('group_membership')
      .addColumn('user_id', text, (column) => column.notNull().references('user.id').onDelete('cascade'))
      .addColumn('group_name', text, (column) => column.notNull().references('group.name'))
      .addPrimaryKeyConstraint('group_membership_pk', ['user_id', 'group_name'])
      .execute()
    await db.schema
      .createTable('user_rename')
      .addColumn('from_username', text, (column) => column.primaryKey())
      .addColumn('to_username', text, (column) => column.notNull().unique())
      .addColumn('user_id', text, (column) => column.notNull().references('user.id').onDelete('cascade'))
      .addColumn('created_at', text, (column) => column.notNull())
      .execute()
    await db.schema
      .createTable('former_username')
      .addColumn('username', text, (column) => column.primaryKey())
      .addColumn('successor_id', text, (column) => column.references('user.id').onDelete('set null'))
      .addColumn('renamed', 'integer', (column) => column.notNull())
      .addColumn('released_at', text, (column) => column.notNull())
      .addColumn('settle_at', text)
      .execute()
    await db.schema
      .createTable('username_claim')
      .addColumn('username', text, (column) => column.primaryKey())
      .addColumn('claim_id', text, (column) => column.notNull())
      .addColumn('until', text, (column) => column.notNull())
      .execute()
    await db.schema
      .createTable('session')
      .addColumn('id', text, (column) => column.primaryKey())
      .addColumn('user_id', text, (column) => column.notNull().references('user.id').onDelete('cascade'))
      .addColumn('secret_hash', text, (column) => column.notNull().unique())
      .addColumn('csrf_token', text, (column) => column.notNull())
      .addColumn('created_at', text, (column) => column.notNull())
      .addColumn('last_used_at', text, (column) => column.notNull())
      .addColumn('expires_at', text, (column) => column.notNull())
      .execute()
    await db.schema.createIndex('session_by_user').on('session').column('user_id').execute()
    await db.schema.createIndex('session_by_expiry').on('session').column('expires_at').execute()
    await db.schema
      .createTable('login_failure')
      .addColumn('address', text, (column) => column.notNull())
      .addColumn('username_hash', text, (column) => column.notNull())
      .addColumn('failures', 'integer', (column) => column.notNull())
      .addColumn('last_failed_at', text, (column) => column.notNull())
      .addColumn('locked_until', text)
      .addPrimaryKeyConstraint('login_failure_pk', ['address', 'username_hash'])
      .execute()
    await db.schema
      .createIndex('login_failure_by_time')
      .on('login_failure')
      .column('last_failed_at')
      .execute()
    await db.schema
      .createTable('team')
      .addColumn('id', text, (column) => column.primaryKey())
      .addColumn('name', text, (column) => column.notNull())
      .addColumn('owner_id', text, (column) => column.notNull().references('user.id'))
      .addColumn('active', 'integer', (column) => column.notNull())
      .addColumn('active_jti', text)
      .addColumn('created_at', text, (column) => column.notNull())
      .addColumn('updated_at', text, (column) => column.notNull())
      .execute()
    await db.schema.createIndex('team_by_owner').on('team').columns(['owner_id', 'created_at']).execute()
    await db.schema
      .createTable('team_workspace_assignment')
      .addColumn('team_id', text, (column) => column.notNull().references('team.id').onDelete('cascade'))
      .addColumn('workspace_id', text, (column) => column.notNull())
      .addColumn('created_at', text, (column) => column.notNull())
      .addPrimaryKeyConstraint('team_workspace_assignment_pk', ['team_id', 'workspace_id'])
      .execute()
    await db.schema
      .alterTable('library_membership')
      .addColumn('hand_overs', 'integer', (column) => column.notNull().defaultTo(0))
      .execute()
    await completeAuditLog(db, { text, dialect })
  },
}

/** Users of before there were keys. */
async function keyUsernames(db: Transaction<Pick<AuthTables, 'user'>>): Promise<void> {
  for (const { id, username, created_at } of await db.selectFrom('user').selectAll().execute()) {
    await db
      .updateTable('user')
      .set({ username_key: usernameKey(username), named_at: created_at })
      .where('id', '=', id)
      .execute()
  }
}

export const authMigrations: readonly Migration[] = [outboxMigration, initial, identity]
