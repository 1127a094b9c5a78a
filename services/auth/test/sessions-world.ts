import {
  type authInternalContract,
  type Client,
  DELEGATION_HEADER,
  encodeDelegations,
  PRINCIPAL_HEADER,
  type Principal,
  type Resolution,
  type Session,
  servicePrincipal,
  type User,
} from '@mnemosyne/contracts'
import { openWorld, type World } from './harness.ts'

export const PASSWORD = 'correct horse battery'
export const HOME = '192.0.2.1'

export interface Answer {
  status: number
  // biome-ignore lint/suspicious/noExplicitAny: whatever the service answered
  body: any
  headers: Headers
  /** The value of the session cookie that it sets. */
  cookie: string | undefined
}

/** Ada, who has a password; and what browsers do, as the gateway passes it on. */
export interface SessionsWorld extends World {
  ada: User
  createUser(username: string, password: string | null): Promise<User>
  /** A request of a principal. */
  rest(principal: Principal, method: string, path: string, body?: unknown): Promise<Answer>
  signIn(
    username: string,
    password: string,
    from?: { address?: string | null; principal?: Principal },
  ): Promise<Answer>
  /** Ada's, in a browser of her own. */
  session(username?: string): Promise<Session & { cookie: string }>
  presents(
    cookie: string,
    more?: { csrf?: string | null; safe?: boolean; surface?: 'rest' | 'mcp' },
  ): Promise<Resolution>
  /** Who a session is of, or why it is refused. */
  whose(cookie: string, more?: Parameters<SessionsWorld['presents']>[1]): Promise<string>
  /** The principal that the gateway hands on for a session. */
  caller(cookie: string): Promise<Principal>
  /** What was recorded under an action, oldest first. */
  audited(action: string): Promise<Record<string, unknown>[]>
  pass(milliseconds: number): void
}

export async function openSessionsWorld(url: string, now?: Date): Promise<SessionsWorld> {
  const world = await openWorld(url, now)
  const createUser: SessionsWorld['createUser'] = (username, password) =>
    world.auth.admin.createUser({ username, email: '', staff: false, superuser: false, password })
  const known = await world.sql.read.selectFrom('user').selectAll().executeTakeFirst()
  const ada = known ? ((await world.auth.admin.firstUser()) as User) : await createUser('ada', PASSWORD)

  const rest: SessionsWorld['rest'] = async (principal, method, path, body) => {
    const [own, library] = await Promise.all([
      world.sign(principal, 'auth'),
      world.sign(principal, 'library'),
    ])
    const response = await world.auth.fetch(
      new Request(`http://auth${path}`, {
        method,
        headers: {
          [PRINCIPAL_HEADER]: own,
          [DELEGATION_HEADER]: encodeDelegations({ library }),
          ...(body !== undefined && { 'content-type': 'application/json' }),
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      }),
    )
    const text = await response.text()
    return {
      status: response.status,
      headers: response.headers,
      body: text === '' ? undefined : JSON.parse(text),
      cookie: /^mnemosyne_session=([^;]*)/.exec(response.headers.get('set-cookie') ?? '')?.[1],
    }
  }
  const signIn: SessionsWorld['signIn'] = (username, password, { address = HOME, principal } = {}) =>
    rest(
      { ...(principal ?? { ...servicePrincipal('rest'), kind: 'anonymous' }), address },
      'POST',
      '/accounts/api/login/',
      { username, password },
    )
  const presents: SessionsWorld['presents'] = async (cookie, more = {}) => {
    const { csrf = null, safe = true, surface = 'rest' } = more
    const internal: Client<typeof authInternalContract> = await world.internal()
    return internal.resolve({
      credential: { kind: 'session', session: cookie, csrf_token: csrf, safe },
      surface,
    })
  }
  return {
    ...world,
    ada,
    createUser,
    rest,
    signIn,
    presents,
    async session(username = 'ada') {
      const { body, cookie } = await signIn(username, PASSWORD)
      return { ...body, cookie }
    },
    async whose(cookie, more) {
      const resolution = await presents(cookie, more)
      return resolution.outcome === 'resolved'
        ? resolution.principal.user!.username
        : `${resolution.reason}: ${resolution.detail}`
    },
    async caller(cookie) {
      const resolution = await presents(cookie)
      if (resolution.outcome !== 'resolved') throw new Error(resolution.detail)
      return { ...resolution.principal, address: HOME }
    },
    async audited(action) {
      const rows = await world.sql.read
        .selectFrom('audit_log')
        .select(['actor', 'username', 'target', 'outcome', 'detail', 'request_id'])
        .where('action', '=', action)
        .orderBy('id')
        .execute()
      return rows.map(({ detail, ...row }) => ({ ...row, detail: JSON.parse(detail) }))
    },
    pass(milliseconds) {
      world.time.now = new Date(world.time.now.getTime() + milliseconds)
    },
  }
}
