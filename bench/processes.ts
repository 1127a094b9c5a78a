import { readdir, readFile } from 'node:fs/promises'

/** What a process of the product is there for. */
type Role = 'main' | 'model' | 'parser'

interface ProcessUse {
  role: Role
  /** Seconds on a processor since it started. */
  cpu: number
  /** Its memory, pages that it shares with others divided among them; the resident memory where the system hides that. */
  bytes: number
}

const CLOCK_TICKS_A_SECOND = 100

/** A process and all below it. Empty where there is no /proc. */
export async function processTree(pid: number): Promise<ProcessUse[]> {
  const pids = await withDescendants(pid).catch(() => [])
  const uses = await Promise.all(pids.map((one) => useOf(one).catch(() => undefined)))
  return uses.filter((use) => use !== undefined)
}

export async function treeBytes(pid: number): Promise<number> {
  return (await processTree(pid)).reduce((total, { bytes }) => total + bytes, 0)
}

/** Seconds of processor time by role, over the life of the processes that are still there. */
export async function cpuByRole(pid: number): Promise<Record<Role, number>> {
  const cpu = { main: 0, model: 0, parser: 0 }
  for (const use of await processTree(pid)) cpu[use.role] += use.cpu
  return cpu
}

async function withDescendants(pid: number): Promise<number[]> {
  // Any thread may have started a child, and each lists its own.
  const threads = await readdir(`/proc/${pid}/task`)
  const lists = await Promise.all(
    threads.map((thread) => readFile(`/proc/${pid}/task/${thread}/children`, 'utf8').catch(() => '')),
  )
  const children = lists.join(' ').split(/\s+/).filter(Boolean).map(Number)
  return [pid, ...(await Promise.all(children.map(withDescendants))).flat()]
}

async function useOf(pid: number): Promise<ProcessUse> {
  const [command, stat, rollup] = await Promise.all([
    readFile(`/proc/${pid}/cmdline`, 'utf8'),
    readFile(`/proc/${pid}/stat`, 'utf8'),
    readFile(`/proc/${pid}/smaps_rollup`, 'utf8').catch(() => readFile(`/proc/${pid}/status`, 'utf8')),
  ])
  // The name in parentheses may hold spaces; user and system time are fields 14 and 15 of all.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const kibibytes = Number(/^(?:Pss|VmRSS):\s+(\d+)/m.exec(rollup)?.[1] ?? 0)
  return {
    role: /onnx-process/.test(command) ? 'model' : /processing\/child/.test(command) ? 'parser' : 'main',
    cpu: (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS_A_SECOND,
    bytes: kibibytes * 1024,
  }
}

/** Seconds that the machine's processors have been busy, and all that there were, since it started. NaN without /proc. */
export async function busySeconds(): Promise<{ busy: number; all: number }> {
  const stat = await readFile('/proc/stat', 'utf8').catch(() => '')
  const [user, nice, system, idle, iowait, irq, softirq] = stat
    .split('\n')[0]!
    .split(/\s+/)
    .slice(1)
    .map(Number)
  const ticks = [user, nice, system, irq, softirq].reduce<number>((sum, one) => sum + (one ?? Number.NaN), 0)
  const waiting = (idle ?? Number.NaN) + (iowait ?? Number.NaN)
  return { busy: ticks / CLOCK_TICKS_A_SECOND, all: (ticks + waiting) / CLOCK_TICKS_A_SECOND }
}

/** Looks at the tree's memory every `intervalMs` until it is disposed of. */
export class MemoryWatch implements Disposable {
  peak = 0
  readonly #timer: NodeJS.Timeout

  constructor(pid: number, intervalMs = 250) {
    let looking = false
    this.#timer = setInterval(async () => {
      if (looking) return
      looking = true
      this.peak = Math.max(this.peak, await treeBytes(pid))
      looking = false
    }, intervalMs)
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
  }
}
