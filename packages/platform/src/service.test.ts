import { Writable } from 'node:stream'
import { CallError, createClient, type Principal, servicePrincipal } from '@mnemosyne/contracts'
import { oc } from '@orpc/contract'
import { implement } from '@orpc/server'
import { Registry } from 'prom-client'
import { beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { createSigner, createVerifier, generateAssertionKeys, publicKeys } from './assertion.ts'
import { DomainError, FieldError } from './errors.ts'
import { createLog } from './log.ts'
import { type RequestContext, serviceApp } from './service.ts'
import { Metrics } from './telemetry.ts'

const contract = {
  echo: oc
    .route({ method: 'POST', path: '/echo/{name}/' })
    .input(z.object({ name: z.string(), times: z.number().int() }))
    .output(z.object({ said: z.string() })),
}

const lines: string[] = []
const log = createLog({
  component: 'search',
  level: 'debug',
  destination: new Writable({ write: (chunk, _, done) => done(void lines.push(String(chunk))) }),
})
const callerLeaves = new AbortController()
let app: (request: Request) => Promise<Response>
let sign: Awaited<ReturnType<typeof createSigner>>

beforeAll(async () => {
  const keys = await generateAssertionKeys('k1')
  sign = await createSigner('gateway', keys)
  const os = implement(contract).$context<RequestContext>()
  app = serviceApp({
    name: 'search',
    log,
    metrics: new Metrics(new Registry(), 'search'),
    readiness: async () => ({ status: 'starting', checks: {} }),
    verify: await createVerifier('search', publicKeys(keys)),
    errorStatus: { TAKEN: 409, BUSY: 503 },
    maxBodyBytes: 2000,
    routes: (app) => {
      app.post('/busy', () => {
        throw new DomainError('BUSY', 'Too many at once.', { retryAfterSeconds: 7 })
      })
      app.post('/upload', async (c) => {
        callerLeaves.abort()
        await c.req.text()
        return c.json({})
      })
    },
    router: os.router({
      echo: os.echo.handler(({ input }) => {
        if (input.name === 'taken') throw new DomainError('TAKEN', 'That name is taken.')
        if (input.name === 'busy')
          throw new DomainError('BUSY', 'Too many at once.', { retryAfterSeconds: 7 })
        if (input.name === 'field') throw new FieldError('name', 'Not that one.')
        if (input.name === 'boom') throw new Error('the password is hunter2')
        return { said: input.name.repeat(input.times) }
      }),
    }),
  })
})

async function call(
  path: string,
  body: string,
  headers: Record<string, string> = {},
  principal: Principal | null = servicePrincipal('rest'),
) {
  const assertion = principal && (await sign(principal, 'search'))
  return app(
    new Request(`http://s${path}`, {
      method: 'POST',
      body,
      headers: {
        'content-type': 'application/json',
        ...(assertion && { 'x-mnemosyne-principal': assertion }),
        ...headers,
      },
    }),
  )
}

describe('a service answers', () => {
  test.each([
    ['with a slash', '/echo/ab/', '{"times":2}', 200, { said: 'abab' }],
    ['without one', '/echo/ab', '{"times":2}', 200, { said: 'abab' }],
    [
      'a wrong type with the field',
      '/echo/ab/',
      '{"times":"x"}',
      400,
      { times: [expect.stringContaining('expected number')] },
    ],
    [
      'malformed JSON',
      '/echo/ab/',
      '{"times":',
      400,
      { detail: expect.stringContaining('well-formed JSON') },
    ],
    [
      'a refusal in the words of the domain',
      '/echo/taken/',
      '{"times":1}',
      409,
      { detail: 'That name is taken.' },
    ],
    ['a refused field', '/echo/field/', '{"times":1}', 400, { name: ['Not that one.'] }],
    ['an unknown path', '/nowhere/', '{}', 404, { detail: 'Not found.' }],
    [
      'a body over the limit',
      '/echo/ab/',
      `{"times":1,"x":"${'y'.repeat(3000)}"}`,
      413,
      { detail: expect.stringContaining('2000 bytes') },
    ],
  ])('%s', async (_, path, body, status, expected) => {
    const response = await call(path, body)
    expect({ status: response.status, body: await response.json() }).toEqual({ status, body: expected })
  })

  test.each(['/echo/busy/', '/busy'])('%s with when to try again', async (path) => {
    const response = await call(path, '{"times":1}')
    expect([response.status, await response.json()]).toEqual([503, { detail: 'Too many at once.' }])
    expect(response.headers.get('retry-after')).toBe('7')
    expect((await call('/echo/taken/', '{"times":1}')).headers.has('retry-after')).toBe(false)
  })

  test('an unexpected error blandly, and logs it with the request id', async () => {
    const response = await call('/echo/boom/', '{"times":1}', { 'x-request-id': 'r-42' })
    expect(response.status).toBe(500)
    expect(response.headers.get('x-request-id')).toBe('r-42')
    expect(await response.text()).not.toContain('hunter2')
    expect(lines.find((line) => line.includes('hunter2'))).toContain('"request_id":"r-42"')
  })

  test('nobody, and logs no error, when the caller went away', async () => {
    const body = new ReadableStream({
      start: (controller) =>
        callerLeaves.signal.addEventListener('abort', () => controller.error(new Error('cut'))),
    })
    const init = { method: 'POST', body, signal: callerLeaves.signal, duplex: 'half' }
    expect((await app(new Request('http://s/upload', init as RequestInit))).status).toBe(499)
    expect(
      lines.filter((line) => line.includes('cut') || line.includes('unexpected error in a route')),
    ).toEqual([])
  })

  test('401 to a missing, foreign or broken assertion', async () => {
    for (const bad of ['', 'x.y.z', await sign(servicePrincipal('rest'), 'library')]) {
      expect(
        (await call('/echo/a/', '{"times":1}', bad ? { 'x-mnemosyne-principal': bad } : {}, null)).status,
      ).toBe(401)
    }
  })

  test('probes without a credential, and 503 while it starts', async () => {
    expect((await app(new Request('http://s/live'))).status).toBe(200)
    expect((await app(new Request('http://s/ready/'))).status).toBe(503)
    expect(await (await app(new Request('http://s/metrics'))).text()).toContain('operation="echo"')
  })
})

test('what is logged of a request names the id of the acting user, and no name', async () => {
  const user = { id: 'u-77', username: 'jocasta', staff: 'none' as const }
  const headers = { 'x-request-id': 'r-77' }
  await call('/echo/ab/', '{"times":2}', headers, { ...servicePrincipal('rest'), kind: 'team', user })
  const line = lines.find((each) => each.includes('"r-77"'))
  expect(JSON.parse(line!)).toMatchObject({ msg: 'request', user_id: 'u-77' })
  await call('/echo/ab/', '{"times":2}', { 'x-request-id': 'r-78' })
  expect(JSON.parse(lines.find((each) => each.includes('"r-78"'))!)).not.toHaveProperty('user_id')
  expect(lines.join()).not.toContain('jocasta')
})

describe('a typed client', () => {
  test('calls in the same process with its delegation, and throws refusals', async () => {
    const client = createClient(contract, { fetch: (request) => app(request), audience: 'search' })
    const context = { delegations: { search: await sign(servicePrincipal('rest'), 'search') } }
    expect(await client.echo({ name: 'a', times: 3 }, { context })).toEqual({ said: 'aaa' })
    await expect(client.echo({ name: 'taken', times: 1 }, { context })).rejects.toSatisfy(
      (error) =>
        error instanceof CallError && error.status === 409 && error.message === 'That name is taken.',
    )
    await expect(client.echo({ name: 'a', times: 1 })).rejects.toMatchObject({ status: 401 })
  })
})
