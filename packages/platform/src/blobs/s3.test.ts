import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { Readable } from 'node:stream'
import { PutBucketPolicyCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { context, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createRegistry, Metrics } from '../telemetry.ts'
import { blobsContract, sourceContract } from '../testing/blobs-contract.ts'
import { openedS3, proxiedS3, s3OptionsOf } from '../testing/s3-blobs.ts'
import type { S3Bucket } from '../testing/s3-server.ts'
import { describeS3, freshS3Account } from '../testing/servers.ts'
import { openFolderBlobs } from './folder.ts'
import { BlobKeyError, type BlobStore, BlobStoreRefusedError, BlobStoreUnavailableError } from './port.ts'
import { openS3Blobs, openS3Source } from './s3.ts'

const PART = 8 * 1_048_576
const bytes = (text: string) => new TextEncoder().encode(text)
const sha256 = (data: Uint8Array) => createHash('sha256').update(data).digest('hex')
const keysOf = (store: BlobStore, prefix = '') => Readable.from(store.list(prefix)).toArray()
const failure = (work: Promise<unknown>): Promise<Error> =>
  work.then(
    () => expect.unreachable('it did not fail'),
    (error) => error,
  )

const sdk = ({ endpoint, region, accessKeyId, secretAccessKey }: S3Bucket) =>
  new S3Client({
    endpoint,
    region,
    credentials: { accessKeyId, secretAccessKey },
    forcePathStyle: true,
  })

await describeS3('S3', (freshBucket) => {
  blobsContract('blobs in a bucket', async () => openS3Blobs(s3OptionsOf(await freshBucket())))

  sourceContract("another program's bucket", async () => {
    const bucket = await freshBucket()
    return {
      source: await openS3Source(s3OptionsOf(bucket)),
      fill: (Key, Body) => sdk(bucket).send(new PutObjectCommand({ Bucket: bucket.bucket, Key, Body })),
    }
  })

  describe('the own bucket', () => {
    it('is made when it is missing, by whoever is first', async () => {
      const { bucket, ...server } = await freshBucket()
      const account = { ...server, ...(await freshS3Account('userplus')), bucket: `${bucket}-new` }
      const [one, two] = await Promise.all([openedS3(account), openedS3(account)])
      await one.put('a', bytes('x'))
      expect(await keysOf(two)).toEqual(['a'])
    })

    it('has to be made by somebody else when the credentials may not', async () => {
      const { bucket, ...server } = await freshBucket()
      const account = { ...server, ...(await freshS3Account('user')), bucket: `${bucket}-new` }
      const refusal = await failure(openS3Blobs(s3OptionsOf(account)))
      expect(refusal).toBeInstanceOf(BlobStoreRefusedError)
      expect(refusal.message).toMatch(/no such bucket.+may not make it.+AWS_STORAGE_BUCKET_NAME/)
    })

    it('is more than a thousand blobs', async () => {
      const store = await openedS3(await freshBucket())
      const names = Array.from({ length: 1_050 }, (_, n) => `many/${String(n).padStart(4, '0')}`)
      const waiting = [...names, 'other']
      await Promise.all(
        Array.from({ length: 20 }, async () => {
          for (let name = waiting.pop(); name; name = waiting.pop()) await store.put(name, bytes('x'))
        }),
      )
      expect(await keysOf(store, 'many/')).toEqual(names)
      expect(await store.deletePrefix('many/')).toBe(1_050)
      expect(await keysOf(store)).toEqual(['other'])
    })

    it('shows no folder that a console has made', async () => {
      const bucket = await freshBucket()
      const store = await openedS3(bucket)
      await sdk(bucket).send(
        new PutObjectCommand({ Bucket: bucket.bucket, Key: 'folder/', Body: new Uint8Array() }),
      )
      await store.put('folder/a', bytes('x'))
      expect(await keysOf(store)).toEqual(['folder/a'])
      await store.deletePrefix('folder/')
      expect(await keysOf(store)).toEqual([])
    })

    it('refuses what the server can not tell apart', async () => {
      const store = await openedS3(await freshBucket())
      await store.put('a/b', bytes('x'))
      await expect(store.put('a', bytes('x'))).rejects.toThrow(BlobKeyError)
      await expect(store.put('a/b/c', bytes('x'))).rejects.toThrow(BlobKeyError)
    })
  })

  describe('a body', () => {
    it.each([PART - 1, PART, PART + 1, 2 * PART])('of %d bytes arrives as it is', async (length) => {
      const store = await openedS3(await freshBucket())
      const data = randomBytes(length)
      const chunks = [data.subarray(0, 5), data.subarray(5, length - 3), data.subarray(length - 3)]
      expect(await store.put('a', Readable.from(chunks))).toEqual({ bytes: length, sha256: sha256(data) })
      expect(sha256(await store.read('a', length))).toBe(sha256(data))
    })

    it('is read no faster than the server takes it, and given no faster than it is read', async () => {
      const { proxy, bucket } = await proxiedS3(await freshBucket())
      const store = await openedS3(bucket)
      const hash = createHash('sha256')
      let pulled = 0
      let ahead = 0
      const body = Readable.from(
        (async function* () {
          while (pulled < 64 * 1_048_576) {
            const chunk = randomBytes(1_048_576)
            pulled += chunk.length
            ahead = Math.max(ahead, pulled - proxy.received)
            hash.update(chunk)
            yield chunk
          }
        })(),
      )
      const stored = await store.put('large', body)
      expect(stored).toEqual({ bytes: pulled, sha256: hash.digest('hex') })
      // One part on its way, one that fills, and what streams hold.
      expect(ahead).toBeLessThan(2 * PART + 4 * 1_048_576)

      const { stream } = await store.open('large')
      const again = createHash('sha256')
      let held = 0
      for await (const chunk of stream) {
        again.update(chunk)
        held = Math.max(held, stream.readableLength)
      }
      expect(again.digest('hex')).toBe(stored.sha256)
      expect(held).toBeLessThan(1_048_576)
    })

    it.each([100_000, 2 * PART])('of %d bytes that is damaged on its way is not stored', async (length) => {
      const { proxy, bucket } = await proxiedS3(await freshBucket())
      const store = await openedS3(bucket)
      await store.put('a', bytes('old'))
      proxy.change = (chunk, way, method) => {
        if (way === 'up' && method === 'PUT') chunk[0] = ~(chunk[0] as number)
        return chunk
      }
      await expect(store.put('a', new Uint8Array(length))).rejects.toThrow(BlobStoreUnavailableError)
      proxy.change = (chunk) => chunk
      expect(await store.read('a', 10)).toEqual(bytes('old'))
    })

    it('that is damaged on its way back is not taken for the blob', async () => {
      const { proxy, bucket } = await proxiedS3(await freshBucket())
      const store = await openedS3(bucket)
      await store.put('a', new Uint8Array(100_000))
      proxy.change = (chunk, way, method) => {
        if (way === 'down' && method === 'GET') chunk[0] = ~(chunk[0] as number)
        return chunk
      }
      await expect(store.read('a', 100_000)).rejects.toThrow(BlobStoreUnavailableError)
    })

    it('stops on its way when the caller gives up, and leaves nothing', async () => {
      const { proxy, bucket } = await proxiedS3(await freshBucket())
      const store = await openedS3(bucket)
      const abort = new AbortController()
      const reason = new Error('the client went away')
      let parts = 0
      proxy.change = (chunk, way, method) => {
        if (way !== 'up' || method !== 'PUT') return chunk
        if (++parts === 1) setImmediate(() => abort.abort(reason))
        return undefined
      }
      await expect(store.put('a', new Uint8Array(3 * PART), { signal: abort.signal })).rejects.toBe(reason)
      expect(await keysOf(store)).toEqual([])
      expect(proxy.seen.at(-2)).toMatch(/^DELETE .+uploadId=/)
    })
  })

  describe("another program's bucket", () => {
    it('can be read with rights that allow no more, and is never written', async () => {
      const owner = await freshBucket()
      await (await openedS3(owner)).put('report.pdf', bytes('content'))
      const reader = { ...owner, ...(await freshS3Account('user')) }
      const Resource = `arn:aws:s3:::${owner.bucket}/*`
      const statement = { Effect: 'Allow', Action: 's3:GetObject', Resource }
      const Statement = [{ ...statement, Principal: { AWS: [reader.accessKeyId] } }]
      const Policy = JSON.stringify({ Version: '2012-10-17', Statement })
      await sdk(owner).send(new PutBucketPolicyCommand({ Bucket: owner.bucket, Policy }))
      const { proxy, bucket } = await proxiedS3(reader)
      await using source = await openS3Source(s3OptionsOf(bucket))
      expect(await source.head('report.pdf')).toEqual({ bytes: 7 })
      expect(Buffer.concat(await (await source.open('report.pdf')).stream.toArray()).toString()).toBe(
        'content',
      )
      await failure(source.open('none'))
      await failure(source.open('report.pdf', { start: 99 }))
      expect(proxy.seen.length).toBeGreaterThan(3)
      expect(proxy.seen.filter((request) => !/^(GET|HEAD) /.test(request))).toEqual([])
    })

    it('is not ours to read with its credentials, nor the other way round', async () => {
      const [ours, daedalus] = await Promise.all([freshBucket(), freshBucket()])
      await (await openedS3(ours)).put('secret.pdf', bytes('secret'))
      for (const crossed of [
        { ...daedalus, bucket: ours.bucket },
        { ...ours, bucket: daedalus.bucket },
      ]) {
        await using source = await openS3Source(s3OptionsOf(crossed))
        await expect(source.open('secret.pdf')).rejects.toThrow(BlobStoreRefusedError)
        await expect(source.head('secret.pdf')).rejects.toThrow(BlobStoreRefusedError)
        await expect(openS3Blobs(s3OptionsOf(crossed))).rejects.toThrow(BlobStoreRefusedError)
      }
    })

    it('is not made when it is missing', async () => {
      const { bucket, ...server } = await freshBucket()
      const missing = { ...server, ...(await freshS3Account('userplus')), bucket: `${bucket}-none` }
      await using source = await openS3Source(s3OptionsOf(missing))
      for (const attempt of [source.open('a'), source.head('a')]) {
        const refusal = await failure(attempt)
        expect(refusal).toBeInstanceOf(BlobStoreRefusedError)
        expect(refusal.message).toMatch(/no such bucket.+AWS_STORAGE_BUCKET_NAME/)
      }
    })
  })

  describe('what can be seen of it', () => {
    it('is each operation with its outcome, and no key', async () => {
      const metrics = new Metrics(createRegistry(), 'ingest')
      const store = await openedS3(await freshBucket(), { metrics })
      await store.put('private-name.pdf', bytes('x'))
      await store.head('none')
      const text = await metrics.registry.metrics()
      const counted = (operation: string, status: string) =>
        `mnemosyne_s3_operations_total{component="ingest",operation="${operation}",status="${status}"} 1`
      expect(text).toContain(counted('PutObject', 'ok'))
      expect(text).toContain(counted('HeadObject', 'missing'))
      expect(text).toContain(
        'mnemosyne_s3_operation_seconds_count{component="ingest",operation="PutObject"} 1',
      )
      expect(text).not.toContain('private-name')
    })

    it('is a span for each call of the port, as in a folder, and one for each operation inside', async () => {
      const exporter = new InMemorySpanExporter()
      const provider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] })
      context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
      trace.setGlobalTracerProvider(provider)
      onTestFinished(() => {
        trace.disable()
        context.disable()
      })
      const bucket = await freshBucket()
      const store = await openedS3(bucket)
      const spansOf = async (used: BlobStore) => {
        exporter.reset()
        await used.put('private-name.pdf', bytes('x'))
        await used.read('private-name.pdf', 10)
        await (await used.open('private-name.pdf')).stream.toArray()
        await used.head('private-name.pdf')
        await used.delete('private-name.pdf')
        await used.deletePrefix('private-folder/')
        return exporter.getFinishedSpans()
      }
      const spans = await spansOf(store)
      const names = spans.map(({ name }) => name)
      expect(names.filter((name) => name.startsWith('S3/'))).toEqual([
        'S3/PutObject',
        'S3/GetObject',
        'S3/GetObject',
        'S3/HeadObject',
        'S3/HeadObject',
        'S3/DeleteObject',
        'S3/ListObjectsV2',
      ])
      expect(spans[0]?.attributes).toMatchObject({
        'rpc.system': 'aws-api',
        'rpc.method': 'PutObject',
        'aws.s3.bucket': bucket.bucket,
      })
      expect(spans[0]?.parentSpanContext?.spanId).toBe(spans[1]?.spanContext().spanId)
      expect(JSON.stringify(spans.map(({ name, attributes }) => [name, attributes]))).not.toContain('private')

      const folder = await openFolderBlobs(await temporaryFolder())
      const inFolder = (await spansOf(folder)).map(({ name }) => name)
      expect(names.filter((name) => !name.startsWith('S3/'))).toEqual(inFolder)
    })
  })
})

async function temporaryFolder(): Promise<string> {
  const dir = await mkdtemp(`${tmpdir()}/mnemosyne-blobs-`)
  onTestFinished(() => rm(dir, { recursive: true }))
  return dir
}
