import type { Clock } from '../clock.ts'
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

/**
 * Creates the folder (mode 0700) or finds it, and owns it until closed or until the process ends in whatever
 * way. Throws `DataFolderInUseError`, `NewerDataFolderError`, `DataFolderError`.
 */
export async function openDataFolder(dir: string, options: DataFolderOptions): Promise<DataFolder> {
  throw new Error('not implemented')
}
