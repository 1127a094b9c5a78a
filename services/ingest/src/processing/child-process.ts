import { type ChildProcess, fork } from 'node:child_process'
import { realpathSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { ChildMessage, ChildSettings, Task } from './messages.ts'

const PROGRAM = join(import.meta.dirname, 'child.ts')
const ROOT = resolve(import.meta.dirname, '../../../..')
/** All of the repository that a child may read; the data folder may lie in the repository and is not among it. */
const CODE = ['node_modules', 'packages', 'services/ingest', 'package.json']
const STDERR_KEPT = 8192
const RSS_INTERVAL_MS = 100

export type KillReason = 'timeout' | 'memory' | 'abort' | 'closed' | 'recycled'

/** How a child ended: by us, of too little heap, or of itself. */
export type Ending = { cause: KillReason } | { cause: 'heap' } | { cause: 'crash'; detail: string }

export interface ChildOptions {
  settings: ChildSettings
  maxRssBytes: number
  inputDirs: string[]
  onMessage: (child: ParserChild, message: ChildMessage) => void
  onEnd: (child: ParserChild, ending: Ending) => void
}

/**
 * One child process. It may read the code, the tokenizer and the input folders, may write nothing and start
 * nothing (Node's permission model; native addons stand outside of it), and sees no environment but PATH.
 */
export class ParserChild {
  readonly #process: ChildProcess
  readonly #maxRssBytes: number
  #stderr = ''
  #killedFor: KillReason | undefined
  #deadline: NodeJS.Timeout | undefined
  #watch: NodeJS.Timeout | undefined
  readonly ended: Promise<void>
  /** Has said that it can work. */
  ready = false
  /** Tasks taken. */
  used = 0

  constructor({ settings, maxRssBytes, inputDirs, onMessage, onEnd }: ChildOptions) {
    this.#maxRssBytes = maxRssBytes
    const readable = [
      ...CODE.map((path) => join(ROOT, path)),
      ...inputDirs,
      settings.tokenizerDir ?? [],
    ].flat()
    this.#process = fork(PROGRAM, [JSON.stringify(settings)], {
      serialization: 'advanced',
      env: { PATH: process.env.PATH ?? '' },
      cwd: ROOT,
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      execArgv: [
        '--permission',
        '--allow-addons',
        ...readable.flatMap((path) => [path, realPath(path)]).map((path) => `--allow-fs-read=${path}`),
        `--max-old-space-size=${Math.floor((maxRssBytes / 2 ** 20) * 0.75)}`,
        '--disallow-code-generation-from-strings',
        '--disable-warning=SecurityWarning',
        '--disable-warning=ExperimentalWarning',
      ],
    })
    this.#process.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-STDERR_KEPT)
    })
    this.#process.on('message', (message: ChildMessage) => {
      if (message.type === 'ready') this.ready = true
      onMessage(this, message)
    })
    // A failed start or send shows in the exit, too.
    this.#process.on('error', (error) => {
      this.#stderr += error.message
      if (this.#process.pid === undefined) this.#end(onEnd)
    })
    this.ended = new Promise((done) => {
      this.#process.on('close', (code, signal) => {
        this.#end(onEnd, code, signal)
        done()
      })
      this.#process.on('error', () => this.#process.pid === undefined && done())
    })
  }

  get pid(): number | undefined {
    return this.#process.pid
  }

  /** Starts a task; the child is killed when it takes longer or grows larger than allowed. */
  run(task: Task, timeoutMs: number): void {
    this.used += 1
    this.#deadline = setTimeout(() => this.kill('timeout'), timeoutMs)
    this.#watch = setInterval(() => void this.#checkRss(), RSS_INTERVAL_MS)
    this.#process.send(task, (error) => error && this.kill('recycled'))
  }

  /** The task is done; the limits rest. */
  rest(): void {
    clearTimeout(this.#deadline)
    clearInterval(this.#watch)
  }

  kill(reason: KillReason): void {
    this.#killedFor ??= reason
    this.#process.kill('SIGKILL')
  }

  async #checkRss(): Promise<void> {
    const rss = await residentBytes(this.#process.pid!)
    if (rss !== undefined && rss > this.#maxRssBytes) this.kill('memory')
  }

  #end(onEnd: ChildOptions['onEnd'], code?: number | null, signal?: NodeJS.Signals | null): void {
    this.rest()
    if (this.#killedFor) onEnd(this, { cause: this.#killedFor })
    else if (
      /heap out of memory|Array buffer allocation failed|memory allocation of \d+ bytes failed/.test(
        this.#stderr,
      )
    ) {
      onEnd(this, { cause: 'heap' })
    } else onEnd(this, { cause: 'crash', detail: `exit ${code ?? signal}: ${this.#stderr.slice(-500)}` })
  }
}

function realPath(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return path
  }
}

/** Resident memory of a process, where the system has /proc; elsewhere only the heap limit holds. */
async function residentBytes(pid: number): Promise<number | undefined> {
  try {
    const kibibytes = /^VmRSS:\s+(\d+) kB/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1]
    return kibibytes === undefined ? undefined : Number(kibibytes) * 1024
  } catch {
    return undefined
  }
}
