import { CSRF_HEADER, type Group, SESSION_COOKIE, type Session, type User } from '@mnemosyne/contracts'
import type { SystemInMode } from '../../mode.ts'
import type { Level } from './access.ts'
import { patiently } from './asking.ts'
import { clientOf, expectStatus } from './clients.ts'

export const PASSWORD = 'correct horse battery staple'

/** Somebody with an account. */
export interface Person {
  name: string
  id: string
  level: Level
  /** Allows every library of theirs. */
  token: string
  /** What a browser sends of them. */
  cookie: string
  csrf: string
}

/** Makes an account, signs it in, and mints a token for it. */
export async function makePerson(
  system: SystemInMode,
  name: string,
  level: Level,
  groups: Group[] = [],
): Promise<Person> {
  const request = { username: name, password: PASSWORD, groups }
  const made = await patiently(() => clientOf(system).call('POST', '/admin/api/users/', request))
  const user = expectStatus(made, 201) as User
  const { cookie, csrf } = await signIn(system, name)
  const headers = { cookie, [CSRF_HEADER]: csrf }
  const { token } = await mint(system, headers, { allowed_libraries: ['*'] })
  return { name, id: user.id, level, token, cookie, csrf }
}

export async function signIn(system: SystemInMode, username: string) {
  const login = { username, password: PASSWORD }
  const answer = await patiently(() =>
    clientOf(system).call('POST', '/accounts/api/login/', login, { token: null }),
  )
  const { csrf_token } = expectStatus(answer, 200) as Session
  const cookie = new RegExp(`${SESSION_COOKIE}=[^;]+`).exec(answer.headers.get('set-cookie') ?? '')
  if (!cookie) throw new Error('signing in set no cookie')
  return { cookie: cookie[0], csrf: csrf_token }
}

interface Minted {
  id: string
  token: string
}

/** Mints a token for whom these headers stand. */
export async function mint(
  system: SystemInMode,
  headers: Record<string, string>,
  what: object,
): Promise<Minted> {
  const request = { name: 'isolation', ...what }
  const answer = await clientOf(system).call('POST', '/profile/api/tokens/', request, {
    token: null,
    headers,
  })
  return expectStatus(answer, 201) as Minted
}

export const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
