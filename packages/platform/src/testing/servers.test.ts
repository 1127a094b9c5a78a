import { CreateBucketCommand, ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3'
import { connect } from 'amqplib'
import neo4j from 'neo4j-driver'
import pg from 'pg'
import { expect, it } from 'vitest'
import {
  describeNeo4j,
  describePostgres,
  describeRabbitMq,
  describeS3,
  freshS3Account,
  type Neo4jLease,
} from './servers.ts'

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

await describeNeo4j('Neo4j for tests', (lease) => {
  it('lends a server to one at a time, and empties it before', async () => {
    const first = await lease()
    await cypher(first.url, 'CREATE CONSTRAINT some FOR (n:Thing) REQUIRE n.uid IS UNIQUE')
    await cypher(first.url, 'CREATE (:Thing {uid: 1})-[:OF]->(:Thing {uid: 2})')
    const second = await lease()
    expect(second.url).not.toBe(first.url)
    let third: Neo4jLease | undefined
    const waiting = lease().then((lent) => {
      third = lent
    })
    expect(await cypher(second.url, 'MATCH (n) RETURN count(n) AS answer')).toBe(0)
    expect(third).toBeUndefined()
    await first.release()
    await waiting
    expect(third?.url).toBe(first.url)
    expect(await cypher(first.url, 'MATCH (n) RETURN count(n) AS answer')).toBe(0)
    await cypher(first.url, 'CREATE CONSTRAINT some FOR (n:Other) REQUIRE n.uid IS UNIQUE')
    await second.release()
    await third?.release()
  })
})

async function cypher(url: string, query: string): Promise<unknown> {
  const { host, username, password } = new URL(url)
  await using driver = neo4j.driver(`bolt://${host}`, neo4j.auth.basic(username, password))
  const { records } = await driver.executeQuery(query)
  return records[0]?.get('answer').toNumber()
}
