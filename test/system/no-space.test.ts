import { statfsSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Job } from '@mnemosyne/contracts'
import { describeSmallDisk, mountSmallDisk, type SmallDisk } from '@mnemosyne/platform/testing'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { RunningSystem } from './harness.ts'

await describeSmallDisk('a disk without space', () => {
  let disk: SmallDisk
  let system: RunningSystem

  beforeAll(async () => {
    disk = await mountSmallDisk(48 * 1024)
    // What cannot even be written down as failed is taken up again when its lease has run out.
    const env = { INGEST_RETRIES: '1', INGEST_RETRY_FIRST_SECONDS: '0.1', INGEST_LEASE_SECONDS: '5' }
    system = await RunningSystem.start(join(disk.dir, 'data'), { env })
    await system.createWorkspace('mine')
  })
  afterAll(async () => {
    await system?.stop()
    await disk?.close()
  })

  const text = (name: string, sentences: number) =>
    `# ${name}\n\n${Array.from({ length: sentences }, (_, n) => `The heron of ${name} waits at pool ${n}.`).join(' ')}\n`
  const upload = (name: string, sentences = 50) =>
    system.upload(
      { workspace_id: 'mine', source_ref: name },
      { name: `${name}.md`, content: text(name, sentences) },
    )

  /** Takes all space but so many kilobytes. */
  async function fill(leave: number): Promise<void> {
    const { bavail, bsize } = statfsSync(disk.dir)
    await writeFile(join(disk.dir, 'ballast'), Buffer.alloc(Math.max(0, bavail * bsize - leave * 1024)))
  }
  const free = () => rm(join(disk.dir, 'ballast'), { force: true })
  afterEach(free)

  test.each([0, 64, 512])(
    'with %i kB left nothing accepted is lost, and space brings it back',
    async (left) => {
      const before = await system.ended((await upload(`before ${left}`)).body.job_id)
      expect(before).toMatchObject({ status: 'completed', error: null })
      await fill(left)
      const answers = await Promise.all([0, 1].map((n) => upload(`full ${left} ${n}`, 150)))
      const accepted: Job[] = []
      for (const { status, body, text: answer } of answers) {
        expect([202, 507], answer).toContain(status)
        if (status === 202) accepted.push(body)
        else expect(body).toEqual({ detail: expect.stringMatching(/space/) })
      }
      const workspace = await system.call('POST', '/library/api/workspaces/', {
        workspace_id: `full-${left}`,
        name: 'Full',
        library_type: 'technical',
      })
      expect([201, 503, 507], workspace.text).toContain(workspace.status)
      expect((await system.call('GET', '/live/')).status).toBe(200)
      expect((await system.search(`heron of before ${left}`)).candidates.length).toBeGreaterThan(0)

      await free()
      for (const { job_id } of accepted) {
        const job = await system.ended(job_id)
        if (job.status === 'failed') {
          expect(job.error).toMatch(/no space left/)
          expect((await system.call('POST', `/library/api/jobs/${job_id}/retry/`)).status).toBe(202)
          expect(await system.ended(job_id)).toMatchObject({ status: 'completed', error: null })
        }
      }
      for (const n of [0, 1]) {
        const again = await upload(`full ${left} ${n}`, 150)
        expect([200, 202], again.text).toContain(again.status)
        expect(await system.ended(again.body.job_id)).toMatchObject({ status: 'completed', error: null })
        const hits = await system.search(`heron of full ${left} ${n}`)
        expect(hits.candidates.map(({ item_title }) => item_title).join()).toContain(`full ${left} ${n}`)
      }
      const leftOver = async () =>
        (await system.blobs()).filter((path) => /^(uploads|\.tmp|jobs)\//.test(path))
      await expect.poll(leftOver, { timeout: 20_000 }).toEqual([])
      expect((await system.call('GET', '/ready/')).status).toBe(200)
    },
  )

  test('a start without space says so, or answers; with space again everything is there', async () => {
    expect(await system.stop()).toBe(0)
    await fill(0)
    const again = () => RunningSystem.start(join(disk.dir, 'data'), { token: system.token })
    const found = async () => (await system.search('heron of before 0')).candidates.length
    try {
      system = await again()
      expect(await found()).toBeGreaterThan(0)
      expect(await system.stop()).toBe(0)
    } catch (error) {
      expect(String(error)).toMatch(/space/)
    }
    await free()
    system = await again()
    expect(await found()).toBeGreaterThan(0)
  })
})
