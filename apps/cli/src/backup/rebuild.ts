import { type RebuiltItem, rebuildItems } from '@mnemosyne/ingest'
import { rebuildStructure } from '@mnemosyne/library'
import type { Stores } from '../system/open-stores.ts'
import type { BackupStep } from './take-backup.ts'

export interface RebuildReport {
  libraries: number
  collections: number
  /** What the graph has to hold. */
  expected: GraphCounts
  /** What it holds. */
  found: GraphCounts
  /** Items written, left as they were, and without content. */
  written: number
  current: number
  bare: number
  /** Libraries and items taken out of the graph because SQL does not know them. */
  removed: number
  /** Items whose content, or part of it, is not in the blobs. */
  faults: { item_uid: string; fault: string }[]
}

interface GraphCounts {
  items: number
  chunks: number
  embeddings: number
}

/**
 * Makes the graph again from SQL and blobs, without a model: structure, then the content of every item. Idempotent,
 * and safe beside a running system; what was done before is found again, unless `all` is to be written.
 */
export async function rebuildGraph(
  stores: Stores,
  options: { all: boolean; onStep?: (step: BackupStep) => void; signal?: AbortSignal },
): Promise<RebuildReport> {
  const { graph, sql, blobs } = stores
  const { libraries_removed, ...structure } = await rebuildStructure({ sql: sql.library, graph })
  const report: RebuildReport = {
    ...structure,
    expected: { items: 0, chunks: 0, embeddings: 0 },
    found: { items: 0, chunks: 0, embeddings: 0 },
    written: 0,
    current: 0,
    bare: 0,
    removed: libraries_removed,
    faults: [],
  }
  let done = 0
  const known = new Set<string>()
  for await (const item of rebuildItems({ sql: sql.ingest, graph, blobs }, options)) {
    options.onStep?.({ step: 'graph', done: ++done, of: item.of })
    known.add(item.item_uid)
    count(report, item)
  }
  report.removed += await removeUnknown(stores, known)
  const { items, chunks, embeddings } = await graph.stats()
  report.found = { items, chunks, embeddings }
  return report
}

function count(report: RebuildReport, item: RebuiltItem): void {
  report.expected.items += item.items
  report.expected.chunks += item.chunks
  report.expected.embeddings += item.embeddings
  if (item.outcome === 'written' || item.outcome === 'current' || item.outcome === 'bare')
    report[item.outcome]++
  if (item.fault) report.faults.push({ item_uid: item.item_uid, fault: item.fault })
}

const PAGE = 1_000

/** Items of the graph that have no job any more, or never had one. */
async function removeUnknown({ graph, sql }: Stores, known: Set<string>): Promise<number> {
  const unknown: string[] = []
  for (let offset = 0, total = 1; offset < total; offset += PAGE) {
    const page = await graph.listItems({ libraries: 'all' }, { page: { limit: PAGE, offset } })
    unknown.push(...page.items.map(({ uid }) => uid).filter((uid) => !known.has(uid)))
    total = page.total
  }
  let removed = 0
  for (const uid of unknown) {
    const job = await sql.ingest.read
      .selectFrom('job')
      .select('job_id')
      .where('item_uid', '=', uid)
      .executeTakeFirst()
    // Taken in meanwhile.
    if (job) continue
    await graph.deleteItem(uid)
    removed++
  }
  return removed
}

/** Whether the graph is what SQL and blobs say. Beside a running system the counts move while they are taken. */
export function agrees({ expected, found, faults }: RebuildReport): boolean {
  return (
    faults.length === 0 &&
    expected.items === found.items &&
    expected.chunks === found.chunks &&
    expected.embeddings === found.embeddings
  )
}
