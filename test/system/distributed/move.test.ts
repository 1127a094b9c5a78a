import { createHash, randomUUID } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Item } from '@mnemosyne/contracts'
import { freshAmqpUrl, freshPostgresUrl, freshS3Bucket, leaseNeo4j } from '@mnemosyne/platform/testing'
import { expect, onTestFinished, test, vi } from 'vitest'
import { Cluster } from '../../../scripts/distributed/cluster.ts'
import { SystemClient } from '../client.ts'
import { mnemosyne, RunningSystem, temporaryFolder } from '../harness.ts'

// Whole processes and four servers on a machine that other tests keep busy.
vi.setConfig({ testTimeout: 480_000 })

const SUBJECTS = ['pump', 'lamp', 'boat', 'bell', 'tide', 'crane', 'winch', 'anchor']
const QUESTIONS = [
  ...SUBJECTS.map((subject) => `How is the ${subject} looked after in winter?`),
  'Which parts are greased every month?',
  'What does the keeper write into the book?',
]

/** Three sections, each a passage of its own. */
function document(subject: string, state: string): string {
  const section = (title: string, sentence: (n: number) => string) =>
    `## ${title}\n\n${Array.from({ length: 14 }, (_, n) => sentence(n)).join(' ')}\n`
  return [
    `# The ${subject}\n`,
    section(
      `Care of the ${subject} in winter`,
      (n) =>
        `In winter the ${subject} of post ${n} is ${state} and covered with oiled canvas, which the keeper writes down.`,
    ),
    section(
      `Monthly care of the ${subject}`,
      (n) => `Every month bearing ${n} of the ${subject} is greased with tallow, and its bolts are drawn up.`,
    ),
    section(
      `Spare parts of the ${subject}`,
      (n) =>
        `Spare part ${n} of the ${subject} lies in the upper store of the house, with a tag that tells its size.`,
    ),
  ].join('\n')
}

interface Answers {
  items: Pick<Item, 'uid' | 'title' | 'content_hash' | 'chunk_count'>[]
  found: Record<string, string[]>
}

async function answersOf(system: SystemClient): Promise<Answers> {
  const { body } = await system.call('GET', '/library/api/items/?limit=200')
  const items = (body as Item[]).map(({ uid, title, content_hash, chunk_count }) => ({
    uid,
    title,
    content_hash,
    chunk_count,
  }))
  const found: Answers['found'] = {}
  for (const question of QUESTIONS) {
    const { candidates, degraded } = await system.search(question, { limit: 10 })
    expect(degraded).toEqual([])
    found[question] = candidates.map(({ chunk_uid }) => chunk_uid)
  }
  return { items, found }
}

/** In so small a library both graphs are searched exactly; only what scores the same may stand in another order. */
function expectSame(now: Answers, before: Answers): void {
  expect(now.items).toEqual(before.items)
  for (const question of QUESTIONS) {
    expect(now.found[question]!.length).toBe(10)
    expect(now.found[question]![0]).toBe(before.found[question]![0])
    expect(new Set(now.found[question]), question).toEqual(new Set(before.found[question]))
  }
}

const PASSPHRASE = { MNEMOSYNE_BACKUP_PASSPHRASE: 'the tide turns at noon' }

/** A team that reads the station's documents, and the token that it was given. */
async function makeTeam(system: SystemClient): Promise<string> {
  const id = randomUUID()
  const { status, body, text } = await system.call('POST', '/mcp_server/api/teams/', { id, name: 'Crew' })
  expect(status, text).toBe(201)
  const assigned = await system.call('PUT', `/mcp_server/api/teams/${id}/workspaces/`, {
    workspace_ids: ['station'],
  })
  expect(assigned.status, assigned.text).toBe(200)
  return (body as { jwt: string }).jwt
}

/** What a team finds over MCP, by its token. */
async function foundBy(jwt: string, system: SystemClient): Promise<string[]> {
  const search = { name: 'search', arguments: { query: QUESTIONS[0], limit: 10 } }
  const { status, body, text } = await system.mcp('tools/call', search, { token: jwt })
  expect(status, text).toBe(200)
  const { result } = body as { result: { structuredContent: { candidates: { chunk_uid: string }[] } } }
  return result.structuredContent.candidates.map(({ chunk_uid }) => chunk_uid).sort()
}

/** Everything that two backups of the same data have the same: not so what is sealed, each time anew. */
async function contentOf(dir: string): Promise<Record<string, string>> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true })
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  const hashes = paths.map(async (path) => {
    const sha256 = createHash('sha256')
      .update(await readFile(path))
      .digest('hex')
    return [path.slice(dir.length + 1), sha256] as const
  })
  const {
    'manifest.json': _,
    'rows/auth.signing_key.jsonl.gz': __,
    ...content
  } = Object.fromEntries(await Promise.all(hashes))
  return content
}

async function succeed(args: string[], env: Record<string, string | undefined> = {}) {
  const { code, stdout, stderr } = await mnemosyne([...args, '--json'], { env })
  expect(code, stdout + stderr).toBe(0)
  return JSON.parse(stdout)
}

test('a system moves from embedded stores to servers and back, whole, with the same answers, also to a team', async () => {
  const folder = temporaryFolder()
  onTestFinished(() => folder[Symbol.dispose]())
  const path = (name: string) => join(folder.path, name)
  const embedded = await RunningSystem.start(path('data'))
  onTestFinished(() => void embedded.process.kill('SIGKILL'))
  await embedded.createWorkspace('station')
  for (const state of ['oiled', 'dried']) {
    const jobs = SUBJECTS.map((subject) =>
      embedded.upload(
        { workspace_id: 'station', source_ref: subject },
        { name: `${subject}.md`, content: document(subject, state) },
      ),
    )
    for (const { body } of await Promise.all(jobs)) {
      expect(await embedded.ended(body.job_id)).toMatchObject({ status: 'completed' })
    }
  }
  const before = await answersOf(embedded)
  const jwt = await makeTeam(embedded)
  const foundBefore = await foundBy(jwt, embedded)
  expect(foundBefore.length).toBeGreaterThan(5)
  await succeed(['backup', path('first'), '--data-dir', embedded.dataDir], PASSPHRASE)
  expect(await embedded.stop()).toBe(0)

  await using neo4j = await leaseNeo4j()
  const servers = {
    databaseUrl: await freshPostgresUrl(),
    amqpUrl: await freshAmqpUrl(),
    neo4jUrl: neo4j.url,
    bucket: await freshS3Bucket(),
  }
  await using cluster = await Cluster.plan({ servers })
  const there = { ...cluster.storeEnv, ...PASSPHRASE }
  expect(await succeed(['restore', path('first')], there)).toMatchObject({ complete: true, lost_keys: [] })
  await succeed(['backup', path('second')], there)
  expect(await contentOf(path('second'))).toEqual(await contentOf(path('first')))

  for (const process of cluster.all) process.start()
  await Promise.all(cluster.all.map((process) => process.ready()))
  const distributed = new SystemClient(cluster.url, embedded.token)
  expectSame(await answersOf(distributed), before)
  expect(await foundBy(jwt, distributed)).toEqual(foundBefore)
  const next = await distributed.upload(
    { workspace_id: 'station', source_ref: 'flag' },
    { name: 'flag.md', content: document('flag', 'folded') },
  )
  expect(await distributed.ended(next.body.job_id)).toMatchObject({ status: 'completed', error: null })
  const after = await answersOf(distributed)
  expect(after.items).toHaveLength(SUBJECTS.length + 1)
  const foundAfter = await foundBy(jwt, distributed)

  // Beside the services, this time.
  await succeed(['backup', path('third')], there)
  await cluster.close()
  const restored = await succeed(['restore', path('third'), '--data-dir', path('back')], PASSPHRASE)
  expect(restored).toMatchObject({ complete: true, lost_keys: [] })
  const back = await RunningSystem.start(path('back'), { token: embedded.token })
  onTestFinished(() => void back.process.kill('SIGKILL'))
  expectSame(await answersOf(back), after)
  expect(await foundBy(jwt, back)).toEqual(foundAfter)
  expect(await back.stop()).toBe(0)
})
