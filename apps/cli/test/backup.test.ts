import { randomUUID } from 'node:crypto'
import { cp, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type DomainError, systemClock } from '@mnemosyne/platform'
import { describeSmallDisk, mountSmallDisk } from '@mnemosyne/platform/testing'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readManifest } from '../src/backup/manifest.ts'
import { openStoresAlone } from '../src/backup/open-stores-alone.ts'
import { agrees, rebuildGraph } from '../src/backup/rebuild.ts'
import { openSecrets, restoreBackup } from '../src/backup/restore.ts'
import { type BackupStep, takeBackup } from '../src/backup/take-backup.ts'
import { clientsOf, ended, filesIn, fill, openIn, settingsOf, upload } from './filled-system.ts'

let home: string
/** A data folder that nobody works on. */
let original: string
let filled: Awaited<ReturnType<typeof fill>>
/** A complete backup of it. */
let backup: string

const fresh = (name: string) => join(home, `${name}-${randomUUID().slice(0, 8)}`)

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'mnemosyne-backup-'))
  original = fresh('original')
  const system = await openIn(original)
  filled = await fill(system)
  await system.close()
  backup = fresh('backup')
  await take(original, backup)
})
afterAll(() => rm(home, { recursive: true, force: true }))

const passphrase = 'the tide turns at noon'
const context = { version: '0', clock: systemClock }

async function take(dataDir: string, dir: string, onStep?: (step: BackupStep) => void) {
  await using alone = await openStoresAlone(settingsOf(dataDir))
  return await takeBackup(alone.stores, dir, { ...context, passphrase, onStep })
}

async function restore(dir: string, dataDir: string, onStep?: (step: BackupStep) => void) {
  const unseal = await openSecrets(await readManifest(dir), { passphrase })
  await using alone = await openStoresAlone(settingsOf(dataDir))
  return await restoreBackup(alone.stores, dir, { ...context, unseal, onStep })
}

/** Breaks off at a step, as a kill would between two of them. */
function breakAt(step: BackupStep['step'], done: number) {
  return (at: BackupStep) => {
    if (at.step === step && at.done === done) throw new Error('cut short')
  }
}

/** What is the same in two backups of the same data: not so what is sealed, each time anew. */
async function contentOf(dir: string): Promise<Record<string, string>> {
  const { 'manifest.json': _, 'rows/auth.signing_key.jsonl.gz': __, ...files } = await filesIn(dir)
  return files
}

const code = (promise: Promise<unknown>) =>
  promise.then(
    () => 'nothing thrown',
    (error: DomainError) => error.code,
  )

test('what comes back is the same to the last row and byte, and a backup of it the same backup', async () => {
  const restored = fresh('restored')
  const report = await restore(backup, restored)
  expect(report).toMatchObject({ waiting_jobs: 0, graph: { faults: [] } })
  expect(agrees(report.graph)).toBe(true)
  const again = fresh('again')
  await take(restored, again)
  expect(await contentOf(again)).toEqual(await contentOf(backup))
  expect(Object.keys(await contentOf(backup)).filter((path) => path.endsWith('original.md'))).toHaveLength(2)
})

test('what comes back works: tokens, search, the file that failed, and what is taken in next', async () => {
  const dataDir = fresh('works')
  await restore(backup, dataDir)
  const system = await openIn(dataDir)
  try {
    const search = (query: string) =>
      system.fetch(
        new Request('http://localhost/library/api/search/', {
          method: 'POST',
          headers: { authorization: `Bearer ${filled.token}`, 'content-type': 'application/json' },
          body: JSON.stringify({ query }),
        }),
      )
    const answer = (await (await search('second keeper carpenter')).json()) as {
      candidates: { text_preview: string }[]
    }
    expect(answer.candidates[0]?.text_preview).toContain('The second keeper of Skerry was a carpenter.')
    const { ingest, library } = clientsOf(system)
    const { body: failed } = await ingest.jobs.list({ status: 'failed' })
    expect(failed).toMatchObject([{ source_ref: 'damaged', error: expect.stringContaining('PDF') }])
    expect((await library.items.list({})).body).toHaveLength(3)
    const same = await upload(
      system,
      { library_uid: filled.libraryUid, source_ref: 'brenna' },
      '# Brenna\n\nThe Brenna light was built on granite.\n',
    )
    expect(same.status).toBe('completed')
    const next = await upload(
      system,
      { library_uid: filled.libraryUid, source_ref: 'next' },
      '# Next\n\nNew.\n',
    )
    expect(await ended(system, next.job_id)).toMatchObject({ status: 'completed' })
  } finally {
    await system.close()
  }
})

test('a folder and files of the owner alone, no text in the manifest', async () => {
  const files = await readdir(backup, { recursive: true, withFileTypes: true })
  for (const entry of files) {
    const { mode } = await stat(join(entry.parentPath, entry.name))
    expect((mode & 0o777).toString(8)).toBe(entry.isDirectory() ? '700' : '600')
  }
  expect(((await stat(backup)).mode & 0o777).toString(8)).toBe('700')
  const manifest = await readFile(join(backup, 'manifest.json'), 'utf8')
  expect(manifest).not.toMatch(/brenna|skerry|lights|ada\.lovelace/i)
})

describe('cut short', () => {
  test.each([
    ['rows', 1],
    ['files', 0],
    ['files', 2],
  ] as const)('a backup at %s %i is none, and goes on when it is run again', async (step, done) => {
    const dir = fresh('cut')
    await expect(take(original, dir, breakAt(step, done))).rejects.toThrow('cut short')
    expect(await readdir(dir)).not.toContain('manifest.json')
    expect(await code(restore(dir, fresh('refused')))).toBe('BACKUP_INCOMPLETE')
    await take(original, dir)
    expect(await contentOf(dir)).toEqual(await contentOf(backup))
  })

  test('a backup that goes on leaves the files alone that it has', async () => {
    const dir = fresh('kept')
    await expect(take(original, dir, breakAt('files', 3))).rejects.toThrow('cut short')
    const originals = Object.keys(await contentOf(dir)).filter((path) => path.includes('original.'))
    const before = await Promise.all(originals.map((path) => stat(join(dir, path))))
    await take(original, dir)
    const after = await Promise.all(originals.map((path) => stat(join(dir, path))))
    expect(after.map(({ ino }) => ino)).toEqual(before.map(({ ino }) => ino))
  })

  test('what is gone from the stores when a backup goes on does not stay in it', async () => {
    const dir = fresh('stale')
    const dataDir = fresh('shrinking')
    await cp(original, dataDir, { recursive: true })
    await expect(take(dataDir, dir, breakAt('files', 3))).rejects.toThrow('cut short')
    const system = await openIn(dataDir)
    const { library, ingest } = clientsOf(system)
    for (const { uid } of (await library.items.list({})).body) await library.items.delete({ uid })
    await expect.poll(async () => (await ingest.jobs.list({})).body).toEqual([])
    await system.close()
    expect(await take(dataDir, dir)).toMatchObject({ blobs: { count: 0 }, content: { items: 0 } })
    expect(Object.keys(await contentOf(dir)).filter((path) => path.startsWith('blobs/'))).toEqual([])
  })

  test.each([
    ['rows', 1],
    ['rows', 3],
    ['files', 1],
    ['files', 6],
    ['graph', 1],
    ['graph', 3],
  ] as const)(
    'a restore at %s %i lets nothing start, and goes on when it is run again',
    async (step, done) => {
      const dataDir = fresh('cut')
      await expect(restore(backup, dataDir, breakAt(step, done))).rejects.toThrow('cut short')
      expect(await code(openIn(dataDir))).toBe('SQL_UNFINISHED_RESTORE')
      const report = await restore(backup, dataDir)
      expect(agrees(report.graph)).toBe(true)
      const again = fresh('again')
      await take(dataDir, again)
      expect(await contentOf(again)).toEqual(await contentOf(backup))
      await (await openIn(dataDir)).close()
    },
  )

  test('a restore does not go on with another backup', async () => {
    const dataDir = fresh('other')
    const other = fresh('backup')
    await take(original, other)
    await expect(restore(backup, dataDir, breakAt('files', 1))).rejects.toThrow('cut short')
    expect(await code(restore(other, dataDir))).toBe('STORES_NOT_EMPTY')
  })
})

describe('refused, with nothing written', () => {
  /** A copy of the backup, one of whose files was changed. */
  async function changed(path: (files: string[]) => string, change: (bytes: Buffer) => Buffer) {
    const dir = fresh('changed')
    await cp(backup, dir, { recursive: true })
    const file = path(Object.keys(await filesIn(dir)))
    await writeFile(join(dir, file), change(await readFile(join(dir, file))))
    return { dir, file }
  }
  const flip = (bytes: Buffer) => {
    bytes[Math.floor(bytes.length / 2)]! ^= 1
    return bytes
  }
  const emptyAfter = async (dataDir: string) => {
    await using alone = await openStoresAlone(settingsOf(dataDir))
    expect(await alone.stores.graph.stats()).toMatchObject({ libraries: 0, items: 0 })
    expect(await alone.stores.sql.auth.read.introspection.getTables()).toEqual([])
  }

  test.each([
    'original.md',
    'content.json.gz',
    'auth.user.jsonl.gz',
    'ingest.job.jsonl.gz',
    'blobs.jsonl.gz',
  ])('a flipped bit in %s', async (name) => {
    const { dir, file } = await changed((files) => files.find((path) => path.endsWith(name))!, flip)
    const dataDir = fresh('untouched')
    await expect(restore(dir, dataDir)).rejects.toMatchObject({
      code: 'BACKUP_DAMAGED',
      message: expect.stringContaining(join(dir, file)),
    })
    await emptyAfter(dataDir)
  })

  test.each(['original.md', 'auth.user.jsonl.gz'])('a missing %s', async (name) => {
    const { dir, file } = await changed(
      (files) => files.find((path) => path.endsWith(name))!,
      (bytes) => bytes,
    )
    await rm(join(dir, file))
    await expect(restore(dir, fresh('untouched'))).rejects.toMatchObject({
      code: 'BACKUP_DAMAGED',
      message: expect.stringContaining(join(dir, file)),
    })
  })

  const edit = (change: (manifest: Record<string, unknown>) => unknown) => (bytes: Buffer) =>
    Buffer.from(JSON.stringify(change(JSON.parse(bytes.toString()))))

  test.each([
    ['of a newer format', edit((manifest) => ({ ...manifest, format: 99 })), 'BACKUP_NEWER'],
    [
      'of a newer layout',
      edit((manifest) => ({
        ...manifest,
        schemas: (manifest.schemas as { migrations: string[] }[]).map((schema) => ({
          ...schema,
          migrations: [...schema.migrations, 'auth-9999-telepathy'],
        })),
      })),
      'BACKUP_NEWER',
    ],
    ['whose manifest is no JSON', (bytes: Buffer) => bytes.subarray(0, 100), 'BACKUP_DAMAGED'],
    ['whose manifest lacks a part', edit(({ blobs: _, ...rest }) => rest), 'BACKUP_DAMAGED'],
  ])('a backup %s', async (_, change, expected) => {
    const { dir } = await changed(() => 'manifest.json', change)
    const dataDir = fresh('untouched')
    expect(await code(restore(dir, dataDir))).toBe(expected)
    await emptyAfter(dataDir)
  })

  test('a restore into stores that hold something, which stay as they are', async () => {
    const dataDir = fresh('taken')
    await cp(original, dataDir, { recursive: true })
    await expect(restore(backup, dataDir)).rejects.toMatchObject({
      code: 'STORES_NOT_EMPTY',
      message: expect.stringMatching(/auth.*library.*ingest.*documents.*graph/),
    })
    const after = fresh('after')
    await take(dataDir, after)
    expect(await contentOf(after)).toEqual(await contentOf(backup))
  })

  test('a backup into a folder that holds another one, or something else', async () => {
    expect(await code(take(original, backup))).toBe('BACKUP_FOLDER')
    expect(await code(take(original, dirname(backup)))).toBe('BACKUP_FOLDER')
  })

  test('a backup of nothing', async () => {
    expect(await code(take(fresh('nothing'), fresh('none')))).toBe('NO_DATA')
  })
})

await describeSmallDisk('on a disk without space', () => {
  test('a backup says so and is none; with space it goes on', async () => {
    const disk = await mountSmallDisk(256)
    try {
      const ballast = join(disk.dir, 'ballast')
      const dir = join(disk.dir, 'backup')
      await writeFile(ballast, Buffer.alloc(200 * 1024))
      await expect(take(original, dir)).rejects.toThrow(/space/)
      expect(await readdir(dir)).not.toContain('manifest.json')
      await rm(ballast)
      await take(original, dir)
      expect(await contentOf(dir)).toEqual(await contentOf(backup))
    } finally {
      await disk.close()
    }
  })
})

describe('a store that has lost files', () => {
  test('is backed up, and the manifest says what is missing or damaged', async () => {
    const dataDir = fresh('lossy')
    await cp(original, dataDir, { recursive: true })
    const blobs = Object.keys(await filesIn(join(dataDir, 'blobs')))
    const lost = blobs.find((path) => path.endsWith('content.json.gz'))!
    const damaged = blobs.find((path) => path.endsWith('original.md') && !path.startsWith(dirname(lost)))!
    await rm(join(dataDir, 'blobs', lost))
    await writeFile(join(dataDir, 'blobs', damaged), 'something else')
    const dir = fresh('backup')
    const { problems } = await take(dataDir, dir)
    expect(problems.map(({ problem }) => problem).sort()).toEqual(
      [
        `${lost} is missing.`,
        `${damaged} is damaged: its SHA-256 is not the one that it was taken in with.`,
      ].sort(),
    )
    const report = await restore(dir, fresh('restored'))
    expect(agrees(report.graph)).toBe(false)
    expect(report.graph.faults).toEqual([
      { item_uid: lost.split('/')[1], fault: 'Its content is not in the blobs.' },
    ])
  })
})

test('a lost graph is made again, twice the same', async () => {
  const dataDir = fresh('graphless')
  await cp(original, dataDir, { recursive: true })
  await using before = await openStoresAlone(settingsOf(original))
  const { bytes: _, ...expected } = await before.stores.graph.stats()
  for (const name of await readdir(dataDir)) if (name.startsWith('graph.db')) await rm(join(dataDir, name))
  await using alone = await openStoresAlone(settingsOf(dataDir))
  expect(await rebuildGraph(alone.stores, { all: false })).toMatchObject({ written: 2, current: 0, bare: 1 })
  expect(await alone.stores.graph.stats()).toMatchObject(expected)
  expect(await rebuildGraph(alone.stores, { all: false })).toMatchObject({ written: 0, current: 2 })
  expect(await rebuildGraph(alone.stores, { all: true })).toMatchObject({ written: 2, current: 0 })
  expect(await alone.stores.graph.stats()).toMatchObject(expected)
})
