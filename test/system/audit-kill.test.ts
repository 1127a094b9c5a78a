import type { AuditRecord } from '@mnemosyne/contracts'
import { expect, onTestFinished, test, vi } from 'vitest'
import { RunningSystem, temporaryFolder } from './harness.ts'

// Whole processes on a machine that other tests keep busy.
vi.setConfig({ testTimeout: 150_000 })

async function start(dataDir: string, token?: string): Promise<RunningSystem> {
  const system = await RunningSystem.start(dataDir, token === undefined ? {} : { token })
  onTestFinished(() => void system.process.kill('SIGKILL'))
  return system
}

const rowsOf = async (system: RunningSystem, headers: Headers): Promise<AuditRecord[]> =>
  (await system.call('GET', `/admin/api/audit/?request_id=${headers.get('x-request-id')}`)).body

test('who changed something is told, also when the process is killed as soon as it has answered', async () => {
  const folder = temporaryFolder()
  onTestFinished(() => folder[Symbol.dispose]())
  const first = await start(folder.path)
  const answers = []
  for (let n = 0; n < 5; n++) {
    const workspace = { workspace_id: `ws-${n}`, name: 'x', library_type: 'technical' }
    answers.push(await first.call('POST', '/library/api/workspaces/', workspace))
  }
  const upload = await first.upload({ workspace_id: 'ws-0' }, { name: 'a.md', content: '# A\n\nIt is.' })
  const gone = await first.call('DELETE', '/library/api/workspaces/ws-4/')
  await first.kill()
  expect([...answers, upload, gone].map(({ status }) => status)).toEqual([201, 201, 201, 201, 201, 202, 204])

  const second = await start(folder.path, first.token)
  for (const { headers } of [...answers, gone])
    await expect
      .poll(() => rowsOf(second, headers), { timeout: 20_000 })
      .toContainEqual(
        expect.objectContaining({ action: expect.stringMatching(/^library\.(created|deleted)$/) }),
      )
  const jobs = `/admin/api/audit/?action=job.accepted&target=${upload.body.job_id}`
  await expect.poll(async () => (await second.call('GET', jobs)).body, { timeout: 20_000 }).toHaveLength(1)
})

test('what was refused and called before an end in order is told, its number too', async () => {
  const folder = temporaryFolder()
  onTestFinished(() => folder[Symbol.dispose]())
  const first = await start(folder.path)
  const guesses = Array.from({ length: 30 }, () =>
    first.call('GET', '/library/api/items/', undefined, { token: 'mnem_guess' }),
  )
  for (const { status } of await Promise.all(guesses)) expect(status).toBe(401)
  const call = await first.mcp('tools/call', { name: 'list_libraries', arguments: {} })
  expect(call.status, call.text).toBe(200)
  expect(await first.stop()).toBe(0)

  const second = await start(folder.path, first.token)
  const { body } = await second.call('GET', '/admin/api/audit/?action=credential.refused')
  const rows = (body as AuditRecord[]).filter(({ detail }) => detail.reason === 'unknown_token')
  expect(rows.length).toBeLessThan(4)
  expect(rows.reduce((sum, { count }) => sum + count, 0)).toBe(30)
  expect(await rowsOf(second, call.headers)).toMatchObject([{ action: 'mcp.list_libraries', count: 1 }])
})
