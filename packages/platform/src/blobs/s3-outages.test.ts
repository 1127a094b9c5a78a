import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { setTimeout as elapsed } from 'node:timers/promises'
import { ListMultipartUploadsCommand, S3Client } from '@aws-sdk/client-s3'
import { expect, it, onTestFinished } from 'vitest'
import { openedS3, proxiedS3, s3OptionsOf } from '../testing/s3-blobs.ts'
import { createS3Bucket, type S3Bucket, startS3 } from '../testing/s3-server.ts'
import { describeS3 } from '../testing/servers.ts'
import { describeSmallDisk, mountSmallDisk } from '../testing/small-disk.ts'
import { type BlobStore, BlobStoreFullError, BlobStoreUnavailableError } from './port.ts'
import { openS3Blobs, openS3Source } from './s3.ts'

const MEBIBYTE = 1_048_576
const QUICK = { connectMs: 300, idleMs: 300 }
const bytes = (text: string) => new TextEncoder().encode(text)
const keysOf = (store: BlobStore) => Readable.from(store.list('')).toArray()

async function ownServer(dataDir?: string) {
  const server = await startS3({ dataDir })
  onTestFinished(() => server.close())
  return { server, bucket: await createS3Bucket(server) }
}

async function unfinishedUploads({ endpoint, region, bucket, accessKeyId, secretAccessKey }: S3Bucket) {
  const credentials = { accessKeyId, secretAccessKey }
  const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true })
  const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket }))
  client.destroy()
  return Uploads.length
}

await describeS3('an S3 server', (freshBucket) => {
  it('that is gone is said to be, and used again when it is back', async () => {
    const { server, bucket } = await ownServer()
    const store = await openedS3(bucket)
    await using source = await openS3Source(s3OptionsOf(bucket))
    await store.put('a', bytes('kept'))
    for (const end of ['stop', 'kill'] as const) {
      await server[end]()
      const attempts = await Promise.allSettled([
        store.put('b', bytes('x')),
        store.read('a', 10),
        store.head('a'),
        store.delete('a'),
        store.deletePrefix('a/'),
        keysOf(store),
        store.ping(),
        source.open('a'),
        openS3Blobs(s3OptionsOf(bucket)),
      ])
      for (const attempt of attempts) {
        expect(attempt).toMatchObject({ status: 'rejected', reason: expect.any(BlobStoreUnavailableError) })
      }
      await server.start()
      await store.ping()
      expect(await store.read('a', 10)).toEqual(bytes('kept'))
      expect((await source.head('a'))?.bytes).toBe(4)
    }
    await store.put('b', bytes('x'))
    expect(await keysOf(store)).toEqual(['a', 'b'])
  })

  it('that dies in the middle of a put has stored nothing, and the put can be repeated', async () => {
    const { server, bucket } = await ownServer()
    const store = await openedS3(bucket)
    const body = Readable.from(
      (async function* () {
        for (let n = 0; n < 40; n++) {
          if (n === 30) await server.kill()
          yield Buffer.alloc(MEBIBYTE, n)
        }
      })(),
    )
    await expect(store.put('large', body)).rejects.toThrow(BlobStoreUnavailableError)
    expect(body.destroyed).toBe(true)
    await server.start()
    expect(await keysOf(store)).toEqual([])
    expect(await store.head('large')).toBeUndefined()
    const again = await store.put('large', new Uint8Array(20 * MEBIBYTE))
    expect(await store.head('large')).toEqual({ bytes: again.bytes })

    // The parts of the first one: nobody could tell the server to drop them.
    expect(await unfinishedUploads(bucket)).toBe(1)
    await openedS3(bucket)
    expect(await unfinishedUploads(bucket)).toBe(1)
    await openedS3(bucket, { clock: () => new Date(Date.now() + 25 * 3_600_000) })
    expect(await unfinishedUploads(bucket)).toBe(0)
    expect(await keysOf(store)).toEqual(['large'])
  })

  it('that takes a connection and says nothing is not waited for', async () => {
    const server = createServer(() => {}).listen(0, '127.0.0.1')
    await once(server, 'listening')
    onTestFinished(() => void server.close())
    const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const silent = { ...(await freshBucket()), endpoint }
    await expect(openS3Blobs(s3OptionsOf(silent, { timeouts: QUICK }))).rejects.toThrow(
      BlobStoreUnavailableError,
    )
    await using source = await openS3Source(s3OptionsOf(silent, { timeouts: QUICK }))
    await expect(source.open('a')).rejects.toThrow(BlobStoreUnavailableError)
  })

  it('that stops in the middle of a blob is not waited for', async () => {
    const { proxy, bucket } = await proxiedS3(await freshBucket())
    const store = await openedS3(bucket, { timeouts: QUICK })
    await store.put('a', new Uint8Array(4 * MEBIBYTE))
    let came = 0
    proxy.change = (chunk, way) => {
      if (way === 'down') came += chunk.length
      return came > MEBIBYTE ? undefined : chunk
    }
    const { stream } = await store.open('a')
    await expect(stream.toArray()).rejects.toThrow(BlobStoreUnavailableError)
  })

  it('that breaks off in the middle of a blob has not given the whole', async () => {
    const { proxy, bucket } = await proxiedS3(await freshBucket())
    const store = await openedS3(bucket)
    await store.put('a', new Uint8Array(4 * MEBIBYTE))
    let came = 0
    proxy.change = (chunk, way) => {
      if (way === 'down') came += chunk.length
      return came > MEBIBYTE ? undefined : chunk
    }
    const { stream } = await store.open('a')
    await proxy.close()
    await expect(stream.toArray()).rejects.toThrow(BlobStoreUnavailableError)
  })

  it('waits for a reader who takes longer than a server may', async () => {
    const store = await openedS3(await freshBucket(), { timeouts: QUICK })
    await store.put('a', new Uint8Array(40 * MEBIBYTE))
    const { stream } = await store.open('a')
    let read = 0
    for await (const chunk of stream) {
      if (read === 0) await elapsed(3 * QUICK.idleMs)
      read += chunk.length
    }
    expect(read).toBe(40 * MEBIBYTE)
  })

  it('keeps no connection of a blob that nobody reads to its end', async () => {
    const store = await openedS3(await freshBucket(), { timeouts: QUICK })
    await store.put('a', new Uint8Array(4 * MEBIBYTE))
    // More than there may be at once.
    for (let n = 0; n < 60; n++) (await store.open('a')).stream.destroy()
    expect((await store.read('a', 4 * MEBIBYTE)).length).toBe(4 * MEBIBYTE)
  })
})

await describeS3('an S3 server', async () => {
  await describeSmallDisk('on a full disk', () => {
    it('says so, keeps what it has and goes on when there is space', async () => {
      const disk = await mountSmallDisk(2_000)
      onTestFinished(() => disk.close())
      const { bucket } = await ownServer(join(disk.dir, 'data'))
      const store = await openedS3(bucket)
      await store.put('a', new Uint8Array(1_000_000))
      await expect(store.put('b', new Uint8Array(3_000_000))).rejects.toThrow(BlobStoreFullError)
      expect(await keysOf(store)).toEqual(['a'])
      await store.delete('a')
      await store.put('b', new Uint8Array(1_000_000))
    })
  })
})
