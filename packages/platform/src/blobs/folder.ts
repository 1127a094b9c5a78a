import { randomUUID } from 'node:crypto'
import { constants } from 'node:fs'
import { access, lstat, mkdir, open, readdir, realpath, rename, rm, rmdir, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { span } from '../telemetry.ts'
import { FolderSource, isMissing, realInside } from './folder-source.ts'
import { checkKey, checkPrefix } from './key.ts'
import { Measure } from './measured.ts'
import {
  BlobKeyError,
  type BlobRange,
  type BlobStore,
  BlobStoreFullError,
  BlobStoreUnavailableError,
  BlobTooLargeError,
  type OpenBlob,
  type PutOptions,
  type StoredBlob,
} from './port.ts'

/** Where files grow before they get their names, and go before they are deleted. In the same file system. */
const TEMPORARY = '.tmp'

/**
 * Blobs as files under `dir`, which is created when missing. One process owns the folder: what an earlier one
 * left unfinished is removed here.
 */
export async function openFolderBlobs(dir: string): Promise<BlobStore> {
  await mkdir(dir, { recursive: true, mode: 0o700 })
  const root = await realpath(dir)
  await rm(join(root, TEMPORARY), { recursive: true, force: true })
  await mkdir(join(root, TEMPORARY), { mode: 0o700 })
  return new FolderBlobs(root)
}

class FolderBlobs extends FolderSource implements BlobStore {
  override async head(key: string): Promise<{ bytes: number } | undefined> {
    refuseReserved(key)
    return super.head(key)
  }

  override async open(key: string, range?: BlobRange): Promise<OpenBlob> {
    refuseReserved(key)
    return super.open(key, range)
  }

  async put(key: string, body: Readable | Uint8Array, options: PutOptions = {}): Promise<StoredBlob> {
    checkKey(key)
    refuseReserved(key)
    return span('blob.put', {}, async () => {
      const temporary = this.#temporary()
      try {
        const stored = await writeFile(temporary, body, options)
        await this.#moveInto(temporary, join(this.dir, key))
        return stored
      } catch (error) {
        await rm(temporary, { force: true })
        throw explained(error)
      }
    })
  }

  async read(key: string, maxBytes: number): Promise<Uint8Array> {
    checkKey(key)
    refuseReserved(key)
    return span('blob.read', {}, async () => {
      const { handle, stats } = await this.openFile(key)
      try {
        if (stats.size > maxBytes) throw new BlobTooLargeError(maxBytes)
        const bytes = new Uint8Array(stats.size)
        let filled = 0
        while (filled < bytes.length) {
          const { bytesRead } = await handle.read(bytes, filled)
          if (bytesRead === 0) break
          filled += bytesRead
        }
        return bytes.subarray(0, filled)
      } finally {
        await handle.close()
      }
    })
  }

  async delete(key: string): Promise<boolean> {
    checkKey(key)
    refuseReserved(key)
    return span('blob.delete', {}, async () => {
      const path = join(this.dir, key)
      if (!(await realInside(this.dir, dirname(path)))) return false
      try {
        if ((await lstat(path)).isDirectory()) return false
        await unlink(path)
      } catch (error) {
        if (isMissing(error)) return false
        throw error
      }
      await this.#removeEmpty(dirname(path))
      return true
    })
  }

  async deletePrefix(prefix: string): Promise<number> {
    checkPrefix(prefix)
    refuseReserved(prefix)
    return span('blob.delete_prefix', {}, async () => {
      const path = join(this.dir, prefix.slice(0, -1))
      if (!(await realInside(this.dir, dirname(path)))) return 0
      const doomed = this.#temporary()
      try {
        if (!(await lstat(path)).isDirectory()) return 0
        // All at once and out of sight, whatever happens while the files go one by one.
        await rename(path, doomed)
      } catch (error) {
        if (isMissing(error)) return 0
        throw error
      }
      await this.#removeEmpty(dirname(path))
      let count = 0
      for await (const _ of filesIn(doomed, '')) count += 1
      await rm(doomed, { recursive: true, force: true })
      return count
    })
  }

  async *list(prefix: string): AsyncIterable<string> {
    if (prefix !== '') {
      checkPrefix(prefix)
      refuseReserved(prefix)
    }
    const folder = await realInside(this.dir, join(this.dir, prefix))
    if (folder) yield* filesIn(folder, prefix)
  }

  async ping(): Promise<void> {
    try {
      await access(join(this.dir, TEMPORARY), constants.R_OK | constants.W_OK | constants.X_OK)
    } catch (cause) {
      throw new BlobStoreUnavailableError('The folder of the blobs is gone, or may not be used.', { cause })
    }
  }

  async close(): Promise<void> {}

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #temporary(): string {
    return join(this.dir, TEMPORARY, randomUUID())
  }

  async #moveInto(temporary: string, path: string): Promise<void> {
    const folder = dirname(path)
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#refuseLinks(folder)
        const firstMade = await mkdir(folder, { recursive: true, mode: 0o700 })
        await rename(temporary, path)
        await syncFolders(folder, firstMade ? dirname(firstMade) : folder)
        return
      } catch (error) {
        // Somebody deleted the last file of the folder, and the folder with it.
        const vanished = (error as NodeJS.ErrnoException).code === 'ENOENT'
        if (!vanished || attempt === 10) throw error
      }
    }
  }

  /** Throws when the part of `folder` that exists leads out of the store. */
  async #refuseLinks(folder: string): Promise<void> {
    let existing = folder
    while (!(await realInside(this.dir, existing))) existing = dirname(existing)
  }

  /** Removes `folder` and those above it as long as they are empty, and makes the removals durable. */
  async #removeEmpty(folder: string): Promise<void> {
    let left = folder
    while (left !== this.dir) {
      try {
        await rmdir(left)
      } catch (error) {
        if (!isMissing(error)) break
      }
      left = dirname(left)
    }
    await syncFolders(left, left).catch((error) => {
      if (!isMissing(error)) throw error
    })
  }
}

function refuseReserved(key: string): void {
  if (key.startsWith(`${TEMPORARY}/`) || key === TEMPORARY) {
    throw new BlobKeyError(`${JSON.stringify(key.slice(0, 100))} is reserved.`)
  }
}

async function writeFile(
  path: string,
  body: Readable | Uint8Array,
  { signal, maxBytes }: PutOptions,
): Promise<StoredBlob> {
  const measure = new Measure(maxBytes)
  const source = body instanceof Uint8Array ? Readable.from([body]) : body
  signal?.throwIfAborted()
  const target = (await open(path, 'wx', 0o600)).createWriteStream({ flush: true })
  try {
    await pipeline(source, (chunks) => measure.of(chunks), target, { signal })
  } catch (error) {
    throw signal?.aborted ? signal.reason : error
  }
  return measure.result()
}

/** From `lowest` up to `highest`: a name is durable when the folder that holds it is. */
async function syncFolders(lowest: string, highest: string): Promise<void> {
  for (let folder = lowest; ; folder = dirname(folder)) {
    const handle = await open(folder, 'r')
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
    if (folder === highest) return
  }
}

async function* filesIn(folder: string, prefix: string): AsyncIterable<string> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((error) => {
    if (isMissing(error)) return []
    throw error
  })
  const names = entries
    .filter(
      (entry) => entry.isFile() || (entry.isDirectory() && !(prefix === '' && entry.name === TEMPORARY)),
    )
    .map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name))
    .sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
  for (const name of names) {
    if (name.endsWith('/')) yield* filesIn(join(folder, name), prefix + name)
    else yield prefix + name
  }
}

const CLASHES = new Set(['EISDIR', 'ENOTDIR', 'EEXIST', 'ENOTEMPTY'])
/** A disk, or a file system over a network, that failed. */
const FAILURES = new Set(['EIO', 'ESTALE', 'ENOTCONN', 'EHOSTDOWN', 'ETIMEDOUT'])

function explained(error: unknown): unknown {
  const { code = '' } = error as NodeJS.ErrnoException
  if (code === 'ENOSPC' || code === 'EDQUOT') return new BlobStoreFullError({ cause: error })
  if (FAILURES.has(code)) {
    return new BlobStoreUnavailableError('The disk of the blobs failed.', { cause: error })
  }
  if (CLASHES.has(code)) {
    return new BlobKeyError('The key is the folder of another file, or has a file for a folder.', {
      cause: error,
    })
  }
  return error
}
