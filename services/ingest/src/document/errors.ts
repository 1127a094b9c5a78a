export type DocumentErrorCode =
  | 'unsupported_format'
  | 'empty_file'
  | 'corrupt_file'
  | 'encrypted_file'
  | 'file_too_large'
  | 'processing_timeout'
  | 'processing_memory'

/** A fault of the file itself: trying again will not help. The message is for whoever brought the file. */
export class DocumentError extends Error {
  readonly code: DocumentErrorCode
  /** No retry can help. */
  readonly permanent = true

  constructor(code: DocumentErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = new.target.name
    this.code = code
  }
}

export class UnsupportedFormatError extends DocumentError {
  readonly detectedType: string

  constructor(detectedType: string, message: string, options?: ErrorOptions) {
    super('unsupported_format', message, options)
    this.detectedType = detectedType
  }
}

export class EmptyFileError extends DocumentError {
  constructor(
    message = 'The file is empty. Save it again in the program that made it.',
    options?: ErrorOptions,
  ) {
    super('empty_file', message, options)
  }
}

export class CorruptFileError extends DocumentError {
  constructor(message: string, options?: ErrorOptions) {
    super('corrupt_file', message, options)
  }
}

export class EncryptedFileError extends DocumentError {
  constructor(
    message = 'The file needs a password to open. Save a copy without the password and add that.',
    options?: ErrorOptions,
  ) {
    super('encrypted_file', message, options)
  }
}

export class TooLargeError extends DocumentError {
  constructor(message: string, options?: ErrorOptions) {
    super('file_too_large', message, options)
  }
}

export class ProcessingTimeoutError extends DocumentError {
  constructor(message: string, options?: ErrorOptions) {
    super('processing_timeout', message, options)
  }
}

export class ProcessingMemoryError extends DocumentError {
  constructor(message: string, options?: ErrorOptions) {
    super('processing_memory', message, options)
  }
}
