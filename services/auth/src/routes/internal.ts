import { hasStaffLevel, type Principal } from '@mnemosyne/contracts'
import { actorOf, DomainError } from '@mnemosyne/platform'
import { append } from '../audit.ts'
import type { AuthContext } from '../context.ts'
import type { FollowUp } from '../follow-up.ts'
import { recordHandOver } from '../hand-over.ts'
import type { Uses } from '../last-used.ts'
import { forgetLibrary, hasMembers, highestRole, putOwner } from '../memberships.ts'
import { resolve } from '../resolve.ts'
import type { AuthImplementer } from '../router.ts'

/** What only services ask. */
export function internalRoutes(os: AuthImplementer, context: AuthContext, uses: Uses, followUp: FollowUp) {
  return {
    resolve: os.internal.resolve.handler(({ input, context: { principal, delegations, signal } }) => {
      assertService(principal, 'resolve credentials')
      followUp.note(delegations)
      return resolve(context, { ...input, delegations, signal, uses })
    }),

    putOwner: os.internal.putOwner.handler(async ({ input, context: request }) => {
      await assertMayGive(context, request.principal, input.library_uid, input.username)
      const { user } = request.principal
      const userId = user?.username === input.username ? user.id : undefined
      await putOwner(context, actorOf(request), { ...input, userId })
    }),

    recordHandOver: os.internal.recordHandOver.handler(async ({ input, context: request }) => {
      // When it comes a second time, who handed their library over is no owner any more.
      await assertMayGive(context, request.principal, input.library_uid, input.from)
      await recordHandOver(context, actorOf(request), input)
    }),

    forgetLibrary: os.internal.forgetLibrary.handler(async ({ input, context: request }) => {
      await assertMayForget(context, request.principal, input.library_uid)
      await forgetLibrary(context, actorOf(request), input.library_uid)
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

/** The person behind a call over REST. Over MCP nobody changes anything, whoever owns the team. */
const personOn = ({ surface, user }: Principal) => (surface === 'rest' ? user : null)

/** Services, staff, the library's owners as of now, and `self`. */
async function assertMayGive(
  { sql }: AuthContext,
  principal: Principal,
  libraryUid: string,
  self: string,
): Promise<void> {
  const { kind } = principal
  const user = personOn(principal)
  if (kind === 'service' || hasStaffLevel(user, 'change') || user?.username === self) return
  if (user && (await highestRole(sql.read, user.id, libraryUid)) === 'owner') return
  throw new DomainError('NOT_FOR_ANOTHER', 'Only its owners and staff make somebody else an owner.')
}

/** Services, staff, and its owners; when it has no members any more, it may be forgotten once more. */
async function assertMayForget(
  { sql }: AuthContext,
  principal: Principal,
  libraryUid: string,
): Promise<void> {
  const { kind } = principal
  const user = personOn(principal)
  if (kind === 'service' || hasStaffLevel(user, 'delete')) return
  if (user && (await highestRole(sql.read, user.id, libraryUid)) === 'owner') return
  if (!(await hasMembers(sql.read, libraryUid))) return
  throw new DomainError('NOT_FOR_ANOTHER', 'Only its owners and staff delete a library.')
}
