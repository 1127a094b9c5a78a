import { actorOf } from '@mnemosyne/platform'
import type { AuthContext } from '../context.ts'
import { type AuthImplementer, staffOf } from '../router.ts'
import { listSigningKeys, retireSigningKey, seedSigningKey } from '../signing-keys.ts'

/** The keys of team tokens, for staff. Their secrets are shown to nobody. */
export function signingKeyRoutes(os: AuthImplementer, context: AuthContext) {
  return {
    list: os.admin.signingKeys.list.handler(({ context: { principal } }) => {
      staffOf(principal, 'view')
      return listSigningKeys(context)
    }),

    seed: os.admin.signingKeys.seed.handler(async ({ input, context: request }) => {
      staffOf(request.principal, input.retire_other ? 'delete' : 'change')
      const { kid, retire_other: retireOther } = input
      await seedSigningKey(context, actorOf(request), { kid, retireOther })
      const keys = await listSigningKeys(context)
      return keys.find((key) => key.kid === kid)!
    }),

    retire: os.admin.signingKeys.retire.handler(({ input: { kid }, context: request }) => {
      staffOf(request.principal, 'delete')
      return retireSigningKey(context, actorOf(request), kid)
    }),
  }
}
