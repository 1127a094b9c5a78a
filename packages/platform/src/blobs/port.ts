import type { Readable } from 'node:stream'
import { DomainError } from '../errors.ts'

/**
 * Where blobs can be read from and nothing is written: another program's folder or bucket. Every operation may
 * throw `BlobStoreUnavailableError` and `BlobStoreRefusedError`, and so may a stream that is being read.
 * Adapters: `openFolderSource`, `openS3Source`.
 */
export interface BlobSource {
  /** Undefined when there is no such blob. Throws `BlobKeyError`. */
  head(key: string): Promise<{ bytes: number } | undefined>
  /** Throws `BlobNotFoundError`, `BlobKeyError`, `BlobRangeError`. Read the stream to its end, or destroy it. */
  open(key: string, range?: BlobRange): Promise<OpenBlob>
}

/** First and last byte, both included, as in HTTP; without `end` to the end of the blob. */
export interface BlobRange {
  start: number
  end?: number
}

export interface OpenBlob {
  stream: Readable
  /** Bytes that the stream yields. */
  bytes: number
  /** Bytes of the whole blob. */
  totalBytes: number
}

export interface StoredBlob {
  bytes: number
  /** Lower-case hexadecimal. */
  sha256: string
}

export interface PutOptions {
  /** Rejects with the signal's reason when aborted; nothing is stored. */
  signal?: AbortSignal
  /** Rejects with `BlobTooLargeError` as soon as the body is longer; nothing is stored. */
  maxBytes?: number
}

/**
 * Bytes under keys. A key is `/`-separated, at most 900 bytes of UTF-8, and no key may be the folder of another
 * (`a` and `a/b`). Adapters: `openFolderBlobs`, `openS3Blobs`.
 */
export interface BlobStore extends BlobSource {
  /**
   * Stores the whole body durably or nothing; readers see the old blob or the new one, never a part.
   * Throws `BlobKeyError`, `BlobTooLargeError`, `BlobStoreFullError`; an error of the body passes on.
   */
  put(key: string, body: Readable | Uint8Array, options?: PutOptions): Promise<StoredBlob>
  /** The whole blob. Throws `BlobTooLargeError` above `maxBytes`, `BlobNotFoundError`. */
  read(key: string, maxBytes: number): Promise<Uint8Array>
  /** True when there was one. (Of two callers at once both may hear so.) */
  delete(key: string): Promise<boolean>
  /** Deletes every blob under a prefix that ends in `/`. Returns how many. */
  deletePrefix(prefix: string): Promise<number>
  /** Keys under a prefix (`''`, or one that ends in `/`), in order of their UTF-8 bytes. */
  list(prefix: string): AsyncIterable<string>
  /** Throws when the store can't be used. */
  ping(): Promise<void>
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** Not a key, or one that leads outside of the store. */
export class BlobKeyError extends DomainError {
  constructor(message: string, options?: ErrorOptions) {
    super('BLOB_KEY', message, options)
    this.name = 'BlobKeyError'
  }
}

export class BlobNotFoundError extends DomainError {
  readonly key: string
  constructor(key: string, options?: ErrorOptions) {
    super('BLOB_NOT_FOUND', `There is no file ${JSON.stringify(key)}.`, options)
    this.name = 'BlobNotFoundError'
    this.key = key
  }
}

export class BlobRangeError extends DomainError {
  readonly totalBytes: number
  constructor(totalBytes: number) {
    super('BLOB_RANGE', `The range lies outside of the file, which has ${totalBytes} bytes.`)
    this.name = 'BlobRangeError'
    this.totalBytes = totalBytes
  }
}

export class BlobTooLargeError extends DomainError {
  readonly maxBytes: number
  constructor(maxBytes: number) {
    super('BLOB_TOO_LARGE', `The file is larger than ${maxBytes} bytes.`)
    this.name = 'BlobTooLargeError'
    this.maxBytes = maxBytes
  }
}

/** No space is left. */
export class BlobStoreFullError extends DomainError {
  constructor(options?: ErrorOptions) {
    super('BLOB_STORE_FULL', 'No space is left to store the file. Free some space, then try again.', options)
    this.name = 'BlobStoreFullError'
  }
}

/** The store does not answer, can't just now, or broke off. A repetition may work; nothing was stored by halves. */
export class BlobStoreUnavailableError extends DomainError {
  constructor(message: string, options?: ErrorOptions) {
    super('BLOB_STORE_UNAVAILABLE', message, options)
    this.name = 'BlobStoreUnavailableError'
  }
}

/**
 * The store answers, and will not have us: credentials, rights, the bucket's name, the certificate. Says which
 * setting to look at; no repetition helps until that is mended.
 */
export class BlobStoreRefusedError extends DomainError {
  constructor(message: string, options?: ErrorOptions) {
    super('BLOB_STORE_REFUSED', message, options)
    this.name = 'BlobStoreRefusedError'
  }
}
