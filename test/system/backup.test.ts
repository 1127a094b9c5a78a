import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Item } from '@mnemosyne/contracts'
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest'
import { MAIN, mnemosyne, RunningSystem, temporaryFolder } from './harness.ts'
import { graphOf, rowsOf } from './stores.ts'

// Whole processes on a machine that other tests keep busy.
vi.setConfig({ testTimeout: 300_000 })

const WITHOUT_MODEL = { MNEMOSYNE_MODEL_DIR: '/nonexistent' }
const DOCUMENTS = 60

const folder = temporaryFolder()
let count = 0
const path = (name: string) => join(folder.path, `${name}-${count++}`)
let system: RunningSystem
/** A complete backup of the system. */
let backup: string

beforeAll(async () => {
  system = await RunningSystem.start(path('data'), { env: WITHOUT_MODEL })
  await system.createWorkspace('mine')
  const jobs = Array.from({ length: DOCUMENTS }, (_, n) =>
    system.upload(
      { workspace_id: 'mine', source_ref: `note-${n}` },
      { name: `note-${n}.md`, content: `# Note ${n}\n\nWord zeugma${n} is written here.\n` },
    ),
  )
  for (const { body } of await Promise.all(jobs)) await system.ended(body.job_id)
  backup = path('backup')
  const taken = await run(['backup', backup], system.dataDir)
  expect(taken.code, taken.stdout).toBe(0)
})
afterAll(async () => {
  await system?.stop()
  folder[Symbol.dispose]()
})

const run = (args: string[], dataDir: string, env: Record<string, string> = {}) =>
  mnemosyne([...args, '--json', '--data-dir', dataDir], { env })

/** Starts a command and kills it as soon as it says `label`, as by a power cut. False when it had ended before. */
async function killAt(label: string, args: string[], dataDir: string): Promise<boolean> {
  const child: ChildProcess = spawn(process.execPath, [MAIN, ...args, '--data-dir', dataDir], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  child.stderr!.on('data', (piece: Buffer) => {
    if (piece.toString().includes(label)) child.kill('SIGKILL')
  })
  const [, signal] = (await once(child, 'exit')) as [number | null, string | null]
  return signal === 'SIGKILL'
}

async function expectEverything(dataDir: string): Promise<void> {
  expect(await graphOf(dataDir)).toMatchObject({ items: DOCUMENTS, chunks: DOCUMENTS })
  const restored = await RunningSystem.start(dataDir, { token: system.token, env: WITHOUT_MODEL })
  onTestFinished(() => void restored.process.kill('SIGKILL'))
  expect((await restored.call('GET', '/library/api/items/?limit=200')).body as Item[]).toHaveLength(DOCUMENTS)
  for (const n of [0, 17, 59]) {
    const { candidates } = await restored.search(`zeugma${n}`)
    expect(candidates.map(({ item_title }) => item_title)).toEqual([`Note ${n}`])
  }
  expect(await restored.stop()).toBe(0)
}

test('a backup says what is in it, and a start of what was restored makes no samples and no token', async () => {
  const dir = path('said')
  const { code, stdout } = await run(['backup', dir], system.dataDir)
  expect(code).toBe(0)
  expect(JSON.parse(stdout)).toMatchObject({
    dir,
    content: { items: DOCUMENTS, chunks: DOCUMENTS },
    blobs: DOCUMENTS * 2,
    problems: [],
  })
  const dataDir = path('restored')
  const restored = await run(['restore', dir], dataDir)
  expect(restored.code, restored.stdout).toBe(0)
  expect(JSON.parse(restored.stdout)).toMatchObject({ complete: true, waiting_jobs: 0 })
  const again = await RunningSystem.start(dataDir, { token: system.token, env: WITHOUT_MODEL, args: [] })
  onTestFinished(() => void again.process.kill('SIGKILL'))
  expect(again.announced.token ?? null).toBeNull()
  expect((await again.call('GET', '/library/api/libraries/')).body).toHaveLength(1)
  expect(await again.stop()).toBe(0)
})

test('a backup whose command is killed stops, and goes on when it is run again', async () => {
  const dir = path('killed')
  const killed = await killAt('Files', ['backup', dir], system.dataDir)
  if (killed) {
    // The process that owns the data notices that nobody listens.
    await expect
      .poll(async () => (await run(['backup', dir], system.dataDir)).stdout, { timeout: 60_000 })
      .not.toContain('BUSY')
  }
  expect(await readdir(dir)).toContain('manifest.json')
  const dataDir = path('restored')
  expect(await run(['restore', dir], dataDir)).toMatchObject({ code: 0 })
  await expectEverything(dataDir)
})

test.each(['Check', 'Rows', 'Files', 'Graph'])(
  'a restore killed at %s goes on when it is run again',
  async (label) => {
    const dataDir = path('killed')
    expect(await killAt(label, ['restore', backup], dataDir)).toBe(true)
    if (label === 'Files' || label === 'Graph') {
      const refused = await run(['status'], dataDir)
      expect(refused).toMatchObject({ code: 3, stdout: expect.stringContaining('SQL_UNFINISHED_RESTORE') })
    }
    const again = await run(['restore', backup], dataDir)
    expect(again.code, again.stdout).toBe(0)
    await expectEverything(dataDir)
  },
)

test('what cannot be done is refused with what to do, in words and as an exit code', async () => {
  expect(await run(['restore', backup], system.dataDir)).toMatchObject({
    code: 3,
    stdout: expect.stringContaining('Stop it first'),
  })
  expect(await run(['restore', path('nothing')], path('data'))).toMatchObject({
    code: 1,
    stdout: expect.stringContaining('There is no backup in'),
  })
  const nowhere = path('nowhere')
  expect(await run(['backup', path('backup')], nowhere)).toMatchObject({
    code: 1,
    stdout: expect.stringContaining('There is no data folder at'),
  })
  await expect(stat(nowhere)).rejects.toThrow('ENOENT')
  expect(await run(['backup', backup], system.dataDir)).toMatchObject({
    code: 1,
    stdout: expect.stringContaining('Choose another folder'),
  })
})

test('secrets of signing keys travel under a passphrase, or not at all', async () => {
  const passphrase = 'the tide turns at noon'
  const file = path('passphrase')
  await writeFile(file, `${passphrase}\n`)
  const sealed = path('sealed')
  const made = await run(['backup', sealed, '--passphrase-file', file], system.dataDir)
  expect(made.code, made.stdout).toBe(0)
  expect(JSON.parse(made.stdout)).toMatchObject({ format: 2, secrets: 'sealed' })
  const refusals: [args: string[], env: Record<string, string>, words: string][] = [
    [[], {}, '--without-secrets'],
    [[], { MNEMOSYNE_BACKUP_PASSPHRASE: 'something else' }, 'not the passphrase'],
    [['--passphrase-file', path('nowhere')], {}, 'cannot be read'],
  ]
  for (const [args, env, words] of refusals) {
    const nowhere = path('nowhere')
    const refused = await run(['restore', sealed, ...args], nowhere, env)
    expect([1, 2]).toContain(refused.code)
    expect(refused.stdout).toContain(words)
    expect(refused.stdout + refused.stderr).not.toContain(passphrase)
    await expect(stat(nowhere)).rejects.toThrow('ENOENT')
  }
  const keys = await rowsOf(system.dataDir, 'auth', 'signing_key')
  const whole = path('whole')
  const restored = await run(['restore', sealed], whole, { MNEMOSYNE_BACKUP_PASSPHRASE: passphrase })
  expect(restored, restored.stdout).toMatchObject({ code: 0, stderr: expect.not.stringContaining('retired') })
  expect(await rowsOf(whole, 'auth', 'signing_key')).toEqual(keys)
  for (const [dir, args] of [
    [sealed, ['--without-secrets']],
    [backup, []],
  ] as const) {
    const bare = path('bare')
    const { code, stdout, stderr } = await run(['restore', dir, ...args], bare)
    expect(code, stdout).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ complete: true, lost_keys: ['first'] })
    expect(stderr).toMatch(/signing keys first.*retired.*seed-signing-key/s)
    expect(await rowsOf(bare, 'auth', 'signing_key')).toMatchObject([{ secret: '', is_current: 0 }])
  }
  const short = await run(['backup', path('short')], system.dataDir, { MNEMOSYNE_BACKUP_PASSPHRASE: 'tide' })
  expect(short).toMatchObject({ code: 2, stdout: expect.stringContaining('at least 12') })
})

test('a graph is made again beside the running system, which answers meanwhile', async () => {
  const rebuilding = run(['rebuild-graph', '--all'], system.dataDir)
  for (let n = 0; n < 10; n++) {
    const { candidates } = await system.search(`zeugma${n}`)
    expect(candidates.map(({ item_title }) => item_title)).toEqual([`Note ${n}`])
  }
  const { code, stdout } = await rebuilding
  expect(code, stdout).toBe(0)
  expect(JSON.parse(stdout)).toMatchObject({ written: DOCUMENTS, found: { items: DOCUMENTS }, faults: [] })
  const again = await run(['rebuild-graph'], system.dataDir)
  expect(JSON.parse(again.stdout)).toMatchObject({ written: 0, current: DOCUMENTS })
})
