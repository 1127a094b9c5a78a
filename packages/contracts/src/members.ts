import { oc } from '@orpc/contract'
import { z } from 'zod'
import { FreeText, IsoTime, listOf, Page } from './common.ts'

const base = oc.route({ tags: ['members'] })

export const MembershipRole = z.enum(['owner', 'manager', 'reader'])
export type MembershipRole = z.infer<typeof MembershipRole>

export const Member = z.object({ username: z.string(), role: MembershipRole, created_at: IsoTime })
export type Member = z.infer<typeof Member>

const ofLibrary = z.object({ uid: z.string() })

/** With whom a library is shared. Kept by auth, addressed beneath the library. */
export const membersContract = {
  list: base
    .route({
      method: 'GET',
      path: '/library/api/libraries/{uid}/members/',
      summary: 'With whom a library is shared (its owners and managers)',
      outputStructure: 'detailed',
    })
    .input(Page.extend(ofLibrary.shape))
    .output(listOf(Member)),
  add: base
    .route({
      method: 'POST',
      path: '/library/api/libraries/{uid}/members/',
      summary: 'Share a library: an owner gives any role, a manager `reader`; idempotent',
      outputStructure: 'detailed',
    })
    .input(ofLibrary.extend({ username: FreeText(150).min(1), role: MembershipRole }))
    .output(
      z.union([
        z.object({ status: z.literal(201), body: Member }),
        z.object({ status: z.literal(200), body: Member }),
      ]),
    ),
  remove: base
    .route({
      method: 'DELETE',
      path: '/library/api/libraries/{uid}/members/{username}/{role}/',
      summary: 'Take a role away, or leave; the last owner cannot go; idempotent',
      successStatus: 204,
    })
    .input(ofLibrary.extend({ username: FreeText(150), role: FreeText(150) }))
    .output(z.void()),
  allowInToken: base
    .route({
      method: 'PUT',
      path: '/library/api/libraries/{uid}/tokens/{token_id}/',
      summary: "Put a library into a member's token (its owners and managers)",
      successStatus: 204,
    })
    .input(ofLibrary.extend({ token_id: z.string() }))
    .output(z.void()),
  removeFromToken: base
    .route({
      method: 'DELETE',
      path: '/library/api/libraries/{uid}/tokens/{token_id}/',
      summary: "Take a library out of a member's token (its owners and managers); idempotent",
      successStatus: 204,
    })
    .input(ofLibrary.extend({ token_id: z.string() }))
    .output(z.void()),
}
