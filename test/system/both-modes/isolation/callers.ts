import { join } from 'node:path'
import { CSRF_HEADER, SESSION_COOKIE } from '@mnemosyne/contracts'
import { type Answer, type Send, sendTo, sendToSocket } from './asking.ts'
import type { Fault } from './cells.ts'
import { bearer, type Person } from './people.ts'
import { CAST, KID, type World } from './world.ts'

/** Somebody who comes with a good credential. */
export interface Caller {
  name: string
  person: Person
  headers: Record<string, string>
  send: Send
  session: boolean
}

/** Somebody whose credential is refused, whatever they ask for. */
export interface Refused {
  name: string
  headers: Record<string, string>
  detail: string
  /** 403: known, but not believed to mean it; good enough for who changes nothing. */
  status?: 403
}

/** The same person in each of their ways, and everybody else in one. */
export function callersOf(world: World): Caller[] {
  const { system, people, credentials } = world
  const { ada } = people
  const send = sendTo(system.url)
  const ofAda = (name: string, headers: Record<string, string>, session = false): Caller => ({
    ...{ name: `ada, ${name}`, person: ada, headers, send, session },
  })
  return [
    ...CAST.map((name) => ({
      ...{ name: `${name}, ${people[name].level}`, person: people[name], send, session: false },
      headers: bearer(people[name].token),
    })),
    ofAda('token without libraries', bearer(credentials.empty.token)),
    ofAda('token of one library', bearer(credentials.one.token)),
    ofAda('token of one tool', bearer(credentials.health.token)),
    ofAda('session', { cookie: ada.cookie, [CSRF_HEADER]: ada.csrf }, true),
    ofAda('token beside a session that is none', { ...bearer(ada.token), cookie: `${SESSION_COOKIE}=none` }),
    ...localCaller(world),
  ]
}

/** Who may open the socket in the data folder is its first user; where there is a data folder. */
function localCaller({ system, people: { admin } }: World): Caller[] {
  if (!('dataDir' in system)) return []
  const send = sendToSocket(join(system.dataDir, 'control.sock'))
  return [{ name: 'admin, local', person: admin, headers: {}, send, session: false }]
}

/** Shows a session, but not that its person means what it asks for. */
export function browserWithoutToken({ system, people: { ada } }: World): Caller {
  const headers = { cookie: ada.cookie }
  return {
    name: 'ada, session without a CSRF token',
    person: ada,
    headers,
    send: sendTo(system.url),
    session: true,
  }
}

const jwt = (payload: object) =>
  [{ alg: 'HS256', kid: KID }, payload]
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    .concat(Buffer.alloc(32, 7).toString('base64url'))
    .join('.')

export const PER_TURN = jwt({ iss: 'daedalus', sub: 'user:ada', iat: 1_700_000_000, exp: 2_000_000_000 })

/** To the letter. */
export const DETAILS = {
  NONE: 'Authentication credentials were not provided.',
  KEYWORD: 'Use the keyword Bearer: "Authorization: Bearer <token>".',
  INVALID: 'Invalid MCP token.',
  EXPIRED: 'Token has expired.',
  REVOKED: 'Token has been deactivated.',
  DISABLED: 'User account is disabled.',
  TEAM: 'Team tokens are accepted on MCP only.',
  TURN: 'Per-turn JWTs are no longer accepted; mint a team JWT.',
  SESSION: 'Your session has ended. Sign in again.',
  CSRF: 'CSRF token missing or incorrect.',
  CROSS_SITE:
    'This request comes from a page of another site. If that is one of yours, name it in CSRF_TRUSTED_ORIGINS.',
}

/** On REST. */
export function refusedOf({ people: { ada }, kim, credentials }: World): Refused[] {
  const { revoked, expired, dan, teams } = credentials
  const { NONE, KEYWORD, INVALID, EXPIRED, REVOKED, DISABLED, TEAM, TURN, SESSION, CSRF, CROSS_SITE } =
    DETAILS
  const session = { cookie: ada.cookie, [CSRF_HEADER]: ada.csrf }
  const basic = Buffer.from(`ada:${ada.token}`).toString('base64')
  return [
    { name: 'nobody', headers: {}, detail: NONE },
    { name: 'legacy keyword', headers: { authorization: `Token ${ada.token}` }, detail: KEYWORD },
    { name: 'HTTP Basic', headers: { authorization: `Basic ${basic}` }, detail: KEYWORD },
    { name: 'unknown token', headers: bearer('mnem_nobodys'), detail: INVALID },
    { name: 'expired token', headers: bearer(expired.token), detail: EXPIRED },
    { name: 'revoked token', headers: bearer(revoked.token), detail: REVOKED },
    {
      name: 'revoked token beside a session',
      headers: { ...bearer(revoked.token), ...session },
      detail: REVOKED,
    },
    { name: "disabled user's token", headers: bearer(dan.token), detail: DISABLED },
    {
      name: "disabled user's session",
      headers: { cookie: dan.cookie, [CSRF_HEADER]: dan.csrf },
      detail: SESSION,
    },
    { name: 'unknown session', headers: { cookie: `${SESSION_COOKIE}=none` }, detail: SESSION },
    { name: 'per-turn JWT', headers: bearer(PER_TURN), detail: TURN },
    { name: 'team, attached', headers: bearer(teams.attached.jwt), detail: TEAM },
    { name: 'team, detached', headers: bearer(teams.detached.jwt), detail: TEAM },
    { name: 'team, inactive', headers: bearer(teams.inactive.jwt), detail: TEAM },
    { name: 'team, stale', headers: bearer(teams.stale.jwt), detail: TEAM },
    { name: 'team of a disabled user', headers: bearer(teams.disabled.jwt), detail: TEAM },
    { name: 'other team', headers: bearer(teams.other.jwt), detail: TEAM },
    { name: 'session without a CSRF token', headers: { cookie: ada.cookie }, detail: CSRF, status: 403 },
    {
      ...{ name: "session with another's CSRF token", detail: CSRF, status: 403 },
      headers: { cookie: ada.cookie, [CSRF_HEADER]: kim.csrf },
    },
    {
      ...{ name: "session on another site's page", detail: CROSS_SITE, status: 403 },
      headers: { ...session, origin: 'https://elsewhere.example' },
    },
  ]
}

/** The refusal and nothing else. */
export function faultOfRefusal({ status, headers, text }: Answer, refused: Refused): Fault {
  const body = JSON.stringify({ detail: refused.detail })
  const wanted = refused.status === 403 ? `403 null ${body}` : `401 Bearer ${body}`
  const got = `${status} ${headers.get('www-authenticate')} ${text}`
  return got === wanted ? undefined : { expected: wanted, got }
}
