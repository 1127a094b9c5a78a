import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'

type Place = [name: string, bytes: Buffer]

/** Every file below a folder, unpacked where it is packed. */
export function* filesIn(dir: string): Generator<Place> {
  for (const entry of readdirSync(dir, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name)
    yield [path.slice(dir.length + 1), unpacked(entry.name, readFileSync(path))]
  }
}

export function unpacked(name: string, bytes: Buffer): Buffer {
  return name.endsWith('.gz') ? gunzipSync(bytes) : bytes
}

/**
 * What anybody on the machine may see of these processes and of all that they have started: titles and arguments. Of
 * those that they have started their environment too, which they need nothing secret in. Linux alone has it.
 */
export function* seenOf(pids: readonly number[]): Generator<Place> {
  for (const { pid, child } of [...withChildren(pids)]) {
    for (const what of child ? ['cmdline', 'comm', 'environ'] : ['cmdline', 'comm']) {
      try {
        yield [`${what} of process ${pid}`, readFileSync(`/proc/${pid}/${what}`)]
      } catch {
        // It has ended.
      }
    }
  }
}

function* withChildren(pids: readonly number[]): Generator<{ pid: number; child: boolean }> {
  const started = new Set<number>()
  const find = (pid: number) => {
    for (const child of childrenOf(pid)) {
      started.add(child)
      find(child)
    }
  }
  for (const pid of pids) find(pid)
  for (const pid of pids) yield { pid, child: false }
  for (const pid of started) yield { pid, child: true }
}

function childrenOf(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
      readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8')
        .split(' ')
        .filter((text) => text !== '')
        .map(Number),
    )
  } catch {
    return []
  }
}
