import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import { asUser, createWorkplace, freePorts, GuardedProcess, removeWorkplace } from './guarded-process.ts'
import { execText, findProgram, installPackage, versionedBins } from './install.ts'

/** A real server of its own, for tests that stop and start it. */
export interface TestServer {
  /** Administrator's URL of the default database or virtual host. */
  readonly url: string
  /** On the same port and folder as before. */
  start(): Promise<void>
  /** Properly: connections are told. */
  stop(): Promise<void>
  /** As a crash does. */
  kill(): Promise<void>
  /** Ends it and removes its folder. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** PostgreSQL on a free port of the loopback interface, in a throw-away folder. Installs it where it can. */
export async function startPostgres(): Promise<TestServer> {
  const bin = await postgresBin()
  const workplace = await createWorkplace('postgres', 'postgres')
  const [port] = await freePorts(1)
  const password = randomBytes(12).toString('hex')
  const passwordFile = join(workplace.dir, 'password')
  const data = join(workplace.dir, 'data')
  const url = `postgres://postgres:${password}@127.0.0.1:${port}/postgres`
  let server: GuardedProcess | undefined
  const running: TestServer = {
    url,
    async start() {
      server = new GuardedProcess(workplace, 'postgres', {
        argv: [join(bin, 'postgres'), '-D', data, ...settings(port as number)],
        signal: 'INT',
      })
      await server.ready(() => connectOnce(url))
    },
    async stop() {
      await server?.stop()
    },
    async kill() {
      await server?.kill()
    },
    async close() {
      await server?.stop()
      await removeWorkplace(workplace)
    },
    [Symbol.asyncDispose]: () => running.close(),
  }
  try {
    await writeFile(passwordFile, password, { mode: 0o644 })
    await initdb(
      asUser(workplace, [join(bin, 'initdb'), '-D', data, '-U', 'postgres', '--pwfile', passwordFile]),
    )
    await running.start()
    return running
  } catch (error) {
    await running.close()
    throw error
  }
}

/** URL of a new, empty database on the server at `serverUrl`. */
export async function createPostgresDatabase(serverUrl: string): Promise<string> {
  const name = `test_${randomBytes(8).toString('hex')}`
  const client = new pg.Client(serverUrl)
  await client.connect()
  try {
    await client.query(`create database ${name}`)
  } finally {
    await client.end()
  }
  const url = new URL(serverUrl)
  url.pathname = `/${name}`
  return url.href
}

async function postgresBin(): Promise<string> {
  const find = async () => findProgram('initdb', await versionedBins('/usr/lib/postgresql'))
  const installed = await find()
  if (installed) return installed
  await installPackage('postgresql')
  const bin = await find()
  if (!bin) throw new Error('postgresql was installed, but there is no initdb')
  return bin
}

/** Sorts text by a locale where the build can, as most deployments do: a column that forgot its collation shows. */
async function initdb([command, ...args]: string[]): Promise<void> {
  const common = [...args, '--auth=scram-sha-256', '--encoding=UTF8', '--no-sync', '--locale=C.UTF-8']
  const run = (extra: string[]) => execText(command as string, [...common, ...extra])
  await run(['--locale-provider=icu', '--icu-locale=en']).catch(() => run([]))
}

function settings(port: number): string[] {
  return Object.entries({
    port,
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    max_connections: 200,
    // Throw-away data: a crash of the machine may lose it.
    fsync: 'off',
    synchronous_commit: 'off',
    full_page_writes: 'off',
  }).flatMap(([name, value]) => ['-c', `${name}=${value}`])
}

async function connectOnce(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 })
  client.on('error', () => {})
  try {
    await client.connect()
  } finally {
    await client.end()
  }
}
