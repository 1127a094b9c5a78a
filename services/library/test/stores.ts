import { randomUUID } from 'node:crypto'
import type { Job } from '@mnemosyne/contracts'
import { createLog, Metrics, openSql, type Sql } from '@mnemosyne/platform'
import { Registry } from 'prom-client'
import type { LibraryRow, LibraryTables } from '../src/store/tables.ts'

export const log = createLog({ component: 'library', level: 'silent' })

export function openLibrarySql(url: string): Promise<Sql<LibraryTables>> {
  return openSql<LibraryTables>(url, {
    schema: 'library',
    log,
    metrics: new Metrics(new Registry(), 'library'),
  })
}

export function libraryRow(change: Partial<LibraryRow> = {}): LibraryRow {
  return {
    uid: randomUUID(),
    name: 'Manuals',
    library_type: 'technical',
    description: '',
    workspace_id: null,
    owner_username: 'ada',
    hand_overs: 0,
    chunking_config: '{}',
    embedding_instruction: '',
    reranker_instruction: '',
    llm_context_prompt: '',
    created_at: '2026-01-01T00:00:00.000Z',
    updated_at: '2026-01-01T00:00:00.000Z',
    deleted_at: null,
    ...change,
  }
}

export function job(change: Partial<Job> & Pick<Job, 'library_uid' | 'item_uid'>): Job {
  return {
    job_id: randomUUID(),
    status: 'pending',
    stage: 'queued',
    progress: 0,
    collection_uid: null,
    title: 'Pump manual',
    s3_key: 'items/pump.pdf',
    source: 'daedalus',
    source_ref: 'pump',
    content_hash: 'a'.repeat(64),
    file_type: 'application/pdf',
    file_size: 1234,
    chunks_created: 0,
    images_extracted: 0,
    concepts_extracted: 0,
    embedding_model: null,
    retry_count: 0,
    error: null,
    warnings: [],
    created_at: '2026-01-02T00:00:00.000Z',
    started_at: null,
    completed_at: null,
    ...change,
  }
}
