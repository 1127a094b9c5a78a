import { setTimeout as pause } from 'node:timers/promises'
import { blobsOf, type IngestTables, type JobBrief, jobBriefs, rowsOfItem, stateOf } from '@mnemosyne/ingest'
import type { BlobStore, Sql } from '@mnemosyne/platform'
import { BlobCopies, forEach } from './blob-copies.ts'

export type ItemRows = Awaited<ReturnType<typeof rowsOfItem>>

export interface TakenBlobs {
  entries: BlobCopies['entries']
  /** Rows of items that changed meanwhile, as they were when their blobs were copied; none when it was deleted. */
  newer: Map<string, ItemRows>
  problems: { item_uid: string; problem: string }[]
}

export interface TakeBlobsOptions {
  onProgress: (done: number, of: number) => void
  signal?: AbortSignal
}

/** Blobs copied at once: to hide the latency of a bucket. */
const AT_ONCE = 4
/** Of an item that changes again and again. */
const MAX_ATTEMPTS = 20

/**
 * Copies into `to` the blobs that `items` stand for, as they were read in one snapshot of ingest's jobs. Jobs and
 * blobs of an item belong together and to no other item; so an item whose jobs have changed while blobs were copied
 * is taken again by itself, rows and blobs, until its rows are the same before and after. `items` then has those.
 */
export async function takeBlobs(
  { sql, blobs }: { sql: Sql<IngestTables>; blobs: BlobStore },
  to: BlobStore,
  items: Map<string, JobBrief[]>,
  { onProgress, signal }: TakeBlobsOptions,
): Promise<TakenBlobs> {
  const copies = new BlobCopies(blobs, to, signal)
  await copyWanted(copies, blobs, wantedBy(items), onProgress)
  const newer = new Map<string, ItemRows>()
  const now = await jobBriefs(sql)
  const changed = [...items].filter(([uid, jobs]) => stateOf(now.get(uid) ?? []) !== stateOf(jobs))
  const problems: TakenBlobs['problems'] = []
  for (const [item_uid] of changed) {
    const { rows, settled } = await takeItem(sql, blobs, copies, item_uid, signal)
    newer.set(item_uid, rows)
    items.set(item_uid, rows.job)
    if (!settled)
      problems.push({ item_uid, problem: 'It changed all the time; its files may be of two versions.' })
  }
  keepWanted(copies, wantedBy(items))
  for (const [item_uid, jobs] of items) {
    for (const problem of faultsOf(jobs, copies.entries)) problems.push({ item_uid, problem })
  }
  await removeOthers(to, copies.entries)
  return { entries: copies.entries, newer, problems }
}

interface Wanted {
  /** `items/ITEM/HASH/` */
  prefixes: Set<string>
  uploads: Set<string>
  hashes: Map<string, string>
}

function wantedBy(items: Map<string, JobBrief[]>): Wanted {
  const wanted: Wanted = { prefixes: new Set(), uploads: new Set(), hashes: new Map() }
  for (const jobs of items.values()) {
    const blobs = blobsOf(jobs)
    for (const prefix of blobs.prefixes) wanted.prefixes.add(prefix)
    for (const key of blobs.uploads) wanted.uploads.add(key)
    for (const [key, sha256] of blobs.hashes) wanted.hashes.set(key, sha256)
  }
  return wanted
}

/** What jobs in hand have made so far they make again; whatever else is in the store is the record of something. */
function isWanted({ prefixes, uploads }: Wanted, key: string): boolean {
  const [folder, ...names] = key.split('/')
  if (folder === 'jobs') return false
  if (folder === 'uploads') return uploads.has(key)
  if (folder === 'items') return prefixes.has(`items/${names[0]}/${names[1]}/`)
  return true
}

async function copyWanted(
  copies: BlobCopies,
  blobs: BlobStore,
  wanted: Wanted,
  onProgress: TakeBlobsOptions['onProgress'],
): Promise<void> {
  const all = wanted.prefixes.size + wanted.uploads.size
  const seen = new Set<string>()
  onProgress(0, all)
  await forEach(blobs.list(''), AT_ONCE, async (key) => {
    if (!isWanted(wanted, key)) return
    await copies.copy(key, wanted.hashes.get(key))
    seen.add(key.slice(0, key.lastIndexOf('/')))
    onProgress(Math.min(seen.size, all), all)
  })
  onProgress(all, all)
}

async function takeItem(
  sql: Sql<IngestTables>,
  blobs: BlobStore,
  copies: BlobCopies,
  itemUid: string,
  signal: AbortSignal | undefined,
): Promise<{ rows: ItemRows; settled: boolean }> {
  for (let attempt = 1; ; attempt++) {
    const before = await rowsOfItem(sql, itemUid)
    const { prefixes, uploads, hashes } = blobsOf(before.job)
    for (const key of copies.entries.keys()) {
      // Copied before, and perhaps gone since.
      if (key.startsWith(`items/${itemUid}/`)) copies.entries.delete(key)
    }
    for (const prefix of prefixes) {
      for await (const key of blobs.list(prefix)) await copies.copy(key, hashes.get(key))
    }
    for (const key of uploads) await copies.copy(key, hashes.get(key))
    const after = await rowsOfItem(sql, itemUid)
    const settled = stateOf(before.job) === stateOf(after.job)
    if (settled || attempt === MAX_ATTEMPTS) return { rows: after, settled }
    await pause(10 * attempt, undefined, { signal })
  }
}

function keepWanted(copies: BlobCopies, wanted: Wanted): void {
  for (const key of copies.entries.keys()) if (!isWanted(wanted, key)) copies.entries.delete(key)
}

/** What the blobs lack although the rows stood still: it is lost or damaged in the store itself. */
function faultsOf(jobs: readonly JobBrief[], entries: BlobCopies['entries']): string[] {
  const { needed, hashes } = blobsOf(jobs)
  const missing = needed
    .filter((either) => !either.some((key) => entries.has(key)))
    .map((either) => `${either.join(' or ')} is missing.`)
  const changed = [...hashes]
    .filter(([key, sha256]) => entries.has(key) && entries.get(key)!.sha256 !== sha256)
    .map(([key]) => `${key} is damaged: its SHA-256 is not the one that it was taken in with.`)
  return [...missing, ...changed]
}

/** What an attempt before has copied, and nothing needs any more. */
async function removeOthers(to: BlobStore, entries: BlobCopies['entries']): Promise<void> {
  const others: string[] = []
  for await (const key of to.list('')) if (!entries.has(key)) others.push(key)
  for (const key of others) await to.delete(key)
}
