import { LOGIN_REFUSED, type User } from '@mnemosyne/contracts'
import { actorOf, DomainError, type Metrics, type RequestContext } from '@mnemosyne/platform'
import { audit } from './audit.ts'
import type { AuthContext } from './context.ts'
import { forgetFailures, type LoginKey, loginKeyOf, touchFailures } from './login-failures.ts'
import { type Checked, type CheckPassword, putHash, whyRefused } from './password-check.ts'
import { endSession, type StartedSession, startSession } from './sessions.ts'
import { groupsOf, userOf } from './users.ts'

export interface SignedIn {
  user: User
  session: StartedSession
}

/**
 * Begins a session for who has this name and password, and ends the one that the caller came with. Whatever is wrong
 * is one and the same refusal. Throws DomainError LOGIN_REFUSED, LOGIN_LOCKED, TOO_BUSY.
 */
export async function signIn(
  context: AuthContext,
  checkPassword: CheckPassword,
  request: RequestContext,
  { username, password }: { username: string; password: string },
): Promise<SignedIn> {
  const key = loginKeyOf(request.principal.address, username)
  const checked = await checkPassword(key, password)
  const signedIn = checked.right
    ? await context.sql.transaction(async (tx) => {
        if (!(await putHash(tx, checked))) return undefined
        await forgetFailures(tx, key)
        return begin(tx, context, request, checked)
      })
    : undefined
  if (signedIn) return signedIn
  await recordRefusal(context, request, key, checked)
  throw new DomainError('LOGIN_REFUSED', LOGIN_REFUSED)
}

async function begin(
  tx: Parameters<typeof startSession>[0],
  context: AuthContext,
  request: RequestContext,
  { user }: Extract<Checked, { right: true }>,
): Promise<SignedIn> {
  const { session_id, address } = request.principal
  if (session_id !== null) await endSession(tx, session_id)
  const session = await startSession(tx, context, user.id)
  const by = { ...actorOf(request), actor: user.id, username: user.username }
  await audit(tx, context, by, { action: 'session.started', target: session.id, detail: { address } })
  return { user: userOf(user, await groupsOf(tx, user.id)), session }
}

/**
 * A name that nobody has is not recorded: it may be a password in the wrong field, and who makes names up would fill
 * a log that only grows. The gateway tells how many such logins an address brings. That nobody has the name must not
 * be seen from the time that the answer takes, so as much is written.
 */
async function recordRefusal(
  context: AuthContext,
  request: RequestContext,
  key: LoginKey,
  checked: Checked,
): Promise<void> {
  const { user } = checked
  await context.sql.transaction((tx) => {
    if (!user) return touchFailures(tx, key)
    const by = { ...actorOf(request), username: user.username }
    const detail = { address: request.principal.address, ...whyRefused(checked) }
    return audit(tx, context, by, { action: 'session.started', target: user.id, outcome: 'refused', detail })
  })
}

const OUTCOMES: Record<string, string> = {
  LOGIN_REFUSED: 'refused',
  LOGIN_LOCKED: 'locked',
  TOO_BUSY: 'busy',
}

/** Counts logins by what came of them. */
export function countLogins(metrics: Metrics): <T>(login: Promise<T>) => Promise<T> {
  const count = metrics.counter('mnemosyne_auth_logins_total', 'Logins by password, by outcome.', ['outcome'])
  for (const outcome of ['done', ...Object.values(OUTCOMES)]) count({ outcome }, 0)
  return async (login) => {
    try {
      const result = await login
      count({ outcome: 'done' })
      return result
    } catch (error) {
      const outcome = error instanceof DomainError ? OUTCOMES[error.code] : undefined
      if (outcome) count({ outcome })
      throw error
    }
  }
}
