import { randomUUID } from 'node:crypto'
import {
  type AuditRecord,
  CSRF_HEADER,
  type Job,
  SESSION_COOKIE,
  type Session,
  type User,
} from '@mnemosyne/contracts'
import { expect } from 'vitest'
import { SystemClient } from '../../client.ts'
import type { SystemInMode } from '../../mode.ts'

export const PASSWORD = 'thunderous marmalade 77'

export interface Person {
  id: string
  name: string
  token: string
}

export interface Answer {
  status: number
  headers: Headers
  text: string
  body: unknown
}

/** What was asked by whom, and what came of it. */
export interface Made {
  answer: Answer
  /** The user's id. */
  actor: string
}

/** The product, people in it, and how they ask. */
export class Stage {
  readonly system: SystemInMode
  readonly root: Person
  readonly ada: Person
  readonly bob: Person
  /** What must stand in no record. */
  readonly secrets: string[] = [PASSWORD]

  private constructor(system: SystemInMode, root: Person, ada: Person, bob: Person) {
    this.system = system
    this.root = root
    this.ada = ada
    this.bob = bob
    this.secrets.push(root.token, ada.token, bob.token)
  }

  static async set(system: SystemInMode): Promise<Stage> {
    const me = await system.call('GET', '/profile/api/me/')
    const { id, username } = me.body as User
    const people = []
    for (const name of ['ada', 'bob']) {
      const token = await system.addUser(name)
      const { body } = await system.call('GET', '/profile/api/me/', undefined, { token })
      people.push({ id: (body as User).id, name, token })
    }
    return new Stage(system, { id, name: username, token: system.token }, people[0]!, people[1]!)
  }

  /** A name that nobody and nothing has. */
  fresh(of: string): string {
    return `${of}-${randomUUID().slice(0, 8)}`
  }

  async ask(who: Person, method: string, path: string, body?: unknown): Promise<Made> {
    const answer = await this.system.call(method, path, body, { token: who.token })
    return { answer, actor: who.id }
  }

  /** The body of what has to succeed. */
  async have<T>(who: Person, method: string, path: string, body?: unknown): Promise<T> {
    const { answer } = await this.ask(who, method, path, body)
    expect(answer.status, `${method} ${path}: ${answer.text}`).toBeLessThan(300)
    return answer.body as T
  }

  makeUser(): Promise<User> {
    return this.have(this.root, 'POST', '/admin/api/users/', {
      username: this.fresh('user'),
      password: PASSWORD,
    })
  }

  /** Somebody new, signed in: the answer to that, and how to go on. */
  async signIn() {
    const user = await this.makeUser()
    const body = { username: user.username, password: PASSWORD }
    let answer: Answer | undefined
    await expect
      .poll(
        async () => {
          answer = await this.system.call('POST', '/accounts/api/login/', body, { token: null })
          return answer.status
        },
        { timeout: 20_000 },
      )
      .toBe(200)
    const cookie = new RegExp(`${SESSION_COOKIE}=[^;]+`).exec(answer!.headers.get('set-cookie')!)![0]
    const { csrf_token } = answer!.body as Session
    this.secrets.push(cookie.split('=')[1]!, csrf_token)
    const headers = { cookie, [CSRF_HEADER]: csrf_token }
    const ask = async (method: string, path: string, body?: unknown): Promise<Made> => ({
      answer: await this.system.call(method, path, body, { token: null, headers }),
      actor: user.id,
    })
    return { made: { answer: answer!, actor: user.id }, ask }
  }

  async mint(who = this.ada): Promise<{ id: string }> {
    const minted = await this.have<{ id: string; token: string }>(who, 'POST', '/profile/api/tokens/', {
      name: 'test',
    })
    this.secrets.push(minted.token)
    return minted
  }

  async makeTeam(who = this.ada): Promise<{ id: string; jwt: string }> {
    const team = await this.have<{ id: string; jwt: string }>(who, 'POST', '/mcp_server/api/teams/', {
      id: randomUUID(),
      name: 'Scouts',
    })
    this.secrets.push(team.jwt)
    return team
  }

  makeLibrary(who = this.ada): Promise<{ uid: string }> {
    const library = { name: 'Tidal almanac', library_type: 'technical' }
    return this.have(who, 'POST', '/library/api/libraries/', library)
  }

  async upload(who: Person, fields: Record<string, string>, content: string | Uint8Array): Promise<Made> {
    const form = new FormData()
    for (const [name, value] of Object.entries(fields)) form.set(name, value)
    form.set('file', new Blob([content as BlobPart], { type: 'text/markdown' }), 'corncrake.md')
    const response = await fetch(`${this.system.url}/library/api/items/upload/`, {
      method: 'POST',
      headers: { authorization: `Bearer ${who.token}` },
      body: form,
    })
    const text = await response.text()
    const answer = { status: response.status, headers: response.headers, text, body: JSON.parse(text) }
    return { answer, actor: who.id }
  }

  ended(who: Person, jobId: string): Promise<Job> {
    return new SystemClient(this.system.url, who.token).ended(jobId)
  }

  async list(filter: Record<string, string>): Promise<{ total: number; records: AuditRecord[] }> {
    const query = new URLSearchParams({ limit: '200', ...filter })
    const { answer } = await this.ask(this.root, 'GET', `/admin/api/audit/?${query}`)
    expect(answer.status, answer.text).toBe(200)
    return {
      total: Number(answer.headers.get('x-total-count')),
      records: answer.body as AuditRecord[],
    }
  }

  /** The records of the request that got this answer, once there are any that `fit`. */
  async recordsOf({ headers }: Answer, fit: (record: AuditRecord) => boolean = () => true) {
    const request_id = headers.get('x-request-id') ?? 'none'
    let records: AuditRecord[] = []
    await expect
      .poll(
        async () => {
          ;({ records } = await this.list({ request_id }))
          return records.some(fit) ? 'recorded' : records.map(({ action, outcome }) => [action, outcome])
        },
        { timeout: 20_000 },
      )
      .toBe('recorded')
    return records
  }
}
