import { addAbortSignal, Readable } from 'node:stream'
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  ListObjectsV2Command,
  type ListObjectsV2CommandOutput,
} from '@aws-sdk/client-s3'
import { span } from '../telemetry.ts'
import { checkKey, checkPrefix } from './key.ts'
import { Measure } from './measured.ts'
import {
  type BlobStore,
  BlobStoreRefusedError,
  BlobTooLargeError,
  type PutOptions,
  type StoredBlob,
} from './port.ts'
import { faultNamed, isMissingBlob, isMissingBucket } from './s3-errors.ts'
import { S3Source } from './s3-source.ts'
import { dropUnfinished, upload } from './s3-upload.ts'

const PAGE = 1_000
/** Above the patience of a probe, below that of a person. */
const PING_MS = 5_000

/** Reads and writes a bucket. */
export class S3Blobs extends S3Source implements BlobStore {
  async put(key: string, body: Readable | Uint8Array, options: PutOptions = {}): Promise<StoredBlob> {
    checkKey(key)
    return span('blob.put', {}, async () => {
      const { signal, maxBytes } = options
      signal?.throwIfAborted()
      const measure = new Measure(maxBytes)
      const source = body instanceof Uint8Array ? Readable.from([body]) : body
      if (signal) addAbortSignal(signal, source)
      try {
        await upload(this.connection, key, measure.of(source), signal)
      } catch (error) {
        throw signal?.aborted ? signal.reason : error
      }
      return measure.result()
    })
  }

  async read(key: string, maxBytes: number): Promise<Uint8Array> {
    checkKey(key)
    return span('blob.read', {}, async () => {
      const { stream, totalBytes } = await this.get(key)
      if (totalBytes > maxBytes) {
        stream.destroy()
        throw new BlobTooLargeError(maxBytes)
      }
      const bytes = new Uint8Array(totalBytes)
      let filled = 0
      for await (const chunk of stream as AsyncIterable<Uint8Array>) {
        bytes.set(chunk, filled)
        filled += chunk.length
      }
      return bytes
    })
  }

  async delete(key: string): Promise<boolean> {
    checkKey(key)
    return span('blob.delete', {}, async () => {
      // DELETE says the same, whether there was one or not.
      if (!(await this.sizeOf(key))) return false
      const command = new DeleteObjectCommand({ Bucket: this.connection.bucket, Key: key })
      await this.connection.call('DeleteObject', (client) => client.send(command))
      return true
    })
  }

  async deletePrefix(prefix: string): Promise<number> {
    checkPrefix(prefix)
    return span('blob.delete_prefix', {}, async () => {
      let count = 0
      for await (const keys of this.#pages(prefix)) {
        await this.#deleteAll(keys)
        count += keys.length
      }
      return count
    })
  }

  async *list(prefix: string): AsyncIterable<string> {
    if (prefix !== '') checkPrefix(prefix)
    for await (const keys of this.#pages(prefix)) {
      // Consoles make blobs that stand for folders.
      yield* keys.filter((key) => !key.endsWith('/'))
    }
  }

  async ping(): Promise<void> {
    const command = new ListObjectsV2Command({ Bucket: this.connection.bucket, MaxKeys: 1 })
    const abortSignal = AbortSignal.timeout(PING_MS)
    await this.connection.call('ListObjectsV2', async (client) => {
      try {
        const { Name } = await client.send(command, { abortSignal })
        // The SDK takes any page for an empty list.
        if (Name === undefined) throw faultNamed('NoS3Server')
      } catch (error) {
        if (abortSignal.aborted) throw faultNamed('RequestTimeout', error)
        throw isMissingBlob(error) ? faultNamed('NoS3Server', error) : error
      }
    })
  }

  /** Makes the bucket when it is not there. True when it was made. */
  async ensureBucket(region: string): Promise<boolean> {
    try {
      await this.ping()
      return false
    } catch (error) {
      if (!isMissingBucket(error)) throw error
      return this.#createBucket(region)
    }
  }

  /** Drops uploads in parts that began before `before` and never ended. Returns how many. */
  dropUnfinishedUploads(before: Date): Promise<number> {
    return dropUnfinished(this.connection, before)
  }

  async #createBucket(region: string): Promise<boolean> {
    const Bucket = this.connection.bucket
    // Amazon's first region is the one that must not be named.
    const where =
      region === 'us-east-1'
        ? {}
        : { CreateBucketConfiguration: { LocationConstraint: region as 'eu-west-1' } }
    try {
      await this.connection.call('CreateBucket', (client) =>
        client.send(new CreateBucketCommand({ Bucket, ...where })),
      )
      return true
    } catch (error) {
      // Another process was faster.
      if ((error as Error).name === 'BucketAlreadyOwnedByYou') return false
      if (!(error instanceof BlobStoreRefusedError)) throw error
      throw this.connection.fault('CreateBucketDenied', error)
    }
  }

  async #deleteAll(keys: string[]): Promise<void> {
    const command = new DeleteObjectsCommand({
      Bucket: this.connection.bucket,
      Delete: { Objects: keys.map((Key) => ({ Key })), Quiet: true },
    })
    await this.connection.call('DeleteObjects', async (client) => {
      const { Errors = [] } = await client.send(command)
      const [first] = Errors
      if (first) throw faultNamed(first.Code ?? 'InternalError')
    })
  }

  /** Keys under a prefix, a thousand at a time, as the server orders them: by their UTF-8 bytes. */
  async *#pages(prefix: string): AsyncGenerator<string[]> {
    let token: string | undefined
    do {
      const command: ListObjectsV2Command = new ListObjectsV2Command({
        Bucket: this.connection.bucket,
        Prefix: prefix,
        MaxKeys: PAGE,
        ContinuationToken: token,
      })
      const page: ListObjectsV2CommandOutput = await this.connection.call('ListObjectsV2', (client) =>
        client.send(command),
      )
      const keys = (page.Contents ?? []).flatMap(({ Key }) => (Key === undefined ? [] : [Key]))
      if (keys.length > 0) yield keys
      token = page.IsTruncated ? page.NextContinuationToken : undefined
    } while (token)
  }
}
