import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { ServiceName } from '@mnemosyne/contracts'

const ROOT = new URL('../../', import.meta.url)

export type Env = Record<string, string | undefined>

/** Given to every process; all else a service has to be told. */
const INHERITED = [
  'PATH',
  'HOME',
  'TMPDIR',
  'LANG',
  'MNEMOSYNE_CACHE_DIR',
  'MNEMOSYNE_MODEL_DIR',
  'HF_ENDPOINT',
]

const alive = new Set<ChildProcess>()

/** No process outlives the one that started it, but for SIGKILL. */
function killWithUs(child: ChildProcess): void {
  if (alive.size === 0) process.once('exit', killAll)
  alive.add(child)
  child.once('exit', () => {
    alive.delete(child)
    if (alive.size === 0) process.off('exit', killAll)
  })
}

function killAll(): void {
  for (const child of alive) child.kill('SIGKILL')
}

/** One replica of a service: a process on a port of its own, that can be ended and started again. */
export class ServiceProcess {
  readonly name: ServiceName
  readonly url: string
  /** What it is given, and nothing else. */
  readonly variables: Env
  readonly #onLine: (line: string) => void
  readonly #lines: string[] = []
  #child: ChildProcess | undefined

  constructor(name: ServiceName, port: number, env: Env, onLine: (line: string) => void = () => {}) {
    this.name = name
    this.url = `http://127.0.0.1:${port}`
    this.#onLine = onLine
    this.variables = {
      ...Object.fromEntries(INHERITED.map((variable) => [variable, process.env[variable]])),
      LISTEN_PORT: String(port),
      ...env,
    }
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  /** Every line that it has logged, over all its lives. */
  get log(): string {
    return this.#lines.join('\n')
  }

  /** With other variables from now on. Resolves when it has begun; see {@link ready}. */
  start(changes: Env = {}): void {
    Object.assign(this.variables, changes)
    const main = fileURLToPath(new URL(`services/${this.name}/src/main.ts`, ROOT))
    const child = spawn(process.execPath, [main], { env: this.variables, stdio: ['ignore', 'pipe', 'pipe'] })
    this.#child = child
    killWithUs(child)
    for (const stream of [child.stdout!, child.stderr!]) {
      let rest = ''
      stream.setEncoding('utf8').on('data', (piece: string) => {
        const lines = `${rest}${piece}`.split('\n')
        rest = lines.pop()!
        for (const line of lines) {
          this.#lines.push(line)
          this.#onLine(line)
        }
      })
    }
  }

  /** What it says of itself, or undefined when nothing answers. */
  async readiness(): Promise<{ status: string; checks: Record<string, { status: string }> } | undefined> {
    const answer = await fetch(`${this.url}/ready/`, { signal: AbortSignal.timeout(5_000) }).catch(
      () => undefined,
    )
    return (await answer?.json()) as never
  }

  /** Resolves when it serves; rejects when it ends before, or takes longer than `timeoutMs`. */
  async ready(timeoutMs = 60_000): Promise<void> {
    const deadline = performance.now() + timeoutMs
    for (;;) {
      const status = (await this.readiness())?.status
      if (status === 'ready' || status === 'degraded') return
      if (this.#ended()) throw new Error(`${this.name} has ended: ${this.#lines.slice(-10).join('\n')}`)
      if (performance.now() > deadline) {
        throw new Error(`${this.name} is not ready (${status}): ${this.#lines.slice(-10).join('\n')}`)
      }
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }

  /** As an orchestrator does it. Returns the exit code. */
  stop(): Promise<number | null> {
    return this.#end('SIGTERM')
  }

  /** As by a crash. */
  kill(): Promise<number | null> {
    return this.#end('SIGKILL')
  }

  /** Frozen: its connections stay, and nothing answers. */
  pause(): void {
    this.#child?.kill('SIGSTOP')
  }

  resume(): void {
    this.#child?.kill('SIGCONT')
  }

  #ended(): boolean {
    return !this.#child || this.#child.exitCode !== null || this.#child.signalCode !== null
  }

  async #end(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.#child
    if (!child || this.#ended()) return child?.exitCode ?? null
    const gone = once(child, 'exit')
    child.kill(signal)
    await gone
    return child.exitCode
  }
}
