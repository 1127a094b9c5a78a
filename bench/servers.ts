import { type GraphStore, openNeo4jGraph } from '@mnemosyne/graph'
import { systemClock } from '@mnemosyne/platform'
import {
  createPostgresDatabase,
  createRabbitVhost,
  createS3Bucket,
  type Neo4jVersion,
  type RabbitServer,
  startNeo4j,
  startPostgres,
  startRabbitMq,
  startS3,
  type TestServer,
} from '@mnemosyne/platform/testing'
import { Cluster, type ClusterOptions } from '../scripts/distributed/cluster.ts'
import { DistributedSystem } from '../test/system/distributed-system.ts'
import { noMetrics, say, silent } from './bench.ts'

/** As `deploy/compose` starts it. */
const NEO4J_HEAP = ['-Xms1g', '-Xmx1g']

export const NEO4J_VERSIONS = ['5.26', '2026'] as const satisfies Neo4jVersion[]

/** Neo4j as it runs in earnest, empty. */
export function startNeo4jInEarnest(version: Neo4jVersion): Promise<TestServer> {
  say(`starting Neo4j ${version}`)
  return startNeo4j({ version, javaOptions: NEO4J_HEAP })
}

export function openNeo4j(url: string): Promise<GraphStore> {
  return openNeo4jGraph({ url, log: silent, metrics: noMetrics(), clock: systemClock })
}

/** PostgreSQL, RabbitMQ and an S3 server, started once a run. */
export class Servers implements AsyncDisposable {
  readonly #closing = new AsyncDisposableStack()
  #started: Promise<Record<'postgres' | 's3', TestServer> & { rabbitmq: RabbitServer }> | undefined

  /** A new, empty database of its own. */
  async database(): Promise<string> {
    const { postgres } = await this.#servers()
    return createPostgresDatabase(postgres.url)
  }

  /** Empty stores for one system; the Neo4j goes with the system. */
  async #stores(neo4jVersion: Neo4jVersion) {
    const { rabbitmq, s3 } = await this.#servers()
    const neo4j = await startNeo4jInEarnest(neo4jVersion)
    return {
      neo4j,
      servers: {
        databaseUrl: await this.database(),
        amqpUrl: await createRabbitVhost(rabbitmq),
        neo4jUrl: neo4j.url,
        bucket: await createS3Bucket(s3),
        daedalus: await createS3Bucket(s3),
      },
    }
  }

  /** The six services as processes of their own. `start` starts them where they are not all to be started alike. */
  async system(
    neo4jVersion: Neo4jVersion,
    options: Omit<ClusterOptions, 'servers'> = {},
    start: (cluster: Cluster) => void = startAll,
  ): Promise<DistributedSystem> {
    const { neo4j, servers } = await this.#stores(neo4jVersion)
    await using opening = new AsyncDisposableStack()
    opening.use(neo4j)
    say('starting the six services')
    const cluster = await Cluster.plan({
      ...options,
      env: { LOGGING_LEVEL: 'info', ...options.env },
      servers,
    })
    opening.use(cluster)
    start(cluster)
    await Promise.all(cluster.all.filter(({ pid }) => pid).map((process) => process.ready(180_000)))
    const system = await DistributedSystem.around(cluster, servers, [neo4j])
    opening.move()
    return system
  }

  #servers() {
    this.#started ??= this.#start()
    return this.#started
  }

  async #start() {
    say('starting PostgreSQL, RabbitMQ and an S3 server')
    const [postgres, rabbitmq, s3] = await Promise.all([
      startPostgres().then((server) => this.#closing.use(server)),
      startRabbitMq().then((server) => this.#closing.use(server)),
      startS3().then((server) => this.#closing.use(server)),
    ])
    return { postgres, rabbitmq, s3 }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#closing.disposeAsync()
  }
}

function startAll(cluster: Cluster): void {
  for (const process of cluster.all) process.start()
}
