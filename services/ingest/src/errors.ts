import { DomainError } from '@mnemosyne/platform'

export class JobNotFoundError extends DomainError {
  constructor() {
    super('JOB_NOT_FOUND', 'Job not found.')
  }
}

export class NotStaffError extends DomainError {
  constructor() {
    super('NOT_STAFF', 'Only staff may do this.')
  }
}

export class TargetNotFoundError extends DomainError {
  /** `message`: the library service's words, which do not tell a missing target from another's. */
  constructor(message: string) {
    super('TARGET_NOT_FOUND', message)
  }
}

/** Something that has to be asked before the file is accepted is away for the moment. */
export class UnavailableError extends DomainError {
  constructor(what: 'library' | 'graph store', options?: ErrorOptions) {
    super('UNAVAILABLE', `The ${what} cannot be asked right now. Try again shortly.`, options)
  }
}

export class JobStateError extends DomainError {
  constructor(message: string) {
    super('JOB_STATE', message)
  }
}

export class SourceNotConfiguredError extends DomainError {
  constructor(source: string) {
    super(
      'SOURCE_NOT_CONFIGURED',
      `Files of ${source} cannot be read here: set ${source.toUpperCase()}_S3_ENDPOINT_URL and the rest, or ${source.toUpperCase()}_STORAGE_DIR, for the ingest service.`,
    )
  }
}

export class UploadError extends DomainError {
  constructor(message: string) {
    super('UPLOAD', message)
  }
}

export class UploadTooLargeError extends DomainError {
  constructor(maxBytes: number) {
    super('UPLOAD_TOO_LARGE', `The file is larger than ${maxBytes} bytes, the most that is taken in here.`)
  }
}

export class NoSpaceError extends DomainError {
  constructor(options?: ErrorOptions) {
    super(
      'NO_SPACE',
      'There is no space left to store the file. Nothing was taken in; try again later.',
      options,
    )
  }
}

/** What each refusal means in HTTP. */
export const errorStatus: Record<string, number> = {
  JOB_NOT_FOUND: 404,
  TARGET_NOT_FOUND: 404,
  NOT_STAFF: 403,
  JOB_STATE: 409,
  SOURCE_NOT_CONFIGURED: 503,
  UPLOAD: 400,
  UPLOAD_TOO_LARGE: 413,
  NO_SPACE: 507,
  UNAVAILABLE: 503,
  SQL_UNAVAILABLE: 503,
  BLOB_STORE_UNAVAILABLE: 503,
  BLOB_STORE_REFUSED: 503,
  SQL_FULL: 507,
}

/** A fault of this document or this request that no retry mends. The message is the job's `error`. */
export class PermanentFault extends Error {
  override readonly name = 'PermanentFault'
}

/** The job was cancelled, deleted, or taken over by another worker: stop, and change nothing more. */
export class ClaimLost extends Error {
  override readonly name = 'ClaimLost'

  constructor() {
    super('This worker no longer holds the job.')
  }
}
