import { mkdtemp, rmdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe } from 'vitest'
import { execText } from './install.ts'

export interface SmallDisk {
  dir: string
  close(): Promise<void>
}

/** A file system of its own with room for `kilobytes`. Needs the right to mount (Linux, root). */
export async function mountSmallDisk(kilobytes: number): Promise<SmallDisk> {
  const dir = await mkdtemp(join(tmpdir(), 'mnemosyne-small-disk-'))
  try {
    await execText('mount', ['-t', 'tmpfs', '-o', `size=${kilobytes}k`, 'tmpfs', dir])
  } catch (error) {
    await rmdir(dir)
    throw error
  }
  return {
    dir,
    async close() {
      await execText('umount', [dir])
      await rmdir(dir)
    },
  }
}

/** `describe` for tests on a disk that is nearly full; skipped, and said so on stderr, where none can be mounted. */
export async function describeSmallDisk(name: string, suite: () => void): Promise<void> {
  const reason = await mountSmallDisk(16).then(
    (disk) => disk.close(),
    (error: Error) => error.message,
  )
  if (!reason) return void describe(name, suite)
  process.stderr.write(`SKIPPED: ${name}: no small disk can be mounted here: ${reason}\n`)
  describe.skip(`${name} (skipped: no small disk can be mounted here)`, suite)
}
