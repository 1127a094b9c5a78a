import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { BlobKeyError, BlobNotFoundError, type BlobSource, type BlobStore } from '@mnemosyne/platform'
import { PermanentFault, SourceNotConfiguredError } from '../errors.ts'
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
 * A repeated run takes that copy, unless it is damaged. Throws PermanentFault when the file is missing, too
 * large or not the one that was announced.
 */
export async function fetchSource(deps: FetchDeps, row: JobRow, signal: AbortSignal): Promise<string> {
  const path = join(deps.workDir, `${row.job_id}.part`)
  const original = originalKey(row)
  if (await deps.blobs.head(original)) {
    const { fault } = await download(deps.blobs, original, { path, row, signal })
    if (!fault) return path
    await deps.blobs.delete(original)
  }
  const { fault } = await fromSource(deps, row, path, signal)
  if (fault) throw new PermanentFault(fault)
  await deps.blobs.put(original, createReadStream(path), { signal })
  return path
}

async function fromSource(deps: FetchDeps, row: JobRow, path: string, signal: AbortSignal) {
  if (row.file_size > deps.maxFileBytes) {
    throw new PermanentFault(
      `The file has ${row.file_size} bytes; at most ${deps.maxFileBytes} are taken in.`,
    )
  }
  const source = sourceOf(deps, row)
  try {
    return await download(source, row.s3_key, { path, row, signal })
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
}

/** Copies a blob to a local file, and says in what it is not the one that was announced. */
async function download(
  from: BlobSource,
  key: string,
  { path, row, signal }: { path: string; row: JobRow; signal: AbortSignal },
): Promise<{ fault?: string }> {
  const blob = await from.open(key)
  if (blob.bytes !== row.file_size) {
    blob.stream.destroy()
    return { fault: `The file has ${blob.bytes} bytes; ${row.file_size} were announced.` }
  }
  const hash = createHash('sha256')
  const measure = new Transform({
    transform(chunk: Buffer, _, done) {
      hash.update(chunk)
      done(null, chunk)
    },
  })
  await pipeline(blob.stream, measure, createWriteStream(path), { signal })
  if (hash.digest('hex') === row.content_hash) return {}
  return { fault: 'The file is not the one that was announced: its SHA-256 differs from content_hash.' }
}

export async function dropLocal(deps: FetchDeps, row: JobRow): Promise<void> {
  await rm(join(deps.workDir, `${row.job_id}.part`), { force: true })
}

function sourceOf(deps: FetchDeps, row: JobRow): BlobSource {
  if (row.source === 'upload') return deps.blobs
  const source = deps.sources[row.source as keyof Sources]
  if (!source) throw new SourceNotConfiguredError(row.source)
  return source
}
