import type { EmbeddingStatus, GoldenRun, LibraryType } from '@mnemosyne/contracts'
import { type Migration, type OutboxTables, outboxMigration } from '@mnemosyne/platform'
import { sql } from 'kysely'

export interface LibraryRow {
  uid: string
  name: string
  library_type: LibraryType
  description: string
  workspace_id: string | null
  /** The principal owner; null: global. */
  owner_username: string | null
  /** How often it has been handed over. */
  hand_overs: number
  /** JSON */
  chunking_config: string
  embedding_instruction: string
  reranker_instruction: string
  llm_context_prompt: string
  created_at: string
  updated_at: string
  /** Set while its deletion is under way; the row goes when the graph holds nothing of it any more. */
  deleted_at: string | null
}

export interface CollectionRow {
  uid: string
  library_uid: string
  name: string
  description: string
  created_at: string
  updated_at: string
}

/** What ingest has told of an item: its completed content, or while there is none its latest job. */
export interface ItemRow {
  uid: string
  library_uid: string
  collection_uid: string | null
  title: string
  file_type: string
  file_size: number
  s3_key: string
  content_hash: string
  source: string
  source_ref: string
  embedding_status: EmbeddingStatus
  embedding_model: string | null
  chunk_count: number
  image_count: number
  error: string | null
  created_at: string
  updated_at: string
  /** Greater is newer; see `jobOrder`. */
  job_order: string
}

/** Keeps events that were on their way from bringing a deleted item back. */
interface ItemDeletionRow {
  item_uid: string
  library_uid: string
  deleted_at: string
  /** 1 when the graph holds nothing of it any more. */
  finished: number
}

export interface GoldenQueryRow {
  /** Derived from library, query and what is wanted. */
  id: string
  library_uid: string
  query: string
  /** Null: any passage of the item. */
  chunk_uid: string | null
  item_uid: string
  /** A user's id. */
  created_by: string
  created_at: string
}

/** One replay of a library's golden queries. */
export interface GoldenRunRow {
  id: string
  library_uid: string
  trigger: GoldenRun['trigger']
  started_at: string
  /** Null while some of them have not been asked yet. */
  finished_at: string | null
  /** JSON: a GoldenResult by the id of each golden query that was asked. */
  results: string
  remaining: number
  gone: number
  /** Null: none counts. */
  recall_at_10: number | null
  mrr: number | null
  exact: number
  /** JSON: number of searches by the part that they were answered without. */
  degraded: string
}

/** When a library's golden queries are due; there from its first one on. */
interface GoldenScheduleRow {
  library_uid: string
  created_at: string
  /** When they were last replayed to the end. */
  last_run_at: string | null
  /** Until then somebody is at it. */
  claimed_until: string | null
}

export interface LibraryTables extends OutboxTables {
  library: LibraryRow
  collection: CollectionRow
  item: ItemRow
  item_deletion: ItemDeletionRow
  golden_query: GoldenQueryRow
  golden_run: GoldenRunRow
  golden_schedule: GoldenScheduleRow
}

const structure: Migration = {
  name: 'library-0001-structure',
  async up(db, { text, bigint }) {
    await db.schema
      .createTable('library')
      .addColumn('uid', text, (c) => c.primaryKey())
      .addColumn('name', text, (c) => c.notNull())
      .addColumn('library_type', text, (c) => c.notNull())
      .addColumn('description', text, (c) => c.notNull())
      .addColumn('workspace_id', text)
      .addColumn('owner_username', text)
      .addColumn('chunking_config', text, (c) => c.notNull())
      .addColumn('embedding_instruction', text, (c) => c.notNull())
      .addColumn('reranker_instruction', text, (c) => c.notNull())
      .addColumn('llm_context_prompt', text, (c) => c.notNull())
      .addColumn('created_at', text, (c) => c.notNull())
      .addColumn('updated_at', text, (c) => c.notNull())
      .addColumn('deleted_at', text)
      .execute()
    // A workspace id is free again as soon as its library is marked.
    await db.schema
      .createIndex('library_workspace')
      .unique()
      .on('library')
      .column('workspace_id')
      .where(sql.ref('deleted_at'), 'is', null)
      .execute()
    await db.schema.createIndex('library_owner').on('library').column('owner_username').execute()
    await db.schema
      .createTable('collection')
      .addColumn('uid', text, (c) => c.primaryKey())
      .addColumn('library_uid', text, (c) => c.notNull().references('library.uid').onDelete('cascade'))
      .addColumn('name', text, (c) => c.notNull())
      .addColumn('description', text, (c) => c.notNull())
      .addColumn('created_at', text, (c) => c.notNull())
      .addColumn('updated_at', text, (c) => c.notNull())
      .execute()
    await db.schema.createIndex('collection_library').on('collection').column('library_uid').execute()
    await db.schema
      .createTable('item')
      .addColumn('uid', text, (c) => c.primaryKey())
      .addColumn('library_uid', text, (c) => c.notNull().references('library.uid').onDelete('cascade'))
      .addColumn('collection_uid', text)
      .addColumn('title', text, (c) => c.notNull())
      .addColumn('file_type', text, (c) => c.notNull())
      .addColumn('file_size', bigint, (c) => c.notNull())
      .addColumn('s3_key', text, (c) => c.notNull())
      .addColumn('content_hash', text, (c) => c.notNull())
      .addColumn('source', text, (c) => c.notNull())
      .addColumn('source_ref', text, (c) => c.notNull())
      .addColumn('embedding_status', text, (c) => c.notNull())
      .addColumn('embedding_model', text)
      .addColumn('chunk_count', 'integer', (c) => c.notNull())
      .addColumn('image_count', 'integer', (c) => c.notNull())
      .addColumn('error', text)
      .addColumn('created_at', text, (c) => c.notNull())
      .addColumn('updated_at', text, (c) => c.notNull())
      .addColumn('job_order', text, (c) => c.notNull())
      .execute()
    await db.schema.createIndex('item_library').on('item').column('library_uid').execute()
    await db.schema
      .createTable('item_deletion')
      .addColumn('item_uid', text, (c) => c.primaryKey())
      .addColumn('library_uid', text, (c) => c.notNull().references('library.uid').onDelete('cascade'))
      .addColumn('deleted_at', text, (c) => c.notNull())
      .addColumn('finished', 'integer', (c) => c.notNull())
      .execute()
    await db.schema.createIndex('item_deletion_library').on('item_deletion').column('library_uid').execute()
    await db.schema.createIndex('item_deletion_open').on('item_deletion').column('finished').execute()
  },
}

const handOvers: Migration = {
  name: 'library-0002-hand-overs',
  async up(db) {
    await db.schema
      .alterTable('library')
      .addColumn('hand_overs', 'integer', (c) => c.notNull().defaultTo(0))
      .execute()
  },
}

const goldenQueries: Migration = {
  name: 'library-0003-golden-queries',
  async up(db, { text, double }) {
    await db.schema
      .createTable('golden_query')
      .addColumn('id', text, (c) => c.primaryKey())
      .addColumn('library_uid', text, (c) => c.notNull().references('library.uid').onDelete('cascade'))
      .addColumn('query', text, (c) => c.notNull())
      .addColumn('chunk_uid', text)
      .addColumn('item_uid', text, (c) => c.notNull())
      .addColumn('created_by', text, (c) => c.notNull())
      .addColumn('created_at', text, (c) => c.notNull())
      .execute()
    await db.schema.createIndex('golden_query_library').on('golden_query').column('library_uid').execute()
    await db.schema
      .createTable('golden_run')
      .addColumn('id', text, (c) => c.primaryKey())
      .addColumn('library_uid', text, (c) => c.notNull().references('library.uid').onDelete('cascade'))
      .addColumn('trigger', text, (c) => c.notNull())
      .addColumn('started_at', text, (c) => c.notNull())
      .addColumn('finished_at', text)
      .addColumn('results', text, (c) => c.notNull())
      .addColumn('remaining', 'integer', (c) => c.notNull())
      .addColumn('gone', 'integer', (c) => c.notNull())
      .addColumn('recall_at_10', double)
      .addColumn('mrr', double)
      .addColumn('exact', 'integer', (c) => c.notNull())
      .addColumn('degraded', text, (c) => c.notNull())
      .execute()
    await db.schema
      .createIndex('golden_run_library')
      .on('golden_run')
      .columns(['library_uid', 'started_at'])
      .execute()
    await db.schema
      .createTable('golden_schedule')
      .addColumn('library_uid', text, (c) => c.primaryKey().references('library.uid').onDelete('cascade'))
      .addColumn('created_at', text, (c) => c.notNull())
      .addColumn('last_run_at', text)
      .addColumn('claimed_until', text)
      .execute()
  },
}

export const libraryMigrations: readonly Migration[] = [outboxMigration, structure, handOvers, goldenQueries]
