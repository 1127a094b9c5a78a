import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Item, Job } from '@mnemosyne/contracts'
import { expect, onTestFinished, test, vi } from 'vitest'
import { mnemosyne, RunningSystem, temporaryFolder } from './harness.ts'
import { graphOf, rowsOf } from './stores.ts'

// Whole processes on a machine that other tests keep busy.
vi.setConfig({ testTimeout: 480_000 })

const WITHOUT_MODEL = { MNEMOSYNE_MODEL_DIR: '/nonexistent' }

/** One passage, with a word that stands nowhere else. */
const text = (name: string, version: number) =>
  `# ${name}\n\nThe keeper of ${name} wrote state ${version} into the book, and the word was ${word(name)}.\n`
const word = (name: string) => `zeugma${name.replace(/\W/g, '')}`

/** Takes in, replaces and deletes documents as fast as it goes, until stopped. */
function keepBusy(system: RunningSystem, names: string[]): { stop: () => Promise<number> } {
  let stopped = false
  let changes = 0
  const hand = async (offset: number) => {
    for (let turn = offset; !stopped; turn += 3) {
      const name = names[(turn * 7) % names.length]!
      if (turn % 5 === 4) {
        const { body } = await system.call('GET', '/library/api/items/?limit=200')
        const item = (body as Item[]).find(({ source_ref }) => source_ref === name)
        if (item) await system.call('DELETE', `/library/api/items/${item.uid}/`)
      } else {
        const file = { name: `${name}.md`, content: text(name, turn) }
        const { status, body } = await system.upload({ workspace_id: 'mine', source_ref: name }, file)
        expect([200, 202]).toContain(status)
        // Some more than there are hands may wait, or the queue grows without end.
        if (turn % 4 !== 0) await over(system, body.job_id)
      }
      changes++
    }
  }
  const hands = [0, 1, 2].map(hand)
  return {
    async stop() {
      stopped = true
      await Promise.all(hands)
      return changes
    },
  }
}

/** Its job has ended, or went with its item. */
async function over(system: RunningSystem, jobId: string): Promise<void> {
  for (;;) {
    const { status, body } = await system.call('GET', `/library/api/jobs/${jobId}/`)
    if (status === 404 || ['completed', 'failed'].includes((body as Job).status)) return
    await pause(5)
  }
}

test('beside a system that takes in, replaces and deletes at full speed a backup is one that can be restored', async () => {
  using folder = temporaryFolder()
  const system = await RunningSystem.start(join(folder.path, 'data'), { env: WITHOUT_MODEL })
  onTestFinished(() => void system.process.kill('SIGKILL'))
  await system.createWorkspace('mine')
  const names = Array.from({ length: 40 }, (_, n) => `light-${n}`)
  const first = names.map((name) =>
    system.upload({ workspace_id: 'mine', source_ref: name }, { name: `${name}.md`, content: text(name, 0) }),
  )
  for (const { body } of await Promise.all(first)) await system.ended(body.job_id)

  const load = keepBusy(system, names)
  const backups: string[] = []
  for (let n = 0; n < 3; n++) {
    const dir = join(folder.path, `backup-${n}`)
    const made = await mnemosyne(['backup', dir, '--json', '--data-dir', system.dataDir])
    expect(made, made.stdout + made.stderr).toMatchObject({ code: 0 })
    expect(JSON.parse(made.stdout)).toMatchObject({ dir, problems: [] })
    backups.push(dir)
  }
  expect(await load.stop()).toBeGreaterThan(20)
  await system.kill()

  let newer = 0
  for (const [n, dir] of backups.entries()) {
    const dataDir = join(folder.path, `restored-${n}`)
    const restored = await mnemosyne(['restore', dir, '--json', '--data-dir', dataDir])
    expect(restored, restored.stdout + restored.stderr).toMatchObject({ code: 0 })
    const report = JSON.parse(restored.stdout) as { complete: boolean; waiting_jobs: number }
    expect(report).toMatchObject({ complete: true })
    newer += (await readJson(join(dir, 'manifest.json'))).newer_items.length
    await expectWhole(dataDir, system.token)
  }
  // Or the test has not shown what it is for.
  expect(newer).toBeGreaterThan(0)
})

async function readJson(path: string): Promise<{ newer_items: string[] }> {
  return JSON.parse(await readFile(path, 'utf8'))
}

/** What SQL calls completed is found, all records say the same, and what was accepted goes on to its end. */
async function expectWhole(dataDir: string, token: string): Promise<void> {
  const jobs = await rowsOf<Job & { current: number }>(dataDir, 'ingest', 'job')
  const items = await rowsOf<{
    uid: string
    source_ref: string
    embedding_status: string
    content_hash: string
  }>(dataDir, 'library', 'item')
  const done = jobs.filter((job) => job.status === 'completed' && job.current === 1)
  const waiting = jobs.filter((job) => job.status !== 'completed')
  expect(waiting.every(({ status }) => status === 'pending')).toBe(true)
  expect(new Set(items.map(({ uid }) => uid))).toEqual(new Set(jobs.map(({ item_uid }) => item_uid)))
  for (const { item_uid, content_hash } of done) {
    const record = items.find(({ uid }) => uid === item_uid)
    expect(record).toMatchObject({ embedding_status: 'completed', content_hash })
  }
  expect(await graphOf(dataDir)).toMatchObject({ items: done.length, chunks: done.length })

  const system = await RunningSystem.start(dataDir, { token, env: WITHOUT_MODEL })
  try {
    for (const { item_uid, source_ref } of done) {
      const { candidates } = await system.search(word(source_ref), { search_types: ['fulltext'] })
      expect(candidates.map((candidate) => candidate.item_uid)).toEqual([item_uid])
    }
    for (const { job_id } of waiting)
      expect(await system.ended(job_id)).toMatchObject({ status: 'completed' })
  } finally {
    expect(await system.stop()).toBe(0)
  }
}
