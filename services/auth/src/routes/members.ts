import { listAnswer, Uid } from '@mnemosyne/contracts'
import { actorOf, DomainError, type RequestContext } from '@mnemosyne/platform'
import { askLibrary } from '../ask-library.ts'
import type { AuthContext } from '../context.ts'
import { allowInToken, removeFromToken } from '../member-tokens.ts'
import { addMember, listMembers, removeMember } from '../members.ts'
import { highestRole, libraryNotFound } from '../memberships.ts'
import { type AuthImplementer, personOf } from '../router.ts'

/** With whom a library is shared, and in whose tokens it stands. Staff have no rights here beyond their own. */
export function memberRoutes(os: AuthImplementer, context: AuthContext) {
  return {
    list: os.members.list.handler(async ({ input, context: request }) => {
      const of = await ofLibrary(context, request, input.uid)
      const { members, total } = await listMembers(context, of, input)
      return listAnswer(members, total)
    }),

    add: os.members.add.handler(async ({ input, context: request }) => {
      const of = await ofLibrary(context, request, input.uid)
      const { added, member } = await addMember(context, actorOf(request), of, input)
      return added ? { status: 201 as const, body: member } : { status: 200 as const, body: member }
    }),

    remove: os.members.remove.handler(async ({ input, context: request }) => {
      const of = await ofLibrary(context, request, input.uid)
      await removeMember(context, actorOf(request), of, input)
    }),

    allowInToken: os.members.allowInToken.handler(async ({ input, context: request }) => {
      const of = await ofLibrary(context, request, input.uid)
      await allowInToken(context, actorOf(request), { ...of, tokenId: input.token_id })
    }),

    removeFromToken: os.members.removeFromToken.handler(async ({ input, context: request }) => {
      const of = await ofLibrary(context, request, input.uid)
      await removeFromToken(context, actorOf(request), { ...of, tokenId: input.token_id })
    }),
  }
}

/**
 * The library that a path names, with whose it is by the library service's word: auth may hear late that there is
 * none any more, or that it has been handed over. Both are asked whatever the other says, so that somebody else's
 * costs as much as none. Throws DomainError LIBRARY_NOT_FOUND, GLOBAL_LIBRARY, LIBRARY_UNAVAILABLE.
 */
async function ofLibrary({ library, sql }: AuthContext, request: RequestContext, uid: string) {
  const { id: callerId } = personOf(request.principal)
  if (!Uid.safeParse(uid).success) throw libraryNotFound()
  const { delegations, signal } = request
  const [role, found] = await Promise.all([
    highestRole(sql.read, callerId, uid),
    askLibrary(() => library.principalOwner({ library_uid: uid }, { context: { delegations }, signal })),
  ])
  if (found?.owner_username === null)
    throw new DomainError('GLOBAL_LIBRARY', "A global library is everybody's: it has no members.")
  if (!found || !role) throw libraryNotFound()
  return { callerId, libraryUid: uid, principalOwner: found.owner_username }
}
