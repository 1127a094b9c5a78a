import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { blobsContract, sourceContract } from '../testing/blobs-contract.ts'
import { describeSmallDisk, mountSmallDisk } from '../testing/small-disk.ts'
import { openFolderBlobs } from './folder.ts'
import { openFolderSource } from './folder-source.ts'
import { BlobKeyError, BlobNotFoundError, BlobStoreFullError, BlobStoreUnavailableError } from './port.ts'

let parent: string
let dir: string
beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'mnemosyne-blobs-'))
  dir = join(parent, 'blobs')
  return () => rm(parent, { recursive: true, force: true })
})
const bytes = (text: string) => new TextEncoder().encode(text)
const everything = async () => (await readdir(dir, { recursive: true })).sort()

blobsContract('blobs in a folder', () => openFolderBlobs(dir))
sourceContract("another program's files", async () => ({
  source: await openFolderSource(dir),
  async fill(key, data) {
    await mkdir(dirname(join(dir, key)), { recursive: true })
    await writeFile(join(dir, key), data)
  },
}))

describe('a folder of blobs', () => {
  it('keeps what is stored, for its owner alone, and no empty folder', async () => {
    const store = await openFolderBlobs(dir)
    await store.put('a/b/c', bytes('x'))
    expect((await stat(join(dir, 'a/b/c'))).mode & 0o777).toBe(0o600)
    expect((await stat(dir)).mode & 0o777).toBe(0o700)
    await store.put('a/d', bytes('x'))
    await store.delete('a/b/c')
    expect(await everything()).toEqual(['.tmp', 'a', 'a/d'])
    await store.deletePrefix('a/')
    expect(await everything()).toEqual(['.tmp'])
    expect(await (await openFolderBlobs(dir)).head('a/d')).toBeUndefined()
  })

  it('removes what a crash left unfinished', async () => {
    await (await openFolderBlobs(dir)).put('a', bytes('kept'))
    await mkdir(join(dir, '.tmp/half-deleted/sub'), { recursive: true })
    await writeFile(join(dir, '.tmp/half-written'), 'x')
    await openFolderBlobs(dir)
    expect(await everything()).toEqual(['.tmp', 'a'])
  })

  it('leaves nothing behind of a failed put', async () => {
    const store = await openFolderBlobs(dir)
    await expect(store.put('a', new Uint8Array(10), { maxBytes: 5 })).rejects.toThrow()
    expect(await everything()).toEqual(['.tmp'])
  })

  it.each(['.tmp', '.tmp/x'])('keeps %j to itself', async (key) => {
    const store = await openFolderBlobs(dir)
    await expect(store.put(key, bytes('x'))).rejects.toThrow(BlobKeyError)
    await expect(store.open(key)).rejects.toThrow(BlobKeyError)
    await expect(store.deletePrefix(`${key}/`)).rejects.toThrow(BlobKeyError)
  })

  it('refuses a key that is a folder, or has a file for one', async () => {
    const store = await openFolderBlobs(dir)
    await store.put('a/b', bytes('x'))
    await expect(store.put('a', bytes('x'))).rejects.toThrow(BlobKeyError)
    await expect(store.put('a/b/c', bytes('x'))).rejects.toThrow(BlobKeyError)
    expect(await Readable.from(store.list('')).toArray()).toEqual(['a/b'])
  })

  it('follows no link out of itself', async () => {
    const store = await openFolderBlobs(dir)
    await mkdir(join(parent, 'outside'))
    await writeFile(join(parent, 'outside/secret'), 'secret')
    await symlink(join(parent, 'outside'), join(dir, 'link'))
    await symlink(join(parent, 'outside/secret'), join(dir, 'file'))
    for (const key of ['link/secret', 'file']) {
      await expect(store.open(key)).rejects.toThrow(BlobKeyError)
      await expect(store.head(key)).rejects.toThrow(BlobKeyError)
      await expect(store.read(key, 100)).rejects.toThrow(BlobKeyError)
    }
    await expect(store.put('link/secret', bytes('x'))).rejects.toThrow(BlobKeyError)
    await expect(store.put('link/new/deep', bytes('x'))).rejects.toThrow(BlobKeyError)
    await expect(store.delete('link/secret')).rejects.toThrow(BlobKeyError)
    await expect(store.deletePrefix('link/new/')).rejects.toThrow(BlobKeyError)
    expect(await store.deletePrefix('link/')).toBe(0)
    expect(await Readable.from(store.list('')).toArray()).toEqual([])
    expect(await readdir(join(parent, 'outside'))).toEqual(['secret'])
    expect(await readFile(join(parent, 'outside/secret'), 'utf8')).toBe('secret')
  })

  it('says when it cannot be written to any more', async () => {
    const store = await openFolderBlobs(dir)
    await rm(dir, { recursive: true })
    await expect(store.ping()).rejects.toThrow(BlobStoreUnavailableError)
  })
})

await describeSmallDisk('a folder of blobs on a full disk', () => {
  it('says so, keeps what it has and goes on when there is space', async () => {
    const disk = await mountSmallDisk(400)
    onTestFinished(() => disk.close())
    const store = await openFolderBlobs(join(disk.dir, 'blobs'))
    await store.put('a', new Uint8Array(100_000))
    const refusal = await store.put('b', new Uint8Array(1_000_000)).catch((error) => error)
    expect(refusal).toBeInstanceOf(BlobStoreFullError)
    expect(refusal.message).toContain('No space is left')
    expect(await Readable.from(store.list('')).toArray()).toEqual(['a'])
    await store.put('c', new Uint8Array(100_000))
  })
})

describe("another program's folder", () => {
  beforeEach(async () => {
    await mkdir(join(dir, 'sub'), { recursive: true })
    await writeFile(join(dir, 'sub/report.pdf'), 'content')
  })

  it('is read', async () => {
    const source = await openFolderSource(dir)
    expect(await source.head('sub/report.pdf')).toEqual({ bytes: 7 })
    const { stream, bytes } = await source.open('sub/report.pdf')
    expect(bytes).toBe(7)
    expect(Buffer.concat(await stream.toArray()).toString()).toBe('content')
    expect(await readdir(dir)).toEqual(['sub'])
  })

  it('may appear later', async () => {
    const source = await openFolderSource(join(parent, 'later'))
    expect(await source.head('x')).toBeUndefined()
    await mkdir(join(parent, 'later'))
    await writeFile(join(parent, 'later/x'), '')
    expect(await source.head('x')).toEqual({ bytes: 0 })
  })

  it('may itself be a link, and have links inside', async () => {
    await symlink(dir, join(parent, 'alias'))
    await symlink('sub/report.pdf', join(dir, 'current.pdf'))
    const source = await openFolderSource(join(parent, 'alias'))
    expect(await source.head('current.pdf')).toEqual({ bytes: 7 })
  })

  it('ends where it ends', async () => {
    await writeFile(join(parent, 'secret'), 'secret')
    await mkdir(`${dir}-beside`)
    await writeFile(`${dir}-beside/secret`, 'secret')
    await symlink('../secret', join(dir, 'out'))
    await symlink(`${dir}-beside`, join(dir, 'beside'))
    await symlink('/', join(dir, 'root'))
    await symlink('loop', join(dir, 'loop'))
    const source = await openFolderSource(dir)
    for (const key of ['out', 'beside/secret', 'root/etc/passwd']) {
      await expect(source.open(key)).rejects.toThrow(BlobKeyError)
      await expect(source.head(key)).rejects.toThrow(BlobKeyError)
    }
    for (const key of ['../secret', '/etc/passwd', 'sub/../../secret']) {
      await expect(source.open(key)).rejects.toThrow(BlobKeyError)
    }
    await expect(source.open('loop')).rejects.toThrow(BlobNotFoundError)
  })

  it('gives files only, and does not wait for a pipe', async () => {
    execFileSync('mkfifo', [join(dir, 'pipe')])
    const source = await openFolderSource(dir)
    for (const key of ['pipe', 'sub', 'sub/report.pdf/x']) {
      await expect(source.open(key)).rejects.toThrow(BlobNotFoundError)
      expect(await source.head(key)).toBeUndefined()
    }
  })
})
