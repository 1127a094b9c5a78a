import { oc } from '@orpc/contract'
import { z } from 'zod'
import { FreeText, IsoTime } from './common.ts'
import { User } from './users.ts'

const base = oc.route({ tags: ['accounts'] })

/** The cookie that holds a session; and the header that writes by session carry beside it. */
export const SESSION_COOKIE = 'mnemosyne_session'
export const CSRF_HEADER = 'x-csrf-token'

/** Said of every login that fails, whatever is wrong with it. */
export const LOGIN_REFUSED = 'The user name or password is not right.'

export const Session = z.object({
  user: User,
  /** Goes into the header `X-CSRF-Token` of every request by session that changes something. */
  csrf_token: z.string(),
  /** Eight hours after the last use. */
  expires_at: IsoTime,
})
export type Session = z.infer<typeof Session>

const setCookie = z.object({ 'set-cookie': z.string() })

/** Signing in and out, in a browser. */
export const accountsContract = {
  login: base
    .route({
      method: 'POST',
      path: '/accounts/api/login/',
      summary: 'Sign in with a password; answers with a session cookie. Five failures lock for an hour',
      outputStructure: 'detailed',
    })
    .input(z.object({ username: FreeText(254).min(1), password: z.string().min(1).max(1_024) }))
    .output(z.object({ headers: setCookie, body: Session })),
  session: base
    .route({ method: 'GET', path: '/accounts/api/session/', summary: 'The session in use' })
    .output(Session),
  logout: base
    .route({
      method: 'POST',
      path: '/accounts/api/logout/',
      summary: 'End the session in use',
      successStatus: 204,
      outputStructure: 'detailed',
    })
    .output(z.object({ headers: setCookie })),
  logoutEverywhere: base
    .route({
      method: 'POST',
      path: '/accounts/api/logout-everywhere/',
      summary: "End all of the caller's sessions",
      successStatus: 204,
      outputStructure: 'detailed',
    })
    .output(z.object({ headers: setCookie })),
}
