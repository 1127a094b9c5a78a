import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { describeSmallDisk, mountSmallDisk } from '../testing/small-disk.ts'
import { DataFolderError, DataFolderInUseError, NewerDataFolderError, openDataFolder } from './data-folder.ts'

const FORMAT = { formatVersion: 1 }
const MODULE = fileURLToPath(new URL('./data-folder.ts', import.meta.url))

let parent: string
let dir: string
beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'mnemosyne-data-'))
  dir = join(parent, 'data')
  return () => rm(parent, { recursive: true, force: true })
})

/** A process that opens the folder, says so or why not, and stays. */
async function holder(folder: string): Promise<{ child: ChildProcess; said: string }> {
  const script = `
    const { openDataFolder } = await import(${JSON.stringify(MODULE)})
    const answer = await openDataFolder(${JSON.stringify(folder)}, { formatVersion: 1 }).then(
      (opened) => ((globalThis.kept = opened), 'open'), (error) => error.code + ' ' + error.message)
    console.log(answer)
    setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  const [said] = await once(createInterface({ input: child.stdout as NodeJS.ReadableStream }), 'line')
  return { child, said }
}

describe('a data folder', () => {
  it('is made for its owner alone, and found again', async () => {
    const folder = await openDataFolder(dir, FORMAT)
    expect((await stat(dir)).mode & 0o777).toBe(0o700)
    expect(folder.path('blobs', 'x')).toBe(join(dir, 'blobs', 'x'))
    const format = await readFile(join(dir, 'format.json'), 'utf8')
    await folder.close()
    await folder.close()
    await using _ = await openDataFolder(dir, FORMAT)
    expect(await readFile(join(dir, 'format.json'), 'utf8')).toBe(format)
  })

  it('belongs to one process, which the refusal names', async () => {
    const { child, said } = await holder(dir)
    expect(said).toBe('open')
    const refusal = await openDataFolder(dir, FORMAT).catch((error) => error)
    expect(refusal).toBeInstanceOf(DataFolderInUseError)
    expect(refusal.pid).toBe(child.pid)
    expect(refusal.message).toContain(`process ${child.pid}`)
  })

  it('belongs to one opener within a process, too', async () => {
    await using _ = await openDataFolder(dir, FORMAT)
    await expect(openDataFolder(dir, FORMAT)).rejects.toThrow(DataFolderInUseError)
    expect((await holder(dir)).said).toMatch(/^DATA_FOLDER_IN_USE/)
  })

  it('stays owned while a refused process comes and goes', async () => {
    await using _ = await openDataFolder(dir, FORMAT)
    for (let i = 0; i < 2; i++) {
      const { child, said } = await holder(dir)
      expect(said).toMatch(/^DATA_FOLDER_IN_USE/)
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
  })

  it('is free at once after SIGKILL, ten times in a row', async () => {
    for (let i = 0; i < 10; i++) {
      const { child, said } = await holder(dir)
      expect(said).toBe('open')
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
    await (await openDataFolder(dir, FORMAT)).close()
  })

  it('goes to exactly one of many that start at once', async () => {
    const said = await Promise.all(Array.from({ length: 6 }, async () => (await holder(dir)).said))
    expect(said.filter((word) => word === 'open')).toHaveLength(1)
    expect(said.filter((word) => word.startsWith('DATA_FOLDER_IN_USE'))).toHaveLength(5)
  })

  it('of a newer format is refused, and left alone', async () => {
    await (await openDataFolder(dir, { formatVersion: 7 })).close()
    const before = await readFile(join(dir, 'format.json'), 'utf8')
    const refusal = await openDataFolder(dir, FORMAT).catch((error) => error)
    expect(refusal).toBeInstanceOf(NewerDataFolderError)
    expect(refusal.message).toMatch(/format 7; this one knows 1.*Upgrade Mnemosyne/)
    expect(await readFile(join(dir, 'format.json'), 'utf8')).toBe(before)
    await (await openDataFolder(dir, { formatVersion: 7 })).close()
  })

  it.each(['', 'not json', '{}', '{"format":"1"}', 'null'])(
    'with %j for a format is refused',
    async (text) => {
      await (await openDataFolder(dir, FORMAT)).close()
      await writeFile(join(dir, 'format.json'), text)
      await expect(openDataFolder(dir, FORMAT)).rejects.toThrow(/format\.json is damaged/)
    },
  )

  it('cannot be made where a file stands in the way', async () => {
    await writeFile(join(parent, 'file'), '')
    for (const path of ['file', 'file/below']) {
      const refusal = await openDataFolder(join(parent, path), FORMAT).catch((error) => error)
      expect(refusal).toBeInstanceOf(DataFolderError)
      expect(refusal.message).toContain('there is a file')
    }
  })

  it('that may not be written to is refused', async () => {
    await chmod(parent, 0o555)
    // Root may write anywhere, so it has to be somebody else for a moment.
    const root = process.getuid?.() === 0
    if (root) process.seteuid?.(65_534)
    const refusal = await openDataFolder(dir, FORMAT).catch((error) => error)
    if (root) process.seteuid?.(0)
    expect(refusal).toBeInstanceOf(DataFolderError)
    expect(refusal.message).toContain('cannot be written to')
  })
})

await describeSmallDisk('a data folder on a full disk', () => {
  it('says that no space is left', async () => {
    const disk = await mountSmallDisk(16)
    onTestFinished(() => disk.close())
    await writeFile(join(disk.dir, 'fill'), new Uint8Array(1 << 20)).catch(() => {})
    const refusal = await openDataFolder(join(disk.dir, 'data'), FORMAT).catch((error) => error)
    expect(refusal).toBeInstanceOf(DataFolderError)
    expect(refusal.message).toContain('No space is left')
    expect(await readdir(disk.dir)).toContain('fill')
  })
})
