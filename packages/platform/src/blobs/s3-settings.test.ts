import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream'
import { createServer as createTlsServer } from 'node:tls'
import { promisify } from 'node:util'
import { pino } from 'pino'
import { expect, it, onTestFinished } from 'vitest'
import { findProgram, installPackage } from '../testing/install.ts'
import { openedS3, s3OptionsOf } from '../testing/s3-blobs.ts'
import { describeS3 } from '../testing/servers.ts'
import { BlobStoreRefusedError } from './port.ts'
import { openS3Blobs, openS3Source, type S3Options } from './s3.ts'

const PART = 8 * 1_048_576
const failure = (work: Promise<unknown>): Promise<Error> =>
  work.then(
    () => expect.unreachable('it did not fail'),
    (error) => error,
  )

await describeS3('a setting for S3 that is wrong', (freshBucket) => {
  it.each<[string, Partial<S3Options>, RegExp]>([
    ['secret', { secretAccessKey: 'not-the-secret' }, /AWS_SECRET_ACCESS_KEY/],
    ['access key', { accessKeyId: 'not-the-key' }, /AWS_ACCESS_KEY_ID/],
    ['name of the bucket', { bucket: 'No_Bucket' }, /AWS_STORAGE_BUCKET_NAME/],
    ['region', { region: 'eu-north-1' }, /AWS_S3_REGION_NAME/],
  ])('is named, and not shown: %s', async (_, wrong, words) => {
    const bucket = await freshBucket()
    const refusals = await Promise.all([
      failure(openS3Blobs(s3OptionsOf(bucket, wrong))),
      failure((await openS3Source(s3OptionsOf(bucket, wrong))).open('a')),
    ])
    for (const refusal of refusals) {
      expect(refusal).toBeInstanceOf(BlobStoreRefusedError)
      expect(refusal.message).toMatch(words)
      // What a log line shows, the server's own words included.
      expect(JSON.stringify(pino.stdSerializers.err(refusal))).not.toMatch(
        new RegExp(`not-the|${bucket.secretAccessKey}|${bucket.accessKeyId}`),
      )
    }
  })

  it('is named when the certificate is not one to trust, unless it need not be', async () => {
    const bucket = await freshBucket()
    const endpoint = await secured(bucket.endpoint)
    const refusal = await failure(openS3Blobs(s3OptionsOf({ ...bucket, endpoint })))
    expect(refusal).toBeInstanceOf(BlobStoreRefusedError)
    expect(refusal.message).toMatch(/SELF_SIGNED.+AWS_S3_VERIFY/)
    const store = await openedS3({ ...bucket, endpoint }, { verify: false })
    await store.put('large', new Uint8Array(3 * PART))
    expect(await store.read('large', 3 * PART)).toHaveLength(3 * PART)
  })

  it('is named when the address speaks plain HTTP and TLS was asked for', async () => {
    const bucket = await freshBucket()
    const endpoint = bucket.endpoint.replace('http:', 'https:')
    const refusal = await failure(openS3Blobs(s3OptionsOf({ ...bucket, endpoint })))
    expect(refusal).toBeInstanceOf(BlobStoreRefusedError)
    expect(refusal.message).toMatch(/AWS_S3_ENDPOINT_URL, AWS_S3_USE_SSL/)
  })

  it.each([
    [200, '<html><body>Console</body></html>'],
    [200, '{"it": "works"}'],
    [200, ''],
    [404, 'not found'],
    [404, '<html><body>not found</body></html>'],
  ])('is named when another server answers: %d %s', async (status, page) => {
    const server = createServer((_, reply) => reply.writeHead(status).end(page))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void server.close().closeAllConnections())
    const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const refusal = await failure(openS3Blobs(s3OptionsOf({ ...(await freshBucket()), endpoint })))
    expect(refusal).toBeInstanceOf(BlobStoreRefusedError)
    expect(refusal.message).toMatch(/no S3 server.+AWS_S3_ENDPOINT_URL/)
    if (status === 200) return
    await using source = await openS3Source(s3OptionsOf({ ...(await freshBucket()), endpoint }))
    await expect(source.open('a')).rejects.toThrow(BlobStoreRefusedError)
    await expect(source.head('a')).rejects.toThrow(BlobStoreRefusedError)
  })
})

/** Address of a server that speaks TLS, with a certificate that nobody has signed, and hands on to `endpoint`. */
async function secured(endpoint: string): Promise<string> {
  const dir = await temporaryFolder()
  const files = { key: join(dir, 'key.pem'), cert: join(dir, 'cert.pem') }
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1']
  if (!(await findProgram('openssl'))) await installPackage('openssl')
  await promisify(execFile)('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'],
    ...['-keyout', files.key, '-out', files.cert, ...subject],
  ])
  const [key, cert] = await Promise.all([readFile(files.key), readFile(files.cert)])
  const { hostname, port } = new URL(endpoint)
  const server = createTlsServer({ key, cert }, (socket) => {
    pipeline(socket, connect(Number(port), hostname), socket, () => {})
  })
  server.on('tlsClientError', () => {})
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  return `https://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function temporaryFolder(): Promise<string> {
  const dir = await mkdtemp(`${tmpdir()}/mnemosyne-blobs-`)
  onTestFinished(() => rm(dir, { recursive: true }))
  return dir
}
