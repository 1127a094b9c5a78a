import { DomainError } from '@mnemosyne/platform'

/** The backup, or what it is to be made of or restored into, is not as it has to be; says what to do. */
export class BackupError extends DomainError {
  constructor(code: BackupErrorCode, message: string, options?: ErrorOptions) {
    super(code, message, options)
    this.name = 'BackupError'
  }
}

type BackupErrorCode =
  /** The folder holds a complete backup, or something else. */
  | 'BACKUP_FOLDER'
  /** There is no complete backup in the folder. */
  | 'BACKUP_INCOMPLETE'
  /** A file is missing or is not what was written. */
  | 'BACKUP_DAMAGED'
  /** Written by a newer program. */
  | 'BACKUP_NEWER'
  /** The stores hold something already. */
  | 'STORES_NOT_EMPTY'
  /** There is nothing to back up. */
  | 'NO_DATA'
  /** Secrets are sealed, and nobody said with what, or that they may stay behind. */
  | 'PASSPHRASE_NEEDED'
  | 'PASSPHRASE_WRONG'
