import type { MembershipRole } from '@mnemosyne/contracts'
import { type Migration, type OutboxTables, outboxMigration } from '@mnemosyne/platform'
import type { Generated } from 'kysely'

/** Booleans are 0 and 1, lists are JSON, times ISO 8601 UTC with milliseconds, so that they compare as text. */
export interface AuthTables extends OutboxTables {
  user: {
    id: string
    username: string
    email: string
    first_name: string
    last_name: string
    /** argon2id, in PHC format; null for a user who has no password. */
    password_hash: string | null
    is_active: number
    is_staff: number
    is_superuser: number
    organization: string
    created_at: string
    updated_at: string
  }
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
  audit_log: {
    id: Generated<number>
    /** A user's id, or `command-line`, `service`. */
    actor: string
    action: string
    target: string
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

export const authMigrations: readonly Migration[] = [outboxMigration, initial]
