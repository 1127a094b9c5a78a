import type { ColumnTypes } from '@mnemosyne/platform'
import { sql, type Transaction } from 'kysely'

/** Adds to the audit log what a record says beyond action and target, by what it is looked for, and the seal. */
export async function completeAuditLog(
  db: Transaction<unknown>,
  { text, dialect }: Pick<ColumnTypes, 'text' | 'dialect'>,
): Promise<void> {
  const table = () => db.schema.alterTable('audit_log')
  for (const name of ['record_id', 'username', 'team_id', 'token_id']) {
    await table().addColumn(name, text).execute()
  }
  await table()
    .addColumn('outcome', text, (column) => column.notNull().defaultTo('done'))
    .execute()
  await table()
    .addColumn('count', 'integer', (column) => column.notNull().defaultTo(1))
    .execute()
  await table()
    .addColumn('detail', text, (column) => column.notNull().defaultTo('{}'))
    .execute()
  await db.schema.createIndex('audit_log_record').on('audit_log').column('record_id').unique().execute()
  // By what is asked for, and then newest first.
  for (const column of ['actor', 'username', 'team_id', 'action', 'target', 'request_id']) {
    await db.schema
      .createIndex(`audit_log_by_${column}`)
      .on('audit_log')
      .columns([column, 'created_at', 'id'])
      .execute()
  }
  await db.schema.createIndex('audit_log_by_time').on('audit_log').columns(['created_at', 'id']).execute()
  await (dialect === 'sqlite' ? sealOnSqlite(db) : sealOnPostgres(db))
}

/** What is written stays as it is, whoever holds the connection: short of dropping the trigger. */
async function sealOnSqlite(db: Transaction<unknown>): Promise<void> {
  for (const change of ['update', 'delete']) {
    await sql
      .raw(
        `create trigger audit_log_no_${change} before ${change} on audit_log ` +
          `begin select raise(abort, 'audit_log is append-only'); end`,
      )
      .execute(db)
  }
  // INSERT OR REPLACE deletes without asking the trigger before a deletion.
  await sql`create trigger audit_log_no_replacement before insert on audit_log
    when exists (select 1 from audit_log where id = new.id)
    begin select raise(abort, 'audit_log is append-only'); end`.execute(db)
  await sql`create trigger audit_log_no_repetition before insert on audit_log
    when exists (select 1 from audit_log where record_id = new.record_id)
    begin select raise(ignore); end`.execute(db)
}

async function sealOnPostgres(db: Transaction<unknown>): Promise<void> {
  await sql`create or replace function refuse_audit_change() returns trigger language plpgsql as
    $$ begin raise exception 'audit_log is append-only'; end $$`.execute(db)
  await sql`create trigger audit_log_sealed before update or delete or truncate on audit_log
    for each statement execute function refuse_audit_change()`.execute(db)
}
