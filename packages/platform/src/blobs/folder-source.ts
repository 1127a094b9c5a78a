import { constants, type Stats } from 'node:fs'
import { type FileHandle, open, realpath, stat } from 'node:fs/promises'
import { join, sep } from 'node:path'
import { Readable } from 'node:stream'
import { span } from '../telemetry.ts'
import { checkKey } from './key.ts'
import {
  BlobKeyError,
  BlobNotFoundError,
  type BlobRange,
  BlobRangeError,
  type BlobSource,
  type OpenBlob,
} from './port.ts'

/**
 * A folder that another program fills; it may appear later than this is opened. Links that stay inside the
 * folder are followed, links that lead out of it are refused.
 */
export async function openFolderSource(dir: string): Promise<BlobSource> {
  return new FolderSource(dir)
}

export class FolderSource implements BlobSource {
  readonly dir: string

  constructor(dir: string) {
    this.dir = dir
  }

  async head(key: string): Promise<{ bytes: number } | undefined> {
    checkKey(key)
    return span('blob.head', {}, async () => {
      const found = await openInside(this.dir, key)
      await found?.handle.close()
      return found && { bytes: found.stats.size }
    })
  }

  async open(key: string, range?: BlobRange): Promise<OpenBlob> {
    checkKey(key)
    return span('blob.open', {}, async () => {
      const { handle, stats } = await this.openFile(key)
      try {
        const { start, end } = bounds(stats.size, range)
        const bytes = end - start + 1
        if (bytes > 0) {
          const stream = handle.createReadStream({ start, end, highWaterMark: 262_144 })
          return { stream, bytes, totalBytes: stats.size }
        }
        await handle.close()
        return { stream: Readable.from([]), bytes: 0, totalBytes: 0 }
      } catch (error) {
        await handle.close()
        throw error
      }
    })
  }

  /** The caller closes the handle. */
  protected async openFile(key: string): Promise<{ handle: FileHandle; stats: Stats }> {
    const found = await openInside(this.dir, key)
    if (!found) throw new BlobNotFoundError(key)
    return found
  }
}

/** First and last byte; the last is before the first when there are none. */
function bounds(totalBytes: number, range: BlobRange | undefined): { start: number; end: number } {
  if (!range) return { start: 0, end: totalBytes - 1 }
  const { start, end = totalBytes - 1 } = range
  const valid = Number.isSafeInteger(start) && Number.isSafeInteger(end) && start >= 0 && end >= start
  if (!valid || start >= totalBytes) throw new BlobRangeError(totalBytes)
  return { start, end: Math.min(end, totalBytes - 1) }
}

/** Undefined when there is no such regular file. Throws `BlobKeyError` when links lead out of `dir`. */
async function openInside(
  dir: string,
  key: string,
): Promise<{ handle: FileHandle; stats: Stats } | undefined> {
  const path = await realInside(dir, join(dir, key))
  if (!path) return undefined
  let handle: FileHandle
  try {
    // NONBLOCK: opening a pipe that nobody writes to would wait for ever.
    handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
  try {
    const stats = await handle.stat()
    if (stats.isFile() && (await isStill(path, stats))) return { handle, stats }
    await handle.close()
    return undefined
  } catch (error) {
    await handle.close()
    throw error
  }
}

/** `path` without links; undefined when it does not exist. */
export async function realInside(dir: string, path: string): Promise<string | undefined> {
  try {
    const [root, real] = await Promise.all([realpath(dir), realpath(path)])
    if (real === root || real.startsWith(root + sep)) return real
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
  throw new BlobKeyError('The key leads outside of the folder, through a symbolic link.')
}

/** Whether what was opened is what the path, free of links, leads to: it may have been replaced or removed meanwhile. */
async function isStill(path: string, { dev, ino }: Stats): Promise<boolean> {
  try {
    const real = await realpath(path)
    const now = await stat(real)
    return real === path && now.dev === dev && now.ino === ino
  } catch (error) {
    if (isMissing(error)) return false
    throw error
  }
}

const MISSING = new Set(['ENOENT', 'ENOTDIR', 'ELOOP', 'ENXIO', 'ENAMETOOLONG'])

export const isMissing = (error: unknown): boolean => MISSING.has((error as NodeJS.ErrnoException).code ?? '')
