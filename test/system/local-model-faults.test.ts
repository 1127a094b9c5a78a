import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { testModelDir } from '@mnemosyne/models/testing'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { SystemClient } from './client.ts'
import { RunningSystem, temporaryFolder } from './harness.ts'
import { type Asked, SearchFlow } from './search-flow.ts'
import { inventedDocument } from './stores.ts'

const PART_MS = 1_500
const BACK_MS = 20_000
const BOUND_MS = 3 * PART_MS + 2_000

// Its processes are found where Linux tells of them.
const isLinux = process.platform === 'linux'
if (!isLinux) process.stderr.write('SKIPPED: faults of the local model: /proc is needed\n')

describe.runIf(isLinux)('the local model', () => {
  const folder = temporaryFolder()
  let system: RunningSystem
  let flow: SearchFlow
  /** How many run the model. */
  let processes: number

  beforeAll(async () => {
    await testModelDir()
    const env = { SEARCH_PART_TIMEOUT_MS: String(PART_MS) }
    system = await RunningSystem.start(join(folder.path, 'data'), { env })
    const client = new SystemClient(system.url, await system.addUser('ada'))
    const { library_uid } = await client.createWorkspace('ws')
    const file = { name: 'ada.md', content: inventedDocument('ada', 6) }
    const { body } = await client.upload({ library_uid, source_ref: 'ada' }, file)
    expect((await client.ended(body.job_id)).status).toBe('completed')
    processes = modelProcesses().length
    const queries = ['which keeper trimmed lamp 7?', 'before the tide turned']
    flow = new SearchFlow(Array(3).fill({ client, library_uid }), queries)
    await flow.next(1, isWhole, BACK_MS)
  })
  afterAll(async () => {
    await flow?.stop()
    await system?.stop()
    folder[Symbol.dispose]()
  })

  const isWhole = ({ status, missing }: Asked) => status === 200 && missing.length === 0
  const isWithoutVectors = ({ missing }: Asked) => missing.includes('embed')

  /** Every answer is one, in time, and misses nothing but vectors. */
  function expectAnswers(answers: Asked[]): void {
    for (const { status, missing, candidates, tookMs } of answers) {
      expect(status).toBe(200)
      expect(missing.filter((part) => part !== 'embed')).toEqual([])
      expect(candidates.length).toBeGreaterThan(0)
      expect(tookMs).toBeLessThan(BOUND_MS)
    }
  }

  test('killed again and again: the rest answers, and it is back by itself', async () => {
    const from = flow.asked.length
    for (let round = 0; round < 2; round++) {
      const killed = modelProcesses()
      expect(killed.length).toBeGreaterThan(0)
      for (const pid of killed) process.kill(pid, 'SIGKILL')
      // Who asks meanwhile waits for the new ones, unless that takes too long.
      await flow.next(2, isWhole, BACK_MS)
      expect(modelProcesses().filter((pid) => killed.includes(pid))).toEqual([])
    }
    expectAnswers(flow.asked.slice(from))
  })

  test('frozen: the rest answers, and it goes on where it was', async () => {
    const from = flow.asked.length
    // One alone that is frozen is not missed: the others are asked.
    await expect.poll(() => modelProcesses().length, { timeout: BACK_MS }).toBe(processes)
    const frozen = modelProcesses()
    for (const pid of frozen) process.kill(pid, 'SIGSTOP')
    await flow.next(2, isWithoutVectors, BACK_MS)
    for (const pid of frozen) process.kill(pid, 'SIGCONT')
    await flow.next(2, isWhole, BACK_MS)
    expectAnswers(flow.asked.slice(from))
  })

  function modelProcesses(): number[] {
    const { pid } = system.process
    return readdirSync(`/proc/${pid}/task`)
      .flatMap((thread) => readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').split(' '))
      .filter((child) => child !== '' && commandOf(child).includes('onnx-process'))
      .map(Number)
  }
})

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
  } catch {
    // It has ended meanwhile.
    return ''
  }
}
