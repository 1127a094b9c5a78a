import type { JobStage, JobStatus } from '@mnemosyne/contracts'
import type { ColumnTypes, Migration, OutboxTables } from '@mnemosyne/platform'
import { outboxMigration } from '@mnemosyne/platform'
import { sql } from 'kysely'

export interface JobRow {
  job_id: string
  /** Rises with every job of one `source_ref`: the version of the item's content that this job makes. */
  version: number
  status: JobStatus
  stage: JobStage
  progress: number
  library_uid: string
  item_uid: string
  collection_uid: string | null
  title: string
  s3_key: string
  source: string
  source_ref: string
  content_hash: string
  file_type: string
  file_size: number
  chunks_created: number
  images_extracted: number
  concepts_extracted: number
  embedding_model: string | null
  retry_count: number
  error: string | null
  warnings: string
  created_at: string
  started_at: string | null
  completed_at: string | null
  /** 1 while a repeated request for the same triple is answered with this job. */
  current: number
  /** Failures that may pass, since it was accepted or retried by hand. */
  attempts: number
  /** Times that a worker's process died over it, since it last got any further. */
  interruptions: number
  /** Which worker holds it, and its signs of life: as long as they come, nobody takes the job over. */
  claim: string | null
  heartbeat: number
  /** When a pending job that waits for its retry is due. */
  retry_at: string | null
  cancel_requested: number
  /** 1 when the title is only the file's name: the document's own title takes its place when it has one. */
  untitled: number
  /** The id of the user on whose account it runs: who handed it in, or retried it last. Null in older rows. */
  acting_user: string | null
}

export interface IngestTables extends OutboxTables {
  job: JobRow
  /** The item that a source's document is, through all its versions. */
  source_item: { library_uid: string; source_ref: string; item_uid: string }
  /** Vectors of jobs in hand: what a killed worker had embedded is not embedded again. */
  embedding_cache: { embedding_key: string; job_id: string; vector: Uint8Array }
}

const jobs: Migration = {
  name: 'ingest-0001-jobs',
  async up(db, types) {
    const { text, bigint } = types
    await db.schema
      .createTable('job')
      .addColumn('job_id', text, (c) => c.primaryKey())
      .addColumn('version', bigint, (c) => c.notNull())
      .addColumn('status', text, (c) => c.notNull())
      .addColumn('stage', text, (c) => c.notNull())
      .addColumn('progress', 'integer', (c) => c.notNull())
      .addColumn('library_uid', text, (c) => c.notNull())
      .addColumn('item_uid', text, (c) => c.notNull())
      .addColumn('collection_uid', text)
      .addColumn('title', text, (c) => c.notNull())
      .addColumn('s3_key', text, (c) => c.notNull())
      .addColumn('source', text, (c) => c.notNull())
      .addColumn('source_ref', text, (c) => c.notNull())
      .addColumn('content_hash', text, (c) => c.notNull())
      .addColumn('file_type', text, (c) => c.notNull())
      .addColumn('file_size', bigint, (c) => c.notNull())
      .addColumn('chunks_created', 'integer', (c) => c.notNull())
      .addColumn('images_extracted', 'integer', (c) => c.notNull())
      .addColumn('concepts_extracted', 'integer', (c) => c.notNull())
      .addColumn('embedding_model', text)
      .addColumn('retry_count', 'integer', (c) => c.notNull())
      .addColumn('error', text)
      .addColumn('warnings', text, (c) => c.notNull())
      .addColumn('created_at', text, (c) => c.notNull())
      .addColumn('started_at', text)
      .addColumn('completed_at', text)
      .addColumn('current', 'integer', (c) => c.notNull())
      .addColumn('attempts', 'integer', (c) => c.notNull())
      .addColumn('interruptions', 'integer', (c) => c.notNull())
      .addColumn('claim', text)
      .addColumn('heartbeat', bigint, (c) => c.notNull())
      .addColumn('retry_at', text)
      .addColumn('cancel_requested', 'integer', (c) => c.notNull())
      .addColumn('untitled', 'integer', (c) => c.notNull())
      .execute()
    await db.schema
      .createIndex('job_triple')
      .unique()
      .on('job')
      .columns(['library_uid', 'source_ref', 'content_hash'])
      .where(sql.ref('current'), '=', sql.lit(1))
      .execute()
    await db.schema
      .createIndex('job_version')
      .unique()
      .on('job')
      .columns(['library_uid', 'source_ref', 'version'])
      .execute()
    await db.schema.createIndex('job_listing').on('job').columns(['library_uid', 'created_at']).execute()
    await db.schema.createIndex('job_status').on('job').column('status').execute()
    await db.schema.createIndex('job_item').on('job').column('item_uid').execute()
    await db.schema
      .createTable('source_item')
      .addColumn('library_uid', text, (c) => c.notNull())
      .addColumn('source_ref', text, (c) => c.notNull())
      .addColumn('item_uid', text, (c) => c.notNull())
      .addPrimaryKeyConstraint('source_item_key', ['library_uid', 'source_ref'])
      .execute()
    await embeddingCache(db, types)
  },
}

async function embeddingCache(
  db: Parameters<Migration['up']>[0],
  { text, blob }: ColumnTypes,
): Promise<void> {
  await db.schema
    .createTable('embedding_cache')
    .addColumn('embedding_key', text, (c) => c.primaryKey())
    .addColumn('job_id', text, (c) => c.notNull())
    .addColumn('vector', blob, (c) => c.notNull())
    .execute()
  await db.schema.createIndex('embedding_cache_job').on('embedding_cache').column('job_id').execute()
}

const actingUser: Migration = {
  name: 'ingest-0002-acting-user',
  async up(db, { text }) {
    await db.schema.alterTable('job').addColumn('acting_user', text).execute()
  },
}

export const ingestMigrations: readonly Migration[] = [outboxMigration, jobs, actingUser]
