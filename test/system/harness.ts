import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Job, SearchAnswer, Workspace } from '@mnemosyne/contracts'
import { expect, vi } from 'vitest'

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

function collect(stream: NodeJS.ReadableStream): () => string {
  const pieces: Buffer[] = []
  stream.on('data', (piece: Buffer) => pieces.push(piece))
  return () => Buffer.concat(pieces).toString('utf8')
}

/** What `mnemosyne up --json` prints when it is up. */
interface Up {
  url: string
  token: string | null
  curl: string
  mcp: { mcpServers: { mnemosyne: { type: string; url: string; headers: Record<string, string> } } }
}

/** The whole product in one process of its own, as a person runs it, reached as clients reach it. */
export class RunningSystem {
  readonly process: ChildProcess
  readonly dataDir: string
  readonly url: string
  readonly token: string
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
    this.process = process
    this.#group = group
    this.dataDir = dataDir
    this.url = up.url
    this.token = token
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

  async call(
    method: string,
    path: string,
    body?: unknown,
    options: { token?: string | null; headers?: Record<string, string> } = {},
  ) {
    const token = options.token === undefined ? this.token : options.token
    const response = await fetch(`${this.url}${path}`, {
      method,
      headers: {
        ...(token !== null && { authorization: `Bearer ${token}` }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...options.headers,
      },
      body: body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body),
    })
    const text = await response.text()
    return { status: response.status, headers: response.headers, text, body: parse(text) as never }
  }

  async search(query: string, options: Record<string, unknown> = {}, token?: string): Promise<SearchAnswer> {
    const { status, body, text } = await this.call(
      'POST',
      '/library/api/search/',
      { query, ...options },
      { token },
    )
    expect(status, text).toBe(200)
    return body
  }

  async createWorkspace(
    workspace_id: string,
    options: Record<string, unknown> = {},
    token?: string,
  ): Promise<Workspace> {
    const request = { workspace_id, name: workspace_id, library_type: 'technical', ...options }
    const { status, body, text } = await this.call('POST', '/library/api/workspaces/', request, { token })
    expect([200, 201], text).toContain(status)
    return body
  }

  /** The job when it has ended. */
  async ended(jobId: string, timeout = 60_000): Promise<Job> {
    return vi.waitFor(
      async () => {
        const job = (await this.call('GET', `/library/api/jobs/${jobId}/`)).body as Job
        expect(['completed', 'failed']).toContain(job.status)
        return job
      },
      { timeout, interval: 50 },
    )
  }

  async upload(
    fields: Record<string, string>,
    file: { name: string; content: string | Uint8Array; type?: string },
    token = this.token,
  ) {
    const form = new FormData()
    for (const [name, value] of Object.entries(fields)) form.set(name, value)
    form.set('file', new Blob([file.content as BlobPart], { type: file.type ?? 'text/markdown' }), file.name)
    const response = await fetch(`${this.url}/library/api/items/upload/`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}` },
      body: form,
    })
    const text = await response.text()
    return { status: response.status, text, body: parse(text) as Job }
  }

  /** One JSON-RPC request to the MCP endpoint. */
  async mcp(
    method: string,
    params: Record<string, unknown> = {},
    options: { token?: string | null; headers?: Record<string, string> } = {},
  ) {
    const answer = await this.call(
      'POST',
      '/mcp/',
      { jsonrpc: '2.0', id: 1, method, params },
      { ...options, headers: { accept: 'application/json, text/event-stream', ...options.headers } },
    )
    const data = /^data: (.*)$/m.exec(answer.text)?.[1]
    return { ...answer, body: (data === undefined ? answer.body : parse(data)) as never }
  }

  /**
   * Bytes written to the socket as they are, past the checks of every client. Resolves with what came back when
   * the server closes; with `cut`, closes the connection as soon as the bytes are sent.
   */
  send(bytes: string | Uint8Array, options: { cut?: boolean } = {}): Promise<string> {
    const { hostname, port } = new URL(this.url)
    return new Promise((resolve) => {
      const socket = connect({ host: hostname, port: Number(port) })
      const received = collect(socket)
      socket.on('error', () => undefined)
      socket.on('close', () => resolve(received()))
      socket.write(bytes, () => options.cut && socket.destroySoon())
    })
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
    const { text } = await this.call('GET', '/metrics')
    const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`)
    return text
      .split('\n')
      .filter((line) => line.startsWith(`${name}{`) && wanted.every((label) => line.includes(label)))
      .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0)
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

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** The folder in which Daedalus keeps its files, and requests to ingest them. */
export class DaedalusStore {
  readonly dir: string

  constructor(dir: string) {
    this.dir = dir
  }

  get env(): Env {
    return { DAEDALUS_STORAGE_DIR: this.dir }
  }

  /** Stores a file, and returns what Daedalus posts to have it ingested. */
  async put(
    s3_key: string,
    content: string | Uint8Array,
    more: Record<string, unknown> = {},
  ): Promise<Record<string, unknown>> {
    const bytes = Buffer.from(content)
    await mkdir(dirname(join(this.dir, s3_key)), { recursive: true })
    await writeFile(join(this.dir, s3_key), bytes)
    return {
      s3_key,
      title: s3_key.split('/').at(-1),
      file_type: 'text/markdown',
      file_size: bytes.length,
      content_hash: createHash('sha256').update(bytes).digest('hex'),
      source: 'daedalus',
      source_ref: s3_key,
      ...more,
    }
  }
}
