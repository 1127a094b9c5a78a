import { constants } from 'node:fs'
import { access, mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { type Clock, systemClock } from '../clock.ts'
import { DomainError } from '../errors.ts'

export interface DataFolder {
  /** Absolute. */
  readonly dir: string
  /** Absolute path of a name inside it. */
  path(...names: string[]): string
  /** Gives up the folder. Idempotent. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

export interface DataFolderOptions {
  /** The layout this program writes, and the newest that it reads. */
  formatVersion: number
  clock?: Clock
}

/** Another process owns the folder. */
export class DataFolderInUseError extends DomainError {
  /** Of the owner, as far as known; informative only. */
  readonly pid: number | undefined
  constructor(dir: string, pid: number | undefined) {
    super(
      'DATA_FOLDER_IN_USE',
      `The data folder ${dir} is in use by another Mnemosyne${pid ? ` (process ${pid})` : ''}. ` +
        'Stop that one first, or choose another folder with --data-dir.',
    )
    this.name = 'DataFolderInUseError'
    this.pid = pid
  }
}

export class NewerDataFolderError extends DomainError {
  constructor(dir: string, found: number, known: number) {
    super(
      'DATA_FOLDER_NEWER',
      `The data folder ${dir} was written by a newer version (format ${found}; this one knows ${known}). ` +
        "Upgrade Mnemosyne, or use the data folder's backup.",
    )
    this.name = 'NewerDataFolderError'
  }
}

/** The folder can't be used: not writable, not a folder, no space, a damaged `format.json`. */
export class DataFolderError extends DomainError {
  constructor(message: string, options?: ErrorOptions) {
    super('DATA_FOLDER', message, options)
    this.name = 'DataFolderError'
  }
}

const FORMAT = 'format.json'
const LOCK = 'lock.db'
const OWNER = 'lock.pid'

/**
 * Creates the folder (mode 0700) or finds it, and owns it until closed or until the process ends in whatever
 * way. Throws `DataFolderInUseError`, `NewerDataFolderError`, `DataFolderError`.
 */
export async function openDataFolder(dir: string, options: DataFolderOptions): Promise<DataFolder> {
  const absolute = resolve(dir)
  try {
    await mkdir(absolute, { recursive: true, mode: 0o700 })
    await access(absolute, constants.R_OK | constants.W_OK | constants.X_OK)
    const lock = await takeLock(absolute)
    try {
      await writeFile(join(absolute, OWNER), `${process.pid}\n`, { mode: 0o600 })
      await checkFormat(absolute, options)
    } catch (error) {
      lock.close()
      throw error
    }
    return new OwnedFolder(absolute, lock)
  } catch (error) {
    throw error instanceof DomainError
      ? error
      : new DataFolderError(complaint(absolute, error), { cause: error })
  }
}

class OwnedFolder implements DataFolder {
  readonly dir: string
  readonly #lock: DatabaseSync

  constructor(dir: string, lock: DatabaseSync) {
    this.dir = dir
    this.#lock = lock
  }

  path(...names: string[]): string {
    return join(this.dir, ...names)
  }

  async close(): Promise<void> {
    if (this.#lock.isOpen) this.#lock.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

/**
 * An exclusive transaction that is never committed. SQLite holds it by locks of the operating system, which the
 * kernel drops with the process, so that nothing stale can be left by SIGKILL; Node itself has no such lock.
 * The kernel drops them as well when this process closes any other handle on the file: never open it elsewhere.
 */
async function takeLock(dir: string): Promise<DatabaseSync> {
  const lock = new DatabaseSync(join(dir, LOCK), { timeout: 0 })
  try {
    lock.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE')
    return lock
  } catch (error) {
    lock.close()
    const BUSY = 5
    if (!(error instanceof Error && 'errcode' in error && error.errcode === BUSY)) throw error
    throw new DataFolderInUseError(dir, await ownerOf(dir))
  }
}

async function ownerOf(dir: string): Promise<number | undefined> {
  const text = await readFile(join(dir, OWNER), 'utf8').catch(() => '')
  return Number.parseInt(text, 10) || undefined
}

async function checkFormat(
  dir: string,
  { formatVersion, clock = systemClock }: DataFolderOptions,
): Promise<void> {
  const file = join(dir, FORMAT)
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (text === undefined) {
    await writeDurably(
      file,
      `${JSON.stringify({ format: formatVersion, created_at: clock().toISOString() })}\n`,
    )
    return
  }
  const found = formatOf(text)
  if (found === undefined) {
    throw new DataFolderError(
      `${file} is damaged, so it is not known whether this is a data folder. Restore it from a backup, ` +
        'or choose another folder with --data-dir.',
    )
  }
  if (found > formatVersion) throw new NewerDataFolderError(dir, found, formatVersion)
}

function formatOf(text: string): number | undefined {
  try {
    const { format } = JSON.parse(text) as { format?: unknown }
    return Number.isSafeInteger(format) ? (format as number) : undefined
  } catch {
    return undefined
  }
}

async function writeDurably(file: string, text: string): Promise<void> {
  const temporary = `${file}.new`
  await writeFile(temporary, text, { mode: 0o600, flush: true })
  await rename(temporary, file)
}

function complaint(dir: string, error: unknown): string {
  const { code, errcode, message } = error as NodeJS.ErrnoException & { errcode?: number }
  const SQLITE_CANTOPEN = 14
  const SQLITE_FULL = 13
  switch (errcode === SQLITE_FULL ? 'ENOSPC' : errcode === SQLITE_CANTOPEN ? 'EACCES' : code) {
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return `The data folder ${dir} cannot be written to. Give this user the right to, or choose another with --data-dir.`
    case 'ENOTDIR':
    case 'EEXIST':
      return `The data folder ${dir} cannot be made: there is a file of that name on the way.`
    case 'ENOSPC':
    case 'EDQUOT':
      return `No space is left for the data folder ${dir}. Free some space, then start again.`
    default:
      return `The data folder ${dir} cannot be used: ${message}`
  }
}
