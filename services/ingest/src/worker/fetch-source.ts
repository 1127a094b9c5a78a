import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { BlobKeyError, BlobNotFoundError, type BlobSource, type BlobStore } from '@mnemosyne/platform'
import { PermanentFault } from '../errors.ts'
import type { Sources } from '../routes/router.ts'
import type { JobRow } from '../store/tables.ts'

export interface FetchDeps {
  blobs: BlobStore
  sources: Sources
  /** A folder of this process's own for files in hand. */
  workDir: string
  maxFileBytes: number
}

/** Where an item's original lies: one folder an item, one below it for each version. */
export function originalKey(row: Pick<JobRow, 'item_uid' | 'content_hash' | 's3_key'>): string {
  return `${itemPrefix(row.item_uid)}${row.content_hash}/original.${extensionOf(row.s3_key) ?? 'bin'}`
}

/** The extension of a file's name in lower case, when it is a plain one. */
export function extensionOf(name: string): string | undefined {
  return /\.([A-Za-z0-9]{1,8})$/.exec(name)?.[1]?.toLowerCase()
}

export function itemPrefix(itemUid: string): string {
  return `items/${itemUid}/`
}

/** What a job's stages have made, until it ends. */
export function jobPrefix(jobId: string): string {
  return `jobs/${jobId}/`
}

/**
 * Brings the job's file to a local path, its hash and size checked, with a copy in our own store.
 * A repeated run takes that copy. Throws PermanentFault when the file is missing, too large or not the one
 * that was announced.
 */
export async function fetchSource(deps: FetchDeps, row: JobRow, signal: AbortSignal): Promise<string> {
  const path = join(deps.workDir, `${row.job_id}.part`)
  const original = originalKey(row)
  const ours = await deps.blobs.head(original)
  const source = ours ? deps.blobs : sourceOf(deps, row)
  const hash = createHash('sha256')
  let bytes = 0
  try {
    const blob = await source.open(ours ? original : row.s3_key)
    if (blob.bytes > deps.maxFileBytes) {
      blob.stream.destroy()
      throw new PermanentFault(`The file has ${blob.bytes} bytes; at most ${deps.maxFileBytes} are taken in.`)
    }
    const measure = new Transform({
      transform(chunk: Buffer, _, done) {
        bytes += chunk.length
        hash.update(chunk)
        done(null, chunk)
      },
    })
    await pipeline(blob.stream, measure, createWriteStream(path), { signal })
  } catch (error) {
    if (error instanceof BlobNotFoundError) {
      throw new PermanentFault(
        `There is no file ${JSON.stringify(row.s3_key)} in the store of ${row.source}.`,
        { cause: error },
      )
    }
    if (error instanceof BlobKeyError) {
      throw new PermanentFault(`The file cannot be read from the store of ${row.source}: ${error.message}`, {
        cause: error,
      })
    }
    throw error
  }
  if (bytes !== row.file_size) {
    throw new PermanentFault(`The file has ${bytes} bytes; ${row.file_size} were announced.`)
  }
  if (hash.digest('hex') !== row.content_hash) {
    throw new PermanentFault(
      'The file is not the one that was announced: its SHA-256 differs from content_hash.',
    )
  }
  if (!ours) await deps.blobs.put(original, createReadStream(path), { signal })
  return path
}

export async function dropLocal(deps: FetchDeps, row: JobRow): Promise<void> {
  await rm(join(deps.workDir, `${row.job_id}.part`), { force: true })
}

function sourceOf(deps: FetchDeps, row: JobRow): BlobSource {
  if (row.source === 'upload') return deps.blobs
  const source = deps.sources[row.source as keyof Sources]
  if (!source) throw new Error(`No store of ${row.source} is configured for this worker.`)
  return source
}
