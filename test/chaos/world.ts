import {
  createPostgresDatabase,
  createRabbitVhost,
  createS3Bucket,
  startNeo4j,
  startPostgres,
  startRabbitMq,
  startS3,
} from '@mnemosyne/platform/testing'
import { SystemClient } from '../system/client.ts'
import { DistributedSystem } from '../system/distributed-system.ts'
import type { World } from './faults.ts'
import { TcpProxy } from './tcp-proxy.ts'
import { Traffic } from './traffic.ts'

/** A system of two gateways, two search and two ingest processes, on servers of its own behind proxies, under traffic. */
export async function openWorld(
  random: () => number,
  closing: AsyncDisposableStack,
): Promise<World & { library_uid: string }> {
  const [postgres, rabbitmq, neo4j, s3] = await Promise.all([
    startPostgres().then((server) => closing.use(server)),
    startRabbitMq().then((server) => closing.use(server)),
    startNeo4j().then((server) => closing.use(server)),
    startS3().then((server) => closing.use(server)),
  ])
  const [databaseUrl, amqpUrl, bucket] = await Promise.all([
    createPostgresDatabase(postgres.url),
    createRabbitVhost(rabbitmq),
    createS3Bucket(s3),
  ])
  const proxies = {
    postgres: closing.use(await TcpProxy.start(databaseUrl)),
    rabbitmq: closing.use(await TcpProxy.start(amqpUrl)),
    neo4j: closing.use(await TcpProxy.start(neo4j.url)),
    s3: closing.use(await TcpProxy.start(bucket.endpoint)),
  }
  const system = closing.use(
    await DistributedSystem.start({
      servers: {
        databaseUrl: proxies.postgres.through(databaseUrl),
        amqpUrl: proxies.rabbitmq.through(amqpUrl),
        neo4jUrl: proxies.neo4j.through(neo4j.url),
        bucket: { ...bucket, endpoint: proxies.s3.through(bucket.endpoint) },
        daedalus: await createS3Bucket(s3),
      },
      replicas: { gateway: 2, search: 2, ingest: 2 },
      envOf: {
        ingest: {
          INGEST_LEASE_SECONDS: '3',
          INGEST_RETRY_FIRST_SECONDS: '1',
          INGEST_RETRY_MAX_SECONDS: '4',
          INGEST_RETRIES: '8',
        },
      },
    }),
  )
  const { library_uid } = await system.createWorkspace('chaos')
  const clients = system.cluster.processes.gateway.map(({ url }) => new SystemClient(url, system.token))
  const traffic = new Traffic(clients, library_uid, random)
  return {
    system,
    traffic,
    library_uid,
    servers: { postgres, rabbitmq, neo4j, s3 },
    proxies,
    random,
  }
}
