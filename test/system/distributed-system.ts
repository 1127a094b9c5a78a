import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openS3Blobs } from '@mnemosyne/platform'
import {
  freshAmqpUrl,
  freshPostgresUrl,
  freshS3Bucket,
  leaseNeo4j,
  type S3Bucket,
} from '@mnemosyne/platform/testing'
import { Cluster, type ClusterOptions, type ClusterServers } from '../../scripts/distributed/cluster.ts'
import { SystemClient, sumOf } from './client.ts'
import { DaedalusBucket } from './daedalus-store.ts'
import { mnemosyne } from './harness.ts'
import { locationOf, openStore, surroundings } from './stores.ts'

export interface DistributedOptions extends Omit<ClusterOptions, 'servers'> {
  /** In place of fresh stores on the run's shared servers. */
  servers?: Partial<ClusterServers>
}

/** The product as six or more processes on PostgreSQL, RabbitMQ, Neo4j and S3, with a user and a token. */
export class DistributedSystem extends SystemClient {
  readonly cluster: Cluster
  readonly servers: ClusterServers
  readonly daedalus: DaedalusBucket
  readonly #closing: AsyncDisposableStack

  private constructor(
    cluster: Cluster,
    token: string,
    servers: ClusterServers,
    daedalus: DaedalusBucket,
    closing: AsyncDisposableStack,
  ) {
    super(cluster.url, token)
    this.cluster = cluster
    this.servers = servers
    this.daedalus = daedalus
    this.#closing = closing
  }

  /** Takes a Neo4j of the run to itself, and gives it back when it is stopped. */
  static async start(options: DistributedOptions = {}): Promise<DistributedSystem> {
    await using opening = new AsyncDisposableStack()
    const lease = options.servers?.neo4jUrl ? undefined : opening.use(await leaseNeo4j())
    const daedalus = options.servers?.daedalus ?? (await freshS3Bucket())
    const servers: ClusterServers = {
      databaseUrl: options.servers?.databaseUrl ?? (await freshPostgresUrl()),
      amqpUrl: options.servers?.amqpUrl ?? (await freshAmqpUrl()),
      neo4jUrl: options.servers?.neo4jUrl ?? lease!.url,
      bucket: options.servers?.bucket ?? (await freshS3Bucket()),
      daedalus,
    }
    const cluster = opening.use(
      await Cluster.start({
        ...options,
        env: { LOGGING_LEVEL: 'debug', SEARCH_PART_TIMEOUT_MS: '20000', ...options.env },
        servers,
      }),
    )
    return DistributedSystem.around(cluster, { ...servers, daedalus }, [opening.move()])
  }

  /** Around processes that serve; stopping it stops them, then disposes of `resources`. */
  static async around(
    cluster: Cluster,
    servers: ClusterServers & { daedalus: S3Bucket },
    resources: readonly AsyncDisposable[],
  ): Promise<DistributedSystem> {
    await using closing = new AsyncDisposableStack()
    for (const resource of resources) closing.use(resource)
    closing.use(cluster)
    await runOn(cluster, ['create-user', 'admin', '--superuser', '--no-password'])
    const token = await mintOn(cluster, 'admin')
    await warm(cluster, token)
    return new DistributedSystem(
      cluster,
      token,
      servers,
      new DaedalusBucket(servers.daedalus),
      closing.move(),
    )
  }

  /** Every line of every process's log. */
  log(): string {
    return this.cluster.all.map((process) => process.log).join('\n')
  }

  /** A second person, with a token that sees all of theirs. */
  async addUser(username: string): Promise<string> {
    await runOn(this.cluster, ['create-user', username, '--no-password'])
    return mintOn(this.cluster, username)
  }

  /** Runs the command line on the stores. */
  command(args: string[], options: { input?: string } = {}): ReturnType<typeof mnemosyne> {
    return mnemosyne([...args, '--json'], { ...options, env: this.cluster.storeEnv })
  }

  /** What a person would type, as the README has it. */
  get announced() {
    const { url, token } = this
    const headers = { Authorization: `Bearer ${token}` }
    return {
      curl: `curl -s ${url}/library/api/search/ -H 'Authorization: Bearer ${token}' -H 'Content-Type: application/json' -d '{"query": "anchor"}'`,
      mcp: { mcpServers: { mnemosyne: { type: 'http', url: `${url}/mcp/`, headers } } },
    }
  }

  databaseUrl(_service: 'auth' | 'library' | 'ingest'): string {
    return this.servers.databaseUrl
  }

  /** Everything that it has written down: logs, rows, blobs. */
  async *kept(): AsyncGenerator<[name: string, bytes: Buffer]> {
    for (const process of this.cluster.all) yield [`log of ${process.name}`, Buffer.from(process.log)]
    for (const service of ['auth', 'library', 'ingest'] as const) {
      await using store = await openStore(this.servers.databaseUrl, service)
      const tables = await store.read
        .selectFrom('information_schema.tables')
        .select('table_name')
        .where('table_schema', '=', service)
        .execute()
      for (const { table_name } of tables as { table_name: string }[]) {
        const rows = await store.read.selectFrom(table_name).selectAll().execute()
        yield [`table ${service}.${table_name}`, Buffer.from(JSON.stringify(rows))]
      }
    }
    await using blobs = await openS3Blobs({ ...locationOf(this.servers.bucket), ...surroundings() })
    for await (const key of blobs.list('')) yield [key, Buffer.from(await blobs.read(key, 1 << 28))]
  }

  /** Every key of its blob store. */
  async blobs(): Promise<string[]> {
    await using blobs = await openS3Blobs({ ...locationOf(this.servers.bucket), ...surroundings() })
    const keys: string[] = []
    for await (const key of blobs.list('')) keys.push(key)
    return keys
  }

  /** The sum of a metric over all processes and the series that carry these labels. */
  async metric(name: string, labels: Record<string, string> = {}): Promise<number> {
    const texts = await Promise.all(
      this.cluster.all.map(async ({ url }) => (await fetch(`${url}/metrics`)).text()),
    )
    return sumOf(texts.join('\n'), name, labels)
  }

  /** What all processes expose as metrics. */
  async metrics(): Promise<string> {
    const texts = this.cluster.all.map(async ({ url }) => (await fetch(`${url}/metrics`)).text())
    return (await Promise.all(texts)).join('\n')
  }

  async stop(): Promise<void> {
    await this.#closing.disposeAsync()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }
}

/**
 * Asks every replica a few times: a first request compiles half of a process, and on a busy machine that takes longer
 * than the gateway waits for auth.
 */
async function warm({ processes }: Cluster, token: string): Promise<void> {
  const rounds = Math.max(...Object.values(processes).map(({ length }) => length)) * 2
  for (let round = 0; round < rounds; round++) {
    for (const { url } of processes.gateway) {
      const client = new SystemClient(url, token)
      await client.call('GET', '/library/api/items/')
      await client.call('GET', '/library/api/jobs/')
      await client.call('POST', '/library/api/search/', { query: 'warm' })
      await client.mcp('tools/list')
    }
  }
}

async function runOn(cluster: Cluster, args: string[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'mnemosyne-test-cwd-'))
  const { code, stdout, stderr } = await mnemosyne([...args, '--json'], {
    env: cluster.storeEnv,
    cwd: folder,
  })
  await rm(folder, { recursive: true })
  if (code !== 0) throw new Error(`mnemosyne ${args[0]} ended with ${code}: ${stdout}${stderr}`)
  return stdout
}

async function mintOn(cluster: Cluster, username: string): Promise<string> {
  const args = ['create-user-token', '--user', username, '--name', 'test', '--allowed-libraries', '*']
  return (JSON.parse(await runOn(cluster, args)) as { token: string }).token
}
