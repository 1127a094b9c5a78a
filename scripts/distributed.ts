// Starts real servers and the six services as processes of their own on this machine, in throw-away folders:
//   npm run distributed -- [--port P] [--gateway N] [--search N] [--ingest N] [--nginx] [--logs]
// until Ctrl-C, or until `npm run distributed -- stop` in another shell.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { ServiceName } from '@mnemosyne/contracts'
import { untilStopped } from '@mnemosyne/platform'
import {
  createPostgresDatabase,
  createRabbitVhost,
  createS3Bucket,
  startNeo4j,
  startNginx,
  startPostgres,
  startRabbitMq,
  startS3,
} from '@mnemosyne/platform/testing'
import { Cluster } from './distributed/cluster.ts'
import type { Env } from './distributed/service-process.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const MNEMOSYNE = join(ROOT, 'apps/cli/src/main.ts')
const PID_FILE = join(
  tmpdir(),
  `mnemosyne-distributed-${createHash('sha256').update(ROOT).digest('hex').slice(0, 12)}.pid`,
)

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    port: { type: 'string', default: '23181' },
    gateway: { type: 'string', default: '1' },
    search: { type: 'string', default: '1' },
    ingest: { type: 'string', default: '1' },
    nginx: { type: 'boolean', default: false },
    logs: { type: 'boolean', default: false },
  },
})

if (positionals[0] === 'stop') stopRunning()
else await run()

function stopRunning(): void {
  try {
    process.kill(Number(readFileSync(PID_FILE, 'utf8')), 'SIGTERM')
    process.stdout.write('It stops.\n')
  } catch {
    process.stdout.write('Nothing runs here.\n')
  }
}

async function run(): Promise<void> {
  const stop = untilStopped()
  await using closing = new AsyncDisposableStack()
  const say = (line: string) => process.stdout.write(`${line}\n`)
  say('Starting PostgreSQL, RabbitMQ, Neo4j and an S3 server (the first time they are installed) …')
  const [postgres, rabbitmq, neo4j, s3] = await Promise.all([
    startPostgres().then((server) => closing.use(server)),
    startRabbitMq().then((server) => closing.use(server)),
    startNeo4j().then((server) => closing.use(server)),
    startS3().then((server) => closing.use(server)),
  ])
  say('Starting the services …')
  const cluster = closing.use(
    await Cluster.start({
      servers: {
        databaseUrl: await createPostgresDatabase(postgres.url),
        amqpUrl: await createRabbitVhost(rabbitmq),
        neo4jUrl: neo4j.url,
        bucket: await createS3Bucket(s3),
        daedalus: await createS3Bucket(s3),
      },
      port: values.nginx ? undefined : Number(values.port),
      replicas: {
        gateway: Number(values.gateway),
        search: Number(values.search),
        ingest: Number(values.ingest),
      },
      onLine: values.logs ? (name: ServiceName, line) => say(`${name.padEnd(8)} ${line}`) : undefined,
    }),
  )
  writeFileSync(PID_FILE, String(process.pid))
  closing.defer(() => rmSync(PID_FILE, { force: true }))
  let url = cluster.url
  if (values.nginx) {
    const { gateway, mcp } = cluster.processes
    url = closing.use(await startNginx({ gateway: gateway[0]!.url, mcp: mcp[0]!.url })).url
  }
  administer(cluster.storeEnv, ['create-user', 'admin', '--superuser', '--no-password'])
  const token = administer(cluster.storeEnv, [
    ...['create-user-token', '--user', 'admin', '--name', 'First token'],
    ...['--allowed-libraries', '*'],
  ])
  say(`\nOpen      ${url}/\nToken     ${token}\n\nThe command line, in another shell:`)
  say(`  export MNEMOSYNE_URL=${url} MNEMOSYNE_TOKEN=${token}`)
  say('  npx mnemosyne ingest README.md docs --library Docs --library-type technical --wait')
  say('  npx mnemosyne search "what is a delegation?"\n\nAdministrative commands work on the stores:')
  for (const [name, value] of Object.entries(cluster.storeEnv)) say(`  export ${name}='${value}'`)
  say(`\nMCP       ${url}/mcp/\nProcesses`)
  for (const process of cluster.all) say(`  ${process.name.padEnd(8)} ${process.url}  pid ${process.pid}`)
  say('\nCtrl-C, or "npm run distributed -- stop", stops it and forgets everything.')
  await stop.asked
  say('Stopping …')
}

function administer(storeEnv: Env, args: string[]): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MNEMOSYNE, ...args], {
    env: { ...process.env, ...storeEnv },
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(`mnemosyne ${args[0]} failed: ${stderr}`)
  return stdout.trim()
}
