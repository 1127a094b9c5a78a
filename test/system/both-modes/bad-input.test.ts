import type { Job, Library, SearchAnswer, UserToken } from '@mnemosyne/contracts'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type SystemInMode, startInMode } from '../mode.ts'

const NOBODY = '00000000-0000-4000-8000-000000000000'
const UPLOAD_LIMIT = 400_000

let system: SystemInMode
let stranger: string
/** A finished job of the first user's. */
let done: Job

beforeAll(async () => {
  system = await startInMode({
    env: { SPELUNKER_STORAGE_DIR: '', UPLOAD_MAX_BYTES: String(UPLOAD_LIMIT) },
  })
  stranger = await system.addUser('stranger')
  await system.createWorkspace('mine')
  const file = { name: 'heron.md', content: '# Heron\n\nThe grey heron waits in the shallows.' }
  done = await system.ended((await system.upload({ workspace_id: 'mine' }, file)).body.job_id)
})
afterAll(() => system?.[Symbol.asyncDispose]())
afterEach(async () => {
  expect((await system.call('GET', '/ready/')).status).toBe(200)
})

type Answer = Awaited<ReturnType<SystemInMode['call']>>

/** A refusal as every client can read it: `{detail}`, or faults by field. Nothing of the inside shows. */
function expectRefused(answer: Answer, status: number, says?: RegExp): void {
  expect(answer.status, answer.text).toBe(status)
  expect(answer.headers.get('content-type')).toContain('application/json')
  const faults = Object.entries(answer.body as Record<string, unknown>)
  expect(faults.length).toBeGreaterThan(0)
  for (const [field, fault] of faults) {
    if (field === 'detail') expect(fault).toEqual(expect.any(String))
    else expect(fault).toEqual(expect.arrayContaining([expect.any(String)]))
  }
  expect(answer.text).not.toMatch(/node_modules|node:|\bat \w+ \(|SQLITE|\/services\//)
  if (says) expect(answer.text).toMatch(says)
}

const POSTS = [
  '/library/api/workspaces/',
  '/library/api/libraries/',
  '/library/api/collections/',
  '/library/api/ingest/',
  '/library/api/search/',
  '/profile/api/tokens/',
]
const NO_REQUESTS: [string, string][] = [
  ['cut short', '{"query": "heron'],
  ['empty', ''],
  ['an array', '[]'],
  ['null', 'null'],
  ['a string', '"heron"'],
  ['no JSON', 'query=heron'],
  ['followed by more', '{} {}'],
  ['NaN', '{"name": NaN}'],
  ['a hundred thousand brackets', '['.repeat(100_000)],
  ['deep', `{"query": ${'['.repeat(50_000)}${']'.repeat(50_000)}}`],
  ['a prototype', '{"__proto__": {"query": "heron", "name": "heron"}}'],
]

describe.each(POSTS)('POST %s', (path) => {
  test.each(NO_REQUESTS)('refuses a body that is %s', async (_, body) => {
    expectRefused(await system.call('POST', path, body), 400)
  })

  test('refuses a body of more than a megabyte, and the connection is good for the next', async () => {
    const body = JSON.stringify({ query: 'heron '.repeat(200_000) })
    expectRefused(await system.call('POST', path, body), 413, /larger than 1048576 bytes/)
    expectRefused(await system.call('POST', path, body, { token: 'mnem_none' }), 401)
    expect((await system.call('GET', '/profile/api/me/')).status).toBe(200)
  })
})

const hash = '0'.repeat(64)
const INGEST = {
  s3_key: 'a.md',
  title: 'A',
  workspace_id: 'mine',
  file_type: 'text/markdown',
  file_size: 1,
  content_hash: hash,
  source: 'daedalus',
  source_ref: 'a',
}
const WORKSPACE = { workspace_id: 'w', name: 'W', library_type: 'technical' }

describe('one wrong field', () => {
  const cases: [string, object, string, unknown[]][] = [
    ['/library/api/ingest/', INGEST, 's3_key', [undefined, null, 3, '', '../a', 'a/../b', '/etc/passwd']],
    ['/library/api/ingest/', INGEST, 's3_key', ['a\\b', 'a\0b', 'a/./b', './a', 'a/..', '..', 'a//b', 'a/']],
    ['/library/api/ingest/', INGEST, 's3_key', ['a\nb', '\x1b[2J', 'half \ud800', 'k'.repeat(1025)]],
    [
      '/library/api/ingest/',
      INGEST,
      'title',
      [undefined, 3, '', '  ', 'a\0b', 'half \udc00', 'x'.repeat(501)],
    ],
    ['/library/api/ingest/', INGEST, 'file_size', [undefined, null, -1, 1.5, '1', 2 ** 60, [1], true]],
    ['/library/api/ingest/', INGEST, 'content_hash', [undefined, 3, '', hash.slice(1), 'g'.repeat(64)]],
    ['/library/api/ingest/', INGEST, 'source', [undefined, 'upload', 'Daedalus', '', null]],
    [
      '/library/api/ingest/',
      INGEST,
      'source_ref',
      [undefined, '', ' ', 'a\0b', 'half \ud800', 'x'.repeat(1025)],
    ],
    ['/library/api/ingest/', INGEST, 'file_type', [undefined, 3, 'a\0b', 'x'.repeat(256)]],
    ['/library/api/ingest/', INGEST, 'library_uid', [NOBODY, 'x']],
    ['/library/api/ingest/', INGEST, 'collection_uid', ['x', NOBODY.toUpperCase().replace('0', 'A'), 3]],
    [
      '/library/api/workspaces/',
      WORKSPACE,
      'workspace_id',
      [undefined, 3, '', 'a b', 'a/b', 'a\\b', '..', '.'],
    ],
    [
      '/library/api/workspaces/',
      WORKSPACE,
      'workspace_id',
      ['a?b', 'a#b', 'a\0', '\x07', '\ud800', 'x'.repeat(65)],
    ],
    ['/library/api/workspaces/', WORKSPACE, 'library_type', [undefined, 'poetry', '', null, 3]],
    ['/library/api/workspaces/', WORKSPACE, 'name', [undefined, '', 'a\0b', 'half \ud800', 'x'.repeat(201)]],
    ['/library/api/workspaces/', WORKSPACE, 'description', [3, 'a\0b', 'half \ud800', 'x'.repeat(10_001)]],
    ['/library/api/libraries/', { name: 'L', library_type: 'technical' }, 'global', ['yes', 1]],
    [
      '/library/api/libraries/',
      { name: 'L', library_type: 'technical' },
      'chunking_config',
      [3, {}, { strategy: 'x' }],
    ],
    ['/library/api/search/', { query: 'heron' }, 'query', [undefined, null, 3, ['heron'], '', ' \n\t ']],
    ['/library/api/search/', { query: 'heron' }, 'query', ['heron '.repeat(16_667), 'h'.repeat(100_000)]],
    ['/library/api/search/', { query: 'heron' }, 'limit', [0, -1, 1.5, '5', [5]]],
    ['/library/api/search/', { query: 'heron' }, 'library_type', ['poetry', '', 3]],
    ['/library/api/search/', { query: 'heron' }, 'search_types', [[], ['magic'], 'vector', [3]]],
    ['/library/api/search/', { query: 'heron' }, 'library_uid', ['x', '*', "' or 1=1 --", ['x']]],
    ['/library/api/search/', { query: 'heron' }, 'rerank', ['yes', 1]],
    ['/profile/api/tokens/', { name: 'T' }, 'name', [undefined, '', 'a\0', 'half \ud800', 'x'.repeat(101)]],
    ['/profile/api/tokens/', { name: 'T' }, 'expires_at', ['tomorrow', '2001-01-01T00:00:00Z', 3]],
    ['/profile/api/tokens/', { name: 'T' }, 'allowed_libraries', ['*', ['x'], [NOBODY]]],
  ]
  const each = cases.flatMap(([path, good, field, values]) =>
    values.map((value) => ({ path, good, field, value, shown: JSON.stringify(value)?.slice(0, 30) })),
  )
  test.each(each)('$path $field = $shown', async ({ path, good, field, value }) => {
    const answer = await system.call('POST', path, { ...good, [field]: value })
    expectRefused(answer, 400)
    expect(Object.keys(answer.body).map((name) => name.split('.')[0])).toContain(field)
  })

  test('a target that is missing, or given twice', async () => {
    const { workspace_id: _, ...without } = INGEST
    expectRefused(await system.call('POST', '/library/api/ingest/', without), 400, /library_uid/)
  })
})

describe('lists and uids', () => {
  const LISTS = [
    '/library/api/jobs/',
    '/library/api/items/',
    '/library/api/libraries/',
    '/library/api/collections/',
    '/profile/api/tokens/',
  ]
  const QUERIES: [string, number][] = [
    ['limit=0', 400],
    ['limit=-5', 400],
    ['limit=many', 400],
    ['limit=1.5', 400],
    ['limit=1&limit=2', 400],
    ['limit[__proto__][x]=1', 400],
    ['offset=-1', 400],
    ['offset=far', 400],
    ['offset=99999999999999999999', 200],
    ['limit=100000', 200],
    ['limit=99999999999999999999', 200],
    ['offset=9007199254740991', 200],
    ['__proto__[limit]=1', 200],
    ['%', 200],
    ['other=%ff', 200],
  ]
  test.each(LISTS)('%s bounds its page', async (path) => {
    for (const [query, status] of QUERIES) {
      const answer = await system.call('GET', `${path}?${query}`)
      expect(answer.status, `${query}: ${answer.text}`).toBe(status)
      if (status === 400) expectRefused(answer, 400)
    }
  })

  test('a limit beyond 200 is taken for 200, of search beyond 100 for 100', async () => {
    const mint = (name: string) => system.call('POST', '/profile/api/tokens/', { name }, { token: stranger })
    for (let made = 0; made < 201; made += 67) {
      await Promise.all(Array.from({ length: 67 }, (_, index) => mint(`Token ${made + index}`)))
    }
    const list = await system.call('GET', '/profile/api/tokens/?limit=5000', undefined, { token: stranger })
    expect(list.body as UserToken[]).toHaveLength(200)
    expect(Number(list.headers.get('x-total-count'))).toBeGreaterThan(200)
    expect((await system.search('heron', { limit: 5000 })).candidates.length).toBeLessThanOrEqual(100)
  })

  test.each([
    ['GET', '/library/api/jobs/:/'],
    ['POST', '/library/api/jobs/:/retry/'],
    ['POST', '/library/api/jobs/:/cancel/'],
    ['GET', '/library/api/jobs/:/events/'],
    ['GET', '/library/api/items/:/'],
    ['GET', '/library/api/items/:/chunks/'],
    ['DELETE', '/library/api/items/:/'],
    ['GET', '/library/api/chunks/:/'],
    ['GET', '/library/api/libraries/:/'],
    ['DELETE', '/library/api/libraries/:/'],
  ])('%s %s tells a malformed uid from an unknown one', async (method, path) => {
    for (const uid of ['x', NOBODY.toUpperCase().replaceAll('0', 'A'), `${NOBODY}0`, '%27%20or%201=1', '*']) {
      expectRefused(await system.call(method, path.replace(':', uid)), 400, /uid/)
    }
    for (const uid of ['%00', '%ff', '..%2f']) {
      expectRefused(await system.call(method, path.replace(':', uid)), 404)
    }
    expectRefused(await system.call(method, path.replace(':', NOBODY)), 404, /not found/i)
  })

  test('a job filter that is no status, or no uid', async () => {
    expectRefused(await system.call('GET', '/library/api/jobs/?status=lost'), 400, /status/)
    expectRefused(await system.call('GET', '/library/api/jobs/?library_uid=x'), 400, /library_uid/)
    expect((await system.call('GET', `/library/api/jobs/?library_uid=${NOBODY}`)).body).toEqual([])
    expectRefused(await system.call('GET', `/library/api/chunks/${NOBODY}/?before=11`), 400, /before/)
  })
})

describe('the order of refusals', () => {
  const send = (body: object, token?: string | null) =>
    system.call('POST', '/library/api/ingest/', body, token === undefined ? {} : { token })

  test('credential, shape, target, source', async () => {
    const wrong = { ...INGEST, source: 'spelunker', s3_key: '../a', workspace_id: 'none' }
    expectRefused(await send(wrong, null), 401)
    expectRefused(await send(wrong), 400, /s3_key/)
    expectRefused(await send({ ...wrong, s3_key: 'a' }), 404, /Workspace not found/)
    expectRefused(await send({ ...wrong, s3_key: 'a', workspace_id: 'mine' }, stranger), 404)
    expectRefused(await send({ ...wrong, s3_key: 'a', workspace_id: 'mine' }), 503, /SPELUNKER_STORAGE_DIR/)
    expect((await send({ ...INGEST, s3_key: 'a', source_ref: 'order' })).status).toBe(202)
  })

  test("someone else's and nobody's are told apart by nothing", async () => {
    // What the tests before have sent in is still on its way.
    await expect
      .poll(
        async () => {
          const waiting = ['pending', 'processing'].map((status) =>
            system.call('GET', `/library/api/jobs/?status=${status}`),
          )
          return (await Promise.all(waiting)).flatMap(({ body }) => body as Job[])
        },
        { timeout: 30_000 },
      )
      .toEqual([])
    const { body: mine } = await system.call('GET', '/library/api/workspaces/mine/')
    const { library_uid } = mine as { library_uid: string }
    const pairs: [string, string, string, unknown?, unknown?][] = [
      ['GET', '/library/api/workspaces/mine/', '/library/api/workspaces/none/'],
      ['DELETE', '/library/api/workspaces/mine/', '/library/api/workspaces/none/'],
      ['GET', `/library/api/libraries/${library_uid}/`, `/library/api/libraries/${NOBODY}/`],
      ['DELETE', `/library/api/libraries/${library_uid}/`, `/library/api/libraries/${NOBODY}/`],
      ['GET', `/library/api/items/${done.item_uid}/`, `/library/api/items/${NOBODY}/`],
      ['DELETE', `/library/api/items/${done.item_uid}/`, `/library/api/items/${NOBODY}/`],
      ['GET', `/library/api/jobs/${done.job_id}/`, `/library/api/jobs/${NOBODY}/`],
      ['POST', `/library/api/jobs/${done.job_id}/cancel/`, `/library/api/jobs/${NOBODY}/cancel/`],
      ['GET', `/library/api/items/?library_uid=${library_uid}`, `/library/api/items/?library_uid=${NOBODY}`],
      ['POST', '/library/api/ingest/', '/library/api/ingest/', INGEST, { ...INGEST, workspace_id: 'none' }],
      [
        'POST',
        '/library/api/collections/',
        '/library/api/collections/',
        { library_uid, name: 'C' },
        { library_uid: NOBODY, name: 'C' },
      ],
      [
        'POST',
        '/library/api/search/',
        '/library/api/search/',
        { query: 'heron', library_uid },
        { query: 'heron', library_uid: NOBODY },
      ],
    ]
    for (const [method, one, other, body, otherBody] of pairs) {
      const theirs = await system.call(method, one, body, { token: stranger })
      const nobodys = await system.call(method, other, otherBody, { token: stranger })
      expect([theirs.status, theirs.text], `${method} ${one}`).toEqual([nobodys.status, nobodys.text])
      expect(theirs.status).not.toBe(403)
    }
    const taken = await system.call(
      'POST',
      '/library/api/workspaces/',
      { ...WORKSPACE, workspace_id: 'mine' },
      { token: stranger },
    )
    expectRefused(taken, 404, /Workspace not found/)
    expect((await system.call('GET', '/library/api/workspaces/mine/')).body).toEqual(mine)
    expect((await system.search('heron')).candidates[0]?.text_preview).toContain('grey heron')
  })
})

describe('an upload', () => {
  const FIELD = (name: string, value: string) => [`form-data; name="${name}"`, value] as const
  const FILE = (text = '# Egret\n\nThe egret is white.', name = 'file') =>
    [`form-data; name="${name}"; filename="egret.md"\r\nContent-Type: text/markdown`, text] as const
  const MINE = FIELD('workspace_id', 'mine')
  type Part = readonly [string, string]

  const form = (parts: Part[]) =>
    `${parts.map(([header, value]) => `--cut\r\nContent-Disposition: ${header}\r\n\r\n${value}\r\n`).join('')}--cut--\r\n`
  const post = (body: string, type = 'multipart/form-data; boundary=cut') =>
    system.call('POST', '/library/api/items/upload/', body, { headers: { 'content-type': type } })
  const jobs = async () =>
    Number((await system.call('GET', '/library/api/jobs/?limit=1')).headers.get('x-total-count'))
  const kept = async () => (await system.blobs()).filter((path) => /^(uploads|\.tmp)\//.test(path))

  const REFUSED: [string, Part[], number, RegExp][] = [
    ['no file', [MINE], 400, /file.*missing/i],
    ['no target', [FILE()], 400, /workspace_id and library_uid/],
    ['two targets', [MINE, FIELD('library_uid', NOBODY), FILE()], 400, /workspace_id and library_uid/],
    ['a malformed uid', [FIELD('library_uid', 'x'), FILE()], 400, /library_uid/],
    ['an unknown workspace', [FIELD('workspace_id', 'none'), FILE()], 404, /Workspace not found/],
    ['an unknown collection', [MINE, FIELD('collection_uid', NOBODY), FILE()], 404, /Collection not found/],
    ['the target after the file', [FILE(), MINE], 400, /library_uid|workspace_id/],
    ['the title after the file', [MINE, FILE(), FIELD('title', 'Egret')], 400, /title.*before the file/],
    ['a field twice', [MINE, FIELD('title', 'A'), FIELD('title', 'B'), FILE()], 400, /title.*twice/],
    ['two files', [MINE, FILE(), FILE('other')], 400, /file.*one file/],
    ['a file in another field', [MINE, FILE('x', 'document')], 400, /document.*\\"file\\"/],
    ['the file as a plain field', [MINE, FIELD('file', 'x')], 400, /file/],
    ['a blank title', [MINE, FIELD('title', ' '), FILE()], 400, /title.*blank/],
    ['a title with NUL', [MINE, FIELD('title', 'a\0b'), FILE()], 400, /title.*NUL/],
    ['a title of 20,000 characters', [MINE, FIELD('title', 'x'.repeat(20_000)), FILE()], 400, /title.*long/],
    [
      'a hundred fields',
      [MINE, ...Array.from({ length: 100 }, (_, n) => FIELD(`f${n}`, 'x')), FILE()],
      400,
      /many fields/,
    ],
  ]
  test.each(REFUSED)('with %s is refused and leaves nothing', async (_, parts, status, says) => {
    const before = await jobs()
    expectRefused(await post(form(parts)), status, says)
    expect(await jobs()).toBe(before)
    await expect.poll(kept).toEqual([])
  })

  const whole = form([MINE, FIELD('title', 'Egret'), FILE()])
  const BROKEN: [string, string, string?][] = [
    ['nothing in it', ''],
    ['another type', '{}', 'application/json'],
    ['no boundary', whole, 'multipart/form-data'],
    ['another boundary', whole, 'multipart/form-data; boundary=other'],
    ['no end', whole.slice(0, -8)],
    ['an end in the file', whole.slice(0, -25)],
    ['an end in a field', whole.slice(0, whole.indexOf('Egret') + 2)],
    ["an end in a part's header", whole.slice(0, whole.indexOf('filename') + 3)],
    ['an end in a file of another field', form([MINE, FILE('x'.repeat(200), 'other')]).slice(0, -50)],
    [
      'a header of 200 kB',
      form([MINE, [`form-data; name="a"\r\nX-Long: ${'x'.repeat(200_000)}`, 'x'] as const]),
    ],
  ]
  test.each(BROKEN)('with %s is refused and leaves nothing', async (_, body, type) => {
    const before = await jobs()
    expectRefused(await post(body, type), 400)
    expect(await jobs()).toBe(before)
    await expect.poll(kept).toEqual([])
  })

  const head = (headers: string[]) =>
    [
      'POST /library/api/items/upload/ HTTP/1.1',
      'Host: localhost',
      `Authorization: Bearer ${system.token}`,
      'Content-Type: multipart/form-data; boundary=cut',
      'Connection: close',
      ...headers,
      '\r\n',
    ].join('\r\n')

  test.each([0.2, 0.5, 0.99])('that is cut off at %f of its way leaves nothing', async (share) => {
    const before = await jobs()
    const body = form([MINE, FILE('egret '.repeat(50_000))])
    const sent = body.slice(0, Math.floor(body.length * share))
    await system.send(head([`Content-Length: ${body.length}`]) + sent, { cut: true })
    await expect.poll(kept).toEqual([])
    expect(await jobs()).toBe(before)
  })

  test('that says it is too large is refused before it is sent', async () => {
    const answer = await system.send(head(['Content-Length: 5000000000']))
    expect(answer).toMatch(/^HTTP\/1\.1 413 /)
    expect(answer).toContain(`larger than ${UPLOAD_LIMIT} bytes`)
  })

  test('that turns out too large is refused on the way, and leaves nothing', async () => {
    const before = await jobs()
    const body = form([MINE, FILE('egret '.repeat(200_000))])
    const chunk = `${Buffer.byteLength(body).toString(16)}\r\n${body}\r\n0\r\n\r\n`
    const answer = await system.send(head(['Transfer-Encoding: chunked']) + chunk)
    expect(answer).toMatch(/^HTTP\/1\.1 413 /)
    await expect.poll(kept).toEqual([])
    expect(await jobs()).toBe(before)
  })

  test.each([
    '../../../etc/passwd',
    'C:\\windows\\system.ini',
    '/etc/passwd',
    '.',
    '',
    '\0',
    'x'.repeat(4000),
  ])('of a file called %j is stored under a name of ours', async (name) => {
    const file = [
      `form-data; name="file"; filename="${name}"\r\nContent-Type: text/markdown`,
      `# A name\n\n${JSON.stringify(name)}`,
    ]
    const { status, body, text } = await post(
      form([MINE, FIELD('source_ref', JSON.stringify(name.slice(0, 50))), file as unknown as Part]),
    )
    expect(status, text).toBe(202)
    const job = await system.ended((body as Job).job_id)
    expect(job).toMatchObject({ status: 'completed', error: null })
    expect(job.title.length).toBeGreaterThan(0)
    expect(job.title).not.toMatch(/[/\\\0]/)
  })
})

describe('a query', () => {
  const SYNTAX = String.raw`
    "
    ""
    *
    heron*
    ^heron
    heron AND
    AND OR NOT
    NEAR(heron shallows, 5)
    text : heron
    {text title}: heron
    -heron
    +heron +
    ((((heron
    )
    heron"shallows
    '; DROP TABLE chunk; --
    ' OR '1'='1
    %
    _
    \
    \"
    /* heron */
    $1 ?1 :library @p
    MATCH (n) DETACH DELETE n
    }) RETURN n //
    [a TO z]
    {a TO z}
    heron~2^9
    *:*
    && || !
    /heron/
    <script>alert(1)</script>
    {{7*7}}
    __proto__`
    .trim()
    .split(/\n +/)
  const SCRIPTS =
    'цапля ἐρῳδιός أبو אנפה बगुला নিশিবক நாரை నారాయణ നാര නාරා นกกระสา ນົກ ငှက် បក្សី ཕྱུག 鷺 さぎ サギ 왜가리 კოკონა ծով ሽመላ ᏣᎳᎩ ᠰᠢᠪᠠᠭᠤ 𐎠𐎡𐎢 𓅓'.split(
      ' ',
    )
  const CHARACTERS = [
    '\0',
    'heron\0shallows',
    '\ud800',
    'he\udc00ron',
    '\ufffe\uffff',
    '\u202eheron',
    '\u200b',
    'he\u00adron',
    '\x1b[31mheron',
    '🪿',
    '👩‍👩‍👧‍👦',
    '\u{10ffff}',
    'ﷺ'.repeat(500),
    'é'.normalize('NFD').repeat(1000),
    `h${'\u0301'.repeat(5000)}`,
    'İstanbul',
    'ß'.repeat(4000),
  ]
  const LONG = [
    'h'.repeat(8000),
    'heron '.repeat(1333),
    '"'.repeat(8000),
    '('.repeat(8000),
    '🪿'.repeat(4000),
    'a '.repeat(4000),
  ]
  const all = [...SYNTAX, ...SCRIPTS, ...CHARACTERS, ...LONG]

  test('of any characters is answered, and never wider than its scope', async () => {
    const { body } = await system.call('POST', '/library/api/libraries/', {
      name: 'Empty',
      library_type: 'art',
    })
    const library_uid = (body as Library).uid
    for (const query of all) {
      const wide = await system.call('POST', '/library/api/search/', { query })
      const shown = JSON.stringify(query.slice(0, 40))
      expect([200, 400], `${shown}: ${wide.text}`).toContain(wide.status)
      if (wide.status === 400) expectRefused(wide, 400)
      else expect((wide.body as SearchAnswer).degraded, shown).toEqual([])
      const narrow = await system.call('POST', '/library/api/search/', { query, library_uid })
      expect((narrow.body as Partial<SearchAnswer>).candidates ?? [], shown).toEqual([])
      const theirs = await system.call('POST', '/library/api/search/', { query }, { token: stranger })
      expect((theirs.body as Partial<SearchAnswer>).candidates ?? [], shown).toEqual([])
    }
    expect((await system.search('heron')).candidates.length).toBeGreaterThan(0)
  })

  test('over MCP is bounded alike', async () => {
    const search = (query: unknown) => system.mcp('tools/call', { name: 'search', arguments: { query } })
    for (const query of ['h'.repeat(100_000), '', 3, null]) {
      const { status, body } = await search(query)
      expect(status).toBe(200)
      expect(body).toMatchObject({ result: { isError: true } })
    }
    for (const query of ['"', 'AND OR NOT', '\0', '\ud800', '🪿'.repeat(4000)]) {
      const { body } = await search(query)
      expect(body, JSON.stringify(query)).toHaveProperty('result')
    }
    const accept = 'application/json, text/event-stream'
    const raw = (body: string) => system.call('POST', '/mcp/', body, { headers: { accept } })
    expect((await raw('{"jsonrpc": ')).status).toBe(400)
    expect((await raw('[]')).status).toBe(400)
    expect((await raw('x'.repeat(5_000_000))).status).toBe(413)
  })
})

describe('a job', () => {
  test('is retried only when it failed, and cancelled only while it has not ended', async () => {
    const act = (job: string, action: string) => system.call('POST', `/library/api/jobs/${job}/${action}/`)
    expectRefused(await act(done.job_id, 'retry'), 409, /failed.*completed/)
    expectRefused(await act(done.job_id, 'cancel'), 409, /completed/)
    const { body } = await system.call('POST', '/library/api/ingest/', {
      ...INGEST,
      s3_key: 'none.md',
      source_ref: 'retry',
    })
    const failed = await system.ended((body as Job).job_id)
    expect(failed.status).toBe('failed')
    expectRefused(await act(failed.job_id, 'cancel'), 409, /failed/)
    const retried = await act(failed.job_id, 'retry')
    expect(retried.status).toBe(202)
    expect(retried.body).toMatchObject({ status: 'pending', retry_count: 1, error: null })
    expect(await system.ended(failed.job_id)).toMatchObject({ status: 'failed', retry_count: 1 })
  })
})
