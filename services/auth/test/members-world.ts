import { CallError, membersContract, PRINCIPAL_HEADER } from '@mnemosyne/contracts'
import { LIBRARY, openWorld, type World } from './harness.ts'

/** In the order of their names, what each is to the library `a`. Staff are nothing to it. */
export const PEOPLE = ['mia', 'olive', 'omar', 'rita', 'root', 'sam'] as const
export type Person = (typeof PEOPLE)[number]

/** What an operation comes to: what it answers, or the status, and what it says to the caller. */
export const outcome = <T>(call: Promise<T>): Promise<T | string> =>
  call.catch((error: unknown) => {
    if (!(error instanceof CallError)) throw error
    return `${error.status} ${error.message}`
  })

export const status = async (call: Promise<unknown>): Promise<number> =>
  call.then(
    () => 200,
    (error: unknown) => {
      if (!(error instanceof CallError)) throw error
      return error.status
    },
  )

/**
 * A library of `olive`, who is its principal owner; `omar` is an owner, too, `mia` a manager, `rita` a reader, `sam` no
 * member, and `root` may do everything that staff may.
 */
export async function openMembersWorld(url: string) {
  const world = await openWorld(url)
  const ids = {} as Record<Person, string>
  for (const username of PEOPLE) {
    const superuser = username === 'root'
    const user = { username, email: '', staff: superuser, superuser, password: null }
    ids[username] = (await world.auth.admin.createUser(user)).id
  }
  world.library.owned.push({ uid: LIBRARY.a, owner_username: 'olive', workspace_id: null })
  await (await world.internal()).putOwner({ library_uid: LIBRARY.a, username: 'olive', hand_overs: 0 })
  const callers = callersOf(world)
  await callers.add('omar', 'owner')
  await callers.add('mia', 'manager')
  await callers.add('rita', 'reader')
  return { ...world, ...callers, ...viewOf(world), ids }
}

/** A further auth service on the same database. */
export async function openBeside(url: string, { library }: Pick<World, 'library'>) {
  const world = await openWorld(url)
  Object.assign(world.library, library)
  return { ...world, ...callersOf(world) }
}

function callersOf(world: World) {
  const members = (username: string) => world.clientAs(membersContract, username)
  return {
    members,
    add: async (username: Person, role: 'owner' | 'manager' | 'reader', by: Person = 'olive') =>
      (await members(by)).add({ uid: LIBRARY.a, username, role }),
    remove: async (username: string, role: string, by: Person = 'olive') =>
      (await members(by)).remove({ uid: LIBRARY.a, username, role }),
  }
}

/** What the database has, and what answers look like from outside. */
function viewOf(world: World) {
  return {
    /** `name role` of every membership of the library, as the database has them. */
    async roles(library = LIBRARY.a): Promise<string[]> {
      const rows = await world.sql.read
        .selectFrom('library_membership')
        .innerJoin('user', 'user.id', 'library_membership.user_id')
        .select(['username', 'role'])
        .where('library_uid', '=', library)
        .orderBy('username')
        .orderBy('role')
        .execute()
      return rows.map(({ username, role }) => `${username} ${role}`)
    },
    async mint(username: Person, allowedLibraries: string[]): Promise<{ id: string; token: string }> {
      const wanted = { username, name: 'test', expiresAt: null, allowedLibraries, allowedTools: [] }
      return world.auth.admin.createUserToken(wanted, world.call)
    },
    /** What a token sees on MCP. */
    async sees(token: string): Promise<string[]> {
      const resolution = await world.resolve(`Bearer ${token}`, 'mcp')
      if (resolution.outcome !== 'resolved') throw new Error(resolution.detail)
      return resolution.principal.resolved_libraries
    },
    /** The list of a token, as it is kept. */
    async listed(id: string): Promise<string[]> {
      const { allowed_libraries } = await world.sql.read
        .selectFrom('user_token')
        .select('allowed_libraries')
        .where('id', '=', id)
        .executeTakeFirstOrThrow()
      return JSON.parse(allowed_libraries)
    },
    /** Status, body and headers to the byte, of a request as the gateway passes it on. */
    async raw(username: Person, method: string, path: string, body?: unknown) {
      const principal = await world.auth.admin.localPrincipal(username, world.call)
      const [own, delegated] = [await world.sign(principal, 'auth'), await world.sign(principal, 'library')]
      const response = await world.auth.fetch(
        new Request(`http://auth${path}`, {
          method,
          headers: {
            [PRINCIPAL_HEADER]: own,
            'x-mnemosyne-delegation': `library=${delegated}`,
            'x-request-id': 'same',
            ...(body !== undefined && { 'content-type': 'application/json' }),
          },
          body: body === undefined ? undefined : JSON.stringify(body),
        }),
      )
      return { status: response.status, text: await response.text(), headers: [...response.headers].sort() }
    },
    async audited(action: string) {
      const rows = await world.sql.read
        .selectFrom('audit_log')
        .select(['actor', 'target', 'detail', 'outcome'])
        .where('action', '=', action)
        .orderBy('id')
        .execute()
      return rows.map(({ detail, ...row }) => ({ ...row, detail: JSON.parse(detail) }))
    },
  }
}

export type MembersWorld = Awaited<ReturnType<typeof openMembersWorld>>
