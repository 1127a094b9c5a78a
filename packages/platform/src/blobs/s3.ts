import { type Clock, systemClock } from '../clock.ts'
import type { BlobSource, BlobStore } from './port.ts'
import type { S3Options } from './s3-connection.ts'

export type { S3Options } from './s3-connection.ts'

export interface OpenS3Options extends S3Options {
  clock?: Clock
}

/** No put takes that long; one that began before is one whose process died. */
const UNFINISHED_MS = 24 * 3_600_000

/**
 * Blobs in a bucket of our own, which is made when it is missing and the credentials may. Many processes may use it
 * at once. Throws `BlobStoreUnavailableError`, after which opening may be tried again, and `BlobStoreRefusedError`.
 * A server that goes away and comes back is used again without opening anew.
 */
export async function openS3Blobs(options: OpenS3Options): Promise<BlobStore & AsyncDisposable> {
  // The SDK costs 100 ms and 25 MB: only who has a bucket loads it.
  const { S3Blobs } = await import('./s3-store.ts')
  const { bucket, region, log, clock = systemClock } = options
  const blobs = new S3Blobs(options)
  try {
    if (await blobs.ensureBucket(region)) log.info({ bucket }, 'bucket made')
  } catch (error) {
    await blobs.close()
    throw error
  }
  try {
    const uploads = await blobs.dropUnfinishedUploads(new Date(clock().getTime() - UNFINISHED_MS))
    if (uploads > 0) log.info({ bucket, uploads }, 'uploads that never ended removed')
  } catch (err) {
    log.warn({ err, bucket }, 'uploads that never ended could not be looked for; they take space')
  }
  return blobs
}

/** Another program's bucket: nothing is written, and nothing asked before the first file. */
export async function openS3Source(options: S3Options): Promise<BlobSource & AsyncDisposable> {
  const { S3Source } = await import('./s3-source.ts')
  return new S3Source(options)
}
