import { readFileSync } from 'node:fs'
import { basename, extname, join } from 'node:path'
import type { Chunk, Job } from '@mnemosyne/contracts'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { RunningSystem, temporaryFolder } from './harness.ts'

/**
 * Files of the wild, from a folder of your own. Its `manifest.tsv` has a head line and the columns `path` (in the
 * folder), `expected` and `phrase`: `ok` must be taken in, and found to hold the phrase if there is one; `reject`
 * must fail with a reason; `any` must end.
 */
const FILES = process.env.MNEMOSYNE_TEST_FILES
const READ = new Set(['.md', '.txt', '.html', '.htm', '.pdf'])

interface Case {
  path: string
  expected: 'ok' | 'reject' | 'any'
  phrase: string
}

function casesIn(dir: string): Case[] {
  const [head, ...lines] = readFileSync(join(dir, 'manifest.tsv'), 'utf8').trimEnd().split('\n')
  const names = head!.split('\t')
  return lines
    .map((line) => Object.fromEntries(line.split('\t').map((value, index) => [names[index], value])))
    .map((row) => ({ phrase: '', ...row }) as Case)
    .filter(({ path }) => READ.has(extname(path).toLowerCase()))
}

/** Compared without what layout and typography change: white space, ligatures, hyphens of several kinds. */
const plain = (text: string) =>
  text
    .normalize('NFKC')
    .replace(/[\u2010-\u2015\u00ad]/g, '-')
    .replace(/[\u2018\u2019]/g, "'")
    .replace(/\s+/g, '')

const HOW = 'set MNEMOSYNE_TEST_FILES to a folder with a manifest.tsv'
if (FILES) describe('files of the wild', () => suite(FILES))
else {
  describe.todo(`files of the wild: ${HOW}`)
  process.stderr.write(`Not run: files of the wild; ${HOW}.\n`)
}

function suite(dir: string): void {
  const folder = temporaryFolder()
  let system: RunningSystem

  beforeAll(async () => {
    system = await RunningSystem.start(join(folder.path, 'data'))
    await system.createWorkspace('wild')
  })
  afterAll(async () => {
    await system?.stop()
    folder[Symbol.dispose]()
  })

  const take = async (path: string): Promise<Job> => {
    const content = readFileSync(join(dir, path))
    const file = { name: basename(path), content, type: 'application/octet-stream' }
    const { status, body, text } = await system.upload({ workspace_id: 'wild', source_ref: path }, file)
    expect(status, text).toBe(202)
    return system.ended(body.job_id, 240_000)
  }

  test.concurrent.each(casesIn(dir))(
    '$path: $expected',
    { timeout: 300_000 },
    async ({ path, expected, phrase }) => {
      const job = await take(path)
      if (job.status === 'failed') expect(job.error).toMatch(/^[A-Z].*[.?]$/s)
      if (expected === 'ok') expect(job).toMatchObject({ status: 'completed', error: null })
      if (expected === 'reject') expect(job).toMatchObject({ status: 'failed', chunks_created: 0 })
      if (expected === 'ok' && phrase !== '') {
        expect(plain(await textOf(job)).includes(plain(phrase)), `${path} has ${phrase}`).toBe(true)
      }
      expect((await system.call('GET', '/ready/')).status).toBe(200)
    },
  )

  async function textOf({ item_uid, chunks_created }: Job): Promise<string> {
    const texts: string[] = []
    while (texts.length < chunks_created) {
      const query = `limit=200&offset=${texts.length}`
      const { body } = await system.call('GET', `/library/api/items/${item_uid}/chunks/?${query}`)
      texts.push(...(body as Chunk[]).map(({ text }) => text))
      if ((body as Chunk[]).length === 0) break
    }
    return texts.join('\n')
  }
}
