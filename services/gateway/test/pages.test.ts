import { beforeAll, describe, expect, test } from 'vitest'
import { type ApiDocument, openApiDocument } from '../src/openapi.ts'
import { routeOf } from '../src/routes.ts'
import { openWorld, type World } from './harness.ts'

let world: World
beforeAll(async () => {
  world = await openWorld()
})

describe.each(['/', '/api/docs/'])('the page %s', (path) => {
  test('has nothing inline and nothing from elsewhere', async () => {
    const answer = await world.call(path)
    const html = await answer.text()
    expect(answer.headers.get('content-type')).toBe('text/html; charset=utf-8')
    expect(answer.headers.get('content-security-policy')).toMatch(
      /default-src 'none'; script-src 'self'; style-src 'self'/,
    )
    expect(answer.headers.get('content-security-policy')).not.toContain('unsafe')
    expect(html).not.toMatch(/<style|\sstyle=|\son\w+=|https?:/)
    expect(html.match(/<script[^>]*>/g)!.every((tag) => tag.includes(' src="/static/'))).toBe(true)
  })

  test('links only to what is there', async () => {
    const html = await (await world.call(path)).text()
    for (const [, link] of html.matchAll(/(?:href|src)="(\/[^"]*)"/g)) {
      expect([link, (await world.call(link!)).status]).toEqual([link, 200])
    }
  })

  test('names its files by version, which may be kept for ever; without a version they are asked for again', async () => {
    const html = await (await world.call(path)).text()
    const files = [...html.matchAll(/"(\/static\/[^"?]+)(\?v=[\w-]{22})"/g)]
    expect(files).toHaveLength(3)
    for (const [, file, version] of files) {
      const kept = (await world.call(`${file}${version}`)).headers.get('cache-control')
      expect([file, kept]).toEqual([file, 'public, max-age=31536000, immutable'])
      expect((await world.call(`${file}?v=other`)).headers.get('cache-control')).toBe('no-cache')
    }
  })

  test('is not sent again when the browser has it', async () => {
    const etag = (await world.call(path)).headers.get('etag')!
    expect((await world.call(path, { headers: { 'if-none-match': etag } })).status).toBe(304)
  })
})

describe('the schema', () => {
  let document: ApiDocument
  beforeAll(async () => {
    document = await openApiDocument()
  })

  test('is served as JSON', async () => {
    const answer = await world.call('/api/schema/')
    expect(answer.headers.get('content-type')).toBe('application/json')
    expect(await answer.json()).toEqual(JSON.parse(JSON.stringify(document)))
    expect(document.openapi).toMatch(/^3\.1\./)
  })

  test('describes only paths that are routed, and no internal one', () => {
    const paths = Object.keys(document.paths)
    expect(paths.length).toBeGreaterThan(15)
    expect(paths.filter((path) => !path.endsWith('/'))).toEqual([])
    expect(paths).toContain('/library/api/search/')
    for (const path of paths) expect([path, routeOf(path)?.target]).toEqual([path, expect.any(String)])
  })

  test('asks for a bearer or a session and says what a refusal looks like, on every operation', () => {
    expect(document).toMatchObject({ security: [{ bearer: [] }, { session: [] }] })
    for (const item of Object.values(document.paths)) {
      for (const operation of Object.values(item))
        expect(operation.responses).toMatchObject({ 401: {}, 503: {} })
    }
    expect(JSON.stringify(document)).toContain('"WWW-Authenticate"')
  })

  test.each([
    ['get', '/library/api/items/', undefined],
    ['post', '/library/api/search/', [{ bearer: [] }, { session: [], csrf: [] }]],
    ['post', '/library/api/items/upload/', [{ bearer: [] }, { session: [], csrf: [] }]],
    ['post', '/accounts/api/login/', []],
    ['get', '/accounts/api/session/', [{ session: [] }]],
    ['post', '/accounts/api/logout/', [{ session: [], csrf: [] }]],
  ] as const)('says what %s %s asks for', (method, path, security) => {
    expect(document.paths[path]?.[method]).toBeDefined()
    expect(document.paths[path]![method]!.security).toEqual(security)
  })

  test('names the cookie and the header of a session', () => {
    expect(document).toMatchObject({
      components: {
        securitySchemes: {
          session: { type: 'apiKey', in: 'cookie', name: 'mnemosyne_session' },
          csrf: { type: 'apiKey', in: 'header', name: 'x-csrf-token' },
        },
      },
    })
  })

  test('says when to try a password again', () => {
    for (const path of ['/accounts/api/login/', '/profile/api/password/']) {
      expect([path, Object.keys(document.paths[path]!.post!.responses!)]).toEqual([
        path,
        expect.arrayContaining(['429']),
      ])
    }
  })

  test('has the upload, with its file', () => {
    expect(document.paths['/library/api/items/upload/']?.post?.requestBody).toMatchObject({
      content: {
        'multipart/form-data': { schema: { properties: { file: { format: 'binary' }, library_uid: {} } } },
      },
    })
  })

  test('refers to nothing that is not there', () => {
    const root = JSON.parse(JSON.stringify(document))
    for (const [, reference] of JSON.stringify(document).matchAll(/"\$ref":"#\/([^"]+)"/g)) {
      expect([reference, reference!.split('/').reduce((at, key) => at?.[key], root)]).toEqual([
        reference,
        expect.anything(),
      ])
    }
  })
})
