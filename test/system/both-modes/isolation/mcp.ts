import { CSRF_HEADER, LIBRARY_TYPES } from '@mnemosyne/contracts'
import { type Answer, type Send, sendTo, signatureOf } from './asking.ts'
import { DETAILS, PER_TURN } from './callers.ts'
import { askAll, type Fault, type Outcome } from './cells.ts'
import { type Holding, SHARED_WORD } from './holdings.ts'
import { bearer } from './people.ts'
import { CAST, type CastName, type LibraryRelation, type World } from './world.ts'

/**
 * What each tool answers about a library that the principal sees, one that it does not see (unshared, out of the
 * token's or team's scope, deleted or never there: all alike), and what can be no id.
 *
 *   ok     success, with what stands in that library, or in all that are seen, and no more
 *   empty  success, with nothing in it
 *   error  an error of the tool
 *   -      cannot be asked
 *
 * A tool outside the principal's `allowed_tools` is an error of the tool, whatever it is asked. Whoever comes with a
 * credential that is not good gets 401, whatever they ask for; so does nobody, but for `get_health`.
 */
const TABLE = `
tool            by              seen  unseen  malformed
search          nothing         ok    -       -
search          library_uid     ok    error   error
search          collection_uid  ok    error   error
get_chunk       chunk_uid       ok    error   error
list_libraries  nothing         ok    -       -
list_items      nothing         ok    -       -
list_items      library_uid     ok    empty   error
list_items      collection_uid  ok    empty   error
get_health      nothing         ok    -       -
`

type By = 'nothing' | Exclude<keyof Holding, 'document' | 'text'>
type Word = 'ok' | 'empty' | 'error' | '-'

interface ToolLine {
  tool: string
  by: By
  seen: Word
  unseen: Word
  malformed: Word
}

const LINES: readonly ToolLine[] = TABLE.trim()
  .split('\n')
  .slice(1)
  .map((line) => {
    const [tool, by, seen, unseen, malformed] = line.trim().split(/ {2,}/)
    return { tool, by, seen, unseen, malformed } as ToolLine
  })

export const TOOLS_IN_TABLE = [...new Set(LINES.map(({ tool }) => tool))].sort()

/** How to ask a tool beside its argument, and what its answer is about. */
const SHOWN: Record<string, { args?: object; id: keyof Holding; of(answer: never): string[] }> = {
  search: {
    args: { query: SHARED_WORD, limit: 100 },
    id: 'library_uid',
    of: ({ candidates }: { candidates: { library_uid: string }[] }) =>
      candidates.map(({ library_uid }) => library_uid),
  },
  get_chunk: { id: 'chunk_uid', of: ({ chunk_uid }: { chunk_uid: string }) => [chunk_uid] },
  list_libraries: {
    id: 'library_uid',
    of: ({ libraries }: { libraries: { uid: string }[] }) => libraries.map(({ uid }) => uid),
  },
  list_items: {
    id: 'item_uid',
    of: ({ items }: { items: { uid: string }[] }) => items.map(({ uid }) => uid),
  },
}

/** A good credential, and the libraries that it sees; relations are those of `person`. */
interface McpPrincipal {
  name: string
  person: CastName
  headers: Record<string, string>
  sees: readonly LibraryRelation[]
  /** Empty permits every tool. */
  tools?: readonly string[]
}

const ALL = ['own', 'co-owner', 'manager', 'reader', 'global'] as const

export function mcpPrincipals({ people, credentials }: World): McpPrincipal[] {
  const { empty, one, health, lent, lapsed, teams } = credentials
  const ofAda = (name: string, token: string, sees: readonly LibraryRelation[]): McpPrincipal => ({
    ...{ name, person: 'ada', headers: bearer(token), sees },
  })
  return [
    ...CAST.map((person) => ({
      ...{ name: `${person}, token of all`, person, headers: bearer(people[person].token), sees: ALL },
    })),
    ofAda('token without libraries', empty.token, []),
    ofAda('token of one library', one.token, ['own']),
    ofAda('token of a library that is read, put there by its owner', lent.token, ['reader']),
    ofAda('token of a library that is shared no longer', lapsed.token, []),
    { ...ofAda('token of one tool', health.token, ALL), tools: ['get_health'] },
    ofAda('team, attached', teams.attached.jwt, ['own']),
    ofAda('team, rotated', teams.rotated.jwt, ['own']),
    ofAda('team, detached', teams.detached.jwt, []),
    ofAda("team, attached to somebody else's workspace", teams.borrowing.jwt, []),
    ofAda('team, attached to workspaces that its owner shares', teams.coOwning.jwt, []),
    ofAda("somebody else's team", teams.other.jwt, ['foreign']),
  ]
}

interface McpRefused {
  name: string
  headers: Record<string, string>
  detail: string
}

export function mcpRefused({ people: { ada }, credentials }: World): McpRefused[] {
  const { revoked, expired, dan, teams } = credentials
  const session = { cookie: ada.cookie, [CSRF_HEADER]: ada.csrf }
  const { KEYWORD, INVALID, EXPIRED, REVOKED, DISABLED, TURN } = DETAILS
  return [
    { name: 'nobody', headers: {}, detail: MISSING },
    { name: 'session', headers: session, detail: MISSING },
    { name: 'legacy keyword', headers: { authorization: `Token ${ada.token}` }, detail: KEYWORD },
    { name: 'unknown token', headers: bearer('mnem_nobodys'), detail: INVALID },
    { name: 'expired token', headers: bearer(expired.token), detail: EXPIRED },
    { name: 'revoked token', headers: bearer(revoked.token), detail: REVOKED },
    { name: "disabled user's token", headers: bearer(dan.token), detail: DISABLED },
    { name: 'per-turn JWT', headers: bearer(PER_TURN), detail: TURN },
    { name: 'team, inactive', headers: bearer(teams.inactive.jwt), detail: INACTIVE },
    { name: 'team, stale', headers: bearer(teams.stale.jwt), detail: INVALID },
    { name: 'team of a disabled user', headers: bearer(teams.disabled.jwt), detail: OWNER },
    { name: 'team, forged', headers: bearer(forged(teams.attached.jwt)), detail: INVALID },
  ]
}

const MISSING = 'Authentication is required: send Authorization: Bearer TOKEN.'
const INACTIVE = 'Team JWT references an inactive team.'
const OWNER = 'Team owner is disabled.'

/** With another signature. */
const forged = (jwt: string) =>
  `${jwt.slice(0, jwt.lastIndexOf('.'))}.${Buffer.alloc(32, 7).toString('base64url')}`

const RELATIONS: readonly LibraryRelation[] = [
  ...ALL,
  ...(['foreign', 'missing', 'deleted', 'malformed'] as const),
]

/** Every tool, in every way, with each relation of what it is asked about. */
function questions() {
  return LINES.flatMap((line) =>
    (line.by === 'nothing' ? (['unnamed'] as const) : RELATIONS).map((relation) => ({
      ...{ line, relation },
      asked: line.by === 'nothing' ? line.tool : `${line.tool} by ${line.by}`,
    })),
  )
}

export function askTools(world: World, url: string): Promise<Outcome> {
  const send = sendTo(url)
  const cells = questions().flatMap((question) =>
    mcpPrincipals(world).map((principal) => ({ ...question, principal, caller: principal.name })),
  )
  return askAll(cells, ({ line, relation, principal }) => faultOf(world, send, { line, relation, principal }))
}

export function askToolsRefused(world: World, url: string): Promise<Outcome> {
  const send = sendTo(url)
  const cells = questions().flatMap((question) =>
    mcpRefused(world)
      .filter(({ detail }) => detail !== MISSING || question.line.tool !== 'get_health')
      .map(({ name, headers, detail }) => ({ ...question, caller: name, headers, detail })),
  )
  return askAll(cells, async ({ line, relation, headers, detail }) => {
    const holding = relation === 'unnamed' ? undefined : world.holdings.ada[relation]
    return faultOfRefusal(await callTool(send, line, holding, headers), detail)
  })
}

export function askResourcesRefused(world: World, url: string): Promise<Outcome> {
  const send = sendTo(url)
  const cells = resourceCells().flatMap((cell) =>
    mcpRefused(world).map((refused) => ({ ...cell, refused, caller: refused.name })),
  )
  return askAll(cells, async ({ uri, refused: { headers, detail } }) =>
    faultOfRefusal(await rpc(send, 'resources/read', { uri }, headers), detail),
  )
}

function faultOfRefusal({ status, text, headers }: Answer, detail: string): Fault {
  const challenge = headers.get('www-authenticate') ?? ''
  const body = JSON.stringify({ detail })
  if (status === 401 && /^Bearer .*resource_metadata="/.test(challenge) && text === body) return undefined
  return { expected: `401 Bearer resource_metadata ${body}`, got: `${status} ${challenge} ${text}` }
}

interface ToolCell {
  line: ToolLine
  relation: LibraryRelation | 'unnamed'
  principal: McpPrincipal
}

async function faultOf(world: World, send: Send, { line, relation, principal }: ToolCell): Promise<Fault> {
  const of = world.holdings[principal.person]
  const holding = relation === 'unnamed' ? undefined : of[relation]
  const answer = await callTool(send, line, holding, principal.headers)
  const { isError = false, structuredContent } = resultOf(answer)
  const permitted = !principal.tools || principal.tools.includes(line.tool)
  const word = permitted ? wordOf(line, relation, principal) : 'error'
  if (answer.status !== 200 || isError !== (word === 'error')) return { expected: word, got: answer.text }
  if (relation !== 'malformed' && relation !== 'unnamed' && word !== 'ok') {
    const missing = await callTool(send, line, of.missing, principal.headers)
    const wanted = signatureOf(missing, idsOf(of.missing))
    const got = signatureOf(answer, idsOf(holding!))
    if (got !== wanted) return { expected: `the answer for missing: ${wanted}`, got }
  }
  const shown = SHOWN[line.tool]
  if (word === 'error' || !shown) return undefined
  const seen = relation === 'unnamed' ? principal.sees : principal.sees.filter((one) => one === relation)
  const wanted = seen.map((one) => of[one][shown.id]).sort()
  const got = [...new Set(shown.of(structuredContent as never))].sort()
  return String(got) === String(wanted)
    ? undefined
    : { expected: `exactly these: ${wanted}`, got: String(got) }
}

function wordOf(line: ToolLine, relation: LibraryRelation | 'unnamed', { sees }: McpPrincipal): Word {
  if (relation === 'unnamed') return line.seen
  if (relation === 'malformed') return line.malformed
  return sees.includes(relation) ? line.seen : line.unseen
}

function callTool(
  send: Send,
  { tool, by }: ToolLine,
  holding: Holding | undefined,
  credential: Record<string, string>,
): Promise<Answer> {
  const argument = holding && by !== 'nothing' ? { [by]: holding[by] } : {}
  return rpc(send, 'tools/call', { name: tool, arguments: { ...SHOWN[tool]?.args, ...argument } }, credential)
}

/** What each resource tells a principal, and no more. */
const RESOURCES: Record<string, (of: Record<LibraryRelation, Holding>, principal: McpPrincipal) => string[]> =
  {
    'mnemosyne://libraries': (of, { sees }) => sees.map((one) => of[one].library_uid),
    'mnemosyne://library-types': () => [...LIBRARY_TYPES],
  }

export const RESOURCES_IN_TABLE = Object.keys(RESOURCES).sort()

const resourceCells = () =>
  Object.entries(RESOURCES).map(([uri, of]) => ({ uri, of, asked: uri, relation: '' }))

export function askResources(world: World, url: string): Promise<Outcome> {
  const send = sendTo(url)
  const cells = resourceCells().flatMap((cell) =>
    mcpPrincipals(world).map((principal) => ({ ...cell, principal, caller: principal.name })),
  )
  return askAll(cells, async ({ uri, of, principal }) => {
    const answer = await rpc(send, 'resources/read', { uri }, principal.headers)
    const { contents } = resultOf<{ contents: { text: string }[] }>(answer)
    const [elements] = Object.values(JSON.parse(contents[0]!.text) as Record<string, object[]>)
    const got = elements!.map((element) => Object.values(element)[0] as string).sort()
    const wanted = of(world.holdings[principal.person], principal).sort()
    return String(got) === String(wanted)
      ? undefined
      : { expected: `exactly these: ${wanted}`, got: String(got) }
  })
}

/** One JSON-RPC request. */
export function rpc(send: Send, method: string, params: object, credential: Record<string, string>) {
  const headers = {
    ...credential,
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
  }
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params })
  return send({ method: 'POST', path: '/mcp/', headers, body })
}

interface ToolResult {
  isError?: boolean
  structuredContent?: unknown
}

export function resultOf<T = ToolResult>({ text }: Answer): T {
  const data = /^data: (.*)$/m.exec(text)?.[1] ?? text
  return ((JSON.parse(data) as { result?: T }).result ?? {}) as T
}

const idsOf = (holding: Holding): Record<string, string> =>
  Object.fromEntries(
    Object.entries(holding).filter((pair): pair is [string, string] => typeof pair[1] === 'string'),
  )
