import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { collect, SystemClient, sumOf } from './client.ts'

export const MAIN = fileURLToPath(new URL('../../apps/cli/src/main.ts', import.meta.url))

type Env = Record<string, string | undefined>

/** A temporary folder, gone when disposed of. */
export function temporaryFolder(): Disposable & { path: string } {
  const path = mkdtempSync(join(tmpdir(), 'mnemosyne-system-'))
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) }
}

/** Somebody whom file permissions bind: `nobody` where the tests run as root, whom nothing binds. */
export const BOUND_BY_PERMISSIONS = process.getuid?.() === 0 ? 65_534 : undefined

/** False where that somebody cannot even read the program. Says so: tests that need them are skipped then. */
export function permissionsCanBeTested(): boolean {
  if (BOUND_BY_PERMISSIONS === undefined) return true
  const able = spawnSync(process.execPath, [MAIN, '--version'], { uid: BOUND_BY_PERMISSIONS }).status === 0
  if (!able)
    process.stderr.write('SKIPPED: tests of file permissions: the user nobody cannot read this checkout\n')
  return able
}

/** Runs the command line to its end. */
export function mnemosyne(
  args: string[],
  options: { env?: Env; input?: string; cwd?: string; uid?: number } = {},
): Promise<{ code: number; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: { ...process.env, INIT_CWD: undefined, ...options.env },
    cwd: options.cwd,
    uid: options.uid,
  })
  child.stdin.end(options.input ?? '')
  const stdout = collect(child.stdout)
  const stderr = collect(child.stderr)
  return new Promise((resolve) => {
    child.on('close', (code) => resolve({ code: code ?? -1, stdout: stdout(), stderr: stderr() }))
  })
}

/** What `mnemosyne up --json` prints when it is up. */
interface Up {
  url: string
  token: string | null
  curl: string
  mcp: { mcpServers: { mnemosyne: { type: string; url: string; headers: Record<string, string> } } }
}

/** The whole product in one process of its own, as a person runs it, reached as clients reach it. */
export class RunningSystem extends SystemClient {
  readonly process: ChildProcess
  readonly dataDir: string
  /** What it printed when it was up. */
  readonly announced: Up
  readonly #stderr: () => string
  readonly #group: boolean

  private constructor(
    process: ChildProcess,
    dataDir: string,
    up: Up,
    token: string,
    stderr: () => string,
    group: boolean,
  ) {
    super(up.url, token)
    this.process = process
    this.#group = group
    this.dataDir = dataDir
    this.announced = up
    this.#stderr = stderr
  }

  /**
   * `token`: the one of the first start, for a data folder that was started before. `onSpawn` is called before
   * the process can have done anything. `group`: the process leads a group of its own, as in a terminal.
   */
  static async start(
    dataDir: string,
    options: {
      env?: Env
      token?: string
      args?: string[]
      onSpawn?: (child: ChildProcess) => void
      group?: boolean
    } = {},
  ): Promise<RunningSystem> {
    const args = [
      MAIN,
      'up',
      '--json',
      '--port',
      '0',
      '--data-dir',
      dataDir,
      ...(options.args ?? ['--empty']),
    ]
    const child = spawn(process.execPath, args, {
      env: { ...process.env, LOGGING_LEVEL: 'debug', ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: options.group,
    })
    options.onSpawn?.(child)
    const stderr = collect(child.stderr!)
    const line = await firstLine(child, stderr)
    const up = JSON.parse(line) as Up & { error?: { detail: string } }
    if (up.error) throw new Error(`mnemosyne up did not start: ${up.error.detail}`)
    const token = up.token ?? options.token
    if (!token) throw new Error('the data folder was started before: pass its token')
    return new RunningSystem(child, dataDir, up, token, stderr, options.group ?? false)
  }

  get stderr(): string {
    return this.#stderr()
  }

  /** Every line of its log. */
  log(): string {
    return readFileSync(join(this.dataDir, 'logs', 'mnemosyne.jsonl'), 'utf8')
  }

  /** Every file of its blob store, temporary ones too, as paths inside it. */
  async blobs(): Promise<string[]> {
    const root = join(this.dataDir, 'blobs')
    const entries = await readdir(root, { recursive: true, withFileTypes: true })
    return entries
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
  }

  /** The sum of a metric over the series that carry these labels. */
  async metric(name: string, labels: Record<string, string> = {}): Promise<number> {
    return sumOf((await this.call('GET', '/metrics')).text, name, labels)
  }

  /** A second person, with a token that sees all of theirs. */
  async addUser(username: string): Promise<string> {
    const where = ['--data-dir', this.dataDir, '--json']
    await mnemosyne(['create-user', username, '--no-password', ...where])
    const minted = await mnemosyne([
      'create-user-token',
      '--user',
      username,
      '--name',
      'test',
      '--allowed-libraries',
      '*',
      ...where,
    ])
    return (JSON.parse(minted.stdout) as { token: string }).token
  }

  /** As by a power cut. */
  async kill(): Promise<void> {
    const gone = this.#exit()
    this.process.kill('SIGKILL')
    await gone
  }

  /** As by Ctrl-C. Returns the exit code. */
  async stop(): Promise<number | null> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return this.process.exitCode
    const gone = this.#exit()
    if (this.#group) process.kill(-this.process.pid!, 'SIGINT')
    else this.process.kill('SIGINT')
    return gone
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  #exit(): Promise<number | null> {
    return new Promise((resolve) => this.process.once('exit', resolve))
  }
}

function firstLine(child: ChildProcess, stderr: () => string): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    child.stdout!.on('data', (piece: Buffer) => {
      text += piece.toString('utf8')
      const end = text.indexOf('\n')
      if (end >= 0) resolve(text.slice(0, end))
    })
    child.once('exit', (code) => reject(new Error(`mnemosyne up ended with ${code}: ${text}${stderr()}`)))
  })
}
