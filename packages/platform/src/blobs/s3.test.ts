import { pino } from 'pino'
import { createRegistry, Metrics } from '../telemetry.ts'
import { blobsContract } from '../testing/blobs-contract.ts'
import type { S3Bucket } from '../testing/s3-server.ts'
import { describeS3 } from '../testing/servers.ts'
import { openS3Blobs, type S3Options } from './s3.ts'

const variables = {
  endpoint: 'AWS_S3_ENDPOINT_URL',
  region: 'AWS_S3_REGION_NAME',
  bucket: 'AWS_STORAGE_BUCKET_NAME',
  accessKeyId: 'AWS_ACCESS_KEY_ID',
  secretAccessKey: 'AWS_SECRET_ACCESS_KEY',
  useSsl: 'AWS_S3_USE_SSL',
  verify: 'AWS_S3_VERIFY',
}

function options(bucket: S3Bucket): S3Options {
  return {
    ...bucket,
    verify: true,
    variables,
    log: pino({ level: 'silent' }),
    metrics: new Metrics(createRegistry(), 'test'),
  }
}

await describeS3('S3', (freshBucket) => {
  blobsContract('blobs in a bucket', async () => openS3Blobs(options(await freshBucket())))
})
