import { oc } from '@orpc/contract'
import { z } from 'zod'
import { FreeText, IsoTime, listOf, Name, Page, Uid } from './common.ts'
import { Principal, Surface } from './principal.ts'

const base = oc.route({ tags: ['auth'] })

export const MembershipRole = z.enum(['owner', 'manager', 'reader'])
export type MembershipRole = z.infer<typeof MembershipRole>

export const User = z.object({
  id: Uid,
  username: z.string(),
  email: z.string(),
  is_active: z.boolean(),
  is_staff: z.boolean(),
  is_superuser: z.boolean(),
  created_at: IsoTime,
})
export type User = z.infer<typeof User>

/** `hint` is `tok_…` and the first 8 characters of the hash: enough to tell tokens apart, useless to call with. */
export const UserToken = z.object({
  id: Uid,
  name: z.string(),
  hint: z.string(),
  is_active: z.boolean(),
  expires_at: IsoTime.nullable(),
  last_used_at: IsoTime.nullable(),
  allowed_tools: z.array(z.string()),
  allowed_libraries: z.array(z.string()),
  created_at: IsoTime,
})
export type UserToken = z.infer<typeof UserToken>

export const MintToken = z.object({
  name: Name(100),
  expires_at: IsoTime.nullable().default(null),
  allowed_tools: z.array(FreeText(100)).max(100).default([]),
  /** Library uids, or `["*"]`: every library that the user is a member of, and the global ones, live. */
  allowed_libraries: z
    .array(z.union([Uid, z.literal('*')]))
    .max(1000)
    .default([]),
})

/** Why a credential was refused. Counted by reason; the wording for the caller is `detail`. */
export const REFUSAL_REASONS = [
  'missing',
  'wrong_keyword',
  'unknown_token',
  'inactive_token',
  'expired',
  'user_disabled',
  'team_on_rest',
  'bad_signature',
  'per_turn',
] as const
export const RefusalReason = z.enum(REFUSAL_REASONS)

export const Resolution = z.discriminatedUnion('outcome', [
  z.object({ outcome: z.literal('resolved'), principal: Principal }),
  z.object({ outcome: z.literal('refused'), reason: RefusalReason, detail: z.string() }),
])
export type Resolution = z.infer<typeof Resolution>

export const authContract = {
  me: base.route({ method: 'GET', path: '/profile/api/me/', summary: 'The caller' }).output(User),
  listTokens: base
    .route({
      method: 'GET',
      path: '/profile/api/tokens/',
      summary: "The caller's tokens, masked",
      outputStructure: 'detailed',
    })
    .input(Page)
    .output(listOf(UserToken)),
  mintToken: base
    .route({
      method: 'POST',
      path: '/profile/api/tokens/',
      summary: 'Mint a token; its plaintext is in this answer only',
      successStatus: 201,
    })
    .input(MintToken)
    .output(UserToken.extend({ token: z.string() })),
  revokeToken: base
    .route({
      method: 'POST',
      path: '/profile/api/tokens/{id}/revoke/',
      summary: 'Revoke a token',
      successStatus: 204,
    })
    .input(z.object({ id: Uid }))
    .output(z.void()),
}

/** Between services only; the gateway routes none of these paths. */
export const authInternalContract = {
  resolve: base
    .route({ method: 'POST', path: '/internal/auth/resolve/' })
    .input(z.object({ authorization: z.string().max(16_384), surface: Surface }))
    .output(Resolution),
  putOwner: base
    .route({ method: 'POST', path: '/internal/auth/owners/', successStatus: 204 })
    .input(z.object({ library_uid: Uid, username: z.string() }))
    .output(z.void()),
}
