import type { Principal } from '@mnemosyne/contracts'
import { actorOf, DomainError } from '@mnemosyne/platform'
import { audit } from '../audit.ts'
import type { AuthContext } from '../context.ts'
import { countLogins, signIn } from '../login.ts'
import type { CheckPassword } from '../password-check.ts'
import { type AuthImplementer, personOf } from '../router.ts'
import {
  endSession,
  endSessions,
  expiryOf,
  NO_SESSION_COOKIE,
  sessionById,
  sessionCookie,
} from '../sessions.ts'
import { groupsOf, userById, userOf } from '../users.ts'

/** Signing in and out. */
export function accountRoutes(os: AuthImplementer, context: AuthContext, checkPassword: CheckPassword) {
  const counted = countLogins(context.metrics)
  return {
    login: os.accounts.login.handler(async ({ input, context: request }) => {
      if (request.principal.surface !== 'rest') throw new DomainError('NOT_A_PERSON', 'Sign in over REST.')
      const { user, session } = await counted(signIn(context, checkPassword, request, input))
      const { csrf_token, expires_at } = session
      return {
        headers: { 'set-cookie': sessionCookie(session.secret) },
        body: { user, csrf_token, expires_at },
      }
    }),

    session: os.accounts.session.handler(async ({ context: { principal } }) => {
      const session = await sessionById(context, sessionIdOf(principal))
      if (!session) throw noSession()
      const user = await userById(context, session.user_id)
      return {
        user: userOf(user, await groupsOf(context.sql.read, user.id)),
        csrf_token: session.csrf_token,
        expires_at: expiryOf(session, context.clock()),
      }
    }),

    logout: os.accounts.logout.handler(async ({ context: request }) => {
      const id = sessionIdOf(request.principal)
      await context.sql.transaction(async (tx) => {
        if (!(await endSession(tx, id))) return
        await audit(tx, context, actorOf(request), { action: 'session.ended', target: id })
      })
      return { headers: { 'set-cookie': NO_SESSION_COOKIE } }
    }),

    logoutEverywhere: os.accounts.logoutEverywhere.handler(async ({ context: request }) => {
      const { id } = personOf(request.principal)
      await context.sql.transaction(async (tx) => {
        const sessions = await endSessions(tx, id)
        await audit(tx, context, actorOf(request), {
          action: 'user.logged_out_everywhere',
          target: id,
          detail: { sessions_ended: sessions },
        })
      })
      return { headers: { 'set-cookie': NO_SESSION_COOKIE } }
    }),
  }
}

function sessionIdOf(principal: Principal): string {
  personOf(principal)
  if (principal.session_id === null) throw noSession()
  return principal.session_id
}

function noSession(): DomainError {
  return new DomainError('SESSION_NOT_FOUND', 'There is no session in use.')
}
