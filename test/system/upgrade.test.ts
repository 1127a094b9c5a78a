import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Item, Job } from '@mnemosyne/contracts'
import { expect, onTestFinished, test, vi } from 'vitest'
import { mnemosyne, RunningSystem, temporaryFolder } from './harness.ts'
import { graphOf, rowsOf } from './stores.ts'

// Whole processes on a machine that other tests keep busy.
vi.setConfig({ testTimeout: 300_000 })

/** Data folders as released versions left them; scripts/make-data-folder.ts makes them. */
const RELEASED = fileURLToPath(new URL('../fixtures/data-folders/', import.meta.url))
/** Backups of these as earlier versions have written them. */
const BACKUPS = fileURLToPath(new URL('../fixtures/backups/', import.meta.url))
const namesIn = (folder: string) =>
  readdirSync(folder)
    .filter((file) => file.endsWith('.tar.gz'))
    .map((file) => file.replace(/\.tar\.gz$/, ''))
const names = namesIn(RELEASED)

const QUESTIONS = {
  'How much water goes into the casing?': 'Fill the casing with nine litres of water',
  'When is the wick trimmed?': 'Trim the wick every evening',
  'When is the boat hauled up?': 'The boat is hauled up the slip',
}

function unpack(name: string): { dataDir: string; token: string; home: string } {
  const folder = temporaryFolder()
  onTestFinished(() => folder[Symbol.dispose]())
  execFileSync('tar', ['-C', folder.path, '-xzf', join(RELEASED, `${name}.tar.gz`)])
  const { token } = JSON.parse(readFileSync(join(RELEASED, `${name}.json`), 'utf8')) as { token: string }
  return { dataDir: join(folder.path, name), token, home: folder.path }
}

async function expectWhole(dataDir: string, token: string): Promise<void> {
  const system = await RunningSystem.start(dataDir, { token })
  onTestFinished(() => void system.process.kill('SIGKILL'))
  expect((await system.call('GET', '/library/api/items/')).body as Item[]).toHaveLength(3)
  for (const [question, passage] of Object.entries(QUESTIONS)) {
    const { candidates, degraded } = await system.search(question)
    expect(degraded).toEqual([])
    expect(candidates[0]?.text_preview).toContain(passage)
  }
  const [library] = (await system.call('GET', '/library/api/libraries/')).body as { uid: string }[]
  const fields = { library_uid: library!.uid, source_ref: 'bell' }
  const next = await system.upload(fields, {
    name: 'bell.md',
    content: '# Bell\n\nThe bell is struck in fog.\n',
  })
  expect(next.status).toBe(202)
  expect((await system.ended(next.body.job_id)) as Job).toMatchObject({ status: 'completed', error: null })
  expect((await system.search('What is struck in fog?')).candidates[0]?.text_preview).toContain(
    'struck in fog',
  )
  expect(await system.stop()).toBe(0)
}

test.each(names)(
  'a data folder of %s is opened, its documents are found, and it takes in more',
  async (name) => {
    const { dataDir, token } = unpack(name)
    await expectWhole(dataDir, token)
  },
)

test.each(names)(
  'a data folder of %s that was never started since is backed up as it is, and restored here',
  async (name) => {
    const { dataDir, token, home } = unpack(name)
    const backup = join(home, 'backup')
    expect(await mnemosyne(['backup', backup, '--json', '--data-dir', dataDir])).toMatchObject({ code: 0 })
    const restored = join(home, 'restored')
    const { code, stdout, stderr } = await mnemosyne(['restore', backup, '--json', '--data-dir', restored])
    expect(code, stdout + stderr).toBe(0)
    const { bytes: _, ...found } = await graphOf(restored)
    const { bytes: __, ...expected } = await graphOf(dataDir)
    expect(found).toMatchObject(expected)
    await expectWhole(restored, token)
  },
)

test.each(namesIn(BACKUPS))(
  'a backup in the format of %s is restored, with the signing keys that it holds in the clear',
  async (name) => {
    const { dataDir, token, home } = unpack(name)
    execFileSync('tar', ['-C', home, '-xzf', join(BACKUPS, `${name}.tar.gz`), '--one-top-level=backup'])
    const restored = join(home, 'restored')
    const { code, stdout, stderr } = await mnemosyne([
      'restore',
      join(home, 'backup', name),
      '--json',
      '--data-dir',
      restored,
    ])
    expect(code, stdout + stderr).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ complete: true, lost_keys: [] })
    const keys = await rowsOf(restored, 'auth', 'signing_key')
    expect(keys).toEqual(await rowsOf(dataDir, 'auth', 'signing_key'))
    expect(keys).toHaveLength(1)
    await expectWhole(restored, token)
  },
)

test.each(names)('a lost graph of %s is made again from SQL and blobs', async (name) => {
  const { dataDir, token } = unpack(name)
  execFileSync('sh', ['-c', `rm "${dataDir}"/graph.db*`])
  const { code, stdout, stderr } = await mnemosyne(['rebuild-graph', '--json', '--data-dir', dataDir])
  expect(code, stdout + stderr).toBe(0)
  expect(JSON.parse(stdout)).toMatchObject({ written: 3, faults: [] })
  await expectWhole(dataDir, token)
})

test('a data folder and a backup of a newer version are left alone', async () => {
  const { dataDir, home } = unpack(names[0]!)
  const backup = join(home, 'backup')
  expect(await mnemosyne(['backup', backup, '--json', '--data-dir', dataDir])).toMatchObject({ code: 0 })
  await raise(join(dataDir, 'format.json'))
  for (const args of [['backup', join(home, 'other')], ['rebuild-graph'], ['migrate']]) {
    const refused = await mnemosyne([...args, '--json', '--data-dir', dataDir])
    expect(refused).toMatchObject({ code: 3, stdout: expect.stringContaining('DATA_FOLDER_NEWER') })
  }
  await raise(join(backup, 'manifest.json'))
  const refused = await mnemosyne(['restore', backup, '--json', '--data-dir', join(home, 'restored')])
  expect(refused).toMatchObject({ code: 1, stdout: expect.stringContaining('BACKUP_NEWER') })
})

async function raise(file: string): Promise<void> {
  await writeFile(file, JSON.stringify({ ...JSON.parse(await readFile(file, 'utf8')), format: 99 }))
}
