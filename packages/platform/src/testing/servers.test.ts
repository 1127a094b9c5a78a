import { CreateBucketCommand, ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3'
import { connect } from 'amqplib'
import pg from 'pg'
import { expect, it } from 'vitest'
import { describePostgres, describeRabbitMq, describeS3, freshS3Account } from './servers.ts'

await describePostgres('PostgreSQL for tests', (freshUrl) => {
  it('gives each test an empty database of its own', async () => {
    const [one, two] = await Promise.all([freshUrl(), freshUrl()])
    expect(one).not.toBe(two)
    const client = new pg.Client(one)
    await client.connect()
    const { rows } = await client.query("select count(*) as n from pg_tables where schemaname = 'public'")
    expect(rows).toEqual([{ n: '0' }])
    await client.end()
  })
})

await describeRabbitMq('RabbitMQ for tests', (freshUrl) => {
  it('gives each test a virtual host of its own', async () => {
    for (const url of await Promise.all([freshUrl(), freshUrl()])) {
      const connection = await connect(url)
      const channel = await connection.createConfirmChannel()
      // Would clash with the other's if they shared.
      await channel.assertQueue('same', { exclusive: true })
      await connection.close()
    }
  })
})

await describeS3('S3 for tests', (freshBucket) => {
  it('gives each test a bucket of an account of its own', async () => {
    const [one, two] = await Promise.all([freshBucket(), freshBucket()])
    const list = async (Bucket: string, by: typeof one) => {
      const client = s3(by.endpoint, by)
      return (await client.send(new ListObjectsV2Command({ Bucket }))).KeyCount
    }
    expect(await list(one.bucket, one)).toBe(0)
    await expect(list(two.bucket, one)).rejects.toThrow('Access Denied')
  })

  it('has accounts that may make buckets, and some that may not', async () => {
    const { endpoint, bucket } = await freshBucket()
    const create = async (role: 'user' | 'userplus') =>
      s3(endpoint, await freshS3Account(role)).send(new CreateBucketCommand({ Bucket: `${bucket}-2` }))
    await expect(create('user')).rejects.toThrow('Access Denied')
    await create('userplus')
  })
})

const s3 = (endpoint: string, credentials: { accessKeyId: string; secretAccessKey: string }) =>
  new S3Client({ endpoint, region: 'us-east-1', credentials, forcePathStyle: true })
