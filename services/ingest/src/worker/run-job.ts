import type { Job, JobStage } from '@mnemosyne/contracts'
import {
  type GraphStore,
  ItemGoneError,
  type ItemNode,
  LibraryGoneError,
  type LibraryNode,
} from '@mnemosyne/graph'
import type { Embedder } from '@mnemosyne/models'
import { type BlobStore, type Clock, type Sql, span } from '@mnemosyne/platform'
import { emitJobEvent } from '../accept.ts'
import type { ChunkingConfig } from '../chunking/chunk.ts'
import { ClaimLost, GoneFault } from '../errors.ts'
import type { ProcessingResult, Processor } from '../processing/processor.ts'
import { retireOlder, updateClaimed } from '../store/jobs.ts'
import type { IngestTables, JobRow } from '../store/tables.ts'
import { dropVectors } from '../store/vectors.ts'
import { type EmbedDeps, type EmbeddedChunk, embedChunks } from './embed-chunks.ts'
import { dropLocal, type FetchDeps, fetchSource, itemPrefix, jobPrefix, originalKey } from './fetch-source.ts'
import type { JobClaim } from './job-claim.ts'
import { loadProcessed, saveContent, saveProcessed } from './stage-results.ts'

export interface RunDeps extends EmbedDeps, FetchDeps {
  sql: Sql<IngestTables>
  graph: GraphStore
  blobs: BlobStore
  processor: Processor
  /** Asked at each job: the model may be missing, or come while the service runs. */
  embedder: () => Embedder | null
  clock: Clock
  wakeRelay: () => void
}

/** Progress (of 100) at which each stage begins. */
const BEGINS = { fetching: 1, parsing: 5, chunking: 15, concepts: 20, embedding: 25, storing: 90 } as const

/**
 * Takes a claimed job through its stages to its end. Any stage may run twice with the same outcome: blobs and
 * graph are written by uid, vectors are looked up before they are made, and the job's row changes only while
 * the claim holds. Throws DocumentError, PermanentFault, GoneFault or ClaimLost; anything else may pass.
 */
export async function runJob(deps: RunDeps, claim: JobClaim): Promise<void> {
  const { row } = claim
  if (await newerIsStored(deps, row)) return supersede(deps, claim)
  const library = await libraryOf(deps.graph, row)
  await putItem(deps, row)
  const processed = await inStage(claim, 'fetching', () => processFile(deps, claim, library))
  const embedder = deps.embedder()
  const embedded = await inStage(claim, 'embedding', () =>
    embed(deps, claim, processed, embedder, library.embedding_instruction),
  )
  const title = titleOf(row, processed)
  const outcome = await inStage(claim, 'storing', () =>
    store(deps, { ...row, title }, processed, embedded, embedder),
  )
  if (outcome === 'superseded') return supersede(deps, claim)
  await complete(deps, claim, {
    title,
    chunks_created: processed.chunks.length,
    concepts_extracted: processed.concepts.length,
    embedding_model: embedder?.model.name ?? null,
    file_type: processed.fileType ?? row.file_type,
    warnings: JSON.stringify(processed.document.warnings),
  })
}

/** A longer one is a sentence, not a title. */
const TITLE_MAX = 300

/** The title that was given with the file; failing that the document's own; failing that the file's name. */
function titleOf(row: JobRow, { document }: ProcessingResult): string {
  const own = document.title?.trim()
  return row.untitled && own && own.length <= TITLE_MAX ? own : row.title
}

async function inStage<T>(claim: JobClaim, stage: keyof typeof BEGINS, work: () => Promise<T>): Promise<T> {
  await claim.note(stage, BEGINS[stage])
  return span(`ingest ${stage}`, { 'mnemosyne.job_id': claim.row.job_id }, work)
}

async function newerIsStored({ graph }: RunDeps, row: JobRow): Promise<boolean> {
  return ((await graph.itemVersion(row.item_uid)) ?? 0) > row.version
}

async function libraryOf(graph: GraphStore, row: JobRow): Promise<LibraryNode> {
  const library = await graph.getLibrary({ libraries: [row.library_uid] }, row.library_uid)
  if (!library) throw new GoneFault('library')
  return library
}

/** Makes the item visible as `processing`; content that it has stays searchable. */
async function putItem(deps: RunDeps, row: JobRow): Promise<void> {
  const scope = { libraries: [row.library_uid] }
  const known = await deps.graph.getItem(scope, row.item_uid)
  const created_at = known?.created_at ?? row.created_at
  await ifStillThere(() => deps.graph.putItem(itemNode(deps, row, 'processing', created_at)))
}

function itemNode(
  { clock }: Pick<RunDeps, 'clock'>,
  row: JobRow,
  embedding_status: ItemNode['embedding_status'],
  created_at: string,
): ItemNode {
  return {
    uid: row.item_uid,
    library_uid: row.library_uid,
    collection_uid: row.collection_uid,
    title: row.title,
    item_type: 'document',
    file_type: row.file_type,
    file_size: row.file_size,
    s3_key: originalKey(row),
    content_hash: row.content_hash,
    source: row.source,
    source_ref: row.source_ref,
    metadata: {},
    embedding_status,
    error: row.error,
    created_at,
    updated_at: clock().toISOString(),
  }
}

/** What the stages before had made, or else the file fetched, parsed, cut and searched for concepts. */
async function processFile(deps: RunDeps, claim: JobClaim, library: LibraryNode): Promise<ProcessingResult> {
  const { row, signal } = claim
  const kept = await loadProcessed(deps.blobs, row)
  if (kept) return kept
  const path = await fetchSource(deps, row, signal)
  try {
    const stages: Promise<void>[] = []
    const result = await deps.processor.process({
      path,
      declaredType: row.file_type,
      fileName: row.s3_key.split('/').at(-1),
      itemUid: row.item_uid,
      chunking: library.chunking_config as unknown as ChunkingConfig,
      libraryType: library.library_type as Parameters<Processor['process']>[0]['libraryType'],
      signal,
      onStage: (stage) => stages.push(claim.note(stage, BEGINS[stage]).catch(() => undefined)),
    })
    await Promise.all(stages)
    await saveProcessed(deps.blobs, row, result)
    return result
  } finally {
    await dropLocal(deps, row)
  }
}

async function embed(
  deps: RunDeps,
  claim: JobClaim,
  processed: ProcessingResult,
  embedder: Embedder | null,
  instruction: string,
): Promise<EmbeddedChunk[]> {
  let noted = 0
  return embedChunks(deps, embedder, {
    jobId: claim.row.job_id,
    chunks: processed.chunks,
    instruction,
    signal: claim.signal,
    onProgress: async (done, all) => {
      const now = performance.now()
      if (now - noted < 500) return
      noted = now
      await claim.note('embedding', BEGINS.embedding + (done / all) * (BEGINS.storing - BEGINS.embedding))
    },
  })
}

async function store(
  deps: RunDeps,
  row: JobRow,
  processed: ProcessingResult,
  embedded: EmbeddedChunk[],
  embedder: Embedder | null,
): Promise<'stored' | 'superseded'> {
  const embedding_model = embedder?.model.name ?? null
  await saveContent(deps.blobs, row, processed, embedded, embedding_model)
  const { document } = processed
  return ifStillThere(() =>
    deps.graph.replaceItemContent({
      item_uid: row.item_uid,
      library_uid: row.library_uid,
      version: row.version,
      title: row.title,
      content_hash: row.content_hash,
      embedding_model,
      file_type: processed.fileType ?? row.file_type,
      file_size: row.file_size,
      s3_key: originalKey(row),
      metadata: {
        title: document.title,
        authors: document.authors,
        date: document.date,
        language: document.language,
        page_count: document.page_count,
      },
      updated_at: deps.clock().toISOString(),
      chunks: embedded.map(({ chunk, embedding, embedding_key }) => ({
        ...chunk,
        page: chunk.page ?? null,
        embedding,
        embedding_key,
      })),
      concepts: processed.concepts,
    }),
  )
}

async function ifStillThere<T>(write: () => Promise<T>): Promise<T> {
  try {
    return await write()
  } catch (error) {
    if (error instanceof LibraryGoneError) throw new GoneFault('library', { cause: error })
    if (error instanceof ItemGoneError) throw new GoneFault('item', { cause: error })
    throw error
  }
}

/** Ends the job as completed, with its event; then clears what only a job in hand needs. */
async function complete(deps: RunDeps, claim: JobClaim, change: Partial<JobRow>): Promise<void> {
  const { row } = claim
  const replaced = await deps.sql.transaction(async (tx) => {
    const done = await updateClaimed(tx, row.job_id, claim.claim, {
      ...change,
      ...ended(deps.clock, 'completed'),
      progress: 100,
    })
    if (!done) throw new ClaimLost()
    const older = await retireOlder(tx, done)
    await emitJobEvent(tx, 'ingest.job.completed.v1', done, deps.clock)
    return older
  })
  deps.wakeRelay()
  await clearStageResults(deps, row)
  for (const hash of replaced) await deps.blobs.deletePrefix(`${itemPrefix(row.item_uid)}${hash}/`)
}

/** Ends the job as completed without effect: a newer version of the document is there already. */
async function supersede(deps: RunDeps, claim: JobClaim): Promise<void> {
  const { row } = claim
  await deps.sql.transaction(async (tx) => {
    const change = { ...ended(deps.clock, 'superseded'), progress: 100, current: 0 }
    const done = await updateClaimed(tx, row.job_id, claim.claim, change)
    if (!done) throw new ClaimLost()
    await emitJobEvent(tx, 'ingest.job.completed.v1', done, deps.clock)
  })
  deps.wakeRelay()
  await clearStageResults(deps, row)
  await deps.blobs.deletePrefix(`${itemPrefix(row.item_uid)}${row.content_hash}/`)
}

const ended = (clock: Clock, stage: JobStage) => ({
  status: 'completed' as Job['status'],
  stage,
  error: null,
  claim: null,
  lease_until: null,
  completed_at: clock().toISOString(),
})

/** Removes what a job in hand keeps: stage results, vectors, the upload. Safe to repeat. */
export async function clearStageResults(deps: Pick<RunDeps, 'blobs' | 'sql'>, row: JobRow): Promise<void> {
  await dropVectors(deps.sql, row.job_id)
  await deps.blobs.deletePrefix(jobPrefix(row.job_id))
  if (row.source === 'upload') await deps.blobs.delete(row.s3_key)
}

/** Shows on the item that its newest version could not be taken in. */
export async function markItemFailed(deps: Pick<RunDeps, 'graph' | 'clock'>, row: JobRow): Promise<void> {
  const known = await deps.graph.getItem({ libraries: [row.library_uid] }, row.item_uid)
  if (known) await deps.graph.putItem(itemNode(deps, row, 'failed', known.created_at))
}
