import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { createWorkplace, freePorts, GuardedProcess, removeWorkplace } from './guarded-process.ts'
import { execText, findProgram, installPackage } from './install.ts'
import type { TestServer } from './postgres-server.ts'

/** A bucket, and who may use it. */
export interface S3Bucket {
  /** http://127.0.0.1:port */
  endpoint: string
  region: string
  bucket: string
  accessKeyId: string
  secretAccessKey: string
}

export interface S3Account {
  accessKeyId: string
  secretAccessKey: string
}

const VERSION = 'v1.8.0'
/** What its go.mod asks for. */
const GO_MINOR = 25
const BUILD_MS = 900_000
const REGION = 'us-east-1'

/**
 * versitygw on a free port of the loopback interface, its buckets in a throw-away folder. Builds it where it can,
 * once, which takes some minutes. `url` is the address with the administrator's credentials. `dataDir` is where
 * buckets are folders and blobs are files, if it has to be somewhere else.
 */
export async function startS3(options: { dataDir?: string } = {}): Promise<TestServer> {
  const program = await versitygw()
  const workplace = await createWorkplace('s3')
  const [port] = await freePorts(1)
  const endpoint = `http://127.0.0.1:${port}`
  const admin = newAccount('admin')
  const dataDir = options.dataDir ?? join(workplace.dir, 'data')
  const iamDir = join(workplace.dir, 'iam')
  let server: GuardedProcess | undefined
  const running: TestServer = {
    url: `http://${admin.accessKeyId}:${admin.secretAccessKey}@127.0.0.1:${port}`,
    async start() {
      server = new GuardedProcess(workplace, 's3', {
        argv: [
          ...[program, '--port', `127.0.0.1:${port}`, '--region', REGION, '--quiet', '--health', '/health'],
          ...['--iam-dir', iamDir, '--keep-alive', 'posix', dataDir],
        ],
        env: { ROOT_ACCESS_KEY: admin.accessKeyId, ROOT_SECRET_KEY: admin.secretAccessKey },
        signal: 'TERM',
      })
      await server.ready(() => answersHealth(endpoint))
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
    await Promise.all([mkdir(dataDir, { recursive: true }), mkdir(iamDir)])
    await running.start()
    return running
  } catch (error) {
    await running.close()
    throw error
  }
}

/** A new, empty bucket of an account of its own, which may make more and sees nobody else's. */
export async function createS3Bucket(server: { url: string }): Promise<S3Bucket> {
  const bucket = `test-${randomBytes(8).toString('hex')}`
  const account = await createS3Account(server, 'userplus')
  await administer(server, ['create-bucket', '--owner', account.accessKeyId, '--bucket', bucket])
  return { endpoint: endpointOf(server), region: REGION, bucket, ...account }
}

/** An account that owns nothing. As `userplus` it may make buckets, as `user` not. */
export async function createS3Account(
  server: { url: string },
  role: 'user' | 'userplus',
): Promise<S3Account> {
  const account = newAccount('account')
  const { accessKeyId, secretAccessKey } = account
  await administer(server, ['create-user', '-a', accessKeyId, '-s', secretAccessKey, '-r', role])
  return account
}

function newAccount(name: string): S3Account {
  return {
    accessKeyId: `${name}-${randomBytes(6).toString('hex')}`,
    secretAccessKey: randomBytes(16).toString('hex'),
  }
}

const endpointOf = (server: { url: string }) => new URL(server.url).origin

async function administer(server: { url: string }, command: string[]): Promise<void> {
  const { username, password } = new URL(server.url)
  const who = ['--access', username, '--secret', password, '--endpoint-url', endpointOf(server)]
  await execText(await versitygw(), ['admin', ...who, '--region', REGION, ...command])
}

async function answersHealth(endpoint: string): Promise<void> {
  const response = await fetch(`${endpoint}/health`, {
    signal: AbortSignal.timeout(5_000),
    headers: { connection: 'close' },
  })
  await response.text()
  if (!response.ok) throw new Error(`/health says ${response.status}`)
}

/** Path of the program, built when there is none yet. */
async function versitygw(): Promise<string> {
  const cache = process.env.MNEMOSYNE_CACHE_DIR || join(homedir(), '.cache', 'mnemosyne')
  const dir = join(cache, 'test-servers', `versitygw-${VERSION}`)
  if ((await findProgram('versitygw', [dir])) !== dir) await build(dir)
  return join(dir, 'versitygw')
}

/** Two at once both succeed: the compiler shares its work, and the finished program is moved into place. */
async function build(dir: string): Promise<void> {
  const go = await goCompiler()
  await mkdir(dir, { recursive: true })
  const staging = await mkdtemp(join(dir, 'build-'))
  process.stderr.write('Building versitygw for the tests, once; this takes some minutes …\n')
  try {
    await execText(go, ['install', `github.com/versity/versitygw/cmd/versitygw@${VERSION}`], {
      env: { ...process.env, GOBIN: staging },
      timeout: BUILD_MS,
    })
    await rename(join(staging, 'versitygw'), join(dir, 'versitygw'))
  } catch (cause) {
    throw new Error('go could not build versitygw', { cause })
  } finally {
    await rm(staging, { recursive: true, force: true })
  }
}

async function goCompiler(): Promise<string> {
  const find = () => findProgram('go', ['/usr/local/go/bin', '/usr/lib/go/bin'])
  let folder = await find()
  if (!folder) {
    await installPackage('golang-go')
    folder = await find()
  }
  if (!folder) throw new Error('golang-go was installed, but there is no such program')
  const go = join(folder, 'go')
  const version = await execText(go, ['env', 'GOVERSION'])
  const minor = Number(/^go1\.(\d+)/.exec(version)?.[1] ?? 0)
  if (minor >= GO_MINOR) return go
  throw new Error(
    `versitygw, the S3 server of the tests, needs Go 1.${GO_MINOR} or later; this is ${version}`,
  )
}
