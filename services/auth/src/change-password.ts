import { actorOf, FieldError, type RequestContext } from '@mnemosyne/platform'
import { audit } from './audit.ts'
import type { AuthContext } from './context.ts'
import { forgetFailures, loginKeyOf } from './login-failures.ts'
import { type Checked, type CheckPassword, putHash, whyRefused } from './password-check.ts'
import { endSessions, type StartedSession, startSession } from './sessions.ts'
import { userById } from './users.ts'

/**
 * Changes a user's own password and ends every session of theirs; who came by session is given a new one. A wrong
 * current password counts as a failed login. Throws FieldError, DomainError LOGIN_LOCKED, TOO_BUSY.
 */
export async function changePassword(
  context: AuthContext,
  checkPassword: CheckPassword,
  request: RequestContext & { userId: string },
  { current, next }: { current: string; next: string },
): Promise<{ session: StartedSession | null }> {
  const { username } = await userById(context, request.userId)
  const key = loginKeyOf(request.principal.address, username)
  const checked = await checkPassword(key, current, next)
  const changed = checked.right
    ? await context.sql.transaction(async (tx) => {
        if (!(await putHash(tx, checked, { updated_at: context.clock().toISOString() }))) return undefined
        await forgetFailures(tx, key)
        const sessions = await endSessions(tx, checked.user.id)
        await audit(tx, context, actorOf(request), {
          action: 'user.password_changed',
          target: checked.user.id,
          detail: { sessions_ended: sessions },
        })
        const bySession = request.principal.kind === 'session'
        return { session: bySession ? await startSession(tx, context, checked.user.id) : null }
      })
    : undefined
  if (changed) return changed
  await recordRefusal(context, request, checked)
  throw new FieldError('current_password', 'This is not your password.')
}

async function recordRefusal(
  context: AuthContext,
  request: RequestContext & { userId: string },
  checked: Checked,
): Promise<void> {
  await context.sql.transaction((tx) =>
    audit(tx, context, actorOf(request), {
      action: 'user.password_changed',
      target: request.userId,
      outcome: 'refused',
      detail: { address: request.principal.address, ...whyRefused(checked) },
    }),
  )
}
