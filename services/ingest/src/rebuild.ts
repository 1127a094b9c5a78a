import { CollectionGoneError, type GraphStore, ItemGoneError, LibraryGoneError } from '@mnemosyne/graph'
import type { BlobStore, Sql } from '@mnemosyne/platform'
import { type JobBrief, jobBriefs, rowsOfItem, stateOf } from './backup.ts'
import type { IngestTables, JobRow } from './store/tables.ts'
import { itemContent, itemNode } from './worker/item-node.ts'
import { DamagedContentError, loadContent, type StoredContent } from './worker/stage-results.ts'

export interface RebuildDeps {
  sql: Sql<IngestTables>
  graph: GraphStore
  blobs: BlobStore
}

export interface RebuiltItem {
  item_uid: string
  /**
   * `written`: its content is in the graph again. `current`: it was there. `bare`: it has no content (failed, or not
   * taken in yet). `gone`: deleted, or of a library that is. `missing`: its content should be in the blobs and is not.
   */
  outcome: 'written' | 'current' | 'bare' | 'gone' | 'missing'
  /** What the graph holds of it now. */
  items: number
  chunks: number
  embeddings: number
  /** What is missing or damaged. */
  fault?: string
}

/** Of an item that other processes change at the same time. */
const MAX_ATTEMPTS = 10

/**
 * Writes the content of every item into the graph again, from SQL and blobs, without a model. Idempotent, and safe
 * beside running workers: what changed while it was written is written again. Items come in the order in which they
 * were completed, so that concepts get the same names. Without `all`, items whose stored version is the newest are
 * left alone. Libraries and collections have to be in the graph.
 */
export async function* rebuildItems(
  deps: RebuildDeps,
  options: { all: boolean; signal?: AbortSignal },
): AsyncGenerator<RebuiltItem & { of: number }> {
  const items = await jobBriefs(deps.sql)
  for (const itemUid of inOrderOfCompletion(items)) {
    options.signal?.throwIfAborted()
    yield { ...(await rebuildItem(deps, itemUid, options.all)), of: items.size }
  }
}

function inOrderOfCompletion(items: Map<string, JobBrief[]>): string[] {
  const completed = (jobs: JobBrief[]) =>
    jobs.reduce((last, job) => (job.status === 'completed' ? last + (job.completed_at ?? '') : last), '')
  return [...items]
    .map(([uid, jobs]) => ({ uid, at: completed(jobs) }))
    .sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : a.uid < b.uid ? -1 : 1))
    .map(({ uid }) => uid)
}

async function rebuildItem(deps: RebuildDeps, itemUid: string, all: boolean): Promise<RebuiltItem> {
  for (let attempt = 1; ; attempt++) {
    const { job: jobs } = await rowsOfItem(deps.sql, itemUid)
    const outcome = await write(deps, itemUid, jobs, all)
    const { job: now } = await rowsOfItem(deps.sql, itemUid)
    // A worker may have stored its content before ours, or the item was deleted before we put it back.
    if (stateOf(now) === stateOf(jobs) || attempt === MAX_ATTEMPTS) return outcome
  }
}

async function write(deps: RebuildDeps, itemUid: string, jobs: JobRow[], all: boolean): Promise<RebuiltItem> {
  const gone = { item_uid: itemUid, outcome: 'gone', items: 0, chunks: 0, embeddings: 0 } as const
  if (jobs.length === 0) {
    await deps.graph.deleteItem(itemUid)
    return gone
  }
  try {
    return (!all && (await whatIsThere(deps, itemUid, jobs))) || (await writeNewest(deps, itemUid, jobs))
  } catch (error) {
    if (error instanceof LibraryGoneError || error instanceof ItemGoneError) return gone
    throw error
  }
}

/** The item as the graph has it, when that is what its jobs say. */
async function whatIsThere(
  { graph }: RebuildDeps,
  itemUid: string,
  jobs: JobRow[],
): Promise<RebuiltItem | undefined> {
  const done = newest(jobs.filter(isStored))
  if (!done || (await graph.itemVersion(itemUid)) !== done.version) return undefined
  const known = await graph.getItem({ libraries: 'all' }, itemUid)
  if (known?.chunk_count !== done.chunks_created || known.embedding_model !== done.embedding_model)
    return undefined
  const embeddings = done.embedding_model === null ? 0 : done.chunks_created
  return { item_uid: itemUid, outcome: 'current', items: 1, chunks: done.chunks_created, embeddings }
}

async function writeNewest(deps: RebuildDeps, itemUid: string, jobs: JobRow[]): Promise<RebuiltItem> {
  const bare = { item_uid: itemUid, items: 1, chunks: 0, embeddings: 0 }
  const faults: string[] = []
  for (const row of inDescendingVersion(jobs)) {
    const content = await contentOf(deps, row, faults)
    if (!content) continue
    const { title, embedding_model, document, chunks, concepts } = content
    await putItem(deps, { ...row, title }, jobs, 'processing')
    const updated_at = row.completed_at ?? row.created_at
    const made = { embedding_model, document, chunks, concepts, updated_at }
    await deps.graph.replaceItemContent(itemContent({ ...row, title }, made))
    const embeddings = chunks.filter(({ embedding }) => embedding !== null).length
    return {
      ...bare,
      outcome: 'written',
      chunks: chunks.length,
      embeddings,
      fault: content.fault ?? faults[0],
    }
  }
  const last = newest(jobs)!
  const expected = newest(jobs.filter(isStored))
  if (!expected) {
    // A worker shows the item when it begins; one that failed is shown as failed.
    if (last.status !== 'failed') return { ...bare, outcome: 'bare', items: 0 }
    await putItem(deps, last, jobs, 'failed')
    return { ...bare, outcome: 'bare' }
  }
  return { ...bare, items: 0, outcome: 'missing', fault: faults[0] ?? 'Its content is not in the blobs.' }
}

/** The content that this very job has stored, if it is still there. */
async function contentOf(
  deps: RebuildDeps,
  row: JobRow,
  faults: string[],
): Promise<StoredContent | undefined> {
  try {
    const content = await loadContent(deps.blobs, row)
    return content?.version === row.version ? content : undefined
  } catch (error) {
    if (!(error instanceof DamagedContentError)) throw error
    faults.push(error.message)
    return undefined
  }
}

async function putItem(
  { graph }: RebuildDeps,
  row: JobRow,
  jobs: JobRow[],
  status: 'processing' | 'failed',
): Promise<void> {
  const created_at = jobs.reduce(
    (first, job) => (job.created_at < first ? job.created_at : first),
    row.created_at,
  )
  const known = await graph.getItem({ libraries: 'all' }, row.item_uid)
  const clock = () => new Date(row.completed_at ?? row.created_at)
  const node = itemNode({ clock }, { ...row, created_at }, status, known)
  try {
    await graph.putItem(node)
  } catch (error) {
    if (!(error instanceof CollectionGoneError)) throw error
    await graph.putItem({ ...node, collection_uid: null })
  }
}

const isStored = (job: JobRow) => job.status === 'completed' && job.stage === 'completed'

const inDescendingVersion = (jobs: JobRow[]) => jobs.toSorted((a, b) => b.version - a.version)

const newest = (jobs: JobRow[]): JobRow | undefined => inDescendingVersion(jobs)[0]
