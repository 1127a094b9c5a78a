import { listAnswer } from '@mnemosyne/contracts'
import { listRecords } from '../audit.ts'
import type { AuthContext } from '../context.ts'
import { type AuthImplementer, staffOf } from '../router.ts'

/** The audit log, for staff. */
export function auditRoutes(os: AuthImplementer, context: AuthContext) {
  return {
    list: os.admin.audit.list.handler(async ({ input, context: { principal } }) => {
      staffOf(principal, 'view')
      const { records, total } = await listRecords(context, input)
      return listAnswer(records, total)
    }),
  }
}
