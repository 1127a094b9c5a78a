import { randomUUID } from 'node:crypto'
import { LOGIN_REFUSED } from '@mnemosyne/contracts'
import { ask, sendTo } from './asking.ts'
import { type Caller, DETAILS, faultOfRefusal, type Refused } from './callers.ts'
import { askAll, type Outcome } from './cells.ts'
import { INTERNAL_OPERATIONS, operationNamed } from './operations.ts'
import type { World } from './world.ts'

const everyWay = (path: string) =>
  ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'].map((method) => ({ method, path }))

/** What stands between services, and what is not there at all. */
const NOWHERE = [
  ...INTERNAL_OPERATIONS.map(({ method, path }) => ({ method, path })),
  ...['', '/library/api', '/profile/api', '/accounts/api', '/admin/api', '/mcp_server/api', '/internal']
    .map((prefix) => `${prefix}/nothing/`)
    .flatMap(everyWay),
]

/** What leads nowhere leads nobody anywhere. */
export function askNowhere(world: World, callers: Caller[], refused: Refused[]): Promise<Outcome> {
  const send = sendTo(world.system.url)
  const known = callers.map(({ name, headers, send }) => ({ name, headers, send, refused: undefined }))
  const unknown = refused
    .filter(({ status }) => status !== 403)
    .map((one) => ({ ...one, send, refused: one }))
  const cells = NOWHERE.flatMap((operation) =>
    [...known, ...unknown].map((by) => ({
      ...{ operation, by, caller: by.name, relation: '' },
      asked: `${operation.method} ${operation.path}`,
    })),
  )
  return askAll(cells, async ({ operation, by }) => {
    const body = operation.method === 'GET' ? {} : { body: {} }
    const answer = await ask(by.send, operation, body, by.headers)
    if (by.refused) return faultOfRefusal(answer, by.refused)
    const got = `${answer.status} ${answer.text}`
    return got === NOT_FOUND ? undefined : { expected: NOT_FOUND, got }
  })
}

const NOT_FOUND = `404 ${JSON.stringify({ detail: 'Not found.' })}`

/** Signing in asks for no credential: whoever comes is told of the password alone, but on another site's page. */
export function askToSignIn(world: World, refused: Refused[]): Promise<Outcome> {
  const operation = operationNamed('accounts.login')
  const cells = refused.map((by) => ({ by, caller: by.name, asked: operation.path, relation: '' }))
  return askAll(cells, async ({ by }) => {
    const body = { username: `nobody-${randomUUID()}`, password: 'wrong' }
    const answer = await ask(sendTo(world.system.url), operation, { body }, by.headers)
    const crossSite = by.detail === DETAILS.CROSS_SITE
    return faultOfRefusal(answer, crossSite ? by : { ...by, detail: LOGIN_REFUSED, status: undefined })
  })
}

/** Served to everybody, whatever they show. */
const OPEN = [
  ...['/', '/api/docs/', '/api/schema/', '/static/page.css', '/static/home.js'],
  ...['/live/', '/ready/', '/metrics', '/mcp/health', '/healthz'],
]

export function askForDocuments(world: World, refused: Refused[]): Promise<Outcome> {
  const send = sendTo(world.system.url)
  const cells = OPEN.flatMap((path) =>
    refused.map((by) => ({ path, by, caller: by.name, asked: path, relation: '' })),
  )
  return askAll(cells, async ({ path, by }) => {
    const { status } = await ask(send, { method: 'GET', path }, {}, by.headers)
    return status === 200 ? undefined : { expected: '200', got: String(status) }
  })
}
