import { SERVICE_NAMES, type ServiceName } from '@mnemosyne/contracts'
import { generateAssertionKeys, publicKeys } from '@mnemosyne/platform'
import { freePorts, type S3Bucket } from '@mnemosyne/platform/testing'
import { type Env, ServiceProcess } from './service-process.ts'

/** The real servers that a cluster stands on. */
export interface ClusterServers {
  databaseUrl: string
  amqpUrl: string
  neo4jUrl: string
  bucket: S3Bucket
  daedalus?: S3Bucket
}

export interface ClusterOptions {
  servers: ClusterServers
  /** How many processes of a service; 1 of those not named. */
  replicas?: Partial<Record<ServiceName, number>>
  /** Variables for all services, and for one. */
  env?: Env
  envOf?: Partial<Record<ServiceName, Env>>
  /** Port of the (first) gateway; any free one without it. */
  port?: number
  onLine?: (name: ServiceName, line: string) => void
}

/**
 * The six services as processes of their own on this machine, each given its own variables and no others. Where a
 * service has several replicas, those that call it know all of them.
 */
export class Cluster {
  readonly processes: Readonly<Record<ServiceName, readonly ServiceProcess[]>>
  /** The variables with which the command line administers the same stores. */
  readonly storeEnv: Env

  private constructor(processes: Record<ServiceName, ServiceProcess[]>, storeEnv: Env) {
    this.processes = processes
    this.storeEnv = storeEnv
  }

  /** Makes the processes and starts none. */
  static async plan(options: ClusterOptions): Promise<Cluster> {
    const { servers, replicas = {}, env = {}, envOf = {}, onLine } = options
    const counts = SERVICE_NAMES.map((name) => replicas[name] ?? 1)
    const free = await freePorts(counts.reduce((sum, count) => sum + count, 0))
    if (options.port) free[0] = options.port
    const ports = Object.fromEntries(
      SERVICE_NAMES.map((name, index) => [name, free.splice(0, counts[index]!)]),
    ) as Record<ServiceName, number[]>
    const variables = await variablesOf(servers, ports)
    const processes = Object.fromEntries(
      SERVICE_NAMES.map((name) => [
        name,
        ports[name].map(
          (port) =>
            new ServiceProcess(name, port, { ...variables[name], ...env, ...envOf[name] }, (line) =>
              onLine?.(name, line),
            ),
        ),
      ]),
    ) as Record<ServiceName, ServiceProcess[]>
    return new Cluster(processes, { ...storeVariables(servers), ...env })
  }

  /** Starts all processes at once, in no order, and waits until each serves. */
  static async start(options: ClusterOptions): Promise<Cluster> {
    const cluster = await Cluster.plan(options)
    try {
      for (const process of cluster.all) process.start()
      await Promise.all(cluster.all.map((process) => process.ready()))
      return cluster
    } catch (error) {
      await cluster.close()
      throw error
    }
  }

  get all(): ServiceProcess[] {
    return Object.values(this.processes).flat()
  }

  /** The first gateway's address. */
  get url(): string {
    return this.processes.gateway[0]!.url
  }

  /** Stops every process; resolves when all have ended. */
  async close(): Promise<void> {
    await Promise.all(this.all.map((process) => process.stop()))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

function storeVariables({ databaseUrl, amqpUrl, neo4jUrl, bucket }: ClusterServers): Env {
  return {
    DATABASE_URL: databaseUrl,
    AMQP_URL: amqpUrl,
    NEO4J_URL: neo4jUrl,
    AWS_S3_ENDPOINT_URL: bucket.endpoint,
    AWS_ACCESS_KEY_ID: bucket.accessKeyId,
    AWS_SECRET_ACCESS_KEY: bucket.secretAccessKey,
    AWS_STORAGE_BUCKET_NAME: bucket.bucket,
    AWS_S3_REGION_NAME: bucket.region,
  }
}

async function variablesOf(
  servers: ClusterServers,
  ports: Record<ServiceName, number[]>,
): Promise<Record<ServiceName, Env>> {
  const keys = await generateAssertionKeys('cluster')
  const signs = { ASSERTION_KEYS: JSON.stringify(keys) }
  const verifies = { ASSERTION_KEYS: JSON.stringify(publicKeys(keys)) }
  const urls = (name: ServiceName) => ports[name].map((port) => `http://127.0.0.1:${port}`).join(',')
  const { DATABASE_URL, AMQP_URL, NEO4J_URL, ...s3 } = storeVariables(servers)
  const { daedalus } = servers
  return {
    gateway: {
      ...signs,
      AUTH_URL: urls('auth'),
      LIBRARY_URL: urls('library'),
      INGEST_URL: urls('ingest'),
      SEARCH_URL: urls('search'),
      MCP_URL: urls('mcp'),
    },
    auth: { ...verifies, DATABASE_URL, AMQP_URL, LIBRARY_URL: urls('library') },
    library: {
      ...verifies,
      DATABASE_URL,
      AMQP_URL,
      NEO4J_URL,
      AUTH_URL: urls('auth'),
      SEARCH_URL: urls('search'),
    },
    ingest: {
      ...verifies,
      DATABASE_URL,
      AMQP_URL,
      NEO4J_URL,
      ...s3,
      LIBRARY_URL: urls('library'),
      ...(daedalus && {
        DAEDALUS_S3_ENDPOINT_URL: daedalus.endpoint,
        DAEDALUS_S3_ACCESS_KEY_ID: daedalus.accessKeyId,
        DAEDALUS_S3_SECRET_ACCESS_KEY: daedalus.secretAccessKey,
        DAEDALUS_S3_BUCKET_NAME: daedalus.bucket,
        DAEDALUS_S3_REGION_NAME: daedalus.region,
      }),
    },
    search: { ...verifies, NEO4J_URL },
    mcp: {
      ...signs,
      AUTH_URL: urls('auth'),
      LIBRARY_URL: urls('library'),
      SEARCH_URL: urls('search'),
      INGEST_URL: urls('ingest'),
    },
  }
}
