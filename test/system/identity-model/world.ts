import type { Library, SearchAnswer, Session } from '@mnemosyne/contracts'
import { expect } from 'vitest'
import { SystemClient } from '../client.ts'
import { Model, type ModelSession, type Reads } from './model.ts'

export const PASSWORD = 'a long enough password'

/** A word that every document of these tests holds. */
const COMMON_WORD = 'lighthouse'

/** A credential, what the model says that it reads, and how to ask the product. */
export interface Probe {
  name: string
  expected: Reads
  ask: () => Promise<Reads>
  /** Over MCP also what a search finds, of the libraries that hold a document. */
  search?: () => Promise<Reads>
}

/** The product behind all of its doors, beside the model of what it should answer. */
export class World {
  readonly model = new Model()
  /** Uids of libraries with a document. */
  readonly filled = new Set<string>()
  readonly #rest: readonly SystemClient[]
  readonly #mcp: readonly SystemClient[]
  readonly #admin: string
  #turn = 0

  /** `rest` are addresses of gateways; `mcp` those, and of MCP services past them. */
  constructor(options: { rest: readonly string[]; mcp: readonly string[]; admin: string }) {
    this.#rest = options.rest.map((url) => new SystemClient(url, options.admin))
    this.#mcp = options.mcp.map((url) => new SystemClient(url, options.admin))
    this.#admin = options.admin
  }

  /** One door after the other, so that what one did is asked of another. */
  #door(doors: readonly SystemClient[]): SystemClient {
    return doors[this.#turn++ % doors.length]!
  }

  get door(): SystemClient {
    return this.#door(this.#rest)
  }

  asAdmin(method: string, path: string, body?: unknown) {
    return this.door.call(method, path, body, { token: this.#admin })
  }

  /** By the token that a user acts with, which is never revoked. */
  as(user: string, method: string, path: string, body?: unknown) {
    const { secret } = this.model.tokens.find((token) => token.user === user)!
    return this.door.call(method, path, body, { token: secret })
  }

  bySession({ cookie, csrf }: ModelSession, method: string, path: string, body?: unknown) {
    return this.door.call(method, path, body, { token: null, headers: { cookie, 'x-csrf-token': csrf } })
  }

  async addUser(name: string): Promise<void> {
    const made = await this.asAdmin('POST', '/admin/api/users/', { username: name, password: PASSWORD })
    expect(made.status, made.text).toBe(201)
    this.model.users.set(name, { name, id: (made.body as { id: string }).id, active: true })
    const session = await this.login(name)
    const minted = await this.bySession(session, 'POST', '/profile/api/tokens/', {
      name: 'acts',
      allowed_libraries: ['*'],
    })
    expect(minted.status, minted.text).toBe(201)
    const { id, token } = minted.body as { id: string; token: string }
    this.model.tokens.push({ id, secret: token, user: name, active: true, allowed: '*' })
  }

  async login(user: string): Promise<ModelSession> {
    const answer = await this.door.call(
      'POST',
      '/accounts/api/login/',
      { username: user, password: PASSWORD },
      { token: null },
    )
    expect(answer.status, answer.text).toBe(200)
    const { csrf_token } = answer.body as Session
    const cookie = answer.headers.get('set-cookie')!.split(';')[0]!
    const session = { cookie, csrf: csrf_token, user, active: true }
    this.model.sessions.push(session)
    return session
  }

  /** Puts a document into a library and waits until it is found. */
  async fill(uid: string, user: string): Promise<void> {
    const { secret } = this.model.tokens.find((token) => token.user === user)!
    const file = { name: `${uid}.md`, content: `# Of ${uid}\n\nThe ${COMMON_WORD} of ${user} stands here.\n` }
    const { body, status, text } = await this.door.upload({ library_uid: uid, source_ref: uid }, file, secret)
    expect(status, text).toBe(202)
    const job = await new SystemClient(this.door.url, secret).ended(body.job_id)
    expect(job.status, job.error ?? '').toBe('completed')
    this.filled.add(uid)
  }

  /** Every credential that was ever made. */
  probes(): Probe[] {
    const { model } = this
    return [
      ...model.tokens.flatMap((token) => [
        {
          name: `token ${token.id} of ${token.user} on REST`,
          expected: model.tokenOnRest(token),
          ask: () => this.#onRest({ authorization: `Bearer ${token.secret}` }),
        },
        {
          name: `token ${token.id} of ${token.user} on MCP`,
          expected: model.tokenOnMcp(token),
          ...this.#onMcp(token.secret),
        },
      ]),
      ...model.sessions.map((session, n) => ({
        name: `session ${n} of ${session.user}`,
        expected: model.session(session),
        ask: () => this.#onRest({ cookie: session.cookie }),
      })),
      ...model.teams.flatMap((team) =>
        team.jwts.map((minted, n) => ({
          name: `JWT ${n} of team ${team.id} of ${team.owner}`,
          expected: model.team(team, minted),
          ...this.#onMcp(minted.jwt),
        })),
      ),
    ]
  }

  async #onRest(headers: Record<string, string>): Promise<Reads> {
    const answer = await this.door.call('GET', '/library/api/libraries/?limit=200', undefined, {
      token: null,
      headers,
    })
    if (answer.status === 401) return 'refused'
    expect(answer.status, answer.text).toBe(200)
    return (answer.body as Library[]).map(({ uid }) => uid).sort()
  }

  #onMcp(token: string): Pick<Probe, 'ask' | 'search'> {
    return {
      ask: async () => {
        const libraries = await this.#tool<{ libraries: { uid: string }[] }>(token, 'list_libraries', {
          limit: 200,
        })
        return libraries === 'refused' ? 'refused' : libraries.libraries.map(({ uid }) => uid).sort()
      },
      search: async () => {
        const answer = await this.#tool<SearchAnswer>(token, 'search', { query: COMMON_WORD, limit: 100 })
        if (answer === 'refused') return 'refused'
        return [...new Set(answer.candidates.map(({ library_uid }) => library_uid))].sort()
      },
    }
  }

  async #tool<T>(token: string, name: string, args: object): Promise<T | 'refused'> {
    const answer = await this.#door(this.#mcp).mcp('tools/call', { name, arguments: args }, { token })
    if (answer.status === 401) return 'refused'
    expect(answer.status, answer.text).toBe(200)
    const { result } = answer.body as { result: { isError?: boolean; structuredContent: T } }
    expect(result.isError, answer.text).not.toBe(true)
    return result.structuredContent
  }
}
