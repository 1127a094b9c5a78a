import { oc } from '@orpc/contract'
import { z } from 'zod'
import { AUDIT_RECORDS_MAX, AuditRecord } from './audit.ts'
import { FreeText, listOf, Page, Uid } from './common.ts'
import { Principal, Surface } from './principal.ts'
import { EditToken, MintToken, Password, Preferences, User, UserToken } from './users.ts'

const base = oc.route({ tags: ['profile'] })

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
  'unknown_kid',
  'bad_claims',
  'wrong_issuer',
  'per_turn',
  'unknown_team',
  'inactive_team',
  'stale_jti',
  'owner_disabled',
  'bad_session',
  'csrf',
  'cross_site',
] as const
export const RefusalReason = z.enum(REFUSAL_REASONS)
export type RefusalReason = z.infer<typeof RefusalReason>

/** What a caller presents: the `Authorization` header, or a browser's session cookie. */
export const Credential = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('bearer'), authorization: z.string().max(16_384) }),
  z.object({
    kind: z.literal('session'),
    session: z.string().max(512),
    csrf_token: z.string().max(512).nullable(),
    /** Nothing is changed by the request, so it needs no CSRF token. */
    safe: z.boolean(),
  }),
])
export type Credential = z.infer<typeof Credential>

export const Resolution = z.discriminatedUnion('outcome', [
  z.object({ outcome: z.literal('resolved'), principal: Principal }),
  z.object({ outcome: z.literal('refused'), reason: RefusalReason, detail: z.string() }),
])
export type Resolution = z.infer<typeof Resolution>

/** Whom a credential can stand for: never for a service, nor for nobody. */
const CREDENTIALED: readonly Principal['kind'][] = ['user_token', 'team', 'session', 'local']

/** An answer to `resolve` on a surface. Throws when it is anything else: then nobody has been resolved. */
export function readResolution(answer: unknown, surface: Surface): Resolution {
  const resolution = Resolution.parse(answer)
  if (resolution.outcome === 'refused') return resolution
  const { kind, surface: resolved } = resolution.principal
  if (resolved !== surface) throw new Error(`auth resolved for ${resolved}, asked for ${surface}`)
  if (!CREDENTIALED.includes(kind)) throw new Error(`auth resolved a credential as ${kind}`)
  return resolution
}

const Me = User.extend({ preferences: Preferences })

/** What is the caller's own. */
export const authContract = {
  me: base.route({ method: 'GET', path: '/profile/api/me/', summary: 'The caller' }).output(Me),
  updateMe: base
    .route({
      method: 'PATCH',
      path: '/profile/api/me/',
      summary: "Change the caller's names and preferences",
    })
    .input(
      z.object({
        first_name: FreeText(150).optional(),
        last_name: FreeText(150).optional(),
        preferences: Preferences.partial().optional(),
      }),
    )
    .output(Me),
  changePassword: base
    .route({
      method: 'POST',
      path: '/profile/api/password/',
      summary: "Change the caller's password; every session of theirs ends, the one in use is made anew",
      successStatus: 204,
      outputStructure: 'detailed',
    })
    .input(z.object({ current_password: z.string().max(1_024), new_password: Password }))
    .output(z.object({ headers: z.object({ 'set-cookie': z.string().optional() }) })),
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
  getToken: base
    .route({ method: 'GET', path: '/profile/api/tokens/{id}/', summary: 'A token, masked' })
    .input(z.object({ id: z.string() }))
    .output(UserToken),
  editToken: base
    .route({ method: 'PATCH', path: '/profile/api/tokens/{id}/', summary: 'Change what a token is and may' })
    .input(EditToken.extend({ id: z.string() }))
    .output(UserToken),
  revokeToken: base
    .route({
      method: 'POST',
      path: '/profile/api/tokens/{id}/revoke/',
      summary: 'Revoke a token',
      successStatus: 204,
    })
    .input(z.object({ id: z.string() }))
    .output(z.void()),
}

/**
 * How often a library has been handed over, with the hand-over that is told of: what tells of an earlier one takes
 * back nothing that a later one has given.
 */
const HandOvers = z.number().int().min(0)

const HandOver = z.object({ library_uid: Uid, from: z.string(), to: z.string(), hand_overs: HandOvers })

/** Between services only; the gateway routes none of these paths. */
export const authInternalContract = {
  resolve: base
    .route({ method: 'POST', path: '/internal/auth/resolve/' })
    .input(z.object({ credential: Credential, surface: Surface }))
    .output(Resolution),
  /** Makes an active user an owner, unless the library has been handed over since. Idempotent. */
  putOwner: base
    .route({ method: 'POST', path: '/internal/auth/owners/', successStatus: 204 })
    .input(z.object({ library_uid: Uid, username: z.string(), hand_overs: HandOvers.optional() }))
    .output(z.void()),
  /** A library belongs to `to` now: they are an owner, and `from` is a manager of it. Idempotent. */
  recordHandOver: base
    .route({ method: 'POST', path: '/internal/auth/hand-overs/', successStatus: 204 })
    .input(HandOver)
    .output(z.void()),
  /** A library is gone: so are its memberships and its place in tokens. Idempotent. */
  forgetLibrary: base
    .route({ method: 'POST', path: '/internal/auth/forgotten-libraries/', successStatus: 204 })
    .input(z.object({ library_uid: Uid }))
    .output(z.void()),
  /** For those who hold no broker. A record that is known is passed over. */
  recordAudit: base
    .route({ method: 'POST', path: '/internal/auth/audit/', successStatus: 204 })
    .input(z.object({ records: z.array(AuditRecord).max(AUDIT_RECORDS_MAX) }))
    .output(z.void()),
}
