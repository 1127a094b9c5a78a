import { chmod, mkdir, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { GoldenRunDetail, Job, Library, SearchAnswer } from '@mnemosyne/contracts'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import {
  BOUND_BY_PERMISSIONS,
  MAIN,
  mnemosyne,
  permissionsCanBeTested,
  RunningSystem,
  temporaryFolder,
} from './harness.ts'

/** A folder with documents, a hidden file, a program, and a link. */
async function documents(root: string): Promise<string> {
  const dir = join(root, 'papers')
  await mkdir(join(dir, 'deeper', 'still'), { recursive: true })
  await mkdir(join(dir, '.hidden'))
  const files = {
    'anchors.md': '# Anchors\n\nThe sheet anchor is kept on the lee side.\n',
    'deeper/lanterns.txt': 'Lanterns burn rape-seed oil, and are trimmed at noon.\n',
    'deeper/still/tides.html': '<title>Tides</title><h1>Tides</h1><p>Spring tides follow the full moon.</p>',
    '.secret.md': '# Secret\n\nNot to be read.\n',
    '.hidden/also.md': '# Also\n\nNot to be read.\n',
    'program.bin': new Uint8Array([0x7f, 0x45, 0x4c, 0x46, 0, 0, 0, 1]),
  }
  for (const [name, content] of Object.entries(files)) await writeFile(join(dir, name), content)
  await symlink('anchors.md', join(dir, 'link.md'))
  return dir
}

/** The one JSON document on stdout. */
function documentOf<T>(answer: { stdout: string }): T {
  expect(answer.stdout).toMatch(/^\{.*\}\n$/)
  return JSON.parse(answer.stdout) as T
}

interface IngestAnswer {
  library: Library
  jobs: Job[]
  refused: { path: string; reason: string }[]
  skipped: { path: string; reason: string }[]
}

describe('with a running process', () => {
  const home = temporaryFolder()
  // Longer than the path of a socket may be.
  const dataDir = join(home.path, `a-folder-with-a-very-long-name-${'x'.repeat(90)}`)
  let system: RunningSystem
  let papers: string
  beforeAll(async () => {
    system = await RunningSystem.start(dataDir)
    papers = await documents(home.path)
  })
  afterAll(async () => {
    await system?.stop()
    home[Symbol.dispose]()
  })

  const local = (...args: string[]) => mnemosyne([...args, '--data-dir', dataDir, '--json'])
  const remote = (...args: string[]) =>
    mnemosyne([...args, '--json'], { env: { MNEMOSYNE_URL: system.url, MNEMOSYNE_TOKEN: system.token } })

  test('ingest takes the documents of a folder at any depth, and says what it left out', async () => {
    const { code, stdout } = await local(
      ...['ingest', papers, '--library', 'Papers', '--library-type', 'technical'],
      ...['--collection', 'Harbour', '--wait'],
    )
    expect(code).toBe(0)
    const { library, jobs, skipped, refused } = documentOf<IngestAnswer>({ stdout })
    expect(library).toMatchObject({ name: 'Papers', library_type: 'technical' })
    expect(jobs.map(({ status }) => status)).toEqual(['completed', 'completed', 'completed'])
    expect(jobs.map(({ source_ref }) => source_ref.slice(papers.length + 1)).sort()).toEqual([
      'anchors.md',
      'deeper/lanterns.txt',
      'deeper/still/tides.html',
    ])
    expect(new Set(jobs.map(({ collection_uid }) => collection_uid)).size).toBe(1)
    expect(skipped.map(({ path }) => path.slice(papers.length + 1))).toEqual(['link.md', 'program.bin'])
    expect(refused).toEqual([])
  })

  test('the same again is the same jobs', async () => {
    const { code, stdout } = await remote('ingest', papers, '--library', 'Papers', '--wait')
    expect(code).toBe(0)
    expect(documentOf<IngestAnswer>({ stdout }).jobs).toHaveLength(3)
    const status = documentOf<{ jobs: Record<string, number> }>(await local('status'))
    expect(status).toMatchObject({ running: true, status: 'ready', libraries: 1, jobs: { completed: 3 } })
  })

  test('a document that fails gives exit 1 and its reason; the others are taken in', async () => {
    const dir = join(home.path, 'mixed')
    await mkdir(dir)
    await writeFile(join(dir, 'broken.pdf'), '%PDF-1.4 and no more')
    await writeFile(join(dir, 'empty.md'), '')
    await writeFile(join(dir, 'good.md'), '# Good\n\nA good one.\n')
    const json = await local('ingest', dir, '--library', 'Papers', '--wait')
    expect(json.code).toBe(1)
    const byName = Object.fromEntries(
      documentOf<IngestAnswer>(json).jobs.map((job) => [job.source_ref.split('/').at(-1), job]),
    )
    expect(byName['good.md']).toMatchObject({ status: 'completed' })
    expect(byName['broken.pdf']).toMatchObject({ status: 'failed', error: expect.stringMatching(/\w/) })
    expect(byName['empty.md']).toMatchObject({ status: 'failed', error: expect.stringMatching(/empty/i) })
    const people = await mnemosyne(['ingest', dir, '--library', 'Papers', '--wait', '--data-dir', dataDir])
    expect(people.code).toBe(1)
    expect(people.stdout).toContain(byName['broken.pdf']!.error!)
  })

  test.runIf(permissionsCanBeTested())(
    'a file that may not be read is told, and the rest is taken in',
    async () => {
      const dir = join(home.path, 'guarded')
      await mkdir(dir)
      await writeFile(join(dir, 'open.md'), '# Open\n\nFor everybody.\n')
      await writeFile(join(dir, 'closed.md'), '# Closed\n\nFor nobody.\n')
      await chmod(join(dir, 'closed.md'), 0)
      await chmod(home.path, 0o755)
      const { code, stdout } = await mnemosyne(['ingest', dir, '--library', 'Papers', '--wait', '--json'], {
        env: { MNEMOSYNE_URL: system.url, MNEMOSYNE_TOKEN: system.token, NODE_COMPILE_CACHE: undefined },
        uid: BOUND_BY_PERMISSIONS,
      })
      const { jobs, refused } = documentOf<IngestAnswer>({ stdout })
      expect(code).toBe(1)
      expect(refused).toEqual([{ path: join(dir, 'closed.md'), reason: expect.stringMatching(/read/) }])
      expect(jobs.map(({ source_ref, status }) => [source_ref, status])).toEqual([
        [join(dir, 'open.md'), 'completed'],
      ])
    },
  )

  test.each([
    ['the socket', local],
    ['--url and --token', remote],
  ])('search over %s', async (_, run) => {
    const answer = await run(
      'search',
      'where is the emergency anchor?',
      '--library',
      'Papers',
      '--limit',
      '2',
    )
    expect(answer.code).toBe(0)
    const { candidates } = documentOf<SearchAnswer>(answer)
    expect(candidates.length).toBeLessThanOrEqual(2)
    expect(candidates[0]?.text_preview).toContain('lee side')
    const explained = await run('search', 'sheet anchor', '--explain')
    expect(documentOf<SearchAnswer>(explained).candidates[0]?.explanation).toBeDefined()
  })

  test('golden queries are replayed, and end with 1 below what was asked for', async () => {
    const anchors = documentOf<SearchAnswer>(await local('search', 'sheet anchor')).candidates[0]!
    const path = `/library/api/libraries/${anchors.library_uid}/golden-queries/`
    const wanted = [
      { query: 'where is the emergency anchor?', chunk_uid: anchors.chunk_uid },
      { query: 'sheet anchor', item_uid: anchors.item_uid },
    ]
    for (const golden of wanted) expect((await system.call('POST', path, golden)).status).toBe(201)
    const whole = await remote('golden-queries', '--library', 'Papers', '--min-recall', '1')
    expect(whole.code, whole.stdout).toBe(0)
    const run = documentOf<GoldenRunDetail>(whole)
    expect(run).toMatchObject({ trigger: 'asked', queries: 2, remaining: 0, recall_at_10: 1, exact: true })
    expect(run.results.map(({ query }) => query).sort()).toEqual(wanted.map(({ query }) => query).sort())
    const tides = await local('search', 'spring tides').then(documentOf<SearchAnswer>)
    const elsewhere = { query: 'sheet anchor on the lee side', chunk_uid: tides.candidates[0]!.chunk_uid }
    expect((await system.call('POST', path, elsewhere)).status).toBe(201)
    const args = ['golden-queries', '--library', 'Papers', '--data-dir', dataDir]
    const below = await mnemosyne([...args, '--min-mrr', '0.99'])
    expect(below.code, below.stdout).toBe(1)
    expect(below.stdout).toMatch(/MRR is 0\.\d{3}, below 0\.99/)
    expect(below.stdout).toContain(elsewhere.query)
  })

  test('a password comes by standard input, and is in no log and no argument', async () => {
    const password = 'tide-and-lantern-4711'
    const made = await mnemosyne(
      ['create-user', 'keeper', '--email', 'keeper@example.org', '--staff', '--password-stdin'].concat(
        ...['--data-dir', dataDir, '--json'],
      ),
      { input: `${password}\n` },
    )
    expect(made.code).toBe(0)
    expect(documentOf(made)).toMatchObject({ username: 'keeper', is_staff: true, is_superuser: false })
    expect(system.log()).not.toContain(password)
    expect(made.stdout + made.stderr).not.toContain(password)
  })

  test('a token is shown once, and works until it expires', async () => {
    const mint = async (expires: Date) =>
      documentOf<{ token: string; id: string }>(
        await local(
          ...['create-user-token', '--user', 'keeper', '--name', 'test'],
          ...['--expires-at', expires.toISOString(), '--allowed-libraries', '*', '--allowed-tools', 'search'],
        ),
      )
    const { token, id } = await mint(new Date(Date.now() + 3_600_000))
    expect(id).toMatch(/^[0-9a-f-]{36}$/)
    expect((await system.call('GET', '/profile/api/me/', undefined, { token })).status).toBe(200)
    expect(system.log()).not.toContain(token)
    const past = await local(
      ...['create-user-token', '--user', 'keeper', '--name', 'past', '--expires-at', '2020-01-01T00:00:00Z'],
    )
    if (past.code === 0) {
      const { token: expired } = documentOf<{ token: string }>(past)
      expect((await system.call('GET', '/profile/api/me/', undefined, { token: expired })).status).toBe(401)
    } else expect(past.code).toBe(1)
  })

  test('seeding a signing key again changes nothing, and never prints its secret', async () => {
    for (const args of [[], [], ['--retire-other']])
      expect(documentOf(await local('seed-signing-key', '--kid', 'second', ...args))).toEqual({
        kid: 'second',
      })
    const retired = await local('seed-signing-key', '--kid', 'first')
    expect(retired.code).toBe(1)
    expect(documentOf<{ error: { detail: string } }>(retired).error.detail).toMatch(/retired/)
  })

  test('its socket is for the owner alone', async () => {
    const { controlSocket } = await import('../../apps/cli/src/system/control.ts')
    const socket = controlSocket(dataDir)
    expect(Buffer.byteLength(socket)).toBeLessThan(108)
    expect((await stat(socket)).mode & 0o777).toBe(0o600)
    expect((await stat(join(socket, '..'))).mode & 0o777).toBe(0o700)
  })

  test.each<[string, string[], number, RegExp]>([
    ['a user that exists', ['create-user', 'keeper', '--no-password'], 1, /keeper/],
    ['a token for nobody', ['create-user-token', '--user', 'nobody', '--name', 'x'], 1, /nobody|user/i],
    ['a user who is not there', ['disable-user', 'nobody'], 1, /nobody/],
    ['a group that is none', ['create-user', 'x', '--no-password', '--groups', 'Staff,Root'], 2, /Root/],
    [
      'two words on libraries',
      ['delete-user', 'keeper', '--hand-over-to', 'x', '--delete-libraries'],
      2,
      /one of/,
    ],
    ['a password on the command line', ['set-password', 'keeper', 'secret'], 2, /argument/],
    ['a token that is not there', ['revoke-user-token', 'x'], 1, /Token not found/],
    ['an unknown library', ['search', 'x', '--library', 'None'], 1, /None/],
    ['an unknown library to ingest to', ['ingest', MAIN, '--library', 'None'], 1, /--library-type/],
    ['a blank query', ['search', '  '], 1, /query/],
    ['an unknown command', ['bogus'], 2, /bogus/],
    ['an unknown option', ['status', '--bogus'], 2, /--bogus/],
    ['a missing argument', ['search'], 2, /query/],
    ['a missing option', ['ingest', '.'], 2, /--library/],
    ['no library', ['golden-queries'], 2, /--library/],
    ['a share that is none', ['golden-queries', '--library', 'Papers', '--min-recall', '2'], 2, /0 to 1/],
    ['a limit that is none', ['search', 'x', '--limit', 'many'], 2, /limit/],
    ['no password and none wanted', ['create-user', 'x'], 2, /--password-stdin/],
    ['a name that is too long', ['create-user', 'x'.repeat(151), '--no-password'], 2, /username/],
    [
      'a time that is none',
      ['create-user-token', '--user', 'a', '--name', 'x', '--expires-at', 'soon'],
      2,
      /8601/,
    ],
    ['a path that is not there', ['ingest', '/no/such/path', '--library', 'Papers'], 2, /no\/such\/path/],
    ['a data folder in use', ['up', '--port', '0'], 3, /in use/],
  ])('%s', async (_, args, code, words) => {
    const answer = await local(...args)
    expect({
      code: answer.code,
      detail: documentOf<{ error: { detail: string } }>(answer).error.detail,
    }).toEqual({
      code,
      detail: expect.stringMatching(words),
    })
  })

  test.each<[string, Record<string, string>, number]>([
    ['an address where nothing answers', { MNEMOSYNE_URL: 'http://127.0.0.1:1', MNEMOSYNE_TOKEN: 'x' }, 3],
    ['an address without a token', { MNEMOSYNE_URL: 'http://127.0.0.1:1' }, 2],
    ['a configuration that is wrong', { WORKER_CONCURRENCY: 'many' }, 3],
  ])('%s', async (_, env, code) => {
    const answer = await mnemosyne(['search', 'x', '--data-dir', join(home.path, 'other'), '--json'], { env })
    expect(answer.code).toBe(code)
    expect(documentOf(answer)).toMatchObject({ error: { detail: expect.stringMatching(/\w/) } })
  })

  test('a token that is refused', async () => {
    const answer = await mnemosyne(['search', 'x', '--url', system.url, '--token', 'mnem_wrong', '--json'])
    expect(answer.code).toBe(1)
    expect(documentOf(answer)).toMatchObject({ error: { code: 'HTTP_401' } })
  })
})

test('without a running process the stores are opened for the command', async () => {
  const home = temporaryFolder()
  onTestFinished(() => home[Symbol.dispose]())
  const dataDir = join(home.path, 'data')
  const papers = await documents(home.path)
  const run = async <T>(...args: string[]) => {
    const answer = await mnemosyne([...args, '--data-dir', dataDir, '--json'])
    expect(answer.code, answer.stdout + answer.stderr).toBe(0)
    return documentOf<T>(answer)
  }
  expect(await run('migrate')).toEqual({ migrated: true, running: false })
  expect(await run('create-user', 'keeper', '--no-password')).toMatchObject({ username: 'keeper' })
  expect(await run('create-user-token', '--user', 'keeper', '--name', 'x')).toMatchObject({
    token: expect.stringMatching(/^mnem_/),
  })
  expect(await run('seed-signing-key', '--kid', 'k1')).toEqual({ kid: 'k1' })
  const { jobs } = await run<IngestAnswer>(
    ...['ingest', join(papers, 'anchors.md'), '--library', 'Papers', '--library-type', 'technical'],
  )
  expect(jobs).toEqual([expect.objectContaining({ status: 'completed' })])
  const { candidates } = await run<SearchAnswer>('search', 'where is the emergency anchor?')
  expect(candidates[0]?.text_preview).toContain('lee side')
  expect(await run('status')).toMatchObject({ running: false, libraries: 1, jobs: { completed: 1 } })
})

// Each command opens all stores, and closes them.
test('without a running process users are administered on the stores', { timeout: 240_000 }, async () => {
  const home = temporaryFolder()
  onTestFinished(() => home[Symbol.dispose]())
  const dataDir = join(home.path, 'data')
  const run = async <T>(...args: string[]) => {
    const answer = await mnemosyne([...args, '--data-dir', dataDir, '--json'])
    expect(answer.code, answer.stdout + answer.stderr).toBe(0)
    return documentOf<T>(answer)
  }
  await run('create-user', 'keeper', '--no-password')
  await run('seed-signing-key', '--kid', 'k1')
  expect(await run('list-signing-keys')).toMatchObject({ keys: [{ kid: 'k1', is_current: true }] })
  expect(await run('create-user', 'helper', '--no-password', '--groups', 'Staff')).toMatchObject({
    is_staff: true,
  })
  expect(await run('disable-user', 'helper')).toMatchObject({ is_active: false })
  expect(await run('rename-user', 'helper', 'aide')).toMatchObject({ username: 'aide' })
  expect(await run('delete-user', 'aide')).toMatchObject({ deleted: true })
  const anchors = join(await documents(home.path), 'anchors.md')
  await run('ingest', anchors, '--library', 'Papers', '--library-type', 'technical')
  expect(await run('backfill-memberships')).toEqual({ libraries: 1, added: 0 })
  await run('create-user', 'heir', '--no-password')
  expect(await run('delete-user', 'keeper', '--hand-over-to', 'heir')).toMatchObject({
    handed_over_to: 'heir',
  })
  // The first user is the heir now, and reads what was handed over.
  const { candidates } = await run<SearchAnswer>('search', 'where is the emergency anchor?')
  expect(candidates[0]?.text_preview).toContain('lee side')
  expect(await run('list-users')).toMatchObject({ users: [{ username: 'heir' }] })
})
