import type { RefusalReason, Workspace } from '@mnemosyne/contracts'
import { expect } from 'vitest'
import { SystemClient } from '../../client.ts'
import { DistributedSystem } from '../../distributed-system.ts'
import { onePagePdf } from '../../files.ts'
import { type SystemInMode, startInMode } from '../../mode.ts'
import { Daedalus } from './daedalus.ts'
import { HealthPolls, Pallas } from './pallas.ts'
import { type Counts, rowCounts } from './remains.ts'

/** A word that every document of the story holds. */
export const COMMON_WORD = 'lighthouse'

export const TEAM_PATH = '/mcp_server/api/teams/'

/** Who takes part, and what they keep from one chapter to the next. */
export class Story {
  readonly system: SystemInMode
  /** A superuser. */
  readonly operator: SystemClient
  readonly daedalus: Daedalus
  readonly rival: Daedalus
  readonly polls: HealthPolls
  /** Rows of each table before anybody has done anything. */
  readonly rowsBefore: Counts
  readonly workspaces = new Map<string, Workspace>()
  /** Every plaintext that was ever shown to somebody. */
  readonly secrets: string[] = []
  /** Keys of Daedalus's store, and what it put there last. */
  readonly files = new Map<string, Buffer>()
  teamId = ''
  /** Another team of Daedalus's, which is attached to nothing. */
  second = { id: '', jwt: '' }
  /** The second user's, attached to all that is Daedalus's. */
  rivalTeam = { id: '', jwt: '' }
  /** MCP requests that were refused, at the least, by reason. */
  readonly refusals = new Map<RefusalReason, number>()
  #jwt = ''
  #pallas: Pallas | undefined

  private constructor(
    system: SystemInMode,
    people: { daedalus: Daedalus; rival: Daedalus },
    rowsBefore: Counts,
  ) {
    this.system = system
    this.operator = new SystemClient(system.url, system.token)
    this.daedalus = people.daedalus
    this.rival = people.rival
    this.rowsBefore = rowsBefore
    this.polls = new HealthPolls(system.url, 250)
    this.secrets.push(system.token, people.daedalus.token, people.rival.token)
  }

  static async begin(): Promise<Story> {
    const system = await startInMode()
    try {
      const person = async (username: string) =>
        new Daedalus(system.url, { username, token: await system.addUser(username) })
      const people = { daedalus: await person('daedalus'), rival: await person('rival') }
      return new Story(system, people, await rowCounts(system))
    } catch (error) {
      await system[Symbol.asyncDispose]()
      throw error
    }
  }

  async end(): Promise<void> {
    await this.polls.stop()
    await this.#pallas?.[Symbol.asyncDispose]()
    await this.system[Symbol.asyncDispose]()
  }

  /** The team's only good token. */
  get jwt(): string {
    return this.#jwt
  }

  get pallas(): Pallas {
    if (!this.#pallas) throw new Error('Pallas is not deployed yet')
    return this.#pallas
  }

  get teamPath(): string {
    return `${TEAM_PATH}${this.teamId}/`
  }

  /** Pallas is given another token, which takes a new deployment. */
  async deploy(jwt: string): Promise<void> {
    await this.#pallas?.[Symbol.asyncDispose]()
    this.#jwt = jwt
    this.secrets.push(jwt)
    this.#pallas = await Pallas.deploy(this.system.url, jwt)
  }

  async rotate(): Promise<string> {
    const { status, body, text } = await this.daedalus.call('POST', `${this.teamPath}rotate/`)
    expect(status, text).toBe(200)
    return (body as { jwt: string }).jwt
  }

  async attach(...workspace_ids: string[]): Promise<void> {
    const { first } = await this.daedalus.write(
      'PUT',
      `${this.teamPath}workspaces/`,
      { workspace_ids },
      [200, 200],
    )
    expect(first.body).toEqual({ workspace_ids: workspace_ids.toSorted() })
  }

  libraryOf(workspaceId: string): string {
    return this.workspaces.get(workspaceId)!.library_uid
  }

  logLines(text: string): string[] {
    return this.system
      .log()
      .split('\n')
      .filter((line) => line.includes(text))
  }

  async makeWorkspace(owner: Daedalus, workspace_id: string): Promise<Workspace> {
    const request = { workspace_id, name: `Of ${workspace_id}`, library_type: 'technical' }
    const { first, again } = await owner.write('POST', '/library/api/workspaces/', request, [201, 200])
    expect(again.body).toEqual(first.body)
    this.workspaces.set(workspace_id, first.body)
    return first.body
  }

  /** Puts a file into Daedalus's store, and returns the request to ingest it. */
  async file(s3_key: string, content: string | Uint8Array, more: Record<string, unknown>) {
    this.files.set(s3_key, Buffer.from(content))
    return this.system.daedalus.put(s3_key, content, more)
  }

  /** A workspace with one short document of the same name. */
  async makeFilledWorkspace(owner: Daedalus, workspace_id: string): Promise<Workspace> {
    const workspace = await this.makeWorkspace(owner, workspace_id)
    const request = await this.file(`${workspace_id}.md`, page(workspace_id), { workspace_id })
    expect((await owner.ingest(request)).error).toBeNull()
    return workspace
  }

  /** The addresses at which MCP is spoken: through the gateway, and where services are apart past it. */
  get doors(): { name: string; client: SystemClient }[] {
    const through = { name: 'gateway', client: this.operator }
    if (!(this.system instanceof DistributedSystem)) return [through]
    const { url } = this.system.cluster.processes.mcp[0]!
    return [through, { name: 'past the gateway', client: new SystemClient(url, this.system.token) }]
  }

  /** A token is refused in these words by every door of MCP, whatever is asked; and on REST. */
  async expectRefused(jwt: string, detail: string, reason: RefusalReason): Promise<void> {
    const asked: [string, Record<string, unknown>][] = [
      ['tools/list', {}],
      ['tools/call', { name: 'search', arguments: { query: COMMON_WORD } }],
      ['tools/call', { name: 'get_health', arguments: {} }],
      ['resources/read', { uri: 'mnemosyne://libraries' }],
    ]
    for (const { name, client } of this.doors) {
      for (const [method, params] of asked) {
        const answer = await client.mcp(method, params, { token: jwt })
        expect({ status: answer.status, body: answer.body }, `${method} at ${name}`).toEqual({
          status: 401,
          body: { detail },
        })
        expect(answer.headers.get('www-authenticate')).toMatch(/^Bearer/)
        this.refusals.set(reason, (this.refusals.get(reason) ?? 0) + 1)
      }
    }
    const onRest = await this.operator.call('GET', '/library/api/libraries/', undefined, { token: jwt })
    expect(onRest.status, onRest.text).toBe(401)
  }
}

/** A short document in Markdown, told apart by `name`. */
export function page(name: string, more = ''): string {
  return `# Notes of ${name}\n\nThe ${COMMON_WORD} of ${name} is kept by one family. ${more}\n`
}

/** A page of text as a PDF. */
export function pdf(lines: readonly string[]): Buffer {
  const shown = lines.map((line) => `(${line}) Tj 0 -16 Td`).join(' ')
  return onePagePdf(Buffer.from(`BT /F1 12 Tf 72 720 Td ${shown} ET`))
}
