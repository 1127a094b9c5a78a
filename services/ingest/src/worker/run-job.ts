import { AsyncLocalStorage } from 'node:async_hooks'
import type { Job, JobStage } from '@mnemosyne/contracts'
import { type GraphStore, LibraryGoneError, type LibraryNode } from '@mnemosyne/graph'
import type { Embedder } from '@mnemosyne/models'
import type { BlobStore, Clock, Logger, Sql } from '@mnemosyne/platform'
import { emitJobEvent } from '../accept.ts'
import type { ChunkingConfig } from '../chunking/chunk.ts'
import { ClaimLost } from '../errors.ts'
import type { ProcessingResult, ProcessingStage, Processor } from '../processing/processor.ts'
import { isVersionNeeded, retireOlder, updateClaimed } from '../store/jobs.ts'
import type { IngestTables, JobRow } from '../store/tables.ts'
import { dropVectors } from '../store/vectors.ts'
import { type EmbedDeps, type EmbeddedChunk, embedChunks } from './embed-chunks.ts'
import { embedWaiting } from './embed-waiting.ts'
import { dropLocal, type FetchDeps, fetchSource, itemPrefix, jobPrefix } from './fetch-source.ts'
import { itemContent, itemNode } from './item-node.ts'
import type { JobClaim } from './job-claim.ts'
import type { StageMeter } from './job-metrics.ts'
import { loadProcessed, saveContent, saveProcessed } from './stage-results.ts'

export interface RunDeps extends EmbedDeps, FetchDeps {
  sql: Sql<IngestTables>
  graph: GraphStore
  blobs: BlobStore
  processor: Processor
  /** Asked at each job: the model may be missing, or come while the service runs. */
  embedder: () => Embedder | null
  clock: Clock
  log: Logger
  wakeRelay: () => void
}

/** Progress (of 100) at which each stage begins. */
const BEGINS = { fetching: 1, parsing: 5, chunking: 15, concepts: 20, embedding: 25, storing: 90 } as const

/**
 * Takes a claimed job through its stages to its end. Any stage may run twice with the same outcome: blobs and
 * graph are written by uid, vectors are looked up before they are made, and the job's row changes only while
 * the claim holds. What it throws is judged by `settle`.
 */
export async function runJob(
  deps: RunDeps,
  claim: JobClaim,
  stages: StageMeter,
): Promise<'completed' | 'superseded'> {
  const { row } = claim
  const inStage = async <T>(stage: keyof typeof BEGINS, work: () => Promise<T>): Promise<T> => {
    await claim.note(stage, BEGINS[stage])
    return stages.around(stage, work)
  }
  if (await newerIsStored(deps, row)) return supersede(deps, claim)
  const library = await libraryOf(deps.graph, row)
  await putItem(deps, row)
  const found = await inStage('fetching', () => fetchOrFind(deps, claim))
  const processed = 'path' in found ? await processFile(deps, claim, library, found.path, stages) : found
  const embedder = deps.embedder()
  const embedded = await inStage('embedding', () =>
    embed(deps, claim, processed, embedder, library.embedding_instruction),
  )
  const title = titleOf(row, processed)
  const outcome = await inStage('storing', () =>
    store(deps, { ...row, title }, processed, embedded, embedder, claim.signal),
  )
  if (outcome === 'superseded') return supersede(deps, claim)
  await complete(deps, claim, {
    title,
    chunks_created: processed.chunks.length,
    concepts_extracted: processed.concepts.length,
    embedding_model: embedder?.model.name ?? null,
    file_type: processed.fileType,
    warnings: JSON.stringify(processed.document.warnings),
  })
  // A model that came meanwhile did not find this document among those that wait for it.
  if (!embedder && deps.embedder()) await embedWaiting(deps)
  return 'completed'
}

/** A longer one is a sentence, not a title. */
const TITLE_MAX = 300

/** The title that was given with the file; failing that the document's own; failing that the file's name. */
function titleOf(row: JobRow, { document }: ProcessingResult): string {
  const own = document.title?.trim()
  return row.untitled && own && own.length <= TITLE_MAX ? own : row.title
}

async function newerIsStored({ graph }: RunDeps, row: JobRow): Promise<boolean> {
  return ((await graph.itemVersion(row.item_uid)) ?? 0) > row.version
}

async function libraryOf(graph: GraphStore, row: JobRow): Promise<LibraryNode> {
  const library = await graph.getLibrary({ libraries: [row.library_uid] }, row.library_uid)
  if (!library) throw new LibraryGoneError(row.library_uid)
  return library
}

/** Makes the item visible as `processing`; content that it has stays searchable. */
async function putItem(deps: RunDeps, row: JobRow): Promise<void> {
  const known = await deps.graph.getItem({ libraries: [row.library_uid] }, row.item_uid)
  await deps.graph.putItem(itemNode(deps, row, 'processing', known))
}

/** What the stages before had made, or else where the file lies now that it is fetched. */
async function fetchOrFind(
  deps: RunDeps,
  { row, signal }: JobClaim,
): Promise<ProcessingResult | { path: string }> {
  const kept = await loadProcessed(deps.blobs, row, deps.log)
  if (kept) return kept
  try {
    return { path: await fetchSource(deps, row, signal) }
  } catch (error) {
    await dropLocal(deps, row)
    throw error
  }
}

/** The file parsed, cut and searched for concepts; then it is not here any more. */
async function processFile(
  deps: RunDeps,
  claim: JobClaim,
  library: LibraryNode,
  path: string,
  stages: StageMeter,
): Promise<ProcessingResult> {
  const { row, signal } = claim
  try {
    const notes: Promise<void>[] = []
    const result = await deps.processor.process({
      path,
      declaredType: row.file_type,
      fileName: row.s3_key.split('/').at(-1),
      itemUid: row.item_uid,
      chunking: library.chunking_config as unknown as ChunkingConfig,
      libraryType: library.library_type as Parameters<Processor['process']>[0]['libraryType'],
      signal,
      // A child's message comes from nowhere: it belongs to this job's trace.
      onStage: AsyncLocalStorage.bind((stage: ProcessingStage) => {
        stages.enter(stage)
        notes.push(claim.note(stage, BEGINS[stage]).catch(() => undefined))
      }),
    })
    stages.leave()
    await Promise.all(notes)
    await saveProcessed(deps.blobs, row, result, signal)
    await claim.note('concepts', BEGINS.embedding, { kept: true })
    return result
  } catch (error) {
    stages.leave(error)
    throw error
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
      const share = (done / all) * (BEGINS.storing - BEGINS.embedding)
      await claim.note('embedding', BEGINS.embedding + share, { kept: true })
    },
  })
}

async function store(
  deps: RunDeps,
  row: JobRow,
  processed: ProcessingResult,
  embedded: EmbeddedChunk[],
  embedder: Embedder | null,
  signal: AbortSignal,
): Promise<'stored' | 'superseded'> {
  const embedding_model = embedder?.model.name ?? null
  await saveContent(deps.blobs, row, processed, embedded, embedding_model, signal)
  signal.throwIfAborted()
  const { document, concepts, fileType: file_type } = processed
  const updated_at = deps.clock().toISOString()
  return deps.graph.replaceItemContent(
    itemContent({ ...row, file_type }, { embedding_model, document, concepts, chunks: embedded, updated_at }),
  )
}

/** Ends the job as completed, with its event; then clears what only a job in hand needs. */
async function complete(deps: RunDeps, claim: JobClaim, change: Partial<JobRow>): Promise<void> {
  const { row } = claim
  const older = await deps.sql.transaction(async (tx) => {
    const done = await updateClaimed(tx, row.job_id, claim.claim, {
      ...change,
      ...ended(deps.clock, 'completed'),
    })
    if (!done) throw new ClaimLost()
    await emitJobEvent(tx, 'ingest.job.completed.v1', done, deps.clock)
    return retireOlder(tx, done)
  })
  deps.wakeRelay()
  await tidy(deps, [row, ...older], older)
}

/** Ends the job as completed without effect: a newer version of the document is there already. */
async function supersede(deps: RunDeps, claim: JobClaim): Promise<'superseded'> {
  const { row } = claim
  await deps.sql.transaction(async (tx) => {
    const change = { ...ended(deps.clock, 'superseded'), current: 0 }
    const done = await updateClaimed(tx, row.job_id, claim.claim, change)
    if (!done) throw new ClaimLost()
    await emitJobEvent(tx, 'ingest.job.completed.v1', done, deps.clock)
  })
  deps.wakeRelay()
  await tidy(deps, [row], [row])
  return 'superseded'
}

/** After the end, and not part of it: what a fault leaves here goes with the next clean-up pass. */
async function tidy(deps: RunDeps, jobs: JobRow[], versions: JobRow[]): Promise<void> {
  try {
    for (const job of jobs) await clearStageResults(deps, job)
    for (const version of versions) {
      if (await isVersionNeeded(deps.sql, version)) continue
      await deps.blobs.deletePrefix(`${itemPrefix(version.item_uid)}${version.content_hash}/`)
    }
  } catch (err) {
    deps.log.warn({ err, job_id: jobs[0]?.job_id }, 'what the job leaves behind could not be removed yet')
  }
}

const ended = (clock: Clock, stage: JobStage) => ({
  status: 'completed' as Job['status'],
  stage,
  error: null,
  progress: 100,
  claim: null,
  completed_at: clock().toISOString(),
})

/** Removes what a job in hand keeps: stage results, vectors, the upload. Safe to repeat. */
export async function clearStageResults(deps: Pick<RunDeps, 'blobs' | 'sql'>, row: JobRow): Promise<void> {
  await dropVectors(deps.sql, row.job_id)
  await deps.blobs.deletePrefix(jobPrefix(row.job_id))
  if (row.source === 'upload') await deps.blobs.delete(row.s3_key)
}
