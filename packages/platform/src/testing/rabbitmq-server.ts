import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { chmod, writeFile } from 'node:fs/promises'
import { createConnection } from 'node:net'
import { join } from 'node:path'
import { connect } from 'amqplib'
import { createWorkplace, freePorts, GuardedProcess, removeWorkplace } from './guarded-process.ts'
import { findProgram, installPackage } from './install.ts'
import type { TestServer } from './postgres-server.ts'

export interface RabbitServer extends TestServer {
  /** Base of the management API, with credentials. */
  readonly managementUrl: string
}

/** The script itself: Debian's wrapper on the PATH changes user and folders. */
const FOLDERS = ['/usr/lib/rabbitmq/bin', '/opt/homebrew/sbin', '/usr/local/sbin']

/**
 * RabbitMQ with its management plugin, on free ports of the loopback interface, in a throw-away folder, with its
 * own node name, cookie and port mapper. Installs it where it can.
 */
export async function startRabbitMq(): Promise<RabbitServer> {
  const bin = await rabbitBin()
  const workplace = await createWorkplace('rabbitmq', 'rabbitmq')
  const [amqp, management, dist, epmd] = (await freePorts(4)) as [number, number, number, number]
  const password = randomBytes(12).toString('hex')
  const env = await configure(workplace.dir, { amqp, management, dist, epmd, password })
  const url = `amqp://test:${password}@127.0.0.1:${amqp}/%2F`
  const managementUrl = `http://test:${password}@127.0.0.1:${management}/api`
  let processes: GuardedProcess[] = []
  const running: RabbitServer = {
    url,
    managementUrl,
    async start() {
      const mapper = new GuardedProcess(workplace, 'epmd', { argv: ['epmd'], env, signal: 'TERM' })
      // Or the broker would start a port mapper itself, one that nobody stops.
      processes = [mapper]
      await mapper.ready(() => tcpConnect(epmd))
      const broker = new GuardedProcess(workplace, 'rabbitmq', {
        argv: [join(bin, 'rabbitmq-server')],
        env,
        signal: 'TERM',
      })
      processes = [broker, mapper]
      await broker.ready(async () => {
        await (await connect(url)).close()
        await request(managementUrl, 'GET', '/overview')
      }, 120_000)
    },
    async stop() {
      for (const process of processes) await process.stop()
    },
    async kill() {
      for (const process of processes) await process.kill()
    },
    async close() {
      await running.kill()
      await removeWorkplace(workplace)
    },
    [Symbol.asyncDispose]: () => running.close(),
  }
  try {
    await running.start()
    return running
  } catch (error) {
    await running.close()
    throw error
  }
}

/** URL of a new virtual host on the broker. */
export async function createRabbitVhost(server: { url: string; managementUrl: string }): Promise<string> {
  const name = `test-${randomBytes(8).toString('hex')}`
  const url = new URL(server.url)
  await request(server.managementUrl, 'PUT', `/vhosts/${name}`)
  await request(server.managementUrl, 'PUT', `/permissions/${name}/${url.username}`, {
    configure: '.*',
    write: '.*',
    read: '.*',
  })
  url.pathname = `/${name}`
  return url.href
}

const REQUEST_MS = 15_000

/** One request to the management API: queues, connections, … Path below `/api`. */
export async function request(base: string, method: string, path: string, body?: unknown): Promise<unknown> {
  const { username, password, origin, pathname } = new URL(base)
  const response = await fetch(`${origin}${pathname}${path}`, {
    method,
    headers: {
      authorization: `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`,
      'content-type': 'application/json',
      // The broker's stop waits for connections that are kept alive.
      connection: 'close',
    },
    body: body === undefined ? undefined : JSON.stringify(body),
    // A request that hangs has to say so itself, not as a test that took too long.
    signal: AbortSignal.timeout(REQUEST_MS),
  })
  const text = await response.text()
  if (!response.ok) throw new Error(`RabbitMQ's management API: ${response.status} ${text}`)
  return text ? JSON.parse(text) : undefined
}

async function tcpConnect(port: number): Promise<void> {
  const socket = createConnection(port, '127.0.0.1')
  try {
    await once(socket, 'connect')
  } finally {
    socket.destroy()
  }
}

async function rabbitBin(): Promise<string> {
  const find = async () => ((await findProgram('epmd')) ? findProgram('rabbitmq-server', FOLDERS) : undefined)
  const installed = await find()
  if (installed) return installed
  await installPackage('rabbitmq-server')
  const bin = await find()
  if (!bin) throw new Error('rabbitmq-server was installed, but there is no such program')
  return bin
}

async function configure(
  dir: string,
  ports: { amqp: number; management: number; dist: number; epmd: number; password: string },
): Promise<Record<string, string>> {
  const config = `
listeners.tcp.1 = 127.0.0.1:${ports.amqp}
management.tcp.ip = 127.0.0.1
management.tcp.port = ${ports.management}
default_user = test
default_pass = ${ports.password}
disk_free_limit.absolute = 50MB
raft.wal_max_size_bytes = 16000000
`
  const files = { 'rabbitmq.conf': config, enabled_plugins: '[rabbitmq_management].\n', 'env.conf': '' }
  for (const [name, text] of Object.entries(files)) {
    await writeFile(join(dir, name), text)
    await chmod(join(dir, name), 0o644)
  }
  return {
    HOME: dir,
    RABBITMQ_NODENAME: `test${ports.amqp}@localhost`,
    RABBITMQ_NODE_IP_ADDRESS: '127.0.0.1',
    RABBITMQ_NODE_PORT: String(ports.amqp),
    RABBITMQ_DIST_PORT: String(ports.dist),
    ERL_EPMD_PORT: String(ports.epmd),
    ERL_EPMD_ADDRESS: '127.0.0.1',
    RABBITMQ_MNESIA_BASE: join(dir, 'mnesia'),
    RABBITMQ_LOG_BASE: join(dir, 'log'),
    RABBITMQ_GENERATED_CONFIG_DIR: join(dir, 'generated'),
    RABBITMQ_PID_FILE: join(dir, 'pid'),
    RABBITMQ_CONFIG_FILE: join(dir, 'rabbitmq.conf'),
    RABBITMQ_ADVANCED_CONFIG_FILE: join(dir, 'advanced.config'),
    RABBITMQ_CONF_ENV_FILE: join(dir, 'env.conf'),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(dir, 'enabled_plugins'),
    // With "input" the script becomes the broker instead of waiting for it, so that it gets our signals.
    RABBITMQ_ALLOW_INPUT: '1',
    // Schedulers that spin while they wait would take the cores from the tests.
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS:
      '-noinput -kernel inet_dist_use_interface {127,0,0,1} +sbwt none +sbwtdcpu none +sbwtdio none',
  }
}
