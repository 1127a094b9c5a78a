import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, openSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execText } from './install.ts'

/**
 * Runs a command until the pipe on its standard input speaks or breaks, so that no server outlives its tests,
 * even when those are killed. On a broken pipe the folder `$2` goes too: nobody is left to remove it.
 * As many open files as may be: every quorum queue sets some aside, and a broker at the usual 1,024 stands still
 * after some fifty virtual hosts.
 */
const GUARD = `
signal=$1 folder=$2; shift 2
ulimit -n "$(ulimit -H -n)" 2>/dev/null || true
exec 3<&0
"$@" </dev/null 3<&- &
child=$!
(
  if ! read -r order <&3; then kill -s KILL "$child"; exit 9; fi
  if [ "$order" = kill ]; then signal=KILL; fi
  kill -s "$signal" "$child"
) &
watcher=$!
wait "$child"; status=$?
kill "$watcher" 2>/dev/null
wait "$watcher"
if [ $? -eq 9 ]; then rm -rf "$folder"; fi
exit $status
`

export interface Command {
  argv: string[]
  env?: Record<string, string>
  /** Signal that ends it properly. */
  signal: 'INT' | 'TERM'
}

/** A throw-away folder, and the user that servers in it run as. */
export interface Workplace {
  dir: string
  /** Undefined: as ourselves. */
  user: string | undefined
}

/** A server that may not run as root gets a folder of `user`'s when we are root. */
export async function createWorkplace(name: string, user?: string): Promise<Workplace> {
  const dir = await mkdtemp(join(tmpdir(), `mnemosyne-test-${name}-`))
  if (!user || process.getuid?.() !== 0) return { dir, user: undefined }
  const [uid, gid] = await Promise.all([execText('id', ['-u', user]), execText('id', ['-g', user])])
  chownSync(dir, Number(uid), Number(gid))
  return { dir, user }
}

/** `argv` as the workplace's user. */
export const asUser = ({ user }: Workplace, argv: string[]): string[] =>
  user ? ['runuser', '-u', user, '--', ...argv] : argv

export const removeWorkplace = ({ dir }: Workplace) =>
  rm(dir, { recursive: true, force: true, maxRetries: 5 })

export class GuardedProcess {
  readonly #child: ChildProcess
  readonly #logFile: string
  readonly exited: Promise<unknown>

  constructor(workplace: Workplace, name: string, { argv, env, signal }: Command) {
    this.#logFile = join(workplace.dir, `${name}.out`)
    const log = openSync(this.#logFile, 'a', 0o666)
    const guarded = asUser(workplace, ['sh', '-c', GUARD, 'sh', signal, workplace.dir, ...argv])
    this.#child = spawn(guarded[0] as string, guarded.slice(1), {
      cwd: workplace.dir,
      env: { PATH: process.env.PATH, LANG: 'C.UTF-8', ...env },
      stdio: ['pipe', log, log],
      // A group of its own: Ctrl-C is for the test runner, which then stops the servers in order.
      detached: true,
    })
    this.exited = once(this.#child, 'exit')
  }

  /** Ends it properly, by force after 20 s. Idempotent. */
  stop(): Promise<void> {
    return this.#end('stop')
  }

  /** Ends it by SIGKILL. Idempotent. */
  kill(): Promise<void> {
    return this.#end('kill')
  }

  /** Tries until `attempt` succeeds; rejects with the server's last words when it exits or takes too long. */
  async ready(attempt: () => Promise<unknown>, timeoutMs = 60_000): Promise<void> {
    const deadline = Date.now() + timeoutMs
    let running = true
    void this.exited.then(() => {
      running = false
    })
    for (;;) {
      try {
        await attempt()
        return
      } catch (cause) {
        if (!running || Date.now() > deadline) {
          const words = (await readFile(this.#logFile, 'utf8')).slice(-2_000)
          throw new Error(`the server ${running ? 'does not answer' : 'has exited'}: ${words}`, { cause })
        }
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
    }
  }

  async #end(order: 'stop' | 'kill'): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    this.#child.stdin?.on('error', () => {}).write(`${order}\n`)
    const timer = setTimeout(() => process.kill(-(this.#child.pid as number), 'SIGKILL'), 20_000)
    await this.exited
    clearTimeout(timer)
  }
}

/** Ports that were free a moment ago. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'))
  await Promise.all(servers.map((server) => once(server, 'listening')))
  const ports = servers.map((server) => (server.address() as { port: number }).port)
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}
