import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Chunk, Job } from '@mnemosyne/contracts'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { DaedalusFolder } from './daedalus-store.ts'
import { endlessPdf, onePagePdf, zip } from './files.ts'
import { RunningSystem, temporaryFolder } from './harness.ts'

const SECRET = 'root:x:0:0 the secret of another folder'
const LIMIT = 300_000

const folder = temporaryFolder()
const store = new DaedalusFolder(join(folder.path, 'daedalus'))
let system: RunningSystem

beforeAll(async () => {
  mkdirSync(store.dir)
  const env = { ...store.env, INGEST_PARSE_TIMEOUT_SECONDS: '2', INGEST_MAX_FILE_BYTES: String(LIMIT) }
  system = await RunningSystem.start(join(folder.path, 'data'), { env })
  await system.createWorkspace('mine')
})
afterAll(async () => {
  await system?.stop()
  folder[Symbol.dispose]()
})

/** Posts an ingest request and waits for the end of its job. */
async function ingest(request: Record<string, unknown>): Promise<Job> {
  const { status, body, text } = await system.call('POST', '/library/api/ingest/', {
    workspace_id: 'mine',
    ...request,
  })
  expect(status, text).toBe(202)
  return system.ended((body as Job).job_id)
}

/** It ended at the first attempt, and says why to a person: no stack, no path of this machine. */
function expectFailed(job: Job, says: RegExp): void {
  expect(job).toMatchObject({ status: 'failed', retry_count: 0, chunks_created: 0 })
  expect(job.error).toMatch(says)
  expect(job.error).toMatch(/^[A-Z].*[.?]$/s)
  expect(job.error).not.toContain(folder.path)
  expect(job.error).not.toMatch(/node:|\bat \w+ \(|Error:|attempts/)
  expect(job.completed_at).not.toBeNull()
}

describe('a file of the source', () => {
  test.each([
    [
      'is not there',
      async () => ({ ...(await store.put('a.md', 'a')), s3_key: 'b.md' }),
      /no file "b\.md".*daedalus/,
    ],
    [
      'is a folder',
      async () => ({ ...(await store.put('deep/er.md', 'a')), s3_key: 'deep' }),
      /no file "deep"/,
    ],
    ['lies under a file', async () => ({ ...(await store.put('f.md', 'a')), s3_key: 'f.md/g' }), /no file/],
    [
      'has another hash',
      async () => ({ ...(await store.put('c.md', 'a')), content_hash: 'f'.repeat(64) }),
      /SHA-256/,
    ],
    [
      'is longer than announced',
      async () => ({ ...(await store.put('d.md', 'ab')), file_size: 1 }),
      /2 bytes.*1 /,
    ],
    [
      'is shorter than announced',
      async () => ({ ...(await store.put('e.md', 'a')), file_size: 9 }),
      /1 bytes.*9 /,
    ],
    ['is too large', async () => store.put('g.md', 'heron '.repeat(60_000)), /360000 bytes.*300000/],
    [
      'has a name that no disk takes',
      async () => ({ ...(await store.put('h.md', 'a')), s3_key: 'h'.repeat(300) }),
      /255 bytes/,
    ],
    [
      'has a name that is too long',
      async () => ({ ...(await store.put('i.md', 'a')), s3_key: 'é'.repeat(600) }),
      /900 bytes/,
    ],
  ])('that %s', async (name, request, says) => {
    const job = await ingest({ ...(await request()), source_ref: name })
    expectFailed(job, says)
    expect(job).toMatchObject({ stage: 'fetching' })
  })

  test.each([
    [
      'a link to a file outside',
      'outside.md',
      (path: string) => symlinkSync(join(folder.path, 'secret.md'), path),
    ],
    ['a link up and out', 'up.md', (path: string) => symlinkSync('../secret.md', path)],
    [
      'a file under a linked folder',
      'linked/secret.md',
      () => symlinkSync(folder.path, join(store.dir, 'linked')),
    ],
    ['a link to itself', 'loop.md', (path: string) => symlinkSync('loop.md', path)],
    ['a device', 'device.md', (path: string) => symlinkSync('/dev/zero', path)],
  ])('that is %s', async (name, key, plant) => {
    writeFileSync(join(folder.path, 'secret.md'), SECRET)
    const request = await store.put('same.md', SECRET)
    plant(join(store.dir, key))
    const job = await ingest({ ...request, s3_key: key, source_ref: name })
    expectFailed(job, /outside of the folder|no file/)
    expect((await system.search('secret of another folder')).candidates).toEqual([])
  })

  test('that comes later is taken in by a retry', async () => {
    const request = await store.put('late.md', '# Late\n\nThe late heron.')
    const job = await ingest({ ...request, s3_key: 'later.md', source_ref: 'later' })
    expectFailed(job, /no file "later\.md"/)
    await store.put('later.md', '# Late\n\nThe late heron.')
    expect((await system.call('POST', `/library/api/jobs/${job.job_id}/retry/`)).status).toBe(202)
    expect(await system.ended(job.job_id)).toMatchObject({ status: 'completed', error: null, retry_count: 1 })
  })
})

const heron = Buffer.from('BT /F1 11 Tf 72 700 Td (The heron waits.) Tj ET')
const docx = zip({
  '[Content_Types].xml':
    '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>',
  'word/document.xml': '<w:document/>',
})
const exe = Buffer.concat([Buffer.from('MZ'), Buffer.alloc(600, 0x90), Buffer.from('PE\0\0')])

describe('a file that cannot be read', () => {
  test.each<[string, string, Uint8Array, RegExp]>([
    ['a Word document', 'a.docx', docx, /Word document.*PDF, HTML, Markdown and plain text/],
    ['a Word document called Markdown', 'a.md', docx, /Word document/],
    ['a zip archive', 'a.zip', zip({ 'heron.txt': 'The heron waits.' }), /zip archive/],
    ['a program called PDF', 'a.pdf', exe, /which cannot be read/],
    ['a picture', 'a.png', Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex'), /image\/png/],
    [
      'random bytes',
      'a.txt',
      Buffer.from(Array.from({ length: 4096 }, (_, n) => (n * 7919) % 251)),
      /cannot be read/,
    ],
    ['empty', 'a.md', Buffer.alloc(0), /empty/],
    ['a PDF that ends after its header', 'a.pdf', Buffer.from('%PDF-1.7\n'), /damaged/],
    ['a PDF cut short', 'a.pdf', onePagePdf(heron).subarray(0, 300), /damaged/],
    [
      'a PDF with a password',
      'a.pdf',
      readFileSync(join(import.meta.dirname, 'fixtures/encrypted.pdf')),
      /password/,
    ],
  ])('%s', async (name, file, content, says) => {
    const up = await system.upload({ workspace_id: 'mine', source_ref: name }, { name: file, content })
    expect(up.status, up.text).toBe(202)
    const job = await system.ended(up.body.job_id)
    expectFailed(job, says)
    const item = async () => (await system.call('GET', `/library/api/items/${job.item_uid}/`)).body
    await expect.poll(item).toMatchObject({ embedding_status: 'failed', chunk_count: 0 })
  })

  test('the PDF from which those are made can', async () => {
    const file = { name: 'heron.pdf', content: onePagePdf(heron) }
    const job = await system.ended((await system.upload({ workspace_id: 'mine' }, file)).body.job_id)
    expect(job).toMatchObject({ status: 'completed', error: null })
  })

  test('one that takes for ever is stopped, and others go on meanwhile', async () => {
    const endless = { name: 'endless.pdf', content: endlessPdf() }
    const { body: slow } = await system.upload({ workspace_id: 'mine' }, endless)
    const quick = { name: 'quick.md', content: '# Quick\n\nThe quick heron.' }
    const { body: other } = await system.upload({ workspace_id: 'mine' }, quick)
    const ended = await system.ended(other.job_id)
    const { body: meanwhile } = await system.call('GET', `/library/api/jobs/${slow.job_id}/`)
    expect(ended.status).toBe('completed')
    expect((meanwhile as Job).status).toBe('processing')
    expectFailed(await system.ended(slow.job_id), /more than 2 seconds/)
  })

  test('one that is cancelled at work ends as cancelled', async () => {
    const file = { name: 'cancelled.pdf', content: Buffer.concat([endlessPdf(), Buffer.from('\n%')]) }
    const { body: job } = await system.upload({ workspace_id: 'mine' }, file)
    const look = async () => (await system.call('GET', `/library/api/jobs/${job.job_id}/`)).body as Job
    await expect.poll(async () => (await look()).stage, { interval: 20 }).toBe('parsing')
    expect((await system.call('POST', `/library/api/jobs/${job.job_id}/cancel/`)).status).toBe(202)
    expect(await system.ended(job.job_id)).toMatchObject({ status: 'failed', error: 'Cancelled.' })
    expect((await system.call('POST', `/library/api/jobs/${job.job_id}/cancel/`)).status).toBe(409)
  })

  test('a bad new version leaves the good old one', async () => {
    const source_ref = 'versions'
    const good = { name: 'v.md', content: '# Versions\n\nThe first bittern booms.' }
    const first = await system.ended(
      (await system.upload({ workspace_id: 'mine', source_ref }, good)).body.job_id,
    )
    const bad = { name: 'v.md', content: docx }
    const second = await system.ended(
      (await system.upload({ workspace_id: 'mine', source_ref }, bad)).body.job_id,
    )
    expectFailed(second, /Word document/)
    expect(second.item_uid).toBe(first.item_uid)
    const { body: chunks } = await system.call('GET', `/library/api/items/${first.item_uid}/chunks/`)
    expect((chunks as Chunk[]).map(({ text }) => text).join()).toContain('bittern booms')
    expect((await system.search('bittern')).candidates[0]?.text_preview).toContain('bittern booms')
  })
})

test('the parser sees no more than its file: what a document asks for is not fetched', async () => {
  const content = `# Asking\n\n![x](file:///etc/passwd)\n\n<img src="${system.url}/live/"><script>fetch('${system.url}/asked')</script>\n\n<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>&e;\n`
  for (const name of ['asking.md', 'asking.html', 'asking.txt']) {
    const { body } = await system.upload({ workspace_id: 'mine', source_ref: name }, { name, content })
    const job = await system.ended(body.job_id)
    expect(job.status).toBe('completed')
    const { text } = await system.call('GET', `/library/api/items/${job.item_uid}/chunks/`)
    expect(text).not.toContain('root:')
  }
  expect(system.log()).not.toContain('/asked"')
})
