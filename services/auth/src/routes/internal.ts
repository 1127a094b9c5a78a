import { hasStaffLevel, type Principal } from '@mnemosyne/contracts'
import { DomainError } from '@mnemosyne/platform'
import { actorOf, append } from '../audit.ts'
import type { AuthContext } from '../context.ts'
import type { LastUsed } from '../last-used.ts'
import { putOwner } from '../memberships.ts'
import { resolve } from '../resolve.ts'
import type { AuthImplementer } from '../router.ts'

/** What only services ask. */
export function internalRoutes(os: AuthImplementer, context: AuthContext, lastUsed: LastUsed) {
  return {
    resolve: os.internal.resolve.handler(({ input, context: { principal, delegations, signal } }) => {
      assertService(principal, 'resolve credentials')
      return resolve(context, { ...input, delegations, signal, used: lastUsed.note })
    }),

    putOwner: os.internal.putOwner.handler(async ({ input, context: request }) => {
      const { kind, user } = request.principal
      if (kind !== 'service' && !hasStaffLevel(user, 'change') && user?.username !== input.username) {
        throw new DomainError('NOT_FOR_ANOTHER', 'Only staff make somebody else an owner.')
      }
      await putOwner(context, actorOf(request), input)
    }),

    recordAudit: os.internal.recordAudit.handler(async ({ input, context: { principal } }) => {
      assertService(principal, 'record what was done')
      await context.sql.transaction((tx) => append(tx, input.records))
    }),
  }
}

function assertService({ kind }: Principal, what: string): void {
  if (kind !== 'service') throw new DomainError('NOT_A_SERVICE', `Only services ${what}.`)
}
