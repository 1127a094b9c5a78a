import { fork } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createLog, Metrics } from '@mnemosyne/platform'
import { Registry } from 'prom-client'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { bombPage, buildPdf } from '../../test/build-pdf.ts'
import { DEFAULT_CHUNKING } from '../../test/default-chunking.ts'
import { openProcessor } from './open-processor.ts'
import type { ProcessingLimits, Processor, ProcessRequest } from './processor.ts'

const LIMITS: ProcessingLimits = {
  timeoutMs: 30_000,
  maxRssBytes: 1024 * 2 ** 20,
  maxOutputBytes: 8 * 2 ** 20,
  maxInputBytes: 64 * 2 ** 20,
  maxPages: 1000,
}

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'processor-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function open(limits: Partial<ProcessingLimits> = {}, size = 1): Processor {
  return openProcessor({
    size,
    limits: { ...LIMITS, ...limits },
    inputDirs: [folder],
    log: createLog({ component: 'test', level: 'silent' }),
    metrics: new Metrics(new Registry(), 'test'),
  })
}

function file(name: string, content: string | Buffer, rest: Partial<ProcessRequest> = {}): ProcessRequest {
  const path = join(folder, name)
  writeFileSync(path, content)
  return {
    path,
    fileName: name,
    itemUid: name,
    chunking: DEFAULT_CHUNKING.technical,
    libraryType: 'technical',
    ...rest,
  }
}

/** Our own child processes, by the kernel's list. */
function childPids(): number[] {
  const list = readFileSync(`/proc/${process.pid}/task/${process.pid}/children`, 'utf8')
    .split(' ')
    .filter(Boolean)
    .map(Number)
  return list.filter((pid) => commandLine(pid).includes('processing/child.ts'))
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
  } catch {
    return ''
  }
}

describe('a processor', () => {
  let processor: Processor
  beforeAll(() => {
    processor = open({}, 2)
  })
  afterAll(() => processor.close())

  it('gives document, chunks and concepts, and tells its stages', async () => {
    const stages: string[] = []
    const request = file('a.md', '# Guide\n\n## Grey Heron\n\nThe Grey Heron waits. A Grey Heron strikes.', {
      onStage: (stage) => stages.push(stage),
    })
    const result = await processor.process(request)
    expect(result).toMatchObject({ fileType: 'text/markdown', document: { title: 'Guide' } })
    expect(result.chunks[0]?.text).toBe('Guide > Grey Heron\n\nThe Grey Heron waits. A Grey Heron strikes.')
    expect(result.concepts.map(({ key }) => key)).toContain('grey heron')
    expect(stages).toEqual(['parsing', 'chunking', 'concepts'])
  })

  it('refuses with the errors of the parser', async () => {
    await expect(
      processor.process(file('b.pdf', buildPdf([{ lines: ['x'] }], { encrypt: 'user' }))),
    ).rejects.toMatchObject({ name: 'EncryptedFileError', code: 'encrypted_file' })
    await expect(processor.process(file('c.md', ''))).rejects.toMatchObject({ name: 'EmptyFileError' })
    await expect(
      processor.process(file('d.png', Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex'))),
    ).rejects.toMatchObject({ detectedType: 'image/png' })
  })

  it('does many at once, in order of arrival, by the same children', async () => {
    const before = childPids()
    const requests = Array.from({ length: 60 }, (_, index) => file(`${index}.md`, `# File ${index}\n\nText.`))
    const results = await Promise.all(requests.map((request) => processor.process(request)))
    expect(results.map(({ document }) => document.title)).toEqual(requests.map((_, index) => `File ${index}`))
    expect(childPids()).toEqual(before)
  })

  it('reads nothing outside the input folders', async () => {
    const request = { ...file('e.md', 'x'), path: '/etc/hostname' }
    await expect(processor.process(request)).rejects.toMatchObject({ code: 'processing_fault' })
  })

  it('lets a waiting or running document be aborted', async () => {
    await expect(
      processor.process(file('f.md', 'x', { signal: AbortSignal.abort(new Error('gone')) })),
    ).rejects.toThrow('gone')
    const abort = new AbortController()
    const running = processor.process(
      file('slow.pdf', buildPdf([bombPage(200)]), {
        signal: abort.signal,
        onStage: () => abort.abort(new Error('stop')),
      }),
    )
    await expect(running).rejects.toThrow('stop')
    await expect(processor.process(file('g.md', 'Still here.'))).resolves.toMatchObject({
      chunks: [{ text: 'Still here.' }],
    })
  })
})

describe('limits', () => {
  let processor: Processor
  afterEach(() => processor.close())

  it('kill what takes too long, and the next document finds a fresh child', async () => {
    processor = open({ timeoutMs: 1000, maxRssBytes: 8 * 2 ** 30 })
    const started = performance.now()
    const bomb = processor.process(file('bomb.pdf', buildPdf([bombPage(250)])))
    await expect(bomb).rejects.toMatchObject({
      code: 'processing_timeout',
      message: expect.stringContaining('1 second '),
    })
    expect(performance.now() - started).toBeLessThan(10_000)
    await expect(processor.process(file('after.md', 'Still here.'))).resolves.toMatchObject({
      chunks: [{ text: 'Still here.' }],
    })
  })

  it.runIf(existsSync('/proc/self/status'))('kill what grows too large', async () => {
    processor = open({ maxRssBytes: 320 * 2 ** 20 })
    const bomb = processor.process(file('large.pdf', buildPdf([bombPage(250)])))
    await expect(bomb).rejects.toMatchObject({ code: 'processing_memory' })
  })

  it('bound the text that comes out and the file that goes in', async () => {
    processor = open({ maxOutputBytes: 2 ** 20, maxInputBytes: 4 * 2 ** 20 })
    await expect(processor.process(file('out.txt', 'heron '.repeat(400_000)))).rejects.toMatchObject({
      code: 'file_too_large',
      message: expect.stringContaining('text'),
    })
    await expect(processor.process(file('in.txt', 'heron '.repeat(1_000_000)))).rejects.toMatchObject({
      code: 'file_too_large',
    })
  })

  it('call a file corrupt that kills its reader twice', async () => {
    processor = open()
    let kills = 0
    const request = file('crash.md', '# Heron\n\nText.', {
      onStage: (stage) => {
        if (stage !== 'parsing') return
        kills += 1
        for (const pid of childPids()) process.kill(pid, 'SIGSEGV')
      },
    })
    writeFileSync(request.path, buildPdf([bombPage(100)]))
    await expect(processor.process(request)).rejects.toMatchObject({ code: 'corrupt_file' })
    expect(kills).toBe(2)
  })
})

describe('the end', () => {
  it('leaves no process behind and rejects what was in hand', async () => {
    const before = childPids().length
    const processor = open({}, 2)
    await processor.process(file('z.md', 'x'))
    expect(childPids().length).toBe(before + 2)
    const running = processor.process(file('z.pdf', buildPdf([bombPage(200)])))
    const closed = expect(running).rejects.toMatchObject({ code: 'processor_unavailable' })
    await processor.close()
    await closed
    expect(childPids().length).toBe(before)
    await expect(processor.process(file('y.md', 'x'))).rejects.toMatchObject({
      code: 'processor_unavailable',
    })
  })

  it('comes also to the children of a parent that was killed in the middle of a document', async () => {
    file('orphan.pdf', buildPdf([bombPage(250)]))
    const parent = fork(
      join(import.meta.dirname, '../../test/processor-parent.ts'),
      [join(folder, 'orphan.pdf')],
      { execArgv: [] },
    )
    const pids = await new Promise<number[]>((resolve) =>
      parent.once('message', (message) => resolve(message as number[])),
    )
    expect(pids.length).toBeGreaterThan(0)
    parent.kill('SIGKILL')
    await vi.waitFor(() => expect(pids.filter((pid) => commandLine(pid) !== '')).toEqual([]), {
      timeout: 10_000,
    })
  })
})
