import { mkdir } from 'node:fs/promises'
import { authSchema } from '@mnemosyne/auth'
import { briefOf, ingestSchema, type JobBrief } from '@mnemosyne/ingest'
import { librarySchema } from '@mnemosyne/library'
import { type Clock, openFolderBlobs } from '@mnemosyne/platform'
import type { Stores } from '../system/open-stores.ts'
import { BackupError } from './errors.ts'
import { type Row, readLines, writeLines } from './line-files.ts'
import { blobFolder, completeBackup, type Manifest, openBackupFolder, type SchemaEntry } from './manifest.ts'
import { createSealing } from './sealing.ts'
import { type ItemRows, type TakenBlobs, takeBlobs } from './take-blobs.ts'
import { takeRows } from './take-rows.ts'

export interface BackupStep {
  step: 'rows' | 'files' | 'check' | 'graph'
  done: number
  of: number
}

export interface BackupOptions {
  version: string
  clock: Clock
  /** Seals secrets; without it they are left out. */
  passphrase?: string
  onStep?: (step: BackupStep) => void
  signal?: AbortSignal
}

/**
 * Writes everything that the stores are the record of into `dir`, beside whatever else works on them. An attempt
 * that was cut short there is gone on with. The backup is complete, and readable, once this returns.
 * Throws `BackupError`, and what the stores throw.
 */
export async function takeBackup(
  stores: Pick<Stores, 'sql' | 'blobs'>,
  dir: string,
  { version, clock, passphrase, onStep = () => {}, signal }: BackupOptions,
): Promise<Manifest> {
  const folder = await openBackupFolder(dir)
  const { sealing, seal } = passphrase
    ? await createSealing(passphrase, folder.backupId)
    : { sealing: null, seal: undefined }
  const started_at = clock().toISOString()
  // Those that refer first: what they refer to was there before them.
  const items = new Map<string, JobBrief[]>()
  const see = (table: string, rows: readonly Row[]) => {
    if (table === 'job') for (const job of rows) addJob(items, briefOf(job as never))
  }
  const ingest = await takeRows(stores.sql.ingest, ingestSchema, dir, { see, seal })
  const library = await takeRows(stores.sql.library, librarySchema, dir, { seal })
  const auth = await takeRows(stores.sql.auth, authSchema, dir, { seal })
  if ([auth, library, ingest].every(isEmpty)) throw new BackupError('NO_DATA', 'There is nothing to back up.')
  onStep({ step: 'rows', done: 1, of: 1 })
  await mkdir(blobFolder(dir), { recursive: true, mode: 0o700 })
  await using to = await openFolderBlobs(blobFolder(dir))
  const taken = await takeBlobs({ sql: stores.sql.ingest, blobs: stores.blobs }, to, items, {
    onProgress: (done, of) => onStep({ step: 'files', done, of }),
    signal,
  })
  signal?.throwIfAborted()
  return completeBackup(folder, {
    backup_id: folder.backupId,
    program_version: version,
    started_at,
    completed_at: clock().toISOString(),
    schemas: [auth, library, await withNewer(dir, ingest, taken.newer)],
    blobs: await listBlobs(dir, taken.entries),
    ...contentOf(items),
    newer_items: [...taken.newer.keys()],
    problems: taken.problems,
    sealing,
  })
}

function addJob(items: Map<string, JobBrief[]>, job: JobBrief): void {
  const jobs = items.get(job.item_uid)
  if (jobs) jobs.push(job)
  else items.set(job.item_uid, [job])
}

const isEmpty = ({ tables }: SchemaEntry) => tables.every(({ rows }) => rows === 0)

/** The rows with those of some items exchanged. */
async function withNewer(
  dir: string,
  schema: SchemaEntry,
  newer: Map<string, ItemRows>,
): Promise<SchemaEntry> {
  if (newer.size === 0) return schema
  const tables = schema.tables.map(async (entry) => {
    if (entry.table !== 'job' && entry.table !== 'source_item') return entry
    const { table, file } = entry
    const exchanged = async function* (): AsyncGenerator<Row[]> {
      for await (const rows of readLines(dir, file)) {
        yield rows.filter((row) => !newer.has(row.item_uid as string))
      }
      for (const rows of newer.values()) yield rows[table as keyof ItemRows] as unknown as Row[]
    }
    return { ...entry, ...(await writeLines(dir, file, exchanged())) }
  })
  return { ...schema, tables: await Promise.all(tables) }
}

async function listBlobs(dir: string, entries: TakenBlobs['entries']): Promise<Manifest['blobs']> {
  const lines = [...entries]
    .map(([key, stored]) => ({ key, ...stored }))
    .sort((a, b) => (a.key < b.key ? -1 : 1))
  async function* pages() {
    for (let at = 0; at < lines.length; at += 1_000) yield lines.slice(at, at + 1_000)
  }
  const { rows, ...written } = await writeLines(dir, 'blobs.jsonl.gz', pages())
  return { ...written, count: rows, total_bytes: lines.reduce((sum, { bytes }) => sum + bytes, 0) }
}

function contentOf(items: Map<string, JobBrief[]>): Pick<Manifest, 'content' | 'embedding_models'> {
  const done = [...items.values()].flatMap((jobs) =>
    jobs.filter(({ status, current }) => status === 'completed' && current === 1),
  )
  const models = done.flatMap(({ embedding_model }) => (embedding_model === null ? [] : [embedding_model]))
  return {
    content: { items: done.length, chunks: done.reduce((sum, job) => sum + job.chunks_created, 0) },
    embedding_models: [...new Set(models)].sort(),
  }
}
