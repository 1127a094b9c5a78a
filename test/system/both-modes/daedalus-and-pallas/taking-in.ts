import type { Item, Job, Workspace } from '@mnemosyne/contracts'
import { expect } from 'vitest'
import { COMMON_WORD, page, pdf, type Story } from './story.ts'

/** The documents of the workspace `harbour`. */
export const HARBOUR = ['guide.md', 'lamps.pdf', 'tides.md']

export const ANCHOR = 'The sheet anchor is kept on the lee side and is never used twice in one watch.'
const TIDES = page('tides', 'Spring tides come twice in a lunar month.')

const guide = (lanterns: string) =>
  `# Harbour guide\n\nEverything about the ${COMMON_WORD} and its harbour.\n\n` +
  `## Anchors\n\n${ANCHOR} ${'Its cable is tarred every spring by the harbour crew. '.repeat(12)}\n\n` +
  `## Lanterns\n\n${lanterns} ${'Wicks are trimmed at noon and at dusk by the keeper. '.repeat(12)}\n`

export async function makeWorkspaces(story: Story): Promise<void> {
  const { daedalus } = story
  await story.makeWorkspace(daedalus, 'harbour')
  await story.makeWorkspace(daedalus, 'foundry')
  const frozen = { workspace_id: 'harbour', name: 'Of harbour', library_type: 'fiction' }
  expect((await daedalus.call('POST', '/library/api/workspaces/', frozen)).status).toBe(409)
  expect(await daedalus.read<Workspace>('/library/api/workspaces/harbour/')).toMatchObject({
    item_count: 0,
    chunk_count: 0,
  })
}

export async function takeFilesIn(story: Story): Promise<void> {
  const { daedalus, system } = story
  const requests = await filesToTakeIn(story)
  const [guideJob, pdfJob, castingJob, failed] = await Promise.all(
    requests.map((request) => daedalus.ingest(request)),
  )
  for (const job of [guideJob, pdfJob, castingJob]) {
    expect(job).toMatchObject({ status: 'completed', stage: 'completed', progress: 100, error: null })
    expect(job!.chunks_created).toBeGreaterThan(0)
  }
  const hits = await system.search('cracked lamp', {}, daedalus.token)
  expect(hits.candidates[0]).toMatchObject({ item_title: 'lamps.pdf', page: 1 })

  expect(failed).toMatchObject({ status: 'failed', error: expect.stringMatching(/bytes.*announced/) })
  const inFault = () => daedalus.read<Job[]>('/library/api/jobs/?status=failed')
  expect((await inFault()).map(({ job_id }) => job_id)).toEqual([failed!.job_id])
  await story.file('tides.md', TIDES, {})
  await daedalus.write('POST', `/library/api/jobs/${failed!.job_id}/retry/`, undefined, [202, 409])
  const retried = await daedalus.ended(failed!.job_id)
  expect(retried).toMatchObject({ status: 'completed', error: null, retry_count: 1 })
  expect(await inFault()).toEqual([])
}

/** Of the last one the store holds half, while the request speaks of the whole. */
async function filesToTakeIn(story: Story): Promise<Record<string, unknown>[]> {
  const into = { workspace_id: 'harbour' }
  const lamps = pdf([`Lamps of the ${COMMON_WORD}`, 'The third lamp is cracked.'])
  const requests = [
    await story.file('guide.md', guide('Lanterns burn whale oil.'), into),
    await story.file('lamps.pdf', lamps, { ...into, file_type: 'application/pdf' }),
    await story.file('casting.md', page('casting', 'Bells are cast in loam.'), { workspace_id: 'foundry' }),
    await story.file('tides.md', TIDES, into),
  ]
  await story.file('tides.md', TIDES.slice(0, TIDES.length / 2), into)
  return requests
}

export async function takeInAnEdit(story: Story): Promise<void> {
  const { daedalus, system } = story
  const jobs = await daedalus.read<Job[]>('/library/api/jobs/')
  const before = jobs.find(({ title }) => title === 'guide.md')!
  const edited = await story.file('guide.md', guide('Lanterns burn rape-seed oil now.'), {
    workspace_id: 'harbour',
  })
  const job = await daedalus.ingest(edited)
  expect(job).toMatchObject({ status: 'completed', item_uid: before.item_uid })
  expect(job.job_id).not.toBe(before.job_id)
  const texts = (await daedalus.chunksOf(job.item_uid)).map(({ text }) => text).join('\n')
  expect(texts).toContain(ANCHOR)
  expect(texts).toContain('rape-seed')
  const found = await system.search('lantern oil', {}, daedalus.token)
  expect(JSON.stringify(found)).not.toContain('whale')
  const items = await daedalus.read<Item[]>(`/library/api/items/?library_uid=${job.library_uid}`)
  expect(items.map(({ title }) => title).sort()).toEqual(HARBOUR)
}
