import { Readable } from 'node:stream'
import {
  GetObjectCommand,
  type GetObjectCommandOutput,
  HeadBucketCommand,
  HeadObjectCommand,
} from '@aws-sdk/client-s3'
import { span } from '../telemetry.ts'
import { checkKey } from './key.ts'
import { BlobNotFoundError, type BlobRange, BlobRangeError, type BlobSource, type OpenBlob } from './port.ts'
import { S3Connection, type S3Options } from './s3-connection.ts'
import { httpStatusOf, isMissingBlob } from './s3-errors.ts'

/** Reads a bucket, and writes nothing. */
export class S3Source implements BlobSource, AsyncDisposable {
  protected readonly connection: S3Connection

  constructor(options: S3Options) {
    this.connection = new S3Connection(options)
  }

  async head(key: string): Promise<{ bytes: number } | undefined> {
    checkKey(key)
    return span('blob.head', {}, () => this.sizeOf(key))
  }

  async open(key: string, range?: BlobRange): Promise<OpenBlob> {
    checkKey(key)
    return span('blob.open', {}, () => this.get(key, range))
  }

  async close(): Promise<void> {
    this.connection.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  protected async sizeOf(key: string): Promise<{ bytes: number } | undefined> {
    try {
      const { ContentLength: bytes = 0 } = await this.connection.call('HeadObject', (client) =>
        client.send(new HeadObjectCommand({ Bucket: this.connection.bucket, Key: key })),
      )
      return { bytes }
    } catch (error) {
      if (!isMissingBlob(error)) throw error
      await this.#refuseMissingBucket()
      return undefined
    }
  }

  protected async get(key: string, range?: BlobRange): Promise<OpenBlob> {
    if (range && !isPossible(range)) throw await this.#outside(key)
    const answer = await this.#request(key, range)
    const bytes = answer.ContentLength ?? 0
    const totalBytes = Number(/\/(\d+)$/.exec(answer.ContentRange ?? '')?.[1] ?? bytes)
    const body = answer.Body as Readable
    if (range && range.start >= totalBytes) {
      // A server that gives nothing instead of refusing.
      body.destroy()
      throw new BlobRangeError(totalBytes)
    }
    return { stream: this.#readable(body), bytes, totalBytes }
  }

  async #request(key: string, range: BlobRange | undefined): Promise<GetObjectCommandOutput> {
    const command = new GetObjectCommand({
      Bucket: this.connection.bucket,
      Key: key,
      ...(range && { Range: `bytes=${range.start}-${range.end ?? ''}` }),
    })
    try {
      return await this.connection.call('GetObject', (client) => client.send(command), { streams: true })
    } catch (error) {
      // GET has words for what is missing, unless it is another server that answers.
      if (isMissingBlob(error))
        throw error.name === 'NoSuchKey'
          ? new BlobNotFoundError(key, { cause: error })
          : this.connection.fault('NoS3Server', error)
      if (httpStatusOf(error) === 416) throw await this.#outside(key)
      throw error
    }
  }

  async #outside(key: string): Promise<Error> {
    const found = await this.sizeOf(key)
    return found ? new BlobRangeError(found.bytes) : new BlobNotFoundError(key)
  }

  /** HEAD has no words for what is missing; a mistyped bucket would look like one without files. */
  async #refuseMissingBucket(): Promise<void> {
    const { bucket } = this.connection
    try {
      await this.connection.call('HeadBucket', (client) =>
        client.send(new HeadBucketCommand({ Bucket: bucket })),
      )
    } catch (error) {
      if (isMissingBlob(error)) throw this.connection.fault('NoSuchBucket', error)
      // Who may read a file need not be one who may ask for the bucket.
    }
  }

  /** The body with errors of the port, given up when nothing comes although somebody reads. */
  #readable(body: Readable): Readable {
    const { connection } = this
    const chunks = body[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>
    return new Readable({
      async read() {
        const stalled = setTimeout(
          () => body.destroy(Object.assign(new Error('no more bytes'), { name: 'TimeoutError' })),
          connection.timeouts.idleMs,
        )
        try {
          const { done, value } = await chunks.next()
          this.push(done ? null : value)
        } catch (error) {
          this.destroy(connection.broken(error))
        } finally {
          clearTimeout(stalled)
        }
      },
      destroy(error, done) {
        body.destroy()
        done(error)
      },
    })
  }
}

const isPossible = ({ start, end = start }: BlobRange) =>
  Number.isSafeInteger(start) && Number.isSafeInteger(end) && start >= 0 && end >= start
