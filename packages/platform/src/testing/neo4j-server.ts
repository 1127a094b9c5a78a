import { randomBytes } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import neo4j, { type Driver } from 'neo4j-driver'
import { createWorkplace, freePorts, GuardedProcess, removeWorkplace } from './guarded-process.ts'
import { execText } from './install.ts'
import { installNeo4j, type Neo4jInstallation, type Neo4jVersion } from './neo4j-install.ts'
import type { TestServer } from './postgres-server.ts'

export interface Neo4jServerOptions {
  version?: Neo4jVersion
  /** By default it compiles quickly and little, which suits a server that lives for minutes; `[]` for measurements. */
  javaOptions?: string[]
}

/**
 * Neo4j Community on a free port of the loopback interface, in a throw-away folder. Fetches it (and a Java) where
 * it is missing. `url` is `bolt://neo4j:PASSWORD@127.0.0.1:PORT`.
 */
export async function startNeo4j({
  version = '5.26',
  javaOptions = ['-XX:TieredStopAtLevel=1'],
}: Neo4jServerOptions = {}): Promise<TestServer> {
  const installation = await installNeo4j(version)
  const workplace = await createWorkplace('neo4j')
  const [port] = (await freePorts(1)) as [number]
  const password = randomBytes(12).toString('hex')
  const url = `bolt://neo4j:${password}@127.0.0.1:${port}`
  let server: GuardedProcess | undefined
  const running: TestServer = {
    url,
    async start() {
      server = new GuardedProcess(workplace, 'neo4j', {
        argv: commandLine(installation, workplace.dir, javaOptions),
        signal: 'TERM',
      })
      await server.ready(() => connectOnce(url), 180_000)
    },
    async stop() {
      await server?.stop()
    },
    async kill() {
      await server?.kill()
    },
    async close() {
      await server?.kill()
      await removeWorkplace(workplace)
    },
    [Symbol.asyncDispose]: () => running.close(),
  }
  try {
    await configure(workplace.dir, port)
    await setPassword(installation, workplace.dir, password)
    await running.start()
    return running
  } catch (error) {
    await running.close()
    throw error
  }
}

/** Takes all data, constraints and indexes out of a server. */
export async function emptyNeo4j(url: string): Promise<void> {
  await using driver = connect(url)
  const run = async (query: string) => (await driver.executeQuery(query)).records
  for (const record of await run('SHOW CONSTRAINTS YIELD name')) {
    await run(`DROP CONSTRAINT \`${record.get('name')}\` IF EXISTS`)
  }
  for (const record of await run("SHOW INDEXES YIELD name, type WHERE type <> 'LOOKUP'")) {
    await run(`DROP INDEX \`${record.get('name')}\` IF EXISTS`)
  }
  await using session = driver.session()
  await session.run('MATCH (n) CALL (n) { DETACH DELETE n } IN TRANSACTIONS OF 2000 ROWS')
}

function connect(url: string): Driver {
  const { username, password, host } = new URL(url)
  return neo4j.driver(`bolt://${host}`, neo4j.auth.basic(username, password), { connectionTimeout: 5_000 })
}

async function connectOnce(url: string): Promise<void> {
  await using driver = connect(url)
  await driver.executeQuery('RETURN 1')
}

async function configure(dir: string, port: number): Promise<void> {
  for (const name of ['conf', 'data', 'logs', 'plugins', 'import', 'run']) await mkdir(join(dir, name))
  await writeFile(
    join(dir, 'conf', 'neo4j.conf'),
    `server.default_listen_address=127.0.0.1
server.bolt.listen_address=127.0.0.1:${port}
server.bolt.advertised_address=127.0.0.1:${port}
server.http.enabled=false
server.https.enabled=false
server.memory.pagecache.size=128m
db.tx_log.rotation.retention_policy=1 files
db.tx_log.preallocate=false
dbms.usage_report.enabled=false
internal.server.bolt.thread_pool_shutdown_wait_time=0s
`,
  )
}

/** A program of its own, which writes to the folder before the server's first start. */
async function setPassword(installation: Neo4jInstallation, dir: string, password: string): Promise<void> {
  await execText(
    installation.java,
    [
      ...['-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-cp', `${installation.jars}/*`],
      ...['org.neo4j.cli.AdminTool', 'dbms', 'set-initial-password', password],
    ],
    { env: { PATH: process.env.PATH, NEO4J_HOME: dir, NEO4J_CONF: join(dir, 'conf') } },
  )
}

function commandLine({ java, jars, main }: Neo4jInstallation, dir: string, options: string[]): string[] {
  const open = ['java.nio', 'java.io', 'java.util.concurrent', 'java.lang']
    .map((name) => `java.base/${name}`)
    .concat('java.base/sun.nio.ch')
  return [
    java,
    ...['-Xms256m', '-Xmx768m', '-XX:+UseSerialGC', ...options],
    ...open.map((name) => `--add-opens=${name}=ALL-UNNAMED`),
    ...['--enable-native-access=ALL-UNNAMED', '-Dio.netty.tryReflectionSetAccessible=true'],
    ...['-Dlog4j2.disable.jmx=true', '-Dfile.encoding=UTF-8', '-Djava.awt.headless=true'],
    ...['-cp', `${jars}/*`, main, `--home-dir=${dir}`, `--config-dir=${join(dir, 'conf')}`, '--console-mode'],
  ]
}
