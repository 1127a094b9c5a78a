import { changePassword } from '../change-password.ts'
import type { AuthContext } from '../context.ts'
import type { CheckPassword } from '../password-check.ts'
import { type AuthImplementer, personOf } from '../router.ts'
import { sessionCookie } from '../sessions.ts'

export function passwordRoutes(os: AuthImplementer, context: AuthContext, checkPassword: CheckPassword) {
  return {
    changePassword: os.changePassword.handler(async ({ input, context: request }) => {
      const { id: userId } = personOf(request.principal)
      const { session } = await changePassword(
        context,
        checkPassword,
        { ...request, userId },
        { current: input.current_password, next: input.new_password },
      )
      return { headers: session ? { 'set-cookie': sessionCookie(session.secret) } : {} }
    }),
  }
}
