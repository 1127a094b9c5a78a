import { pino } from 'pino'
import { onTestFinished } from 'vitest'
import { type OpenS3Options, openS3Blobs, type S3Options } from '../blobs/s3.ts'
import { createRegistry, Metrics } from '../telemetry.ts'
import { type HttpProxy, startHttpProxy } from './http-proxy.ts'
import type { S3Bucket } from './s3-server.ts'

/** A bucket as the adapters take it, named by the variables of the own one. */
export const s3OptionsOf = (bucket: S3Bucket, others: Partial<S3Options> = {}): S3Options => ({
  ...bucket,
  verify: true,
  variables: {
    endpoint: 'AWS_S3_ENDPOINT_URL',
    region: 'AWS_S3_REGION_NAME',
    bucket: 'AWS_STORAGE_BUCKET_NAME',
    accessKeyId: 'AWS_ACCESS_KEY_ID',
    secretAccessKey: 'AWS_SECRET_ACCESS_KEY',
    useSsl: 'AWS_S3_USE_SSL',
    verify: 'AWS_S3_VERIFY',
  },
  log: pino({ level: 'silent' }),
  metrics: new Metrics(createRegistry(), 'test'),
  ...others,
})

/** The blobs of a bucket until the end of the test. */
export async function openedS3(bucket: S3Bucket, others: Partial<OpenS3Options> = {}) {
  const store = await openS3Blobs({ ...s3OptionsOf(bucket), ...others })
  onTestFinished(() => store.close())
  return store
}

/** The same bucket by way of a proxy, until the end of the test. */
export async function proxiedS3(bucket: S3Bucket): Promise<{ proxy: HttpProxy; bucket: S3Bucket }> {
  const proxy = await startHttpProxy(bucket.endpoint)
  onTestFinished(() => proxy.close())
  return { proxy, bucket: { ...bucket, endpoint: proxy.url } }
}
